//! Cron jobs.

use std::str::FromStr;

use chrono_tz::Tz;
use croner::Cron as Pattern;

use super::model::{Job, Payload};
use super::sweep::Sweep;
use crate::kernel::Timestamp;

/// A job that the clock enqueues.
///
/// A tick is a job with the id `cron:<kind>:<tick>`, so it is unique however many processes enqueue it. Of the ticks
/// missed while no process ran, only the last is made up for, once, and only until its day is over.
pub struct Cron {
    kind: &'static str,
    pattern: Pattern,
    job: Box<dyn Fn(String, Timestamp, Timestamp) -> Job + Send + Sync>,
    /// Not checked before this time.
    next: Option<Timestamp>,
}

/// All cron jobs, in the local time of one time zone.
pub struct Crons {
    time_zone: Tz,
    list: Vec<Cron>,
}

impl Cron {
    /// Enqueues a job at each tick of `pattern` (five fields, such as `0 9 * * *`), with the payload that `payload` makes
    /// from the time of the tick.
    ///
    /// # Panics
    /// If `pattern` is not valid: the mistake shows at the first start.
    pub fn new<P: Payload>(
        pattern: &'static str,
        payload: impl Fn(Timestamp) -> P + Send + Sync + 'static,
    ) -> Self {
        // Due when it is created, not at its tick: nobody could know of a missed tick earlier.
        Self::of_kind(P::KIND, pattern, move |id, tick, now| Job::new(id, &payload(tick), now))
    }

    /// Enqueues a job of this sweep at each tick of `pattern`.
    ///
    /// # Panics
    /// If `pattern` is not valid: the mistake shows at the first start.
    pub fn of_sweep(pattern: &'static str, sweep: &Sweep) -> Self {
        let kind = sweep.kind;
        Self::of_kind(kind, pattern, move |id, _, now| Sweep::job(kind, id, now))
    }

    fn of_kind(
        kind: &'static str,
        pattern: &'static str,
        job: impl Fn(String, Timestamp, Timestamp) -> Job + Send + Sync + 'static,
    ) -> Self {
        let pattern = Pattern::from_str(pattern).unwrap_or_else(|error| panic!("{kind}: {pattern}: {error}"));
        Self { kind, pattern, job: Box::new(job), next: None }
    }
}

impl Crons {
    /// These cron jobs; their patterns are in `time_zone`.
    ///
    /// # Panics
    /// If two of them have the same kind: the mistake shows at the first start.
    pub fn new(time_zone: Tz, crons: impl IntoIterator<Item = Cron>) -> Self {
        let mut list: Vec<Cron> = vec![];
        for cron in crons {
            let kind = cron.kind;
            assert!(list.iter().all(|other| other.kind != kind), "two crons have the kind {kind}");
            list.push(cron);
        }
        Self { time_zone, list }
    }

    /// Adds a cron job.
    ///
    /// # Panics
    /// If there is already one of its kind.
    pub(super) fn with(self, cron: Cron) -> Self {
        Self::new(self.time_zone, self.list.into_iter().chain([cron]))
    }

    /// The jobs of the ticks that are due. The caller records them and then calls [`Crons::recorded`].
    pub(super) fn due(&self, now: Timestamp) -> Vec<Job> {
        let due = self.list.iter().filter(|cron| cron.next.is_none_or(|next| next <= now));
        due.filter_map(|cron| cron.last_tick(self.time_zone, now).map(|tick| cron.job(tick, now))).collect()
    }

    /// Notes that everything that was due at `now` is in the store.
    pub(super) fn recorded(&mut self, now: Timestamp) {
        for cron in self.list.iter_mut().filter(|cron| cron.next.is_none_or(|next| next <= now)) {
            cron.next = Some(cron.next_tick(self.time_zone, now));
        }
    }

    /// The time of the next tick; the end of time if there is none.
    pub(super) fn next(&self) -> Timestamp {
        let end = Timestamp::from_millis(i64::MAX);
        self.list.iter().map(|cron| cron.next.unwrap_or(Timestamp::from_millis(0))).min().unwrap_or(end)
    }
}

impl Cron {
    fn job(&self, tick: Timestamp, now: Timestamp) -> Job {
        (self.job)(format!("cron:{}:{tick}", self.kind), tick, now)
    }

    /// The last tick up to `now`, if it is of the same day.
    fn last_tick(&self, zone: Tz, now: Timestamp) -> Option<Timestamp> {
        let now = second(now).to_utc().with_timezone(&zone);
        let last = self.pattern.find_previous_occurrence(&now, true).ok()?;
        (last.date_naive() == now.date_naive()).then(|| last.to_utc().into())
    }

    fn next_tick(&self, zone: Tz, now: Timestamp) -> Timestamp {
        let now = second(now).to_utc().with_timezone(&zone);
        let next = self.pattern.find_next_occurrence(&now, false);
        // A pattern that never matches (30 February) is not checked again.
        next.map_or(Timestamp::from_millis(i64::MAX), |next| next.to_utc().into())
    }
}

fn second(time: Timestamp) -> Timestamp {
    Timestamp::from_millis(time.as_secs() * 1000)
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Report {
        day: Timestamp,
    }

    impl Payload for Report {
        const KIND: &'static str = "report";
    }

    const TORONTO: Tz = chrono_tz::America::Toronto;

    fn daily(pattern: &'static str) -> Crons {
        Crons::new(TORONTO, [Cron::new(pattern, |day| Report { day })])
    }

    fn time(text: &str) -> Timestamp {
        chrono::DateTime::parse_from_rfc3339(text).unwrap().to_utc().into()
    }

    fn ids(crons: &Crons, now: &str) -> Vec<String> {
        crons.due(time(now)).into_iter().map(|job| job.id).collect()
    }

    #[test]
    fn ticks_follow_local_time_in_summer_and_in_winter() {
        let crons = daily("0 9 * * *");
        assert_eq!(ids(&crons, "2026-07-01T13:00:00Z"), ["cron:report:2026-07-01T13:00:00.000Z"]);
        assert_eq!(ids(&crons, "2026-12-01T14:00:00.999Z"), ["cron:report:2026-12-01T14:00:00.000Z"]);
    }

    #[test]
    fn a_missed_tick_is_made_up_for_until_its_local_day_is_over() {
        let crons = daily("0 9 * * *");
        assert_eq!(ids(&crons, "2026-07-02T03:59:59Z"), ["cron:report:2026-07-01T13:00:00.000Z"]);
        assert!(ids(&crons, "2026-07-02T04:00:00Z").is_empty());
        assert!(ids(&crons, "2026-07-02T12:59:59Z").is_empty());
    }

    #[test]
    fn a_missed_tick_does_not_count_as_waiting_for_a_worker() {
        let now = time("2026-07-01T15:30:00Z");
        assert_eq!(daily("0 9 * * *").due(now)[0].run_at, now);
    }

    #[test]
    fn only_the_last_of_several_missed_ticks_is_made_up_for() {
        assert_eq!(
            ids(&daily("0 * * * *"), "2026-07-01T15:30:00Z"),
            ["cron:report:2026-07-01T15:00:00.000Z"]
        );
    }

    #[test]
    fn a_recorded_tick_is_not_due_again_and_the_next_is_known() {
        let mut crons = daily("0 9 * * *");
        crons.recorded(time("2026-07-01T13:00:00Z"));
        assert_eq!(crons.next(), time("2026-07-02T13:00:00Z"));
        assert!(ids(&crons, "2026-07-02T12:59:59.999Z").is_empty());
        assert_eq!(ids(&crons, "2026-07-02T13:00:00Z").len(), 1);
    }

    #[test]
    fn an_hour_that_the_clock_skips_or_repeats_has_one_tick() {
        let mut crons = daily("30 2 * * *");
        crons.recorded(time("2026-03-07T12:00:00Z"));
        let spring = crons.next();
        assert_eq!(spring.to_utc().date_naive().to_string(), "2026-03-08");
        let mut crons = daily("30 1 * * *");
        crons.recorded(time("2026-11-01T05:30:00Z"));
        assert_eq!(crons.next(), time("2026-11-02T06:30:00Z"));
    }

    #[test]
    #[should_panic(expected = "two crons have the kind report")]
    fn a_kind_has_one_cron() {
        let _ = daily("0 9 * * *").with(Cron::new("0 8 * * *", |day| Report { day }));
    }
}
