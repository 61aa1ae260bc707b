//! The jobs of accounts.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::service::Accounts;
use crate::platform::jobs::{JobError, Payload, Run, Subscriber};

/// Removes what has expired: sign-ups that nobody confirmed, links, sessions. Repeated by the clock.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SweepAccounts {}

impl Payload for SweepAccounts {
    const KIND: &'static str = "accounts.sweep";
    fn key(&self) -> Option<String> {
        Some("all".into())
    }
}

/// Carries out [`SweepAccounts`].
pub struct AccountSweeps(pub Arc<Accounts>);

#[async_trait]
impl Subscriber for AccountSweeps {
    type Payload = SweepAccounts;
    const CONCURRENCY: usize = 1;

    async fn handle(&self, _: SweepAccounts, _: Run) -> Result<(), JobError> {
        let removed = self.0.sweep().await?;
        tracing::info!(removed, "expired sign-ups, links and sessions were removed");
        Ok(())
    }
}
