//! The start of mailings whose time has come.

use std::sync::Arc;

use async_trait::async_trait;

use super::running::StartScheduled;
use super::service::Mailings;
use crate::platform::jobs::{JobError, Run, Subscriber};

/// Starts mailings that were to start later.
pub struct ScheduledStarts(Arc<Mailings>);

impl ScheduledStarts {
    /// Starts those of `mailings`.
    pub fn new(mailings: Arc<Mailings>) -> Self {
        Self(mailings)
    }
}

#[async_trait]
impl Subscriber for ScheduledStarts {
    type Payload = StartScheduled;
    const CONCURRENCY: usize = 1;

    async fn handle(&self, payload: StartScheduled, _: Run) -> Result<(), JobError> {
        Ok(self.0.start_scheduled(&payload.mailing).await?)
    }
}
