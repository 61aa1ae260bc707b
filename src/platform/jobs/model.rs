//! The record of a job, and the rules by which it changes.

use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::kernel::Timestamp;
use crate::kernel::faults;
use crate::platform::audit::Action;
use crate::platform::store::{Document, Index, Keep, Personal};

/// A dead job was given its attempts again.
pub const JOB_RETRIED: Action = Action::new("job.retried");
/// A job was dropped without being run.
pub const JOB_DROPPED: Action = Action::new("job.dropped");

/// Lease duration without renewal. A crash is noticed when the lease expires.
pub const LEASE: Duration = Duration::from_secs(6);
/// How often a worker renews its leases: one renewal may get lost.
pub(super) const RENEW_EVERY: Duration = Duration::from_secs(2);
/// Leases that may expire before a job is assumed to crash its workers.
const CRASHES: u32 = 20;
/// The longest wait after the first failure; it doubles with each …
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// … up to this. Twelve attempts then take 1.2 hours on average, 2.4 at most.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// Maximum length of a stored error, in code points.
const ERROR_LENGTH: usize = 500;

/// The data of a job: ids only, never personal data.
pub trait Payload: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The kind's name, such as `mail.send`.
    const KIND: &'static str;

    /// Of the jobs with the same kind and key at most one waits and at most one runs.
    fn key(&self) -> Option<String> {
        None
    }
}

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum JobState {
    /// Not due yet, or no worker is free.
    Waiting,
    /// A worker holds it, or held it when it died.
    Running,
    /// Done; deleted after a day.
    Done,
    /// Given up; kept for an operator.
    Dead,
}

impl JobState {
    /// The state as it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Dead => "dead",
        }
    }
}

/// A unit of work, to be done once or more often by the subscriber of its kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    pub id: String,
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// `kind:key` while it waits: unique.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_key: Option<String>,
    /// `kind:key` while it runs: unique.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running_key: Option<String>,
    pub payload: serde_json::Value,
    pub state: JobState,
    /// Attempts that were begun, without those cut short by a crash or shutdown.
    pub attempts: u32,
    /// Leases that expired.
    pub crashes: u32,
    /// How often it was enqueued again while it waited.
    pub repeats: u32,
    /// Not run before this time.
    pub run_at: Timestamp,
    /// Known only to the worker that holds the lease.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<Timestamp>,
    /// Its origin: the id of the request that caused it, and its position in the trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    pub created_at: Timestamp,
    /// Time of the last claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Why the last attempt failed: no personal data, at most 500 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Document for Job {
    const COLLECTION: &'static str = "jobs";
    const INDEXES: &'static [Index] = &[
        Index::on("jobs_due", &["state", "kind", "runAt"]),
        Index::on("jobs_by_state", &["state", "runAt"]),
        Index::on("jobs_ended", &["state", "finishedAt"]),
        Index::on("jobs_ended_by_kind", &["state", "kind", "finishedAt"]),
        Index::unique("jobs_waiting", &["waitingKey"]),
        Index::unique("jobs_running", &["runningKey"]),
    ];
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = Keep::after_end(
        super::sweep::KEPT,
        "a day to see what ran; dead jobs stay until an operator retries or drops them",
    );

    fn id(&self) -> &str {
        &self.id
    }
}

/// The worker doesn't hold the job any more: another one may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseLost;

/// How a run ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    Done,
    /// Failed; retried at `retry_at`, unless that was the last of `limit` attempts.
    Failed {
        error: String,
        limit: u32,
        retry_at: Timestamp,
    },
    /// Not to be retried.
    Dead {
        error: String,
    },
    /// Cut short by a shutdown; doesn't count as an attempt.
    HandedBack,
}

impl Job {
    /// A job that is due at once.
    pub fn new<P: Payload>(id: String, payload: &P, now: Timestamp) -> Self {
        let data = serde_json::to_value(payload).expect("a payload is plain data");
        Self::of_kind(P::KIND, id, payload.key(), data, now)
    }

    /// The same, without a type for its payload.
    pub(super) fn of_kind(
        kind: &str,
        id: String,
        key: Option<String>,
        payload: serde_json::Value,
        now: Timestamp,
    ) -> Self {
        let mut job = Self {
            id,
            kind: kind.into(),
            key,
            waiting_key: None,
            running_key: None,
            payload,
            state: JobState::Waiting,
            attempts: 0,
            crashes: 0,
            repeats: 0,
            run_at: now,
            lease_token: None,
            lease_until: None,
            trace: None,
            created_at: now,
            started_at: None,
            finished_at: None,
            error: None,
        };
        job.waiting_key = job.unique_key();
        job
    }

    /// Makes it due at `run_at`.
    pub fn at(self, run_at: Timestamp) -> Self {
        Self { run_at, ..self }
    }

    /// `kind:key`, which at most one waiting and one running job have.
    pub(super) fn unique_key(&self) -> Option<String> {
        self.key.as_ref().map(|key| format!("{}:{key}", self.kind))
    }

    /// Merges a repeated request while it waits: due at the earlier of the two times.
    pub(super) fn repeat(&mut self, run_at: Timestamp) {
        self.run_at = self.run_at.min(run_at);
        self.repeats += 1;
    }

    /// A worker claims the waiting job.
    pub(super) fn claim(&mut self, token: &str, now: Timestamp) {
        self.attempts += 1;
        self.lease(token, now);
    }

    /// A worker takes the job over from a dead one, or marks it dead if too many workers have died.
    pub(super) fn take_over(&mut self, token: &str, now: Timestamp) {
        self.crashes += 1;
        if self.crashes < CRASHES {
            self.lease(token, now);
        } else {
            self.end(JobState::Dead, Some("its workers died too often"), now);
        }
    }

    fn lease(&mut self, token: &str, now: Timestamp) {
        self.state = JobState::Running;
        self.waiting_key = None;
        self.running_key = self.unique_key().filter(|_| faults::guarded("jobs-one-run-a-key"));
        self.lease_token = Some(token.to_owned());
        self.lease_until = Some(now.plus(LEASE));
        self.started_at = Some(now);
    }

    /// Renews the lease of the worker with `token`.
    ///
    /// # Errors
    /// [`LeaseLost`] if the worker doesn't hold the job any more.
    pub(super) fn renew(&mut self, token: &str, now: Timestamp) -> Result<(), LeaseLost> {
        self.held_by(token)?;
        self.lease_until = Some(now.plus(LEASE));
        Ok(())
    }

    /// Ends the run of the worker with `token`.
    ///
    /// # Errors
    /// [`LeaseLost`] if the worker doesn't hold the job any more.
    pub(super) fn settle(&mut self, token: &str, outcome: &Outcome, now: Timestamp) -> Result<(), LeaseLost> {
        self.held_by(token)?;
        match outcome {
            Outcome::Done => self.end(JobState::Done, None, now),
            Outcome::Dead { error } => self.end(JobState::Dead, Some(error), now),
            Outcome::Failed { error, limit, .. } if self.attempts >= *limit => {
                self.end(JobState::Dead, Some(error), now);
            }
            Outcome::Failed { error, retry_at, .. } => {
                self.wait(*retry_at);
                self.error = Some(clip(error));
            }
            Outcome::HandedBack => {
                self.attempts = self.attempts.saturating_sub(1);
                self.wait(now);
            }
        }
        Ok(())
    }

    fn held_by(&self, token: &str) -> Result<(), LeaseLost> {
        let held = self.state == JobState::Running && self.lease_token.as_deref() == Some(token);
        if held { Ok(()) } else { Err(LeaseLost) }
    }

    fn wait(&mut self, run_at: Timestamp) {
        self.release();
        self.state = JobState::Waiting;
        self.waiting_key = self.unique_key();
        self.run_at = run_at;
        self.finished_at = None;
    }

    fn end(&mut self, state: JobState, error: Option<&str>, now: Timestamp) {
        self.release();
        self.state = state;
        self.finished_at = Some(now);
        self.error = error.map(clip);
    }

    fn release(&mut self) {
        (self.waiting_key, self.running_key) = (None, None);
        (self.lease_token, self.lease_until) = (None, None);
    }

    /// Ends this job because another of its kind and key already waits and covers it. The other one inherits the
    /// attempts, so that a job that never succeeds dies even if it is enqueued again and again.
    pub(super) fn make_way_for(&mut self, other: &mut Self, now: Timestamp) {
        other.repeat(other.run_at);
        other.attempts = other.attempts.max(self.attempts);
        self.end(JobState::Done, Some("another job of the same kind and key does it"), now);
    }

    /// An operator retries it, with all its attempts.
    pub(super) fn revive(&mut self, now: Timestamp) {
        (self.attempts, self.crashes) = (0, 0);
        self.wait(now);
    }

    /// An operator drops it. It is kept like a done job, so that a cron tick isn't enqueued again.
    pub(super) fn discard(&mut self, now: Timestamp) {
        self.end(JobState::Done, Some("dropped by an administrator"), now);
    }
}

fn clip(error: &str) -> String {
    error.chars().take(ERROR_LENGTH).collect()
}

/// Backoff after failure number `attempts`: between zero and a limit that doubles each time (full
/// jitter: jobs that failed together aren't retried together). `chance` is drawn evenly from all numbers.
pub(super) fn backoff(attempts: u32, chance: u64) -> Duration {
    let limit = FIRST_WAIT.saturating_mul(1 << attempts.saturating_sub(1).min(20)).min(LONGEST_WAIT);
    let millis = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(chance % (millis + 1))
}

/// Spaces the starts of a kind evenly: a maximum per second, and at most a tenth of a second of catching up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Microseconds between two starts.
    step: i64,
    /// When the next start is due, in microseconds.
    next: i64,
}

impl Pace {
    const CATCH_UP: i64 = 100_000;

    pub(super) fn new(per_second: u32) -> Self {
        Self { step: 1_000_000 / i64::from(per_second.max(1)), next: i64::MIN }
    }

    /// The number of jobs that may start now.
    pub(super) fn room(&self, now: Timestamp) -> usize {
        let now = now.as_millis().saturating_mul(1000);
        let behind = now.saturating_sub(self.next).min(Self::CATCH_UP);
        if behind < 0 { 0 } else { usize::try_from(behind / self.step.max(1)).unwrap_or(0) + 1 }
    }

    /// Records this number of starts.
    pub(super) fn take(&mut self, count: usize, now: Timestamp) {
        let now = now.as_millis().saturating_mul(1000);
        let steps = self.step.saturating_mul(i64::try_from(count).unwrap_or(i64::MAX));
        self.next = self.next.max(now.saturating_sub(Self::CATCH_UP)).saturating_add(steps);
    }

    /// When the next start may happen.
    pub(super) fn next(&self) -> Timestamp {
        Timestamp::from_millis(self.next.saturating_add(999).div_euclid(1000))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Ring(String);

    impl Payload for Ring {
        const KIND: &'static str = "bell.ring";
        fn key(&self) -> Option<String> {
            Some(self.0.clone())
        }
    }

    fn time(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    fn job() -> Job {
        Job::new("1".into(), &Ring("door".into()), time(0))
    }

    fn failed(limit: u32) -> Outcome {
        Outcome::Failed { error: "no bell".into(), limit, retry_at: time(9) }
    }

    #[test]
    fn a_claim_counts_an_attempt_and_only_its_token_settles_it() {
        let mut job = job();
        job.claim("mine", time(1));
        assert_eq!((job.attempts, job.crashes, job.state), (1, 0, JobState::Running));
        assert_eq!(job.settle("yours", &Outcome::Done, time(2)), Err(LeaseLost));
        assert_eq!(job.renew("yours", time(2)), Err(LeaseLost));
        assert_eq!(job.renew("mine", time(2)), Ok(()));
        assert_eq!(job.lease_until, Some(time(8)));
        assert_eq!(job.settle("mine", &Outcome::Done, time(3)), Ok(()));
        assert_eq!((job.state, job.finished_at), (JobState::Done, Some(time(3))));
        assert_eq!(job.running_key, None);
        assert_eq!(job.settle("mine", &Outcome::Done, time(4)), Err(LeaseLost));
    }

    #[test]
    fn a_job_dies_with_its_last_attempt() {
        let mut job = job();
        for attempt in 1..=3 {
            job.claim("t", time(0));
            job.settle("t", &failed(3), time(1)).unwrap();
            let expected = if attempt < 3 { JobState::Waiting } else { JobState::Dead };
            assert_eq!(job.state, expected);
        }
        assert_eq!(job.error.as_deref(), Some("no bell"));
        assert_eq!(job.waiting_key, None, "a dead job doesn't block the next one");
    }

    #[test]
    fn crashes_are_counted_separately_and_the_twentieth_is_the_last() {
        let mut job = job();
        job.claim("0", time(0));
        for crash in 1..20 {
            job.take_over(&crash.to_string(), time(0));
            assert_eq!((job.attempts, job.crashes, job.state), (1, crash, JobState::Running));
        }
        job.take_over("20", time(0));
        assert_eq!(job.state, JobState::Dead);
    }

    #[test]
    fn a_job_that_is_handed_back_has_not_used_an_attempt() {
        let mut job = job();
        job.claim("t", time(0));
        job.settle("t", &Outcome::HandedBack, time(1)).unwrap();
        assert_eq!((job.attempts, job.state, job.run_at), (0, JobState::Waiting, time(1)));
        assert_eq!(job.waiting_key.as_deref(), Some("bell.ring:door"));
    }

    #[test]
    fn a_job_that_replaces_a_failing_one_inherits_its_attempts() {
        let (mut failing, mut next) = (job(), job());
        failing.attempts = 4;
        failing.make_way_for(&mut next, time(1));
        assert_eq!((failing.state, next.attempts, next.state), (JobState::Done, 4, JobState::Waiting));
    }

    #[test]
    fn a_pace_is_kept_over_time_without_bursts_after_a_pause() {
        let mut pace = Pace::new(20);
        let mut started = 0;
        for millis in 0..10_000 {
            let now = Timestamp::from_millis(1_000_000 + millis);
            let room = pace.room(now);
            assert!(room <= 3, "{room}");
            pace.take(room, now);
            started += room;
        }
        assert!((200..=203).contains(&started), "{started}");
        assert!(pace.next() > Timestamp::from_millis(1_009_999));
    }

    proptest! {
        #[test]
        fn the_backoff_is_within_its_limit_and_grows_to_an_hour(attempts in 0..u32::MAX, chance: u64) {
            let limit = if attempts < 11 { 5 << attempts.saturating_sub(1) } else { 3600 };
            prop_assert!(backoff(attempts, chance) <= Duration::from_secs(limit));
        }

        #[test]
        fn every_backoff_within_the_limit_can_be_drawn(millis in 0_u64..=5000) {
            prop_assert_eq!(backoff(1, millis), Duration::from_millis(millis));
        }
    }
}
