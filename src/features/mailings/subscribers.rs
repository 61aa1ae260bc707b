//! The start of mailings whose time has come, and the sweep of old ones.

use std::sync::Arc;

use async_trait::async_trait;

use super::model::{Mailing, MailingRecipients, MailingRun, kept_since};
use super::running::StartScheduled;
use super::service::Mailings;
use crate::kernel::Timestamp;
use crate::platform::jobs::{JobError, Run, Subscriber, Sweep, sweep};
use crate::platform::store::{Dir, Filter, Query};

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

/// Deletes old mailings with their recipients.
pub fn old_mailings() -> Sweep {
    let started = |now: Timestamp| {
        Query::new(Filter::Lt("startedAt".into(), kept_since(now).into())).sort("startedAt", Dir::Asc)
    };
    sweep::<Mailing>("mailings.sweep", |now| {
        Query::new(Filter::Lt("createdAt".into(), kept_since(now).into())).sort("createdAt", Dir::Asc)
    })
    .and::<MailingRecipients>(started)
    .and::<MailingRun>(started)
}
