//! Addresses that get no emails any more.
//!
//! SES tells by SNS what became of emails. An email that came back for good, or that its owner called spam, puts the
//! address on the list: the mailer keeps further emails to it back (`platform::mail`). What is only delayed does not.
//! A message counts if it is signed as SNS signs, about a topic that the operator lists (`platform::mail::sns`), and
//! each counts once: its id is kept for as long as it could be believed again. Administrators see the list, and lift
//! what is on it when the owner of an address says that it works again.

mod controller;
mod model;
mod service;
mod subscribers;

pub use controller::SuppressionsController;
pub use model::SnsNotification;
pub use service::{LiftError, ReceiveError, Suppressions};
pub use subscribers::old_notifications;

use std::sync::Arc;

use super::Feature;
use crate::base::Base;
use crate::platform::store::{Schema, schema};

/// What suppressions add to the service.
pub fn feature(base: &Base, suppressions: &Arc<Suppressions>) -> Feature<SuppressionsController> {
    Feature::new().serves(SuppressionsController::new(suppressions.clone())).sweeps(
        base,
        "52 4 * * *",
        old_notifications(),
    )
}

/// The documents of this feature; the list itself is the mailer's.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<SnsNotification>()]
}
