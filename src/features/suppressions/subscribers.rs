//! The jobs of suppressions.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::service::Suppressions;
use crate::platform::jobs::{JobError, Payload, Run, Subscriber};

/// Forgets the notifications that could not be believed again. Repeated by the clock.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SweepNotifications {}

impl Payload for SweepNotifications {
    const KIND: &'static str = "notifications.sweep";
    fn key(&self) -> Option<String> {
        Some("all".into())
    }
}

/// Carries out [`SweepNotifications`].
pub struct NotificationSweeps(pub Arc<Suppressions>);

#[async_trait]
impl Subscriber for NotificationSweeps {
    type Payload = SweepNotifications;
    const CONCURRENCY: usize = 1;

    async fn handle(&self, _: SweepNotifications, _: Run) -> Result<(), JobError> {
        let removed = self.0.sweep().await?;
        tracing::info!(removed, "old notifications were forgotten");
        Ok(())
    }
}
