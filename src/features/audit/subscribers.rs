//! The job that chains the entries.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::base::Base;
use crate::kernel::Clock;
use crate::platform::audit;
use crate::platform::jobs::{JobError, Payload, Run, Subscriber};
use crate::platform::store::Store;

/// Add the entries that are settled to the chain.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SealAuditEntries {}

impl Payload for SealAuditEntries {
    const KIND: &'static str = "audit.seal";

    /// One at a time is enough.
    fn key(&self) -> Option<String> {
        Some("all".into())
    }
}

/// Seals entries.
pub(super) struct Seals {
    store: Store,
    clock: Arc<dyn Clock>,
}

impl Seals {
    pub(super) fn new(base: &Base) -> Self {
        Self { store: base.store.clone(), clock: base.clock.clone() }
    }
}

#[async_trait]
impl Subscriber for Seals {
    type Payload = SealAuditEntries;

    async fn handle(&self, _: SealAuditEntries, _: Run) -> Result<(), JobError> {
        audit::seal(&self.store, self.clock.now()).await?;
        Ok(())
    }
}
