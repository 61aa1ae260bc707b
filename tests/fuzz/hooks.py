"""What schemathesis is told of our service: who calls, and real values where generated ones lead nowhere.

The role is in FUZZ_ROLE, the address in FUZZ_URL, the report goes to FUZZ_REPORT. Only *positive* cases are touched:
a case that is wrong on purpose stays as wrong as it was made.
"""

import atexit
import collections
import json
import os
import random
import unicodedata

import schemathesis

from service import ADMINISTRATOR, COOKIE, FORM, PASSWORD, People, event, signature, suppress

ROLES = ("stranger", "newcomer", "submitted", "registered", "leader", "administrator")
ROLE = os.environ["FUZZ_ROLE"]
SESSION_ENDS = ("signOut",)

people = People(os.environ["FUZZ_URL"], ROLE)
chance = random.Random(f"orientation {ROLE}")
answers = collections.defaultdict(collections.Counter)


def student_id():
    """One that nobody else uses."""
    return f"{ROLES.index(ROLE)}{next(people.numbers):06}"


def newcomer():
    """The session of a student who has not registered yet."""
    return people.sign_in(people.account())


class Me:
    """The account of this role, with what it has."""

    def __init__(self):
        self.account = self.own_account()
        self.cookie = None
        self.order = None
        if ROLE in ("submitted", "registered"):
            self.order = people.register(self.session(), student_id())
        if ROLE == "registered":
            people.pay(self.order)

    def own_account(self):
        if ROLE == "administrator":
            return {"email": ADMINISTRATOR, "password": PASSWORD}
        return None if ROLE == "stranger" else people.account("leader" if ROLE == "leader" else "student")

    def session(self):
        """The cookie of a session that lives."""
        if self.cookie is None and self.account:
            self.cookie = people.sign_in(self.account)
        return self.cookie


class Shelf:
    """Something made at need and used a few times, as generated requests may use it up."""

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


me = Me()
spare = Shelf(people.account, 5)
foreign_order = people.register(newcomer(), student_id())
order_to_pay = Shelf(lambda: people.register(newcomer(), student_id()), 5)
# Used twice each: the second use is refused.
confirm_tokens = Shelf(confirm_token, 2)
reset_tokens = Shelf(reset_token, 2)
change_tokens = Shelf(change_token, 2)


# ---- who calls ----


@schemathesis.auth(refresh_interval=None)
class Session:
    """The role's session, where an operation needs one."""

    def get(self, case, context):
        if ROLE == "stranger" or not case.operation.definition.raw.get("security"):
            return None
        name = operation(case)
        if name in SESSION_ENDS:
            return people.sign_in(me.account)
        if ROLE == "newcomer" and name == "register" and positive(case):
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
    if not positive(case):
        return
    if isinstance(case.body, dict):
        case.body = clean(case.body)
        REAL.get(operation(case), lambda body: None)(case.body)
    if "orderId" in (case.path_parameters or {}):
        orders = [order["id"] for order in (me.order, foreign_order) if order]
        case.path_parameters["orderId"] = chance.choice(orders + [case.path_parameters["orderId"]])
    if "suppressionId" in (case.path_parameters or {}) and ROLE == "administrator" and chance.random() < 0.6:
        case.path_parameters["suppressionId"] = suppress(next(people.numbers))
    if operation(case) == "receiveStripeEvent":
        if chance.random() < 0.4:
            case.body = real_event()
        case.headers["Stripe-Signature"] = signature(json.dumps(case.body).encode())


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
    session = order["checkoutUrl"].rsplit("/", 1)[1]
    return event(order, session, f"checkout.session.{chance.choice(kinds)}", chance.randrange(3))


def put(body, **values):
    """Gives the properties that the body has their values: what is left out stays left out."""
    body.update({name: value() if callable(value) else value for name, value in values.items() if name in body})


def now_and_then(shelf, body):
    """Most generated tokens are nobody's."""
    if chance.random() < 0.6:
        body["token"] = shelf.take()


def strong():
    return f"{PASSWORD} {chance.getrandbits(32)}"


def known_or_new():
    return chance.choice((people.address(), spare.take()["email"], spare.take()["email"].upper()))


def sign_in(body):
    account = me.account or spare.take()
    if chance.random() < 0.6:
        put(body, email=account["email"], password=account["password"])
    else:
        put(body, email=known_or_new)


def change_password(body):
    put(body, currentPassword=me.account["password"] if me.account else PASSWORD, newPassword=strong)


def change_email(body):
    put(body, currentPassword=me.account["password"] if me.account else PASSWORD, email=people.address)


def reset_password(body):
    put(body, password=strong)
    now_and_then(reset_tokens, body)


def within(body, **limits):
    """Texts no longer than they may be, and not empty."""
    for name, limit in limits.items():
        if isinstance(body.get(name), str):
            body[name] = body[name][:limit].strip() or "x"


def phone():
    return f"+1416978{chance.randrange(10_000):04}"


def form(body):
    """What event.toml offers, and what has a form that a schema can't tell. Limits of texts are told in words: they are
    held by the rules of the form, which count what is left after trimming and find all faults at once."""
    within(body, legalName=120, dietaryOther=100, summerCity=100)
    put(
        body,
        pronouns=lambda: chance.choice(("Prefer not to say", "he/him", "she/her", "they/them")),
        birthDate=lambda: f"{chance.randrange(1920, 2021)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}",
        studentId=student_id,
        discipline=lambda: chance.choice(("Chemical", "Civil", "Track One (Undeclared)")),
        shirtSize=lambda: chance.choice(("S", "3XL")),
        phone=phone,
        dietary=lambda: chance.sample(("Vegan", "Halal", "Nut allergy"), chance.randrange(4)),
        huntTeammates=lambda: [people.address() for _ in range(chance.randrange(3))],
        summerCountry=lambda: chance.choice(("CA", "IN", "NZ")),
        movingMonth=lambda: chance.choice(("July", "Already there")),
    )
    if isinstance(body.get("emergencyContact"), dict):
        within(body["emergencyContact"], name=100, relationship=100)
        put(body["emergencyContact"], phone=phone)
    # Only beside the pronouns "Other".
    body.pop("pronounsOther", None)


FIXED = {"legalName", "pronouns", "birthDate", "studentId", "discipline", "shirtSize", "accessibility", "photoConsent"}


def changes(body):
    """A value that the form needs can't be taken away, and what is fixed can't be sent."""
    for name in FIXED.union(name for name, value in body.items() if value is None and name in FORM):
        body.pop(name, None)
    form(body)


def names(body):
    """The first name can be changed, not removed."""
    if not body.get("firstName", "x"):
        body.pop("firstName")


REAL = {
    "signUp": lambda body: put(body, email=known_or_new, password=strong),
    "confirmAccount": lambda body: now_and_then(confirm_tokens, body),
    "resendConfirmation": lambda body: put(body, email=known_or_new),
    "signIn": sign_in,
    "requestPasswordReset": lambda body: put(body, email=known_or_new),
    "resetPassword": reset_password,
    "changePassword": change_password,
    "changeEmail": change_email,
    "confirmEmail": lambda body: now_and_then(change_tokens, body),
    "register": form,
    "updateRegistration": changes,
    "updateMe": names,
}


# ---- what comes of it ----


@schemathesis.hook
def after_call(context, case, response):
    name = operation(case)
    if case.method == case.operation.method.upper():
        answers[name][response.status_code] += 1
    if response.status_code == 401 and name not in SESSION_ENDS:
        me.cookie = None
    if response.status_code == 204 and name == "changePassword" and me.account:
        me.account["password"] = case.body["newPassword"]


@schemathesis.check
def refusals_are_problems(ctx, response, case):
    """Every refusal, of a method that is not documented too, is a problem that tells its own status."""
    if response.status_code < 400 or case.method == "HEAD":
        return
    kind = response.headers.get("content-type", [""])[0]
    assert kind == "application/problem+json", f"a refusal of the content type {kind!r}"
    problem = response.json()
    assert problem["status"] == response.status_code and problem["type"].startswith("/problems/"), problem


@schemathesis.check
def foreign_orders_are_not_there(ctx, response, case):
    """The order of somebody else is 404, as one that doesn't exist."""
    if (case.path_parameters or {}).get("orderId") == foreign_order["id"]:
        assert response.status_code in (401, 404, 405), f"a foreign order: {response.status_code}"


@atexit.register
def report():
    with open(os.environ["FUZZ_REPORT"], "w") as file:
        json.dump({name: dict(sorted(counts.items())) for name, counts in sorted(answers.items())}, file)
