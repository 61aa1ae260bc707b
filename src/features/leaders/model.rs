//! Decisions about leaders.

use serde::{Deserialize, Serialize};

use crate::features::accounts::Approval;
use crate::kernel::Timestamp;
use crate::platform::audit::Action;
use crate::platform::store::{Class, Document, Index, Keep, Owner, Personal, PersonalField};

/// A leader was approved.
pub const LEADER_APPROVED: Action = Action::new("leader.approved");

/// A leader was rejected.
pub const LEADER_REJECTED: Action = Action::new("leader.rejected");

/// The approval of a leader was withdrawn.
pub const APPROVAL_WITHDRAWN: Action = Action::new("approval.withdrawn");

/// A decision of the committee about the approval of a leader. Never changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalDecision {
    pub id: String,
    /// Id of the leader's account.
    pub account: String,
    /// The leader's approval after the decision.
    pub approval: Approval,
    /// The committee's reason, for the leader. Can have several lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub decided_at: Timestamp,
}

impl Document for ApprovalDecision {
    const COLLECTION: &'static str = "approval_decisions";
    const INDEXES: &'static [Index] = &[Index::on("approval_decisions_by_account", &["account", "id"])];
    const PERSONAL: Personal = Personal::Of(
        Owner::Account("account"),
        &[
            PersonalField::new("approval", Class::Activity),
            PersonalField::new("reason", Class::Content),
            PersonalField::new("decidedAt", Class::Activity),
        ],
    );
    const KEEP: Keep = Keep::with_account("the email about the decision is written from it");

    fn id(&self) -> &str {
        &self.id
    }
}
