//! Job handlers: settle approved bursaries, record earlier requests.

use std::sync::Arc;

use async_trait::async_trait;

use super::jobs::{RecordEarlierRequests, SettleBursary};
use super::service::Bursaries;
use crate::platform::jobs::{JobError, Run, Subscriber};

/// Handles [`SettleBursary`].
pub struct Settlements(pub Arc<Bursaries>);

#[async_trait]
impl Subscriber for Settlements {
    type Payload = SettleBursary;
    /// About a day: longer than a gateway is ever unavailable.
    const ATTEMPTS: u32 = 60;

    async fn handle(&self, payload: SettleBursary, _: Run) -> Result<(), JobError> {
        self.0.settle(&payload.account).await.map_err(|error| JobError::Retry(error.to_string()))
    }
}

/// Handles [`RecordEarlierRequests`].
pub struct EarlierRequests(pub Arc<Bursaries>);

#[async_trait]
impl Subscriber for EarlierRequests {
    type Payload = RecordEarlierRequests;
    const CONCURRENCY: usize = 1;

    async fn handle(&self, _: RecordEarlierRequests, _: Run) -> Result<(), JobError> {
        Ok(self.0.record_earlier_requests().await?)
    }
}
