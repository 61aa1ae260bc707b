//! Jobs that delete documents which are no longer needed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use serde_json::json;

use super::model::{Job, JobState};
use super::subscriber::{JobError, Run, Served};
use crate::kernel::{Clock, Timestamp};
use crate::platform::store::{Dir, Document, Filter, Query, Store, StoreError};

/// How long a finished job is kept: a bit more than a day of 25 hours (when clocks are set back), so that a daily tick is
/// still known when a process starts late in the day.
pub const KEPT: Duration = Duration::from_secs(26 * 3600);

/// Jobs of one kind, at most one at a time, that delete documents.
pub struct Sweep {
    pub(super) kind: &'static str,
    deletions: Vec<Deletion>,
}

type Deletion = Box<dyn Fn(Store, Timestamp) -> BoxFuture<'static, Result<usize, StoreError>> + Send + Sync>;

/// Jobs of the kind `kind` that delete the `D`s that match the query at the current time.
pub fn sweep<D: Document>(kind: &'static str, which: fn(Timestamp) -> Query) -> Sweep {
    Sweep { kind, deletions: vec![] }.and::<D>(which)
}

impl Sweep {
    /// Deletes these documents as well.
    pub fn and<D: Document>(mut self, which: fn(Timestamp) -> Query) -> Self {
        self.deletions
            .push(Box::new(move |store, now| Box::pin(async move { store.sweep::<D>(which(now)).await })));
        self
    }

    /// Deletes the documents that are no longer needed at `now`, and returns their number.
    ///
    /// # Errors
    /// [`StoreError`]; what was deleted before the error stays deleted.
    pub async fn run(&self, store: &Store, now: Timestamp) -> Result<usize, StoreError> {
        let mut deleted = 0;
        for deletion in &self.deletions {
            deleted += deletion(store.clone(), now).await?;
        }
        Ok(deleted)
    }

    /// The job of this id.
    pub(super) fn job(kind: &'static str, id: String, now: Timestamp) -> Job {
        Job::of_kind(kind, id, Some("all".into()), json!({}), now)
    }

    /// The handler of its jobs.
    pub(super) fn served(self, store: Store, clock: Arc<dyn Clock>) -> Sweeper {
        Sweeper { sweep: self, store, clock }
    }
}

/// The sweep of jobs that finished a day ago.
pub(super) fn of_jobs() -> Sweep {
    sweep::<Job>("jobs.sweep", |now| {
        let done = Filter::eq("state", JobState::Done.as_str());
        Query::new(done.and(Filter::Lt("finishedAt".into(), now.minus(KEPT).into())))
            .sort("finishedAt", Dir::Asc)
    })
}

/// Handles the jobs of a sweep.
pub(super) struct Sweeper {
    sweep: Sweep,
    store: Store,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Served for Sweeper {
    fn concurrency(&self) -> usize {
        1
    }

    fn attempts(&self) -> u32 {
        12
    }

    fn per_second(&self) -> Option<u32> {
        None
    }

    async fn run(&self, _: serde_json::Value, _: Run) -> Result<(), JobError> {
        let deleted = self.sweep.run(&self.store, self.clock.now()).await?;
        tracing::info!(kind = self.sweep.kind, deleted, "a sweep has finished");
        Ok(())
    }
}
