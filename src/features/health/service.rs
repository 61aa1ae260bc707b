//! Use cases of health.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use serde::{Deserialize, Serialize};

use crate::base::Base;
use crate::kernel::{Clock, Timestamp};
use crate::platform::jobs::Jobs;
use crate::platform::signals::{Signals, SignalsState};
use crate::platform::store::{Document, Keep, Personal, Store, StoreError};

/// How long a result is repeated, so that anonymous clients who ask often cost the store nothing.
const FRESH: Duration = Duration::from_secs(1);

/// How long a successful write counts: one small transaction per process in this time.
const WRITE_FRESH: Duration = Duration::from_secs(5);

/// Maximum time of a check. A store that takes longer can't serve people either.
const STORE_PATIENCE: Duration = Duration::from_secs(2);

/// Time within which workers that run have done something: a cron job is due every five minutes.
const JOBS_PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Written to find out whether the store accepts writes: its disk may be full, or the server read-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// There is one: [`Probe::ID`].
    pub id: String,
    /// Time of the last write.
    pub at: Timestamp,
}

impl Probe {
    /// Id of the one probe.
    pub const ID: &'static str = "readiness";
}

impl Document for Probe {
    const COLLECTION: &'static str = "probes";
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = Keep::with_store("one document, which readiness rewrites");

    fn id(&self) -> &str {
        &self.id
    }
}

/// Why the service is not ready.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NotReady {
    #[error("the store can't be read: {0}")]
    Store(#[from] StoreError),
    #[error("the store can't be written: {0}")]
    Write(StoreError),
    #[error("the store did not answer in time")]
    StoreSlow,
}

/// Whether jobs are being run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Jobs are run, or none is due.
    Running,
    /// Jobs are due, and none has been run for a quarter of an hour.
    Stuck,
}

/// State of a service that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Whether jobs are run. People are served in either case.
    pub work: Work,
    /// How long the oldest due job has been due; zero if none is.
    pub oldest_due: Duration,
    /// How far signals reach. The service works without them, a little slower.
    pub signals: SignalsState,
}

/// Checks whether the service can serve people.
pub struct Health {
    store: Store,
    clock: Arc<dyn Clock>,
    jobs: Jobs,
    signals: Arc<dyn Signals>,
    last: Mutex<Last>,
}

/// Results of the last checks.
#[derive(Default)]
struct Last {
    check: Option<(Instant, Result<Readiness, NotReady>)>,
    /// Time of the last successful write.
    written: Option<Instant>,
}

impl Health {
    /// The health of the store, the jobs and the signals of `base`.
    pub fn new(base: &Base) -> Self {
        let jobs = Jobs::new(base.store.clone(), base.clock.clone());
        let (store, clock) = (base.store.clone(), base.clock.clone());
        Self { store, clock, jobs, signals: base.signals.clone(), last: Mutex::default() }
    }

    /// Reads from the store, at most once a second, and writes to it, at most every five seconds. Other callers get the
    /// last result.
    ///
    /// # Errors
    /// [`NotReady`] if the store can't be read or written. Jobs that are not run are not an error: this process serves
    /// people without them, and a load balancer that removed it would stop sign-ins as well.
    pub async fn readiness(&self) -> Result<Readiness, NotReady> {
        // Held during the check: other callers wait for its result.
        let mut last = self.last.lock().await;
        if let Some((_, found)) = last.check.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return found.clone();
        }
        let checking = timeout(STORE_PATIENCE, self.check(&mut last.written)).await;
        let found = checking.unwrap_or(Err(NotReady::StoreSlow));
        let found = found.inspect_err(|error| tracing::error!(%error, "not ready"));
        last.check = Some((Instant::now(), found.clone()));
        found
    }

    async fn check(&self, written: &mut Option<Instant>) -> Result<Readiness, NotReady> {
        let (oldest_due, idle) = (self.jobs.oldest_due().await?, self.jobs.idle().await?);
        if written.is_none_or(|at| at.elapsed() >= WRITE_FRESH) {
            *written = None;
            let probe = Probe { id: Probe::ID.to_owned(), at: self.clock.now() };
            self.store.transact(async |tx| tx.put(&probe).await).await.map_err(NotReady::Write)?;
            *written = Some(Instant::now());
        }
        Ok(Readiness { work: work(oldest_due, idle), oldest_due, signals: self.signals.state() })
    }
}

/// An old job alone says little: its kind may no longer be handled, or it is an email whose turn has not come.
fn work(oldest_due: Duration, idle: Option<Duration>) -> Work {
    let nothing_done = idle.is_none_or(|idle| idle > JOBS_PATIENCE);
    if oldest_due > JOBS_PATIENCE && nothing_done { Work::Stuck } else { Work::Running }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::base::TestBase;
    use crate::kernel::Secret;
    use crate::platform::jobs::{Job, JobState, Payload};
    use crate::platform::signals::Redis;
    use crate::platform::store::testing::TestStore;

    #[derive(Serialize, Deserialize)]
    struct Ring {}

    impl Payload for Ring {
        const KIND: &'static str = "bell.ring";
    }

    struct Tower {
        base: TestBase,
        health: Health,
    }

    impl Tower {
        async fn build() -> Self {
            let base = Base::for_tests().await;
            Self { health: Health::new(&base), base }
        }

        /// A job that is due now, or has just been done.
        async fn put(&self, id: &str, state: JobState) {
            let now = self.base.clock.now();
            let job = Job { state, finished_at: Some(now), ..Job::new(id.into(), &Ring {}, now) };
            self.base.store.transact(async |tx| tx.put(&job).await).await.unwrap();
        }

        /// The result of a new check.
        async fn readiness(&self) -> Result<Readiness, NotReady> {
            *self.health.last.lock().await = Last::default();
            self.health.readiness().await
        }
    }

    #[tokio::test]
    async fn a_service_without_its_redis_is_ready_and_says_so() {
        // No server listens on the port of `tcpmux`.
        let nobody = Secret::new("redis://127.0.0.1:1".to_owned());
        let signals = Redis::connect(&nobody, "test:", 1.0, Secret::new(String::new())).await.unwrap();
        let mut tower = Tower::build().await;
        tower.health.signals = Arc::new(signals);
        let ready = tower.readiness().await.unwrap();
        assert!(matches!(ready.signals, SignalsState::Unreachable { .. }), "{ready:?}");
        assert_eq!((ready.oldest_due, ready.work), (Duration::ZERO, Work::Running));
    }

    #[tokio::test]
    async fn jobs_that_are_not_run_are_reported_and_leave_it_ready() {
        let tower = Tower::build().await;
        tower.put("done", JobState::Done).await;
        tower.put("due", JobState::Waiting).await;
        tower.base.clock.advance(Duration::from_secs(15 * 60));
        let ready = tower.readiness().await.unwrap();
        assert_eq!((ready.oldest_due.as_secs(), ready.work), (900, Work::Running));
        tower.base.clock.advance(Duration::from_secs(1));
        let ready = tower.readiness().await.unwrap();
        assert_eq!((ready.oldest_due.as_secs(), ready.work), (901, Work::Stuck));
    }

    #[tokio::test]
    async fn an_old_job_beside_finished_ones_is_not_stuck_work() {
        let tower = Tower::build().await;
        tower.put("of a kind that nobody serves", JobState::Waiting).await;
        tower.base.clock.advance(Duration::from_secs(24 * 3600));
        assert_eq!(tower.readiness().await.unwrap().work, Work::Stuck);
        tower.put("done", JobState::Done).await;
        let ready = tower.readiness().await.unwrap();
        assert_eq!((ready.oldest_due.as_secs(), ready.work), (24 * 3600, Work::Running));
    }

    #[tokio::test]
    async fn where_nothing_is_due_nothing_is_stuck() {
        let tower = Tower::build().await;
        tower.base.clock.advance(Duration::from_secs(24 * 3600));
        assert_eq!(tower.readiness().await.unwrap().work, Work::Running);
    }

    #[tokio::test]
    async fn a_result_is_repeated_for_a_second() {
        let tower = Tower::build().await;
        assert_eq!(tower.health.readiness().await.unwrap().oldest_due, Duration::ZERO);
        tower.put("due", JobState::Waiting).await;
        tower.base.clock.advance(Duration::from_secs(7));
        assert_eq!(tower.health.readiness().await.unwrap().oldest_due, Duration::ZERO);
        let mut last = tower.health.last.lock().await;
        let (at, _) = last.check.as_mut().unwrap();
        *at = at.checked_sub(FRESH).unwrap();
        drop(last);
        assert_eq!(tower.health.readiness().await.unwrap().oldest_due, Duration::from_secs(7));
    }

    #[tokio::test]
    async fn a_store_that_can_not_be_read_makes_it_unready() {
        let mut tower = Tower::build().await;
        let empty = TestStore::with(&[]).await;
        tower.health.jobs = Jobs::new(empty.clone(), tower.base.clock.clone());
        assert!(matches!(tower.health.readiness().await, Err(NotReady::Store(_))));
    }

    #[tokio::test]
    async fn a_store_that_can_be_read_but_not_written_makes_it_unready() {
        let mut tower = Tower::build().await;
        // Without the collection of the probe, as on a full disk, reads succeed and the write fails.
        let read_only = TestStore::with(&crate::platform::jobs::schemas()).await;
        let written = std::mem::replace(&mut tower.health.store, read_only.clone());
        assert!(matches!(tower.readiness().await, Err(NotReady::Write(_))));
        tower.health.store = written;
        assert!(tower.readiness().await.is_ok());
    }

    #[tokio::test]
    async fn a_write_counts_for_five_seconds() {
        let tower = Tower::build().await;
        let writes = || tower.base.store.stats().transactions;
        tower.health.readiness().await.unwrap();
        let first = writes();
        let mut last = tower.health.last.lock().await;
        last.check = None;
        drop(last);
        tower.health.readiness().await.unwrap();
        assert_eq!(writes(), first);
        let mut last = tower.health.last.lock().await;
        *last = Last { check: None, written: Instant::now().checked_sub(WRITE_FRESH) };
        drop(last);
        tower.health.readiness().await.unwrap();
        assert_eq!(writes(), first + 1);
    }
}
