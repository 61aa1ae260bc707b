"""Bad input of every kind, by hand: each gets a problem of its own type, nothing changes, and other clients don't wait."""

import concurrent.futures
import json
import socket
import time
from urllib.parse import urlsplit

from service import FORM, PASSWORD, People, event, signature

SILENT = 500


def run(url):
    """Fails at the first unexpected response."""
    began = time.monotonic()
    people = People(url, "by-hand")
    with concurrent.futures.ThreadPoolExecutor() as beside:
        # These take as long as the service's deadlines.
        slow = [beside.submit(part, url) for part in (slow_headers, endless_body, silent_connections)]
        for part in (bodies, texts, registrations, tokens, sign_ups, origins, events, long_headers):
            part(people)
        for part in slow:
            part.result()
    print(f"by hand      conforms  {time.monotonic() - began:4.0f} s", flush=True)


def refused(answer, status, kind, *pointers):
    """Checks that `answer` is a problem of this status and kind, with exactly these errors if there are pointers."""
    assert answer.status_code == status, f"{answer.request.url}: {answer.status_code} {answer.text}"
    assert answer.headers["Content-Type"] == "application/problem+json", answer.headers
    problem = answer.json()
    assert problem["type"] == f"/problems/{kind}" and problem["status"] == status, problem
    if pointers:
        found = {(error["pointer"], error["code"]) for error in problem["errors"]}
        assert found == set(pointers), found
    return problem


def bodies(people):
    as_json = {"Content-Type": "application/json"}
    post = lambda data, headers=as_json: people.send("POST", "/v1/session", data=data, headers=headers)
    whole = json.dumps({"email": "a@example.org", "password": "x"}).encode()
    for data in (b"", b"{", whole[:-1], whole + b"}", b"{'a':1}", b"\xff\xfe", b'{"email":"\xff"}', b"[" * 60_000, b'{"a":' * 10_000):
        refused(post(data), 400, "malformed-json")
    for value in (b"null", b"[]", b"1", b'"text"'):
        refused(post(value), 422, "invalid", ("", "wrong-type"))
    for kind in ("text/plain", "application/xml", "application/x-www-form-urlencoded", "", "nonsense"):
        refused(post(whole, {"Content-Type": kind}), 415, "wrong-content-type")
    refused(people.send("POST", "/v1/session", data=whole), 415, "wrong-content-type")
    refused(post(b'{"email":"' + b"x" * 2_000_000 + b'"}'), 413, "too-large")
    refused(post(iter([b" " * 100_000] * 20)), 413, "too-large")
    refused(
        people.send("POST", "/v1/session", {"email": 5, "password": True, "admin": True}),
        422, "invalid", ("/email", "wrong-type"), ("/password", "wrong-type"), ("/admin", "unknown-property"),
    )  # fmt: skip
    # Of two properties with one name the last counts; the first can't bypass the check.
    twice = b'{"email":"a@example.org","password":"x","password":5}'
    refused(post(twice), 422, "invalid", ("/password", "wrong-type"))


def texts(people):
    cookie = people.sign_in(people.account())
    for character in ("\0", "\x1b", "\n", "\t", "\x7f", "\x85"):
        answer = people.send("PATCH", "/v1/me", {"firstName": f"A{character}da"}, cookie)
        refused(answer, 422, "invalid", ("/firstName", "control-character"))
    for name in ("\u200fשרה\u200f", "Zoë 🎉👩‍👩‍👧", "ก้อง", "O'Hara; DROP TABLE accounts --", "<script>alert(1)</script>"):
        # Invisible marks at the ends are removed.
        assert people.done("PATCH", "/v1/me", {"firstName": name}, cookie).json()["firstName"] == name.strip("\u200f")
    refused(people.send("PATCH", "/v1/me", {"firstName": " \u2003 "}, cookie), 422, "invalid")
    for mine in ({"role": "leader"}, {"scopes": ["admin:all"]}, {"approved": True}, {"id": "x"}):
        refused(people.send("PATCH", "/v1/me", mine, cookie), 422, "invalid", (f"/{next(iter(mine))}", "unknown-property"))


def registrations(people):
    cookie = people.sign_in(people.account())
    register = lambda **other: people.send("POST", "/v1/registration", FORM | {"studentId": "hand001"} | other, cookie)
    contact = FORM["emergencyContact"]
    for date in ("2007-02-29", "2007-13-01", "2007-00-10", "2007-1-1", "today", "", "+2007-01-01", "2007-01-01T00:00:00Z"):
        problem = refused(register(birthDate=date), 422, "invalid")
        assert [fault["pointer"] for fault in problem["errors"]] == ["/birthDate"], problem
    refused(
        register(emergencyContact=contact | {"phones": []}, group="Alpha", state="registered"),
        422, "invalid",
        ("/emergencyContact/phones", "unknown-property"), ("/group", "unknown-property"), ("/state", "unknown-property"),
    )  # fmt: skip
    refused(
        register(studentId=1000000, phone=14169782011, joinsHunt="yes", dietary="Vegan", emergencyContact=contact | {"name": 5}),
        422, "invalid",
        ("/studentId", "wrong-type"), ("/phone", "wrong-type"), ("/joinsHunt", "wrong-type"), ("/dietary", "wrong-type"),
        ("/emergencyContact/name", "wrong-type"),
    )  # fmt: skip
    refused(register(medication="a\0b"), 422, "invalid", ("/medication", "control-character"))
    refused(register(legalName="a\nb"), 422, "invalid", ("/legalName", "control-character"))
    refused(register(discipline="Astrology"), 422, "invalid")
    refused(people.send("GET", "/v1/registration", cookie=cookie), 404, "no-registration")

    remark = "One.\r\n\tTwo: \u200fשלום 🎉"
    taken = register(medication=remark, medicalInformation="語" * 4000, accessibility="🎉" * 4000)
    assert taken.status_code == 201, taken.text
    assert taken.json()["registration"]["medication"] == remark
    refused(register(), 409, "already-registered")
    other = people.sign_in(people.account())
    taken_id = FORM | {"studentId": "HAND001"}
    refused(people.send("POST", "/v1/registration", taken_id, other), 409, "student-id-taken")
    refused(people.send("PATCH", "/v1/registration", {"group": "Alpha"}, cookie), 422, "invalid", ("/group", "unknown-property"))
    refused(people.send("PATCH", "/v1/registration", {"legalName": "X"}, cookie), 422, "invalid")
    leader = people.sign_in(people.account("leader"))
    refused(people.send("POST", "/v1/registration", FORM, leader), 403, "students-only")

    order = taken.json()["order"]["id"]
    for path in (f"/v1/orders/{order}", f"/v1/orders/{order}/checkout"):
        method = "POST" if path.endswith("checkout") else "GET"
        refused(people.send(method, path, cookie=other), 404, "no-such-order")
        refused(people.send(method, path.replace(order, "x" * 5000), cookie=cookie), 404, "no-such-order")
        refused(people.send(method, path), 401, "not-signed-in")


def tokens(people):
    confirm = lambda token: people.send("POST", "/v1/accounts/confirm", {"token": token})
    first = people.sign_up()
    token = people.token(first, "confirm")
    for wrong in ("", "x", token[:-1], token + "A", token.upper(), "k1." + "A" * 60, "\u200f" * 100):
        refused(confirm(wrong), 404, "token-invalid")
    assert confirm(token).status_code == 204
    refused(confirm(token), 410, "token-used")
    people.done("POST", "/v1/password-resets", {"email": first})
    reset = people.token(first, "reset-password")
    refused(confirm(reset), 404, "token-invalid")
    refused(people.send("POST", "/v1/me/email/confirm", {"token": reset}), 404, "token-invalid")
    again = {"token": reset, "password": "another " + PASSWORD}
    assert people.send("POST", "/v1/password-resets/complete", again).status_code == 204
    refused(people.send("POST", "/v1/password-resets/complete", again), 410, "token-used")


def sign_ups(people):
    account = people.account()
    answers = [people.send("POST", "/v1/accounts", {"email": email, "password": PASSWORD, "firstName": "A", "lastName": "B"})
               for email in (people.address(), account["email"], account["email"].upper())]  # fmt: skip
    assert len({(answer.status_code, answer.content) for answer in answers}) == 1 and answers[0].status_code == 202
    people.sign_in(account | {"email": account["email"].upper()})
    wait_for_email(people, account["email"], "already")
    wrong = people.send("POST", "/v1/session", {"email": account["email"], "password": "wrong"})
    nobody = people.send("POST", "/v1/session", {"email": people.address(), "password": "wrong"})
    assert refused(wrong, 401, "wrong-credentials") == refused(nobody, 401, "wrong-credentials")


def wait_for_email(people, email, word):
    """Waits for a second email, after the one that confirmed the address."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        messages = people.done("GET", f"/outbox.json?to={email}").json()["items"]
        if any(word in message["subject"].lower() for message in messages):
            return
        time.sleep(0.02)
    raise AssertionError(f"no email about {word}: {[message['subject'] for message in messages]}")


def origins(people):
    cookie = people.sign_in(people.account())
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        refused(people.send("PATCH", "/v1/me", {"firstName": "Eve"}, cookie, headers=headers), 403, "foreign-origin")
        refused(people.send("DELETE", "/v1/session", cookie=cookie, headers=headers), 403, "foreign-origin")
    refused(people.send("GET", "/v1/event", headers={"Host": "evil.example"}), 421, "unknown-host")
    assert people.done("GET", "/v1/me", cookie=cookie).json()["firstName"] == "Ada"
    for wrong in ("x", "", "\u00ff", cookie[:-1], cookie * 20):
        refused(people.send("GET", "/v1/me", headers={"Cookie": f"orientation_session={wrong}".encode("latin-1")}), 401, "not-signed-in")


def events(people):
    cookie = people.sign_in(people.account())
    order = people.register(cookie, "hand900")
    body = json.dumps(event(order)).encode()
    now = int(time.time())

    def send(header, data=body, kind="application/json; charset=utf-8"):
        headers = {"Content-Type": kind} | ({} if header is None else {"Stripe-Signature": header})
        return people.send("POST", "/v1/webhooks/stripe", data=data, headers=headers)

    right = signature(body)
    refused(send(None), 400, "webhook-unsigned")
    for wrong in ("", "nonsense", "t=,v1=", f"t={now}", right[:-1] + ("0" if right[-1] != "0" else "1"), signature(body, secret="whsec_other"), f"t={2**70},v1=00", "t=-1,v1=ff"):
        refused(send(wrong), 400, "webhook-signature")
    refused(send(right, body.replace(b"paid", b"PAID")), 400, "webhook-signature")
    for at in (now - 3600, now + 3600):
        refused(send(signature(body, at)), 400, "webhook-stale")
    live = body.replace(b'"livemode": false', b'"livemode": true')
    refused(send(signature(live), live), 400, "webhook-mode")
    refused(send(right, b" " * 300_000), 413, "too-large")
    state = lambda: people.done("GET", f"/v1/orders/{order['id']}", cookie=cookie).json()["state"]
    stranger = json.dumps(event(order | {"id": "not-ours"}, id="cs_other")).encode()
    for odd in (stranger, b"{}", b"[]", b"nonsense", b'{"id":5}', json.dumps({"id": "e", "type": "charge.refunded", "livemode": False}).encode()):
        answer = send(signature(odd), odd)
        assert answer.status_code == 200, (odd, answer.text)
    assert state() == "open"
    for _ in range(2):
        assert send(signature(body)).status_code == 200
    assert state() == "paid"


# ---- below HTTP ----


def connect(url):
    return socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=60)


def long_headers(people):
    with connect(people.url) as line:
        try:
            line.sendall(b"GET /v1/event HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 1_000_000 + b"\r\n\r\n")
            answer = line.recv(100)
        except ConnectionError:
            answer = b""
        assert answer in (b"",) or answer.startswith(b"HTTP/1.1 431 "), answer
    answer = people.send("GET", "/v1/event?" + "x" * 14_000)
    assert answer.status_code in (200, 414), answer.status_code


def ends_within(line, seconds, drip=b""):
    """The response until the service closes the connection, to which `drip` is sent meanwhile."""
    deadline, answer = time.monotonic() + seconds, b""
    line.settimeout(0.5)
    while time.monotonic() < deadline:
        try:
            if drip:
                line.sendall(drip)
            part = line.recv(4096)
            if not part:
                return answer
            answer += part
        except TimeoutError:
            pass
        except ConnectionError:
            return answer
    raise AssertionError(f"still open after {seconds} s: {answer!r}")


def slow_headers(url):
    with connect(url) as line:
        line.sendall(b"GET /v1/event HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        ends_within(line, 20, b"x")


def endless_body(url):
    with connect(url) as line:
        line.sendall(
            b"POST /v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        answer = ends_within(line, 40, b"1\r\n \r\n")
        assert answer.startswith(b"HTTP/1.1 408 "), answer


def silent_connections(url):
    """Other clients are served meanwhile, and silent connections are closed."""
    people = People(url, "beside-silence")
    lines = [connect(url) for _ in range(SILENT)]
    for _ in range(20):
        began = time.monotonic()
        people.done("GET", "/v1/event")
        assert time.monotonic() - began < 5
    for line in lines:
        ends_within(line, 20)
        line.close()
