use chrono_tz::{Africa, America, Asia, Australia, Europe};
use proptest::prelude::*;

use super::super::model::{Changes, Description, Link, Place};
use super::*;
use crate::kernel::{Audience, Markdown};

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn about(zone: Tz) -> About<'static> {
    About { name: "Orientation, Week", zone, now: at("2027-06-01T00:00:00Z") }
}

fn entry(times: Times) -> ScheduleEntry {
    let content = Content {
        name: "Tour; of, the \\ campus".into(),
        times,
        place: None,
        description: None,
        link: None,
        audience: Audience::Everyone,
    };
    ScheduleEntry::new("e1".into(), content, at("2027-06-01T12:00:00Z"))
}

fn timed(start: &str, end: &str) -> ScheduleEntry {
    entry(Times::timed(at(start), at(end)).unwrap())
}

fn lines(zone: Tz, entry: ScheduleEntry) -> Vec<String> {
    let shown = Shown { entries: vec![&entry], withdrawn: vec![] };
    let text = calendar(&about(zone), &shown).replace("\r\n ", "");
    text.split("\r\n").map(str::to_owned).collect()
}

/// The lines of a calendar with this one entry that begin like this.
fn with(lines: &[String], start: &str) -> Vec<String> {
    lines.iter().filter(|line| line.starts_with(start)).cloned().collect()
}

#[test]
fn a_calendar_says_everything_about_its_entries() {
    let mut entry = timed("2027-09-06T14:00:00Z", "2027-09-06T15:30:00Z");
    let changes = Changes {
        times: Some(Times::timed(at("2027-09-06T18:00:00Z"), at("2027-09-06T19:30:00Z")).unwrap()),
        place: Some(Some(Place {
            name: "Lawn, north".into(),
            map_url: Some("https://maps.example.org/?q=1,2".into()),
        })),
        description: Some(Some(Description::new(Markdown::new(
            "Bring **water** and a [hat](https://hats.example.org).\n\n- one\n- two",
        )))),
        link: Some(Some(Link { url: "https://example.edu/a;b".into(), label: "More".into() })),
        ..Changes::default()
    };
    entry.change(&changes, at("2027-06-02T12:00:00Z"));
    entry.cancel(Some("Rain".into()), at("2027-06-03T12:00:00Z"));
    let gone = WithdrawnEntry {
        id: "w1".into(),
        entry: "e2".into(),
        name: "Picnic".into(),
        times: Times::all_day("2027-09-07".parse().unwrap(), "2027-09-08".parse().unwrap()).unwrap(),
        audience: Audience::Everyone,
        sequence: 4,
        created_at: at("2027-06-01T12:00:00Z"),
        at: at("2027-06-04T12:00:00Z"),
    };
    let shown = Shown { entries: vec![&entry], withdrawn: vec![&gone] };
    insta::assert_snapshot!(calendar(&about(America::Toronto), &shown).replace("\r\n", "\n"));
}

#[test]
fn all_day_entries_have_dates_and_an_exclusive_end() {
    for (first, last, end) in
        [("2027-09-06", "2027-09-06", "20270907"), ("2027-12-31", "2028-01-01", "20280102")]
    {
        let days = Times::all_day(first.parse().unwrap(), last.parse().unwrap()).unwrap();
        let lines = lines(America::Toronto, entry(days));
        let start = format!("DTSTART;VALUE=DATE:{}", first.replace('-', ""));
        assert_eq!(with(&lines, "DTSTART;"), [start]);
        assert_eq!(with(&lines, "DTEND"), [format!("DTEND;VALUE=DATE:{end}")]);
        assert_eq!(with(&lines, "TRANSP"), ["TRANSP:TRANSPARENT"]);
    }
}

#[test]
fn local_times_that_occur_twice_are_written_in_utc() {
    // On 7 November 2027, clocks are set back from 2:00 EDT to 1:00 EST; on 14 March, forward from 2:00 EST to 3:00 EDT.
    for (start, end, expected) in [
        ("11-07T04:59:59", "11-07T05:00:00", ["DTSTART:20271107T045959Z", "DTEND:20271107T050000Z"]),
        ("11-07T05:15:00", "11-07T05:45:00", ["DTSTART:20271107T051500Z", "DTEND:20271107T054500Z"]),
        ("11-07T06:15:00", "11-07T06:45:00", ["DTSTART:20271107T061500Z", "DTEND:20271107T064500Z"]),
        ("11-07T06:59:59", "11-07T07:00:00", ["DTSTART:20271107T065959Z", "DTEND:20271107T070000Z"]),
        (
            "11-07T04:00:00",
            "11-07T07:00:00",
            ["DTSTART;TZID=America/Toronto:20271107T000000", "DTEND;TZID=America/Toronto:20271107T020000"],
        ),
        (
            "03-14T06:59:59",
            "03-14T07:00:00",
            ["DTSTART;TZID=America/Toronto:20270314T015959", "DTEND;TZID=America/Toronto:20270314T030000"],
        ),
    ] {
        let lines = lines(America::Toronto, timed(&format!("2027-{start}Z"), &format!("2027-{end}Z")));
        let event: Vec<_> = lines.into_iter().skip_while(|line| line != "BEGIN:VEVENT").collect();
        assert_eq!([with(&event, "DTSTART"), with(&event, "DTEND")].concat(), expected);
    }
}

/// What a reader of the observances takes as the offset at a local time.
fn offset_at(observances: &[Observance], local: chrono::NaiveDateTime) -> i32 {
    let begun = |one: &&Observance| one.begins.naive_utc() + TimeDelta::seconds(one.from.into()) <= local;
    observances.iter().rfind(begun).expect("one has begun").to
}

#[test]
fn the_observances_give_the_offset_of_every_hour_in_every_zone() {
    for zone in [
        America::Toronto,
        Europe::Berlin,
        Europe::Dublin,
        Australia::Lord_Howe,
        Asia::Kolkata,
        Africa::Casablanca,
        America::Asuncion,
        Tz::UTC,
    ] {
        let observances = observances(zone, (2026, 2028));
        let mut time = at("2026-01-01T00:00:00Z").to_utc();
        while time < at("2029-01-01T00:00:00Z").to_utc() {
            let local = time.with_timezone(&zone).naive_local();
            if !occurs_twice(local, zone) {
                assert_eq!(offset_at(&observances, local), seconds(zone, time), "{zone} {local}");
            }
            time += TimeDelta::minutes(30);
        }
    }
}

#[test]
fn daylight_time_is_told_from_standard_time() {
    let kinds = |zone| {
        let all = observances(zone, (2027, 2027));
        all.iter().map(|one| (one.daylight, one.name.clone(), offset(one.to))).collect::<Vec<_>>()
    };
    let of = |daylight, name: &str, offset: &str| (daylight, name.to_owned(), offset.to_owned());
    let (winter, summer) = (of(false, "EST", "-0500"), of(true, "EDT", "-0400"));
    assert_eq!(kinds(America::Toronto), [winter.clone(), summer, winter]);
    let (winter, summer) = (of(false, "AEST", "+1000"), of(true, "AEDT", "+1100"));
    assert_eq!(kinds(Australia::Sydney), [summer.clone(), winter, summer]);
    assert_eq!(kinds(Asia::Kolkata), [of(false, "IST", "+0530")]);
}

#[test]
fn an_empty_calendar_has_a_time_zone() {
    let text = calendar(&about(America::Toronto), &Shown::default());
    assert!(text.contains("BEGIN:VTIMEZONE\r\n") && !text.contains("VEVENT"));
    assert!(text.starts_with("BEGIN:VCALENDAR\r\n") && text.ends_with("END:VCALENDAR\r\n"));
}

proptest! {
    #[test]
    fn no_text_breaks_the_lines(name in ".{1,200}", description in "(?s).{0,600}") {
        let mut entry = timed("2027-09-06T14:00:00Z", "2027-09-06T15:30:00Z");
        entry.content.name = name.clone();
        entry.content.place = Some(Place { name: description.clone(), map_url: None });
        let shown = Shown { entries: vec![&entry], withdrawn: vec![] };
        let text = calendar(&about(America::Toronto), &shown);
        for line in text.split("\r\n") {
            prop_assert!(line.len() <= LINE_MAX && !line.contains(['\r', '\n']));
        }
        let text = text.replace("\r\n ", "");
        let summary = text.split("\r\n").find_map(|line| line.strip_prefix("SUMMARY:")).unwrap();
        let read = summary.replace("\\,", ",").replace("\\;", ";").replace("\\\\", "\\");
        prop_assert_eq!(read, plain(&name));
        prop_assert_eq!(text.matches("BEGIN:VEVENT").count(), 1 + name.matches("BEGIN:VEVENT").count());
    }
}
