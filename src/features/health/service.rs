//! Use cases of health.

use std::sync::Arc;
use std::time::Duration;

use crate::platform::jobs::Jobs;
use crate::platform::signals::{Signals, SignalsState};
use crate::platform::store::StoreError;

/// A store that takes longer than this to say what is due can't serve people either.
const STORE_PATIENCE: Duration = Duration::from_secs(2);

/// A job that has been due for longer than this will not be done by waiting: nobody works. A bulk mailing at the
/// rate of its account stays far below.
const JOBS_PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Why the service is not ready.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum NotReady {
    #[error("the store can't be read: {0}")]
    Store(#[from] StoreError),
    #[error("the store did not answer in time")]
    StoreSlow,
    /// Since so long.
    #[error("nobody works on jobs: the oldest has been due for {} s", .0.as_secs())]
    JobsStuck(Duration),
}

/// What a service that can do its work says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// For how long the oldest due job has been due; zero if none is.
    pub oldest_due: Duration,
    /// How far signals reach. The service does its work without them, a little slower.
    pub signals: SignalsState,
}

/// Looks whether the service can do its work.
pub struct Health {
    jobs: Jobs,
    signals: Arc<dyn Signals>,
}

impl Health {
    /// Of a service with these jobs, the store that they are in, and these signals.
    pub fn new(jobs: Jobs, signals: Arc<dyn Signals>) -> Self {
        Self { jobs, signals }
    }

    /// Looks into the store.
    ///
    /// # Errors
    /// [`NotReady`] if the service can't do its work.
    pub async fn readiness(&self) -> Result<Readiness, NotReady> {
        let looking = tokio::time::timeout(STORE_PATIENCE, self.jobs.oldest_due());
        let oldest_due = looking.await.map_err(|_| NotReady::StoreSlow)??;
        if oldest_due > JOBS_PATIENCE {
            return Err(NotReady::JobsStuck(oldest_due));
        }
        Ok(Readiness { oldest_due, signals: self.signals.state() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Secret, SystemClock};
    use crate::platform::jobs;
    use crate::platform::signals::Redis;
    use crate::platform::store::{Access, Store};

    #[tokio::test]
    async fn a_service_whose_redis_is_away_is_ready_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::sqlite(&folder.path().join("test.db"), Access::Serving).unwrap();
        store.prepare(&jobs::schemas()).await.unwrap();
        // Nobody listens on the port of `tcpmux`.
        let nobody = Secret::new("redis://127.0.0.1:1".to_owned());
        let signals = Redis::connect(&nobody, "test:", 1.0, Secret::new(String::new())).await.unwrap();
        let health = Health::new(Jobs::new(store, Arc::new(SystemClock)), Arc::new(signals));
        let ready = health.readiness().await.unwrap();
        assert!(matches!(ready.signals, SignalsState::Away { .. }), "{ready:?}");
        assert_eq!(ready.oldest_due, Duration::ZERO);
    }
}
