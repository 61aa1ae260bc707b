//! The jobs of lost items.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::service::LostItems;
use crate::platform::jobs::{JobError, Payload, Run, Subscriber};

/// Deletes old reports. A cron job.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SweepLostItems {}

impl Payload for SweepLostItems {
    const KIND: &'static str = "lost-items.sweep";
    fn key(&self) -> Option<String> {
        Some("all".into())
    }
}

/// Handles [`SweepLostItems`].
pub struct Sweeps(pub Arc<LostItems>);

#[async_trait]
impl Subscriber for Sweeps {
    type Payload = SweepLostItems;
    const CONCURRENCY: usize = 1;

    async fn handle(&self, _: SweepLostItems, _: Run) -> Result<(), JobError> {
        let removed = self.0.sweep().await?;
        tracing::info!(removed, "old lost items were deleted");
        Ok(())
    }
}
