//! The rights of leaders: scopes, fields of the registration form, and whose data may be read.
//!
//! An approved leader asks for rights, each with a reason ([`RightsRequest`]). An administrator grants or declines each
//! one, also with a reason, or sets all rights of a leader at once ([`RightsChange`]). The leader is notified by email.
//! Students never hold rights, and a leader without approval holds none. All that the service knows of rights is listed
//! by `listScopes`.

mod controller;
mod mails;
mod model;
mod service;
#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;

use std::sync::Arc;

pub use controller::RightsController;
pub use model::{AskedRight, RequestState, RightKind, RightsChange, RightsRequest, WantedRights};
pub use service::{
    DeclineRightError, GrantRightError, RequestFilter, RequestOf, RequestRightsError, Requested,
    RightsRequests, SetRightsError,
};

use super::Feature;
use crate::base::Base;
use crate::platform::store::{Schema, schema};

/// What rights add to the service.
pub fn feature(base: &Base, requests: &Arc<RightsRequests>) -> Feature<RightsController> {
    Feature::new().serves(RightsController::new(base, requests.clone())).writes(mails::templates(base))
}

/// The documents of this feature.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<RightsRequest>(), schema::<RightsChange>()]
}
