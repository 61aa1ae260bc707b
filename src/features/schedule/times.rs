//! When an entry takes place. Days begin and end in event time.

use std::time::Duration;

use chrono::{
    DateTime, Datelike, Days, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone,
};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::kernel::Timestamp;

/// The longest time that an entry takes.
pub const LONGEST: Duration = Duration::from_hours(31 * 24);

/// The first and the last year of entries: calendars list every change of clocks in the years of their entries.
const YEARS: std::ops::RangeInclusive<i32> = 2000..=2099;

/// When an entry takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Times {
    /// From `start` until shortly before `end`, in whole seconds.
    Timed { start: Timestamp, end: Timestamp },
    /// All day, from the first day to the last one, both inclusive.
    AllDay { first: NaiveDate, last: NaiveDate },
}

/// Why times are not those of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadTimes {
    /// The start is in a year in which no entry can be.
    Year,
    /// The end is not after the start, or too long after it.
    End,
}

impl Times {
    /// From `start` until shortly before `end`, both rounded down to seconds.
    ///
    /// # Errors
    /// [`BadTimes`]
    pub fn timed(start: Timestamp, end: Timestamp) -> Result<Self, BadTimes> {
        let [start, end] = [start, end].map(|time| Timestamp::from_millis(time.as_secs() * 1000));
        if !YEARS.contains(&start.to_utc().year()) {
            return Err(BadTimes::Year);
        }
        if end <= start || end.since(start) > LONGEST {
            return Err(BadTimes::End);
        }
        Ok(Self::Timed { start, end })
    }

    /// All day, from the first day to the last one, both inclusive.
    ///
    /// # Errors
    /// [`BadTimes`]
    pub fn all_day(first: NaiveDate, last: NaiveDate) -> Result<Self, BadTimes> {
        if !YEARS.contains(&first.year()) {
            return Err(BadTimes::Year);
        }
        if last < first || (last - first).to_std().is_ok_and(|length| length >= LONGEST) {
            return Err(BadTimes::End);
        }
        Ok(Self::AllDay { first, last })
    }

    /// When it begins, inclusive, and when it ends, exclusive.
    pub fn span(self, zone: Tz) -> (Timestamp, Timestamp) {
        match self {
            Self::Timed { start, end } => (start, end),
            Self::AllDay { first, last } => (start_of(first, zone), start_of(day_after(last), zone)),
        }
    }

    /// In words, in event time: `Monday, 6 September 2027, 10:00 to 11:30`.
    pub fn in_words(self, zone: Tz) -> String {
        let day = |date: NaiveDate| date.format("%A, %-d %B %Y").to_string();
        match self {
            Self::Timed { start, end } => {
                let (start, end) = (local(start, zone), local(end, zone));
                let end_day = if start.date() == end.date() { String::new() } else { day(end.date()) + ", " };
                format!(
                    "{}, {} to {end_day}{}",
                    day(start.date()),
                    start.format("%H:%M"),
                    end.format("%H:%M")
                )
            }
            Self::AllDay { first, last } if first == last => day(first),
            Self::AllDay { first, last } => format!("{} to {}", day(first), day(last)),
        }
    }

    /// The start as it is written in records: a time in UTC, or a day.
    pub fn start(self) -> String {
        match self {
            Self::Timed { start, .. } => start.rfc3339(),
            Self::AllDay { first, .. } => first.to_string(),
        }
    }
}

/// The day after `date`.
pub fn day_after(date: NaiveDate) -> NaiveDate {
    date.checked_add_days(Days::new(1)).unwrap_or(date)
}

/// What clocks show at `time`.
pub fn local(time: Timestamp, zone: Tz) -> NaiveDateTime {
    time.to_utc().with_timezone(&zone).naive_local()
}

/// Whether clocks show `local` twice, because they are set back.
pub fn occurs_twice(local: NaiveDateTime, zone: Tz) -> bool {
    matches!(zone.from_local_datetime(&local), MappedLocalTime::Ambiguous(..))
}

/// The first moment at which clocks show `local`; `None` if they skip it.
fn first_at(local: NaiveDateTime, zone: Tz) -> Option<Timestamp> {
    zone.from_local_datetime(&local).earliest().map(|time: DateTime<Tz>| time.to_utc().into())
}

/// When a day begins. Clocks that are set forward at midnight skip the beginning, or even the whole day.
fn start_of(date: NaiveDate, zone: Tz) -> Timestamp {
    let midnight = date.and_time(NaiveTime::MIN);
    let quarters = (0..=4 * 24).map(|quarters| midnight + TimeDelta::minutes(15 * quarters));
    let exists = quarters.filter_map(|local| first_at(local, zone)).next();
    exists.unwrap_or_else(|| midnight.and_utc().into())
}

#[cfg(test)]
mod tests {
    use chrono_tz::{America, Asia, Pacific};

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn an_entry_ends_after_it_begins_and_within_a_month() {
        let noon = at("2027-09-06T12:00:00Z");
        let longest = noon.plus(LONGEST);
        for (end, result) in [
            (longest, Ok(Times::Timed { start: noon, end: longest })),
            (longest.plus(Duration::from_secs(1)), Err(BadTimes::End)),
            (noon, Err(BadTimes::End)),
            (noon.plus(Duration::from_millis(999)), Err(BadTimes::End)),
            (noon.minus(Duration::from_secs(1)), Err(BadTimes::End)),
        ] {
            assert_eq!(Times::timed(noon, end), result, "{end}");
        }
        assert_eq!(Times::timed(at("2100-01-01T00:00:00Z"), at("2100-01-01T01:00:00Z")), Err(BadTimes::Year));
        let first = day("2027-09-06");
        assert!(Times::all_day(first, first).is_ok() && Times::all_day(first, day("2027-10-06")).is_ok());
        assert_eq!(Times::all_day(first, day("2027-10-07")), Err(BadTimes::End));
        assert_eq!(Times::all_day(first, day("2027-09-05")), Err(BadTimes::End));
        assert_eq!(Times::all_day(day("1999-12-31"), first), Err(BadTimes::Year));
    }

    #[test]
    fn a_day_lasts_from_midnight_to_midnight_in_event_time() {
        for (zone, date, begins, ends) in [
            (America::Toronto, "2027-09-06", "2027-09-06T04:00:00Z", "2027-09-07T04:00:00Z"),
            // 23 and 25 hours.
            (America::Toronto, "2027-03-14", "2027-03-14T05:00:00Z", "2027-03-15T04:00:00Z"),
            (America::Toronto, "2027-11-07", "2027-11-07T04:00:00Z", "2027-11-08T05:00:00Z"),
            // Clocks are set forward from 00:00 to 01:00.
            (America::Havana, "2027-03-14", "2027-03-14T05:00:00Z", "2027-03-15T04:00:00Z"),
            // Clocks are set back from 24:00 to 23:00.
            (Asia::Beirut, "2022-10-29", "2022-10-28T21:00:00Z", "2022-10-29T22:00:00Z"),
            // The day did not exist.
            (Pacific::Apia, "2011-12-30", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z"),
        ] {
            let times = Times::all_day(day(date), day(date)).unwrap();
            assert_eq!(times.span(zone), (at(begins), at(ends)), "{zone}, {date}");
        }
    }

    #[test]
    fn times_in_words_are_in_event_time() {
        let hour = Times::timed(at("2027-09-07T01:30:00Z"), at("2027-09-07T02:30:00Z")).unwrap();
        assert_eq!(hour.in_words(America::Toronto), "Monday, 6 September 2027, 21:30 to 22:30");
        let night = Times::timed(at("2027-09-07T01:30:00Z"), at("2027-09-07T05:00:00Z")).unwrap();
        let words = "Monday, 6 September 2027, 21:30 to Tuesday, 7 September 2027, 01:00";
        assert_eq!(night.in_words(America::Toronto), words);
        let days = Times::all_day(day("2027-09-06"), day("2027-09-07")).unwrap();
        assert_eq!(days.in_words(America::Toronto), "Monday, 6 September 2027 to Tuesday, 7 September 2027");
    }

    #[test]
    fn times_are_stored_and_read_in_both_encodings() {
        for times in [
            Times::timed(at("2027-09-07T01:30:00Z"), at("2027-09-07T02:30:00Z")).unwrap(),
            Times::all_day(day("2027-09-06"), day("2027-09-07")).unwrap(),
        ] {
            let text = serde_json::to_string(&times).unwrap();
            assert_eq!(serde_json::from_str::<Times>(&text).unwrap(), times);
            let bytes =
                bson::serialize_to_vec(&std::collections::BTreeMap::from([("times", times)])).unwrap();
            let read: std::collections::BTreeMap<String, Times> =
                bson::deserialize_from_slice(&bytes).unwrap();
            assert_eq!(read["times"], times);
        }
    }
}
