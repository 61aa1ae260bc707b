//! Reading the audit log, and the job that chains its entries.
//!
//! What the log records, and how the chain shows that nobody has tampered with it, is `platform::audit`. This feature lists
//! the entries for leaders with the scope, and seals them every minute. The command line verifies the chain.

mod controller;
mod service;
mod subscribers;

use std::sync::Arc;

use super::Feature;
use crate::base::Base;

pub use controller::AuditController;
pub use service::{AuditLog, EntryFilter, NumberedEntry};
pub use subscribers::SealAuditEntries;

/// What the audit log adds to the service.
pub fn feature(base: &Base, log: &Arc<AuditLog>) -> Feature<AuditController> {
    Feature::new()
        .serves(AuditController::new(log.clone()))
        .handles(subscribers::Seals::new(base))
        .every("* * * * *", |_| SealAuditEntries {})
}
