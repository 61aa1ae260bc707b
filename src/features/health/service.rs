//! Use cases of health.

use std::time::Duration;

use crate::platform::jobs::Jobs;
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

/// Looks whether the service can do its work.
pub struct Health {
    jobs: Jobs,
}

impl Health {
    /// Of a service with these jobs, and the store that they are in.
    pub fn new(jobs: Jobs) -> Self {
        Self { jobs }
    }

    /// For how long the oldest due job has been due; zero if none is.
    ///
    /// # Errors
    /// [`NotReady`] if the service can't do its work.
    pub async fn readiness(&self) -> Result<Duration, NotReady> {
        let looking = tokio::time::timeout(STORE_PATIENCE, self.jobs.oldest_due());
        let oldest_due = looking.await.map_err(|_| NotReady::StoreSlow)??;
        if oldest_due > JOBS_PATIENCE { Err(NotReady::JobsStuck(oldest_due)) } else { Ok(oldest_due) }
    }
}
