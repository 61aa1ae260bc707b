//! The schedule as a calendar (RFC 5545) to which programs subscribe.
//!
//! The crate writes properties and events. It writes no time zones, and it folds some lines one octet late; both are done
//! here.

use std::fmt::Write;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::{OffsetComponents, OffsetName, Tz};
use icalendar::{Component, Event, EventStatus, Property};

use super::model::{Content, ScheduleEntry, Shown, WithdrawnEntry};
use super::times::{Times, day_after, local, occurs_twice};
use crate::kernel::Timestamp;

/// How often programs look for changes (ISO 8601).
const REFRESH: &str = "PT1H";

/// The longest line, in octets.
const LINE_MAX: usize = 75;

/// A local time, in iCalendar's form.
const LOCAL: &str = "%Y%m%dT%H%M%S";

/// What a calendar is about.
pub struct About<'a> {
    /// Its name, as programs show it.
    pub name: &'a str,
    /// Time zone of the event.
    pub zone: Tz,
    /// The current time.
    pub now: Timestamp,
}

/// The calendar.
pub fn calendar(about: &About<'_>, shown: &Shown<'_>) -> String {
    let mut text = String::from("BEGIN:VCALENDAR\r\n");
    for (name, value) in [
        ("VERSION", "2.0"),
        ("PRODID", "-//Orientation//Schedule//EN"),
        ("CALSCALE", "GREGORIAN"),
        ("X-WR-CALNAME", &plain(about.name)),
        ("X-WR-TIMEZONE", about.zone.name()),
        ("X-PUBLISHED-TTL", REFRESH),
    ] {
        text += &line(Property::new(name, value));
    }
    text += &line(Property::new("REFRESH-INTERVAL", REFRESH).add_parameter("VALUE", "DURATION").done());
    text += &time_zone(about.zone, years(about, shown));
    for entry in &shown.entries {
        text += &written(&event(about, entry));
    }
    for entry in &shown.withdrawn {
        text += &written(&withdrawn(about, entry));
    }
    text += "END:VCALENDAR\r\n";
    fold(&text)
}

fn line(property: Property) -> String {
    property.try_into().expect("a text can be written")
}

fn written(event: &Event) -> String {
    event.try_into_string().expect("a text can be written")
}

// ---- events ----

fn event(about: &About<'_>, entry: &ScheduleEntry) -> Event {
    let content = &entry.content;
    let mut event = identified(&entry.id, entry.sequence, entry.created_at, entry.updated_at);
    set_times(&mut event, content.times, about.zone);
    match entry.cancelled {
        None => event.summary(&plain(&content.name)).status(EventStatus::Confirmed),
        Some(_) => cancelled(&mut event, &content.name),
    };
    if let Some(place) = &content.place {
        event.add_property("LOCATION", plain(&place.name));
    }
    if let Some(link) = &content.link {
        event.url(&link.url);
    }
    let description = description(entry, content, about.zone);
    if !description.is_empty() {
        event.description(&plain(&description));
    }
    event
}

fn withdrawn(about: &About<'_>, entry: &WithdrawnEntry) -> Event {
    let mut event = identified(&entry.entry, entry.sequence, entry.created_at, entry.at);
    set_times(&mut event, entry.times, about.zone);
    cancelled(&mut event, &entry.name);
    event
}

/// An event with what identifies it and this version of it. `DTSTAMP` is the time of the change, so that a calendar without
/// changes stays the same byte for byte.
fn identified(id: &str, sequence: u32, created_at: Timestamp, updated_at: Timestamp) -> Event {
    let (created_at, updated_at) = (created_at.to_utc(), updated_at.to_utc());
    // A UUID is unique anywhere. With the host, a service that moves would double its events.
    let mut event = Event::with_uid(id);
    event.sequence(sequence).timestamp(updated_at).created(created_at).last_modified(updated_at);
    event
}

/// Some programs ignore the status of events to which they subscribe, so the name says it, too.
fn cancelled<'a>(event: &'a mut Event, name: &str) -> &'a mut Event {
    event.summary(&plain(&format!("Cancelled: {name}"))).status(EventStatus::Cancelled)
}

fn set_times(event: &mut Event, times: Times, zone: Tz) {
    match times {
        Times::AllDay { first, last } => {
            // The end is exclusive. The days themselves keep nobody busy.
            for (name, day) in [("DTSTART", first), ("DTEND", day_after(last))] {
                let day = Property::new(name, day.format("%Y%m%d").to_string());
                event.append_property(day.clone().add_parameter("VALUE", "DATE").done());
            }
            event.add_property("TRANSP", "TRANSPARENT");
        }
        Times::Timed { start, end } => {
            // By the standard, a local time that occurs twice means the first one. Some programs take the second. Start and
            // end are in one form, as some programs expect.
            let in_utc = [start, end].iter().any(|time| occurs_twice(local(*time, zone), zone));
            for (name, time) in [("DTSTART", start), ("DTEND", end)] {
                event.append_property(if in_utc {
                    Property::new(name, time.to_utc().format("%Y%m%dT%H%M%SZ").to_string())
                } else {
                    let local = local(time, zone).format(LOCAL).to_string();
                    Property::new(name, local).add_parameter("TZID", zone.name()).done()
                });
            }
        }
    }
}

/// Description in paragraphs: what has changed, what the entry is about, and the links.
fn description(entry: &ScheduleEntry, content: &Content, zone: Tz) -> String {
    let reason = |reason: &Option<String>| match reason {
        Some(reason) => format!("Cancelled: {reason}"),
        None => "Cancelled.".to_owned(),
    };
    let map = content.place.as_ref().and_then(|place| place.map_url.as_ref());
    let paragraphs = [
        entry.cancelled.as_ref().map(|cancelled| reason(&cancelled.reason)),
        entry.moved_from.map(|former| format!("Moved. Announced first for {}.", former.in_words(zone))),
        content.description.as_ref().map(|description| description.plain.clone()),
        content.link.as_ref().map(|link| format!("{}: {}", link.label, link.url)),
        map.map(|url| format!("Map: {url}")),
    ];
    paragraphs.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
}

/// Text without control characters except line breaks, which the crate escapes.
fn plain(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace(['\r', '\t'], " ");
    text.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}

// ---- the time zone ----

/// A change of clocks, or the beginning of what is described.
struct Observance {
    begins: DateTime<Utc>,
    /// Offset before and after it, in seconds.
    from: i32,
    to: i32,
    daylight: bool,
    name: String,
}

/// The years of all that is shown, and this one: a calendar must have something in it.
fn years(about: &About<'_>, shown: &Shown<'_>) -> (i32, i32) {
    let entries = shown.entries.iter().map(|entry| entry.content.times);
    let times = entries.chain(shown.withdrawn.iter().map(|entry| entry.times));
    let year = |time: Timestamp| local(time, about.zone).year();
    times
        .map(|times| times.span(about.zone))
        .fold((year(about.now), year(about.now)), |(from, to), (start, end)| {
            (from.min(year(start)), to.max(year(end)))
        })
}

fn time_zone(zone: Tz, years: (i32, i32)) -> String {
    let mut text = format!("BEGIN:VTIMEZONE\r\n{}", line(Property::new("TZID", zone.name())));
    for observance in observances(zone, years) {
        let kind = if observance.daylight { "DAYLIGHT" } else { "STANDARD" };
        // In local time before the change.
        let begins = observance.begins.naive_utc() + TimeDelta::seconds(observance.from.into());
        let _ = write!(text, "BEGIN:{kind}\r\n");
        for (name, value) in [
            ("DTSTART", begins.format(LOCAL).to_string()),
            ("TZOFFSETFROM", offset(observance.from)),
            ("TZOFFSETTO", offset(observance.to)),
            ("TZNAME", observance.name),
        ] {
            text += &line(Property::new(name, value));
        }
        let _ = write!(text, "END:{kind}\r\n");
    }
    text + "END:VTIMEZONE\r\n"
}

/// What clocks show from the beginning of the first year to the end of the last one.
fn observances(zone: Tz, (first, last): (i32, i32)) -> Vec<Observance> {
    let new_year = |year| {
        let day = NaiveDate::from_ymd_opt(year, 1, 1).unwrap_or(NaiveDate::MAX);
        day.and_time(NaiveTime::MIN).and_utc()
    };
    // A day more at both ends, because they are in UTC.
    let (begin, end) = (new_year(first) - TimeDelta::days(2), new_year(last + 1) + TimeDelta::days(2));
    let mut found = vec![observance(zone, begin, seconds(zone, begin))];
    let mut day = begin;
    while day < end {
        let next = day + TimeDelta::days(1);
        if seconds(zone, day) != seconds(zone, next) {
            found.push(observance(zone, change_between(zone, day, next), seconds(zone, day)));
        }
        day = next;
    }
    found
}

fn observance(zone: Tz, begins: DateTime<Utc>, from: i32) -> Observance {
    let offset = zone.offset_from_utc_datetime(&begins.naive_utc());
    Observance {
        begins,
        from,
        to: offset.fix().local_minus_utc(),
        daylight: offset.dst_offset() > TimeDelta::zero(),
        name: offset.abbreviation().unwrap_or_else(|| zone.name()).to_owned(),
    }
}

/// The first second at which the offset is no longer that of `from`, where it is another one at `to`.
fn change_between(zone: Tz, mut from: DateTime<Utc>, mut to: DateTime<Utc>) -> DateTime<Utc> {
    let former = seconds(zone, from);
    while to - from > TimeDelta::seconds(1) {
        let middle = from + TimeDelta::seconds((to - from).num_seconds() / 2);
        if seconds(zone, middle) == former { from = middle } else { to = middle }
    }
    to
}

fn seconds(zone: Tz, time: DateTime<Utc>) -> i32 {
    zone.offset_from_utc_datetime(&time.naive_utc()).fix().local_minus_utc()
}

/// `-0400`, or `+0530`. No offset of this century has seconds.
fn offset(seconds: i32) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.abs() / 60;
    format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
}

// ---- lines ----

/// Folds the lines anew, at [`LINE_MAX`] octets and between characters.
fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len() + text.len() / 30);
    for line in text.replace("\r\n ", "").split_terminator("\r\n") {
        let mut length = 0;
        for character in line.chars() {
            if length + character.len_utf8() > LINE_MAX {
                folded += "\r\n ";
                length = 1;
            }
            folded.push(character);
            length += character.len_utf8();
        }
        folded += "\r\n";
    }
    folded
}

#[cfg(test)]
#[path = "calendar_tests.rs"]
mod tests;
