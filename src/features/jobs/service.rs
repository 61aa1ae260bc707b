//! Use cases of the committee.

use std::sync::Arc;
use std::time::Duration;

use crate::base::Base;
use crate::kernel::{Actor, Clock};
use crate::platform::jobs::{ChangeError, Job, JobState, Jobs, KindStats};
use crate::platform::mail::DroppedEmails;
use crate::platform::store::{Cursor, Page, PageError, StoreError};

/// Jobs that one request retries at most: each is a transaction.
pub const RETRIED_AT_ONCE: u32 = 100;

/// A job and the time since it was recorded.
#[derive(Clone, Debug)]
pub struct AgedJob {
    pub job: Job,
    pub age: Duration,
}

/// What became of a request to retry all dead jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retried {
    /// Number of the jobs that are retried.
    pub retried: u64,
    /// Number of the jobs that are still dead.
    pub left: u64,
}

/// The jobs as the committee sees them.
pub struct JobDesk {
    jobs: Jobs,
    clock: Arc<dyn Clock>,
}

impl JobDesk {
    /// The jobs in the store of `base`.
    pub fn new(base: &Base) -> Self {
        let jobs = Jobs::new(base.store.clone(), base.clock.clone()).calling(Arc::new(DroppedEmails));
        Self { jobs, clock: base.clock.clone() }
    }

    /// The page of the jobs in a state, first due first, that begins at `after`; at most `limit`, and only those of `kind`
    /// if it is given.
    ///
    /// # Errors
    /// [`PageError`].
    pub async fn list(
        &self,
        state: JobState,
        kind: Option<&str>,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<AgedJob>, PageError> {
        let page = self.jobs.list(state, kind, after, limit).await?;
        Ok(Page { items: page.items.into_iter().map(|job| self.aged(job)).collect(), next: page.next })
    }

    /// One job, if it is still kept.
    ///
    /// # Errors
    /// Store errors.
    pub async fn get(&self, id: &str) -> Result<Option<AgedJob>, StoreError> {
        Ok(self.jobs.get(id).await?.map(|job| self.aged(job)))
    }

    /// Retries a dead job at once, with all its attempts.
    ///
    /// # Errors
    /// [`ChangeError`] if there is no such job or it isn't dead.
    pub async fn retry(&self, actor: &Actor, id: &str) -> Result<AgedJob, ChangeError> {
        Ok(self.aged(self.jobs.retry(actor, id).await?))
    }

    /// Drops a dead or waiting job.
    ///
    /// # Errors
    /// [`ChangeError`] if there is no such job, or it is running or done.
    pub async fn discard(&self, actor: &Actor, id: &str) -> Result<(), ChangeError> {
        self.jobs.drop(actor, id).await.map(|_| ())
    }

    /// Retries the dead jobs of a kind, those that died first before the others: at most [`RETRIED_AT_ONCE`].
    ///
    /// # Errors
    /// Store errors; the jobs before the error are retried all the same.
    pub async fn retry_all(&self, actor: &Actor, kind: &str) -> Result<Retried, StoreError> {
        let kind = Some(kind);
        let retried = self.jobs.retry_some(actor, kind, RETRIED_AT_ONCE).await?;
        Ok(Retried { retried, left: self.jobs.count(JobState::Dead, kind).await? })
    }

    /// Figures of each kind that has jobs.
    ///
    /// # Errors
    /// Store errors.
    pub async fn stats(&self) -> Result<Vec<KindStats>, StoreError> {
        self.jobs.stats().await
    }

    fn aged(&self, job: Job) -> AgedJob {
        AgedJob { age: self.clock.now().since(job.created_at), job }
    }
}
