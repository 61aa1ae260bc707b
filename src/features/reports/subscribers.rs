//! The job that makes the daily report.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::service::Reports;
use crate::kernel::Timestamp;
use crate::platform::jobs::{JobError, Payload, Run, Subscriber};

/// Makes the report of the day of this tick.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MakeDailyReport {
    /// When the report is due.
    pub tick: Timestamp,
}

impl Payload for MakeDailyReport {
    const KIND: &'static str = "reports.daily";
}

/// Handles [`MakeDailyReport`].
pub struct DailyReports(pub Arc<Reports>);

#[async_trait]
impl Subscriber for DailyReports {
    type Payload = MakeDailyReport;
    const CONCURRENCY: usize = 1;

    async fn handle(&self, payload: MakeDailyReport, _: Run) -> Result<(), JobError> {
        if self.0.make(payload.tick).await? {
            tracing::info!(tick = payload.tick.rfc3339(), "the daily report is made");
        }
        Ok(())
    }
}
