//! Use cases of health.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::base::Base;
use crate::platform::jobs::Jobs;
use crate::platform::signals::{Signals, SignalsState};
use crate::platform::store::StoreError;

/// For so long what was seen is told again, so that strangers who ask without end cost the store nothing.
const FRESH: Duration = Duration::from_secs(1);

/// A store that takes longer than this to say what is due can't serve people either.
const STORE_PATIENCE: Duration = Duration::from_secs(2);

/// Workers who are alive have done something within this time: a tick comes every five minutes.
const JOBS_PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Why the service is not ready.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NotReady {
    #[error("the store can't be read: {0}")]
    Store(#[from] StoreError),
    #[error("the store did not answer in time")]
    StoreSlow,
}

/// Whether somebody works on jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Somebody does, or nothing is to be done.
    Running,
    /// Jobs are due, and for a quarter of an hour none was done.
    Stuck,
}

/// What a service that can answer says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Whether somebody works. People are served all the same.
    pub work: Work,
    /// For how long the oldest due job has been due; zero if none is.
    pub oldest_due: Duration,
    /// How far signals reach. The service does its work without them, a little slower.
    pub signals: SignalsState,
}

/// Looks whether the service can answer.
pub struct Health {
    jobs: Jobs,
    signals: Arc<dyn Signals>,
    seen: Mutex<Option<Seen>>,
}

/// What one look found.
struct Seen {
    at: Instant,
    found: Result<Readiness, NotReady>,
}

impl Health {
    /// The health of the store, the jobs and the signals of `base`.
    pub fn new(base: &Base) -> Self {
        let jobs = Jobs::new(base.store.clone(), base.clock.clone());
        Self { jobs, signals: base.signals.clone(), seen: Mutex::new(None) }
    }

    /// Looks into the store, at most once a second: whoever asks meanwhile is told the same.
    ///
    /// # Errors
    /// [`NotReady`] if the store can't be read. That jobs are not worked on is no error: this process answers without
    /// them, and if it were taken out nobody could sign in either.
    pub async fn readiness(&self) -> Result<Readiness, NotReady> {
        // Held while one looks: the others wait for what it finds.
        let mut seen = self.seen.lock().await;
        if let Some(seen) = seen.as_ref().filter(|seen| seen.at.elapsed() < FRESH) {
            return seen.found.clone();
        }
        let found = self.look().await.inspect_err(|error| tracing::error!(%error, "not ready"));
        *seen = Some(Seen { at: Instant::now(), found: found.clone() });
        found
    }

    async fn look(&self) -> Result<Readiness, NotReady> {
        let looking = async { Ok::<_, StoreError>((self.jobs.oldest_due().await?, self.jobs.idle().await?)) };
        let (oldest_due, idle) =
            timeout(STORE_PATIENCE, looking).await.map_err(|_| NotReady::StoreSlow)??;
        Ok(Readiness { work: work(oldest_due, idle), oldest_due, signals: self.signals.state() })
    }
}

/// An old job alone says little: it may be of a kind that nobody serves any more, or a letter whose turn has not come.
fn work(oldest_due: Duration, idle: Option<Duration>) -> Work {
    let nothing_done = idle.is_none_or(|idle| idle > JOBS_PATIENCE);
    if oldest_due > JOBS_PATIENCE && nothing_done { Work::Stuck } else { Work::Running }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::base::TestBase;
    use crate::kernel::{Clock, Secret};
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

        /// What it says once what it has seen is old.
        async fn readiness(&self) -> Result<Readiness, NotReady> {
            *self.health.seen.lock().await = None;
            self.health.readiness().await
        }
    }

    #[tokio::test]
    async fn a_service_whose_redis_is_away_is_ready_and_says_so() {
        // Nobody listens on the port of `tcpmux`.
        let nobody = Secret::new("redis://127.0.0.1:1".to_owned());
        let signals = Redis::connect(&nobody, "test:", 1.0, Secret::new(String::new())).await.unwrap();
        let mut tower = Tower::build().await;
        tower.health.signals = Arc::new(signals);
        let ready = tower.readiness().await.unwrap();
        assert!(matches!(ready.signals, SignalsState::Away { .. }), "{ready:?}");
        assert_eq!((ready.oldest_due, ready.work), (Duration::ZERO, Work::Running));
    }

    #[tokio::test]
    async fn jobs_that_nobody_works_on_are_told_and_leave_it_ready() {
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
    async fn an_old_job_beside_those_that_are_done_is_no_sign_that_nobody_works() {
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
    async fn what_was_seen_is_told_again_for_a_second() {
        let tower = Tower::build().await;
        assert_eq!(tower.health.readiness().await.unwrap().oldest_due, Duration::ZERO);
        tower.put("due", JobState::Waiting).await;
        tower.base.clock.advance(Duration::from_secs(7));
        assert_eq!(tower.health.readiness().await.unwrap().oldest_due, Duration::ZERO);
        let mut seen = tower.health.seen.lock().await.take().unwrap();
        seen.at = seen.at.checked_sub(FRESH).unwrap();
        *tower.health.seen.lock().await = Some(seen);
        assert_eq!(tower.health.readiness().await.unwrap().oldest_due, Duration::from_secs(7));
    }

    #[tokio::test]
    async fn a_store_that_can_not_be_read_makes_it_unready() {
        let mut tower = Tower::build().await;
        let empty = TestStore::with(&[]).await;
        tower.health.jobs = Jobs::new(empty.clone(), tower.base.clock.clone());
        assert!(matches!(tower.health.readiness().await, Err(NotReady::Store(_))));
    }
}
