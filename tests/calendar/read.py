"""Reads a calendar from standard input with the library icalendar, and prints it as JSON twice: with the time zone that
Python knows by its name, and with the one that the calendar describes."""

import json
import sys
from datetime import datetime, timezone

from icalendar import Calendar

def moment(value):
    """A date as it is, a time in UTC."""
    if not isinstance(value, datetime):
        return value.isoformat()
    assert value.tzinfo is not None, "a time without a zone"
    return value.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def described(event):
    assert not event.errors, event.errors
    return {
        "uid": str(event["UID"]),
        "sequence": int(event["SEQUENCE"]),
        "status": str(event["STATUS"]),
        "name": str(event["SUMMARY"]),
        "start": moment(event["DTSTART"].dt),
        "end": moment(event["DTEND"].dt),
        "stamp": moment(event["DTSTAMP"].dt),
        "modified": moment(event["LAST-MODIFIED"].dt),
        "place": str(event.get("LOCATION", "")),
        "url": str(event.get("URL", "")),
        "description": str(event.get("DESCRIPTION", "")),
    }


def read(text):
    calendar = Calendar.from_ical(text)
    assert not calendar.errors, calendar.errors
    return {
        "name": str(calendar["X-WR-CALNAME"]),
        "zones": [str(zone["TZID"]) for zone in calendar.walk("VTIMEZONE")],
        "events": [described(event) for event in calendar.walk("VEVENT")],
    }


text = sys.stdin.buffer.read()
known = read(text)
zone = known["zones"][0].encode()
unknown = text.replace(b"TZID:" + zone, b"TZID:Unknown").replace(b"TZID=" + zone, b"TZID=Unknown")
print(json.dumps([known, read(unknown) | {"zones": known["zones"]}]))
