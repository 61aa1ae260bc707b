//! Points in time, and clocks.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A point in time in whole milliseconds since 1970-01-01 UTC, the resolution of every store.
///
/// JSON has it as RFC 3339 text of fixed width (`2026-09-01T07:00:00.000Z`), which sorts by time. BSON has a native date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The latest time with a four-digit year. Later ones would not sort correctly as text.
    const LATEST: i64 = 253_402_300_799_999;

    /// The point `millis` milliseconds after 1970-01-01 UTC, clamped to the years 0 to 9999.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(-62_167_219_200_000, Self::LATEST))
    }

    /// The point that RFC 3339 writes like this, with any offset; `None` if it is not a time. Rounded down to milliseconds.
    pub fn parse(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc().into())
    }

    /// Milliseconds since 1970-01-01 UTC.
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970-01-01 UTC, rounded down.
    pub fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The point `span` later.
    pub fn plus(self, span: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The point `span` earlier.
    pub fn minus(self, span: Duration) -> Self {
        Self::from_millis(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Time since `earlier`; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The same point as a calendar date and time in UTC.
    pub fn to_utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0).expect("kept within the years 0 to 9999")
    }

    /// RFC 3339 in UTC with milliseconds.
    pub fn rfc3339(self) -> String {
        self.to_utc().to_rfc3339_opts(SecondsFormat::Millis, true)
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(time: DateTime<Utc>) -> Self {
        Self::from_millis(time.timestamp_millis())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_str(&self.rfc3339());
        }
        bson::DateTime::from_millis(self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not by `is_human_readable`: inside `flatten` and tagged enums serde's buffer always says that it is.
        deserializer.deserialize_any(TextOrDate)
    }
}

/// Reads either form.
struct TextOrDate;

impl<'de> de::Visitor<'de> for TextOrDate {
    type Value = Timestamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time as RFC 3339 text or as a native date")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
        Timestamp::parse(text).ok_or_else(|| E::custom("not a time in RFC 3339"))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, date: A) -> Result<Timestamp, A::Error> {
        let date = bson::DateTime::deserialize(de::value::MapAccessDeserializer::new(date))?;
        Ok(Timestamp::from_millis(date.timestamp_millis()))
    }
}

/// A clock. Injected, so that tests control the time.
pub trait Clock: Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> Timestamp;
}

/// The system's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
    fn now(&self) -> Timestamp {
        Utc::now().into()
    }
}

/// A clock that tests set.
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock set to `start`.
    pub fn at(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.as_millis()))
    }

    /// Sets the time.
    pub fn set(&self, time: Timestamp) {
        self.0.store(time.as_millis(), Ordering::SeqCst);
    }

    /// Advances by `span`.
    pub fn advance(&self, span: Duration) {
        self.0.fetch_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_a_fixed_width_and_parses_back() {
        for millis in [0, 1, -1, 1_788_246_000_123, i64::MAX, i64::MIN] {
            let time = Timestamp::from_millis(millis);
            let text = serde_json::to_string(&time).unwrap();
            assert_eq!(text.len(), 26, "{text}");
            assert_eq!(serde_json::from_str::<Timestamp>(&text).unwrap(), time);
        }
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Visit {
        at: Timestamp,
        until: Option<Timestamp>,
        #[serde(flatten)]
        inner: Inner,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Inner {
        times: Vec<Timestamp>,
    }

    #[test]
    fn bson_has_native_dates_at_every_depth() {
        let time = Timestamp::from_millis(1_788_246_000_123);
        let visit = Visit { at: time, until: Some(time), inner: Inner { times: vec![time] } };
        let bytes = bson::serialize_to_vec(&visit).unwrap();
        assert_eq!(bson::deserialize_from_slice::<Visit>(&bytes).unwrap(), visit);
        let stored: bson::Document = bson::deserialize_from_slice(&bytes).unwrap();
        let date = bson::DateTime::from_millis(time.as_millis());
        assert_eq!(stored, bson::doc! { "at": date, "until": date, "times": [date] });
    }

    #[test]
    fn a_time_is_read_with_its_offset() {
        let seven = Timestamp::from_millis(1_788_246_000_000);
        for text in ["2026-09-01T07:00:00Z", "2026-09-01T03:00:00-04:00", "2026-09-01T07:00:00.0009+00:00"] {
            assert_eq!(Timestamp::parse(text), Some(seven), "{text}");
        }
        for text in ["", "2026-09-01", "2026-09-01T07:00:00", "2026-02-30T07:00:00Z", "now"] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn arithmetic_saturates() {
        let end = Timestamp::from_millis(i64::MAX);
        assert_eq!(end.plus(Duration::MAX), end);
        assert_eq!(Timestamp::from_millis(5).since(Timestamp::from_millis(9)), Duration::ZERO);
        assert_eq!(Timestamp::from_millis(-1).as_secs(), -1);
    }
}
