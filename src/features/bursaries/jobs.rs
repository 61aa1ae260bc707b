//! Payloads of the jobs that concern bursaries.

use serde::{Deserialize, Serialize};

use crate::kernel::Timestamp;
use crate::platform::jobs::{Job, Payload};

/// Settles the approved bursary of an account, if that has not been done.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SettleBursary {
    /// The account's id.
    pub account: String,
}

impl SettleBursary {
    /// The job, due at `now`. A bursary is approved once, so there is one.
    pub(super) fn job(&self, now: Timestamp) -> Job {
        Job::new(format!("bursary:{}", self.account), self, now)
    }
}

impl Payload for SettleBursary {
    const KIND: &'static str = "bursaries.settle";
    fn key(&self) -> Option<String> {
        Some(self.account.clone())
    }
}

/// Records the requests on forms that were submitted before requests were recorded. Runs every hour.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecordEarlierRequests {}

impl Payload for RecordEarlierRequests {
    const KIND: &'static str = "bursaries.record-earlier";
    fn key(&self) -> Option<String> {
        Some("all".into())
    }
}
