//! Accounts as the committee sees them, and the approval of leaders.
//!
//! A leader who has signed up waits for approval and can do nothing else until then. The committee approves or rejects
//! the leader, and can withdraw an approval later. Each decision is kept ([`ApprovalDecision`]), and the leader is notified
//! by email. Without approval a leader holds no rights: they end with it, and a new approval does not bring them back,
//! because only administrators grant rights (`features::rights`).

mod controller;
mod mails;
mod model;
mod service;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;

use std::sync::Arc;

pub use controller::{AccountAnswer, LeadersController};
pub use model::ApprovalDecision;
pub use service::{AccountFilter, ApproveLeaderError, EndApprovalError, GetAccountError, Leaders};

use super::Feature;
use crate::base::Base;
use crate::platform::store::{Schema, schema};

/// What leaders add to the service.
pub fn feature(base: &Base, leaders: &Arc<Leaders>) -> Feature<LeadersController> {
    Feature::new().serves(LeadersController::new(leaders.clone())).writes(mails::templates(base))
}

/// The documents of this feature.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<ApprovalDecision>()]
}
