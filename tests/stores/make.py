"""Makes a small store with an earlier program, for tests/api/earlier_stores.rs:

    git worktree add --detach ../earlier 114043d
    cargo build --manifest-path ../earlier/Cargo.toml
    python3 -m venv .venv && .venv/bin/pip install -r tests/stores/requirements.txt
    ORIENTATION_PROGRAM=../earlier/target/debug/orientation \\
        ./scripts/servers .venv/bin/python tests/stores/make.py 114043d

Writes three files beside itself: the SQLite file, the same documents as MongoDB holds them (`orientation copy`; one a
line, as extended JSON), and who is in it. Each person has the address <name>@example.org.
"""

import contextlib
import json
import os
import pathlib
import shutil
import socketserver
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

import bson.json_util
import pymongo

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "fuzz"))

from service import ADMINISTRATOR, PASSWORD, People, Service, event, program, session, suppress  # noqa: E402

# Ends every email of the second run, by the first word of the recipient's address.
SMTP_REPLIES = {"failed": "550 5.1.1 no such mailbox"}
SMTP_TRY_LATER = "451 4.3.0 try again later"


class Makers(People):
    """People with the states that the tests look at."""

    def __init__(self, url):
        super().__init__(url, "maker")
        self.student_ids = iter(range(1_000_001, 2_000_000))
        self.made = {}

    def make(self, name, role="student", confirmed=True, **more):
        email = f"{name}@example.org"
        self.account(role, email) if confirmed else self.sign_up(role, email)
        self.made[name] = {"email": email, **more}
        return self.sign_in({"email": email, "password": PASSWORD}) if confirmed else None

    def submitted(self, name):
        """A student with an order."""
        cookie = self.make(name)
        order = self.register(cookie, str(next(self.student_ids)))
        self.made[name]["order"] = order["id"]
        return cookie, order

    def press(self, order, button):
        """Presses a button of the sandbox's page; returns the id of the payment."""
        answer = self.send("POST", f"/sandbox/checkout/{session(order)}", data={"press": button}, allow_redirects=False)
        assert answer.status_code == 303, answer.text
        return session(order).replace("cs_test_sandbox_", "pi_sandbox_")

    def registered(self, name):
        """A student who has paid, the order, and the id of the payment."""
        cookie, order = self.submitted(name)
        return cookie, order, self.press(order, "pay")

    def reverse(self, order, payment, kind, **charge):
        """Reports a refund or a dispute."""
        about = event(order, kind)
        about["data"]["object"] = {"payment_intent": payment, "metadata": {"orderId": order["id"]}, **charge}
        self.deliver(about)

    def ask_for_reset(self, name):
        self.done("POST", "/v1/password-resets", {"email": f"{name}@example.org"})


def everybody(people):
    """The first run: emails are kept in the outbox. Returns an order for the second."""
    people.submitted("unpaid")
    people.make("without-form")
    cookie = people.registered("registered")[0]
    people.made["registered"] |= {"ticket": people.done("GET", "/v1/ticket", cookie=cookie).json(), "cookie": cookie}

    _, order, payment = people.registered("refunded")
    people.reverse(order, payment, "charge.refunded", amount_refunded=order["amount"]["amount"])
    _, order, payment = people.registered("partially-refunded")
    people.reverse(order, payment, "charge.refunded", amount_refunded=3000)
    _, order, payment = people.registered("disputed")
    people.reverse(order, payment, "charge.dispute.created")

    people.deliver(event(people.submitted("expired")[1], "checkout.session.expired"))
    people.deliver(event(people.submitted("processing")[1], payment_status="unpaid"))
    people.deliver(event(people.submitted("wrong-amount")[1], amount_total=100))

    cookie = people.make("changes-email")
    new = {"currentPassword": PASSWORD, "email": "changed-email@example.org"}
    people.done("PUT", "/v1/me/email", new, cookie)
    people.made["changes-email"]["token"] = people.token(new["email"], "confirm-email")

    people.make("leader", "leader")
    people.make("unconfirmed", confirmed=False)
    people.made["unconfirmed"]["token"] = people.token("unconfirmed@example.org", "confirm")
    people.make("obsolete", confirmed=False)
    people.made["obsolete"]["token"] = people.token("obsolete@example.org", "confirm")
    people.make("forgetful")
    people.ask_for_reset("forgetful")
    people.made["forgetful"]["token"] = people.token("forgetful@example.org", "reset-password")
    for name in ("waiting", "failed", "suppressed"):
        people.make(name)
    return people.submitted("pays-later")[1]


def emails_that_do_not_leave(people, store, pays_later):
    """The second run: emails leave by an SMTP server that accepts none."""
    suppress(store, "suppressed@example.org")
    for name in ("waiting", "failed", "suppressed"):
        people.ask_for_reset(name)
    # The email of a second sign-up, and the confirmation of the first, which ends the second.
    people.sign_up(email="obsolete@example.org")
    people.done("POST", "/v1/accounts/confirm", {"token": people.made["obsolete"].pop("token")})
    wait_for(store, "failed", "failed")
    wait_for(store, "suppressed", "suppressed")
    wait_for(store, "suppressed", "obsolete")
    wait_for(store, "queued", "waiting")
    # Last, so that the bank's answer is still a job.
    people.press(pays_later, "later-succeeds")


def wait_for(store, state, name):
    """Waits until an email to this person has this state."""
    deadline = time.monotonic() + 60
    question = "SELECT 1 FROM mails WHERE doc->>'to' = ? AND doc->>'state' = ?"
    with contextlib.closing(sqlite3.connect(store, timeout=60)) as file:
        while not file.execute(question, (f"{name}@example.org", state)).fetchone():
            assert time.monotonic() < deadline, f"no {state} email to {name}"
            time.sleep(0.05)


class Smtp(socketserver.StreamRequestHandler):
    """An SMTP server that accepts no recipient."""

    def handle(self):
        self.reply("220 smtp.example.org")
        while line := self.rfile.readline().decode().strip():
            word, _, rest = line.partition(":<")
            if word == "RCPT TO":
                self.reply(SMTP_REPLIES.get(rest.split("@")[0], SMTP_TRY_LATER))
            elif word.startswith("QUIT"):
                return self.reply("221 bye")
            else:
                self.reply("250 ok")

    def reply(self, text):
        self.wfile.write(f"{text}\r\n".encode())


def make_sqlite(name):
    """Makes the SQLite file; returns who is in it."""
    with tempfile.TemporaryDirectory() as folder:
        log = pathlib.Path(folder) / "log"
        service = Service(log, folder)
        people = Makers(service.url)
        pays_later = everybody(people)
        service.create_administrator()
        service.stop()

        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Smtp) as smtp:
            smtp.daemon_threads = True
            threading.Thread(target=smtp.serve_forever, daemon=True).start()
            settings = {
                "ORIENTATION_SMTP_URL": f"smtp://127.0.0.1:{smtp.server_address[1]}",
                "ORIENTATION_MAIL_FROM": "orientation@example.edu",
                # Otherwise the sandbox excludes real emails.
                "ORIENTATION_REHEARSAL": "yes",
            }
            service = Service(log, folder, **settings)
            people.url = service.url
            emails_that_do_not_leave(people, service.store, pays_later)
            service.stop()
            smtp.shutdown()

        made_at = int(time.time() * 1000)
        pathlib.Path(file_of(name, "db")).unlink(missing_ok=True)
        with contextlib.closing(sqlite3.connect(service.store)) as file:
            file.execute("VACUUM INTO ?", (file_of(name, "db"),))
    return {
        "program": name,
        "madeAt": made_at,
        "password": PASSWORD,
        "people": people.made | {"administrator": {"email": ADMINISTRATOR}},
    }


def make_mongodb(name):
    """Copies the SQLite file to MongoDB and writes its documents."""
    server, database = os.environ["ORIENTATION_TEST_MONGODB"], f"orientation-store-{name}-{os.getpid()}"
    url = server.replace("/?", f"/{database}?")
    client = pymongo.MongoClient(server)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(file_of(name, "db"), f"{folder}/orientation.db")
        subprocess.run([program(), "copy", "--from", folder, "--to", url], check=True, stdout=subprocess.DEVNULL)
    try:
        with open(file_of(name, "mongodb.jsonl"), "w") as lines:
            for collection in sorted(client[database].list_collection_names()):
                for document in client[database][collection].find().sort("_id"):
                    line = {"collection": collection, "document": document}
                    lines.write(bson.json_util.dumps(line, json_options=bson.json_util.CANONICAL_JSON_OPTIONS) + "\n")
    finally:
        client.drop_database(database)


def file_of(name, ending):
    return str(HERE / f"{name}.{ending}")


def main():
    name = sys.argv[1]
    index = make_sqlite(name)
    make_mongodb(name)
    with open(file_of(name, "json"), "w") as file:
        json.dump(index, file, indent=2)
        file.write("\n")


if __name__ == "__main__":
    main()
