"""The shipped service with its own folder and port, and people who use it."""

import contextlib
import hashlib
import hmac
import itertools
import json
import os
import pathlib
import re
import sqlite3
import subprocess
import tempfile
import time
import uuid

import requests

SECRET = "whsec_fuzzed_and_used_nowhere_else"
COOKIE = "orientation_session"
PASSWORD = "seven tall herons wade at dawn"
ADMINISTRATOR = "administrator@example.org"
# Decides about leaders. No role signs in as this one, so its password stays.
COMMITTEE = "committee@example.org"

# A form that the shipped event.toml accepts.
FORM = {
    "legalName": "Ada Fuzz",
    "pronouns": "she/her",
    "birthDate": "2007-05-17",
    "studentId": "1000000",
    "discipline": "Chemical",
    "shirtSize": "M",
    "phone": "+1 416 978 2011",
    "emergencyContact": {"name": "Eve Fuzz", "relationship": "Mother", "phone": "+1 416 978 2012"},
    "joinsHunt": True,
    "summerCity": "Toronto",
    "summerCountry": "CA",
    "photoConsent": False,
    "bursaryRequested": False,
}


class Service:
    """The running program. `settings` are added to its environment."""

    def __init__(self, log, folder=None, **settings):
        self.folder = folder or tempfile.mkdtemp(prefix="orientation-fuzz-")
        # The service refuses unknown keys that begin with these.
        others = {key: value for key, value in os.environ.items() if not key.startswith(("ORIENTATION_", "STRIPE_"))}
        self.environment = others | {
            "ORIENTATION_LISTEN": "127.0.0.1:0",
            "ORIENTATION_DATA": self.folder,
            "ORIENTATION_LIMITS": "0",
            "ORIENTATION_LOG": "warn",
            "STRIPE_WEBHOOK_SECRETS": SECRET,
        }
        self.environment |= settings
        self.store = os.path.join(self.folder, "orientation.db")
        self.log = open(log, "w+")
        self.process = subprocess.Popen(
            [program()], env=self.environment, stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        self.url = self.process.stdout.readline().strip().rstrip("/")
        if not self.url:
            raise SystemExit(f"The service did not start: {pathlib.Path(log).read_text()}")

    def create_administrator(self, email=ADMINISTRATOR):
        create = [program(), "admin", "create", "--email", email]
        subprocess.run(create, env=self.environment, input=PASSWORD, text=True, check=True, stdout=subprocess.DEVNULL)

    def stop(self):
        """Stops the service and returns its log."""
        self.process.terminate()
        self.process.wait(timeout=30)
        self.log.seek(0)
        return self.log.read()


def program():
    return os.environ["ORIENTATION_PROGRAM"]


class People:
    """Makes accounts through the API and reads the emails as their owners would. Every address begins with `name`, so
    that several processes can share a service."""

    def __init__(self, url, name):
        self.url = url
        self.name = name
        self.numbers = itertools.count(1)
        self.read = set()
        self.http = requests.Session()
        self.http.cookies.set_policy(NoCookies())

    def send(self, method, path, body=None, cookie=None, **more):
        headers = more.pop("headers", {}) | ({"Cookie": f"{COOKIE}={cookie}"} if cookie else {})
        if body is not None:
            more["json"] = body
        return self.http.request(method, self.url + path, headers=headers, timeout=60, **more)

    def done(self, method, path, body=None, cookie=None, **more):
        """The same for a request that must succeed."""
        answer = self.send(method, path, body, cookie, **more)
        assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    def address(self):
        return f"{self.name}-{next(self.numbers)}@example.org"

    def sign_up(self, role="student", email=None):
        email = email or self.address()
        body = {"email": email, "password": PASSWORD, "firstName": "Ada", "lastName": "Fuzz", "role": role}
        self.done("POST", "/v1/accounts", body)
        return email

    def token(self, email, page):
        """The token in an email to `email` with a link to `page`. Each is returned once."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            messages = self.done("GET", f"/outbox.json?to={requests.utils.quote(email)}").json()["items"]
            for message in messages:
                found = re.search(rf"/{page}\?token=([\w.-]+)", message["text"])
                if found and found[1] not in self.read:
                    self.read.add(found[1])
                    return found[1]
            time.sleep(0.01)
        raise AssertionError(f"no email with a link to /{page}")

    def account(self, role="student", email=None):
        """A new account. Its address is confirmed."""
        email = self.sign_up(role, email)
        self.done("POST", "/v1/accounts/confirm", {"token": self.token(email, "confirm")})
        return {"email": email, "password": PASSWORD}

    def sign_in(self, account):
        """The cookie of a new session."""
        answer = self.done("POST", "/v1/session", {key: account[key] for key in ("email", "password")})
        return re.search(rf"{COOKIE}=([^;]+)", answer.headers["Set-Cookie"])[1]

    def register(self, cookie, student_id):
        """Registers; returns the order."""
        form = FORM | {"studentId": student_id}
        return self.done("POST", "/v1/registration", form, cookie).json()["order"]

    def pay(self, order):
        self.deliver(event(order))

    def deliver(self, event):
        """Delivers an event as Stripe does."""
        body = json.dumps(event).encode()
        headers = {"Content-Type": "application/json", "Stripe-Signature": signature(body)}
        answer = self.http.post(f"{self.url}/v1/webhooks/stripe", data=body, headers=headers, timeout=60)
        assert answer.status_code == 200, answer.text


def suppress(store, address):
    """Adds an entry to the suppression list of the SQLite file `store`; returns its id. Over HTTP only SNS can, and we
    don't have its key."""
    entry = {
        "id": str(uuid.uuid4()),
        "address": address,
        "addressKey": address,
        "cause": "bounce",
        "createdAt": "2026-09-01T07:00:00.000Z",
    }
    with contextlib.closing(sqlite3.connect(store, timeout=60)) as file, file:
        file.execute("INSERT INTO suppressions (id, doc) VALUES (?, ?)", (entry["id"], json.dumps(entry)))
    return entry["id"]


class NoCookies(requests.cookies.cookielib.DefaultCookiePolicy):
    """Keeps no cookies: each call says who makes it."""

    def set_ok(self, cookie, request):
        return False


def session(order):
    """The gateway's id of the order's checkout."""
    return order["checkoutUrl"].rsplit("/", 1)[1]


def event(order, kind="checkout.session.completed", number=1, **checkout):
    """An event about the checkout of `order`, as Stripe writes it. `checkout` replaces its properties."""
    return {
        "id": f"evt_fuzz_{order['id']}_{number}",
        "object": "event",
        "type": kind,
        "livemode": False,
        "created": int(time.time()),
        "data": {
            "object": {
                "id": session(order),
                "object": "checkout.session",
                "amount_total": order["amount"]["amount"],
                "currency": order["amount"]["currency"].lower(),
                "payment_status": "paid",
                "metadata": {"orderId": order["id"]},
            }
            | checkout
        },
    }


def signature(body, at=None, secret=SECRET):
    """The header Stripe-Signature for `body`."""
    at = int(time.time()) if at is None else at
    mac = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={mac}"


def artefacts():
    folder = pathlib.Path(os.environ.get("ORIENTATION_ARTEFACTS") or tempfile.mkdtemp(prefix="orientation-fuzz-report-"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
