"""Hooks for schemathesis: who calls, and real values where generated ones would only be refused.

FUZZ_ROLE is the role, FUZZ_URL the address of the service, FUZZ_REPORT the file for the report. Only *positive* cases are
changed; a case that is invalid on purpose stays as it is.

A value belongs to the name of its property or parameter, whatever the operation: a new operation with an `email` or an
`orderId` needs nothing here.
"""

import atexit
import base64
import collections
import hmac
import json
import os
import random
import time
import unicodedata
import uuid
from datetime import datetime, timedelta, timezone

import schemathesis

from service import ADMINISTRATOR, COMMITTEE, COOKIE, FORM, PASSWORD, People, event, signature, suppress

ROLES = ("stranger", "newcomer", "submitted", "registered", "leader", "administrator")
ROLE = os.environ["FUZZ_ROLE"]
SESSION_ENDS = ("signOut",)
# Operations that need a code of an authenticator app.
NEEDS_CODE = ("confirmTotp", "disableTotp", "renewRecoveryCodes")
# Texts that have a minimum length or a format, and are optional in some operation.
OPTIONAL_TEXTS = (
    "announcement", "answer", "category", "email", "kind", "name", "publishAt", "question", "sendAt", "subject", "text", "title",
)  # fmt: skip
# The longest cursor in the document.
CURSOR_MAX = 2048

people = People(os.environ["FUZZ_URL"], ROLE)
chance = random.Random(f"orientation {ROLE}")
answers = collections.defaultdict(collections.Counter)


def student_id():
    """A student id that nobody else uses."""
    return f"{ROLES.index(ROLE)}{next(people.numbers):06}"


def newcomer():
    """The session of a student who has not registered yet."""
    return people.sign_in(people.account())


def account_id(account):
    return people.done("GET", "/v1/me", cookie=people.sign_in(account)).json()["id"]


def leader():
    """An approved leader, with the id of the account."""
    account = people.account("leader")
    account["id"] = account_id(account)
    committee = people.sign_in({"email": COMMITTEE, "password": PASSWORD})
    people.done("PUT", f"/v1/accounts/{account['id']}/approval", cookie=committee)
    return account


def totp(secret, steps=0):
    """The code that an authenticator app shows this number of steps of 30 seconds from now."""
    digest = hmac.digest(base64.b32decode(secret), (int(time.time()) // 30 + steps).to_bytes(8, "big"), "sha1")
    start = digest[-1] & 15
    return f"{(int.from_bytes(digest[start : start + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06}"


def second_factor(confirmed):
    """A leader who has enrolled a second factor, or has confirmed it, too: the account, its session, and a valid code."""
    account = leader()
    session = people.sign_in(account)
    secret = people.done("POST", "/v1/me/totp", {"currentPassword": PASSWORD}, session).json()["secret"]
    if not confirmed:
        return account, session, totp(secret)
    people.done("POST", "/v1/me/totp/confirm", {"code": totp(secret)}, session)
    # A code is accepted once. That of the next step is accepted already.
    return account, session, totp(secret, 1)


class Me:
    """The account of this role, with its session and its order."""

    def __init__(self):
        self.account = self.own_account()
        self.cookie = None
        self.order = None
        if ROLE in ("submitted", "registered"):
            self.order = people.register(self.session(), student_id())
        if ROLE == "registered":
            people.pay(self.order)

    def own_account(self):
        match ROLE:
            case "stranger":
                return None
            case "administrator":
                return {"email": ADMINISTRATOR, "password": PASSWORD}
            case "leader":
                return leader()
            case _:
                return people.account()

    def session(self):
        """The cookie of a valid session."""
        if self.cookie is None and self.account:
            self.cookie = people.sign_in(self.account)
        return self.cookie


class Shelf:
    """Creates something when it is needed, and creates it again after some uses."""

    def __init__(self, make, uses):
        self.make, self.uses, self.left, self.kept = make, uses, 0, None

    def take(self):
        if self.left == 0:
            self.kept, self.left = self.make(), self.uses
        self.left -= 1
        return self.kept


def confirm_token():
    return people.token(people.sign_up(), "confirm")


def reset_token():
    email = spare.take()["email"]
    people.done("POST", "/v1/password-resets", {"email": email})
    return people.token(email, "reset-password")


def change_token():
    account = people.account()
    email = people.address()
    people.done("PUT", "/v1/me/email", {"currentPassword": PASSWORD, "email": email}, people.sign_in(account))
    return people.token(email, "confirm-email")


def rights_request():
    """The id of an open request for a right."""
    asked = {"rights": [RIGHTS[0] | {"reason": "Fuzz."}]}
    answer = people.done("POST", "/v1/me/rights-requests", asked, people.sign_in(leader()))
    return answer.json()["results"][0]["request"]["id"]


def api_key():
    """The id of a new API key. Only administrators need one."""
    key = {"name": "Fuzz", "scopes": ["scanner:food"], "expiresAt": VALUES["expiresAt"](None)}
    return people.done("POST", "/v1/api-keys", key, me.session()).json()["apiKey"]["id"]


def group_plan():
    """The id of a new plan that evens the groups out. Only administrators need one."""
    return people.done("POST", "/v1/group-plans", None, me.session()).json()["id"]


def announcement():
    """The id of a new announcement for everybody."""
    text = {"title": "Fuzz", "text": "Fuzz", "audience": {"for": "everyone"}}
    committee = people.sign_in({"email": COMMITTEE, "password": PASSWORD})
    return people.done("POST", "/v1/announcements", text, committee).json()["id"]


def schedule_entry():
    """The id of a new entry of the schedule. Only administrators need one."""
    content = {"name": "Fuzz", "times": entry_times(), "audience": {"for": "everyone"}}
    return people.done("POST", "/v1/schedule-entries", content, me.session()).json()["id"]


def entry_times():
    """When an entry of the schedule takes place."""
    start = datetime(2027, 1, 1, tzinfo=timezone.utc) + timedelta(minutes=chance.randrange(600_000))
    days = {"firstDay": start.date().isoformat()}
    hours = {"startsAt": start.isoformat(), "endsAt": (start + timedelta(hours=chance.randrange(1, 99))).isoformat()}
    return chance.choice((days, days | {"lastDay": (start + timedelta(days=3)).date().isoformat()}, hours))


def question():
    """The id of a new question, unanswered or answered."""
    asked = people.done("POST", "/v1/faq/questions", {"question": "Fuzz?"}).json()["id"]
    if chance.random() < 0.5:
        committee = people.sign_in({"email": COMMITTEE, "password": PASSWORD})
        people.done("PUT", f"/v1/faq/questions/{asked}/answer", {"answer": "Fuzz."}, committee)
    return asked


def applicant():
    """The account id of a student who asks for a bursary. Only administrators need one."""
    account = people.account()
    cookie = people.sign_in(account)
    people.register(cookie, student_id())
    people.done("PATCH", "/v1/registration", {"bursaryRequested": True}, cookie)
    return account_id(account)


def mailing():
    """The id of a new draft to all leaders. Only administrators need one."""
    draft = {"subject": "Fuzz", "text": "Dear {firstName}", "audience": {"for": "leaders"}}
    return people.done("POST", "/v1/mailings", draft, me.session()).json()["id"]


def recipients(mailing):
    return people.done("GET", f"/v1/mailings/{mailing}/count", cookie=me.session()).json()["recipients"]


def started_mailing():
    """The id of a mailing that is being sent."""
    made = mailing()
    body = {"recipients": recipients(made)}
    people.done("POST", f"/v1/mailings/{made}/start", body, me.session(), headers={"If-Match": "*"})
    return made


def paused_mailing():
    started = started_mailing()
    people.done("POST", f"/v1/mailings/{started}/pause", cookie=me.session())
    return started


def mailing_audience():
    filters = [f"{name}:exists:true" for name in fields(2)]
    return chance.choice(({"for": "students", "filters": filters}, {"for": "leaders"}, {"for": "everyone"}))


def email_to(student):
    """The id of an email to this student."""
    mails = people.done("GET", f"/v1/students/{student}/mails", cookie=me.session()).json()["items"]
    return chance.choice(mails)["id"]


# Rights that the shipped event.toml has.
RIGHTS = [
    *({"kind": "scope", "name": name} for name in ("scanner:food", "faq:edit", "accounts:read")),
    *({"kind": "studentField", "name": name} for name in ("dietary", "shirtSize")),
    *({"kind": "reach", "name": name} for name in ("group:all", "group:Alpha", "hunt-team:3")),
]

me = Me()
spare = Shelf(people.account, 5)
foreign_order = people.register(newcomer(), student_id())
order_to_pay = Shelf(lambda: people.register(newcomer(), student_id()), 5)
# Used twice each: the second use is refused.
confirm_tokens = Shelf(confirm_token, 2)
reset_tokens = Shelf(reset_token, 2)
change_tokens = Shelf(change_token, 2)
# They stay what they are: without them, nothing is accepted.
administrators = set()
if ROLE == "administrator":
    administrators = {account_id({"email": email, "password": PASSWORD}) for email in (ADMINISTRATOR, COMMITTEE)}
leaders = Shelf(leader, 5)
rights_requests = Shelf(rights_request, 2)
api_keys = Shelf(api_key, 2)
group_plans = Shelf(group_plan, 2)
schedule_entries = Shelf(schedule_entry, 3)
applicants = Shelf(applicant, 3)
announcements = Shelf(announcement, 5)
questions = Shelf(question, 2)
mailings = Shelf(mailing, 3)

# What an operation on a mailing needs.
MAILINGS_OF = {"deleteMailing": mailing, "startMailing": mailing, "pauseMailing": started_mailing, "resumeMailing": paused_mailing}


# ---- who calls ----


@schemathesis.auth(refresh_interval=None)
class Session:
    """The role's session, where an operation needs one."""

    def get(self, case, context):
        definition = case.operation.definition.raw
        if ROLE == "stranger" or not definition.get("security"):
            return None
        if operation(case) in SESSION_ENDS:
            return people.sign_in(me.account)
        # What a student does once needs a new student each time.
        if ROLE == "newcomer" and definition.get("x-right") == "student" and case.method == "POST" and positive(case):
            return newcomer()
        return me.session()

    def set(self, case, cookie, context):
        if cookie is not None:
            case.cookies = {COOKIE: cookie}


# ---- real values ----


def operation(case):
    return case.operation.definition.raw["operationId"]


def positive(case):
    return case.meta is None or case.meta.generation.mode.is_positive


@schemathesis.hook
def before_call(context, case, kwargs):
    if len(str((case.query or {}).get("cursor", ""))) > CURSOR_MAX:
        # Still too long for the service, but not for the program that reads the head of a request.
        case.query["cursor"] = "x" * (CURSOR_MAX + 1)
    # Schemathesis also sends ids that it has seen in responses.
    if (case.path_parameters or {}).get("accountId") in administrators:
        case.path_parameters["accountId"] = str(uuid.uuid4())
    if not positive(case):
        if isinstance(case.body, dict):
            # An optional text that is empty counts as absent, so that the case would be valid. In a PATCH all are optional.
            optional = case.body.keys() if case.method == "PATCH" else OPTIONAL_TEXTS
            case.body |= {name: 0 for name in optional if case.body.get(name) == ""}
        return
    if isinstance(case.body, dict):
        case.body = clean(case.body)
        if case.method == "PATCH":
            keep_what_is_needed(case.body)
        if operation(case) == "register":
            case.body = {name: FORM[name] for name in ASKED_BY_EVENT} | case.body
        give_values(case.body)
        if case.body.get("times") is not None:
            case.body["times"] = entry_times()
        if operation(case) in ("createMailing", "updateMailing"):
            # Either a text or an announcement, and filters for students only.
            case.body.pop("announcement", None)
            case.body |= {"text": case.body.get("text") or "Dear {firstName}", "audience": mailing_audience()}
    for name in case.path_parameters or {}:
        if name in PATHS:
            case.path_parameters[name] = PATHS[name](case.path_parameters[name])
    if operation(case) == "resendStudentMail" and case.path_parameters["studentId"] == applicants.kept:
        case.path_parameters["mailId"] = email_to(applicants.kept)
    if case.query:
        # A cursor comes from the page before; another text is refused.
        case.query.pop("cursor", None)
        case.query |= {name: QUERIES[name]() for name in case.query if name in QUERIES}
    if "If-Match" in parameters(case) and chance.random() < 0.6:
        case.headers["If-Match"] = "*"
    if ROLE in ("leader", "administrator") and operation(case) in NEEDS_CODE:
        _, session, case.body["code"] = second_factor(operation(case) != "confirmTotp")
        case.cookies = {COOKIE: session}
        case.body |= {"currentPassword": PASSWORD} if "currentPassword" in case.body else {}
    if ROLE == "administrator" and operation(case) in MAILINGS_OF:
        case.path_parameters["mailingId"] = MAILINGS_OF[operation(case)]()
        if operation(case) == "startMailing":
            case.body["recipients"] = recipients(case.path_parameters["mailingId"])
    if ROLE == "administrator" and operation(case) == "resetTotp":
        case.path_parameters["accountId"] = second_factor(True)[0]["id"]
    if "Stripe-Signature" in parameters(case):
        if chance.random() < 0.4:
            case.body = real_event()
        case.headers["Stripe-Signature"] = signature(json.dumps(case.body).encode())


def parameters(case):
    return {parameter["name"] for parameter in case.operation.definition.raw.get("parameters", ())}


def clean(value):
    """Control characters are refused in every text, and so are texts of white space alone where one is needed; a
    schema of OpenAPI 3.0 that said so would repeat a pattern at each property of the document."""
    if isinstance(value, str):
        kept = "".join(c for c in unicodedata.normalize("NFC", value) if unicodedata.category(c) not in ("Cc", "Cs"))
        return kept.strip() or ("x" if value else "")
    if isinstance(value, list):
        return [clean(part) for part in value]
    if isinstance(value, dict):
        return {clean(name): clean(part) for name, part in value.items()}
    return value


def real_event():
    order = order_to_pay.take()
    kinds = ("completed", "expired", "async_payment_succeeded", "async_payment_failed")
    return event(order, f"checkout.session.{chance.choice(kinds)}", chance.randrange(3))


def give_values(body):
    """Replaces the values of the properties in VALUES, at every level. What is left out or null stays so."""
    for name, value in body.items():
        if isinstance(value, dict):
            give_values(value)
        elif value is not None and name in VALUES:
            body[name] = VALUES[name](body)
    # Belongs to the pronouns "Other" alone.
    body.pop("pronounsOther", None)
    # Groups are named for the audience of groups alone.
    if "for" in body:
        body.pop("groups", None)
        if body["for"] == "groups":
            body["groups"] = ["Alpha", "Omega"]
    # The shipped event has no questions of its own.
    body.pop("answers", None)


def keep_what_is_needed(body):
    """A change can't remove what the form or the account needs, and can't touch what is fixed."""
    for name in FIXED.union(name for name, value in body.items() if not value and name in NEEDED and value is not False):
        body.pop(name, None)


def email(body):
    """The address of an account, in any letter case, or an unused one."""
    account = me.account or spare.take()
    return chance.choice((people.address(), spare.take()["email"].upper(), account["email"], account["email"]))


def password(body):
    """The password of the address in the same body; a new one beside a token."""
    return new_password(body) if "token" in body else current_password(body)


def current_password(body):
    return me.account["password"] if me.account else PASSWORD


def new_password(body):
    return f"{PASSWORD} {chance.getrandbits(32)}"


def token(body):
    """The token of an email, mostly. Beside a password it is one that resets a password."""
    if chance.random() < 0.2:
        return body["token"]
    return (reset_tokens if "password" in body else chance.choice((confirm_tokens, change_tokens))).take()


def one_of(*values):
    return lambda body: chance.choice(values)


def rights(body):
    """Different rights that exist, with the reasons of the body."""
    return [asked | right for asked, right in zip(body["rights"], chance.sample(RIGHTS, len(RIGHTS)))]


def some_rights(kind):
    names = [right["name"] for right in RIGHTS if right["kind"] == kind]
    return lambda body: chance.sample(names, chance.randint(1, len(names)))


def shown(name):
    """Markdown that shows something: `#` or `---` alone does not."""
    return lambda body: f"Fuzz {body[name]}"[:200] if isinstance(body[name], str) else body[name]


def retreat_order():
    """The order of a retreat ticket by this role's student, which is made if there is none."""
    made = people.send("POST", "/v1/orders", {"product": "retreat"}, me.session())
    if made.status_code == 201:
        return made.json()["id"]
    orders = people.done("GET", "/v1/orders?limit=100", cookie=me.session()).json()["items"]
    return [order["id"] for order in orders if order["product"] == "retreat"][-1]


def product(body):
    """A product that this role's student can order: an earlier order is cancelled."""
    if ROLE == "registered":
        people.send("POST", f"/v1/orders/{retreat_order()}/cancel", cookie=me.session())
    return "retreat"


# By the name of the property. What event.toml offers, and what a schema can't say.
VALUES = {
    "answer": shown("answer"),
    "description": shown("description"),
    "text": shown("text"),
    "email": email,
    "password": password,
    "currentPassword": current_password,
    "newPassword": new_password,
    "token": token,
    "product": product,
    "pronouns": one_of("Prefer not to say", "he/him", "she/her", "they/them"),
    "birthDate": lambda body: f"{chance.randrange(1920, 2021)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}",
    "studentId": lambda body: student_id(),
    "discipline": one_of("Chemical", "Civil", "Track One (Undeclared)"),
    "group": one_of("Alpha", "Omega"),
    "shirtSize": one_of("S", "3XL"),
    "phone": lambda body: f"+1416978{chance.randrange(10_000):04}",
    "dietary": lambda body: chance.sample(("Vegan", "Halal", "Nut allergy"), chance.randrange(4)),
    "huntTeammates": lambda body: [people.address() for _ in range(chance.randrange(3))],
    "summerCountry": one_of("CA", "IN", "NZ"),
    "mapUrl": one_of("https://maps.example.org/?q=lawn", "https://maps.example.org/" + "a" * 300),
    "url": one_of("https://example.org", "https://example.org/?a=1&b=%20"),
    "movingMonth": one_of("July", "Already there"),
    "rights": rights,
    "scopes": some_rights("scope"),
    "studentFields": some_rights("studentField"),
    "reach": some_rights("reach"),
    "sendAt": lambda body: (datetime.now(timezone.utc) + timedelta(days=chance.randrange(1, 400))).isoformat(),
    "expiresAt": lambda body: (datetime.now(timezone.utc) + timedelta(days=chance.randrange(1, 400))).isoformat(),
}

FIXED = {"legalName", "pronouns", "birthDate", "studentId", "discipline", "shirtSize", "accessibility", "photoConsent"}
NEEDED = {"firstName", "question", "answer", "category", "title", "text", "subject", "name", *FORM}
# Optional in the schema, because an event can leave them out. The shipped event requires them.
ASKED_BY_EVENT = ("shirtSize", "joinsHunt", "summerCity", "summerCountry", "photoConsent", "bursaryRequested")


def order_id(generated):
    if ROLE == "registered" and chance.random() < 0.5:
        return retreat_order()
    return chance.choice([order["id"] for order in (me.order, foreign_order) if order] + [generated])


def suppression_id(generated):
    if ROLE != "administrator" or chance.random() < 0.4:
        return generated
    return suppress(os.environ["FUZZ_STORE"], people.address())


def from_shelf(shelf, value):
    """What an administrator decides about; the others are refused before."""

    def give(generated):
        if ROLE != "administrator" or chance.random() < 0.4:
            return generated
        return value(shelf.take())

    return give


def job_id(generated):
    """A job that waits, if there is one. Its kind retries the work itself."""
    if ROLE != "administrator" or chance.random() < 0.4:
        return generated
    waiting = people.done("GET", "/v1/jobs?state=waiting", cookie=me.session()).json()["items"]
    return waiting[0]["id"] if waiting else generated


def fields(most):
    """Names of fields that the role may read of students."""
    granted = ["id", "group", "state"] + ["shirtSize", "dietary", "legalName"] * (ROLE == "administrator")
    return chance.sample(granted, chance.randint(1, most))


# By the name of the query parameter.
QUERIES = {
    "by": lambda: fields(2),
    "fields": lambda: fields(3),
    "group": lambda: chance.choice(("Alpha", "Omega")),
    "filter": lambda: [f"{name}:exists:true" for name in fields(2)],
    "sort": lambda: chance.choice(("", "-")) + fields(1)[0],
}

def some(shelf):
    """What the committee has made, mostly."""
    return lambda generated: shelf.take() if chance.random() < 0.6 else generated


# By the name of the path parameter.
PATHS = {
    "announcementId": some(announcements),
    "apiKeyId": from_shelf(api_keys, lambda key: key),
    "accountId": from_shelf(leaders, lambda leader: leader["id"]),
    "entryId": from_shelf(schedule_entries, lambda entry: entry),
    "groupName": lambda generated: chance.choice(("Alpha", "Omega", generated)),
    "orderId": order_id,
    "mailingId": from_shelf(mailings, lambda mailing: mailing),
    "planId": from_shelf(group_plans, lambda plan: plan),
    "productId": lambda generated: chance.choice(("retreat", "orientation", generated)),
    "questionId": from_shelf(questions, lambda question: question),
    "requestId": from_shelf(rights_requests, lambda request: request),
    "studentId": from_shelf(applicants, lambda student: student),
    "suppressionId": suppression_id,
    "jobId": job_id,
}


# ---- responses ----


@schemathesis.hook
def after_call(context, case, response):
    name = operation(case)
    if case.method == case.operation.method.upper():
        answers[name][response.status_code] += 1
    if response.status_code == 401 and name not in SESSION_ENDS:
        me.cookie = None
    if response.status_code == 204 and isinstance(case.body, dict) and "newPassword" in case.body and me.account:
        me.account["password"] = case.body["newPassword"]


@schemathesis.check
def refusals_are_problems(ctx, response, case):
    """Every refusal, even of an undocumented method, is a problem with its own status."""
    if response.status_code < 400 or case.method == "HEAD":
        return
    kind = response.headers.get("content-type", [""])[0]
    assert kind == "application/problem+json", f"a refusal of the content type {kind!r}"
    problem = response.json()
    assert problem["status"] == response.status_code and problem["type"].startswith("/problems/"), problem


@schemathesis.check
def foreign_orders_are_not_there(ctx, response, case):
    """The order of somebody else is 404, like one that doesn't exist."""
    if (case.path_parameters or {}).get("orderId") == foreign_order["id"]:
        assert response.status_code in (401, 404, 405), f"a foreign order: {response.status_code}"


@atexit.register
def report():
    with open(os.environ["FUZZ_REPORT"], "w") as file:
        json.dump({name: dict(sorted(counts.items())) for name, counts in sorted(answers.items())}, file)
