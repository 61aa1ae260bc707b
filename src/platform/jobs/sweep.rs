//! Removes the jobs that were done a day ago.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::model::{Job, JobState, Payload};
use super::subscriber::{JobError, Run, Subscriber};
use crate::kernel::Clock;
use crate::platform::store::{Dir, Filter, Query, Store};

/// How long a job that is done is kept: a day of 25 hours (when clocks go back) and a bit, so that a tick of the
/// day is still known when a process starts late in it.
pub(super) const KEPT: Duration = Duration::from_secs(26 * 3600);

/// Comes every hour.
#[derive(Serialize, Deserialize)]
pub(super) struct Sweep {}

impl Payload for Sweep {
    const KIND: &'static str = "jobs.sweep";
    fn key(&self) -> Option<String> {
        Some("all".into())
    }
}

pub(super) struct Sweeper {
    pub store: Store,
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Subscriber for Sweeper {
    type Payload = Sweep;
    const CONCURRENCY: usize = 1;

    async fn handle(&self, _: Sweep, _: Run) -> Result<(), JobError> {
        let before = self.clock.now().minus(KEPT);
        let old = Filter::eq("state", JobState::Done.as_str()).and(Filter::Lt("finishedAt", before.into()));
        self.store.sweep::<Job>(Query::new(old).sort("finishedAt", Dir::Asc)).await?;
        Ok(())
    }
}
