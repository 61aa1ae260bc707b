"""Fuzzes the shipped program: bad input of every kind by hand (bad_input.py), then what schemathesis makes of the OpenAPI
document, in each role. Fails if a response does not conform or is a 5xx, or if an operation was never accepted in any
role. Takes the names of some roles as arguments; then an operation need not be accepted."""

import collections
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import bad_input
from service import COMMITTEE, Service, artefacts

HERE = pathlib.Path(__file__).parent
ROLES = ("stranger", "newcomer", "submitted", "registered", "leader", "administrator")
# Only a message that SNS signed is accepted, and only where emails are sent by SES; only a dead job is retried, and none dies
# here; and the service is set up after 09:00 of its first day, or before, so that it has no daily report.
NEVER_ACCEPTED = ("receiveSesNotification", "retryJob", "getDailyReport")
SEED = "3"
EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "30")
# Roles that run at once: the service and two of them keep two cores busy.
AT_ONCE = 2


def start(role, service, folder):
    """Starts schemathesis in one role; its output is written to a file."""
    # These names don't begin with ORIENTATION_: the service refuses unknown keys that do.
    environment = os.environ | {
        "FUZZ_ROLE": role,
        "FUZZ_URL": service.url,
        "FUZZ_STORE": service.store,
        "FUZZ_REPORT": str(folder / f"{role}.json"),
        "SCHEMATHESIS_HOOKS": "hooks",
        "PYTHONPATH": str(HERE),
    }
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"),
        "run", f"{service.url}/openapi.json", "--seed", SEED, "--max-examples", EXAMPLES, "--no-color",
        "--report", "junit", "--report-junit-path", str(folder / f"{role}.xml"),
    ]  # fmt: skip
    said = open(folder / f"{role}.txt", "w")
    return subprocess.Popen(command, env=environment, cwd=folder, stdout=said, stderr=subprocess.STDOUT)


def run_all(roles, service, folder):
    """The roles that failed."""
    waiting, running, failed = list(roles), {}, []
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            role = waiting.pop(0)
            running[role] = (start(role, service, folder), time.monotonic())
        for role, (process, began) in list(running.items()):
            if process.poll() is not None:
                del running[role]
                word = "conforms" if process.returncode == 0 else "FAILED"
                print(f"{role:12} {word}  {time.monotonic() - began:4.0f} s", flush=True)
                if process.returncode:
                    failed.append(role)
        time.sleep(0.1)
    return failed


def accepted(operations, folder):
    """Accepted requests by operation and role, and the number of responses by status."""
    rows = {name: {} for name in operations}
    statuses = {name: collections.Counter() for name in operations}
    for role in ROLES:
        file = folder / f"{role}.json"
        for name, counts in (json.loads(file.read_text()) if file.exists() else {}).items():
            rows[name][role] = sum(count for status, count in counts.items() if status[0] in "23")
            statuses[name].update(counts)
    return rows, statuses


def table(rows):
    lines = [f"{'accepted':22}" + "".join(f"{role:>12}" for role in ROLES) + f"{'all':>8}"]
    for name, row in rows.items():
        counts = "".join(f"{row.get(role, 0):12}" for role in ROLES)
        lines.append(f"{name:22}{counts}{sum(row.values()):8}")
    return "\n".join(lines)


def operations(url):
    import requests

    paths = requests.get(f"{url}/openapi.json", timeout=10).json()["paths"]
    return [operation["operationId"] for item in paths.values() for operation in item.values()]


def main():
    roles = sys.argv[1:] or ROLES
    folder = artefacts()
    for old in folder.glob("*"):
        old.unlink() if old.is_file() else None
    service = Service(folder / "service.log")
    try:
        service.create_administrator()
        service.create_administrator(COMMITTEE)
        names = operations(service.url)
        bad_input.run(service.url)
        failed = run_all(roles, service, folder)
    finally:
        log = service.stop()
        shutil.rmtree(service.folder)
    rows, statuses = accepted(names, folder)
    report = {"accepted": rows, "statuses": {name: dict(sorted(counts.items())) for name, counts in statuses.items()}}
    (folder / "report.json").write_text(json.dumps(report, indent=2))
    print("\n" + table(rows))

    faults = []
    for role in failed:
        faults.append(f"{role}: an answer does not conform\n{(folder / f'{role}.txt').read_text()}")
    expected = [name for name in rows if name not in NEVER_ACCEPTED]
    if set(roles) == set(ROLES):
        faults += [f"{name} was never accepted" for name in expected if not sum(rows[name].values())]
    faults += [f"{name} answered {s}" for name, counts in statuses.items() for s in counts if s[0] == "5"]
    faults += [f"{service.log.name}: a handler panicked"] if "panicked" in log else []
    for fault in faults:
        print(f"\n{fault}", file=sys.stderr)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
