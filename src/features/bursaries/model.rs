//! Actions in the audit log. The document is that of `features::bursary_requests`.

use crate::platform::audit::Action;

/// A bursary was approved.
pub const BURSARY_APPROVED: Action = Action::new("bursary.approved");

/// A bursary was declined.
pub const BURSARY_DECLINED: Action = Action::new("bursary.declined");
