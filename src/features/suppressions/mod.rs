//! The suppression list: addresses that get no emails any more.
//!
//! SES reports bounces and complaints through SNS. An email that bounced permanently, or that its recipient reported as
//! spam, adds the address to the list, and the mailer sends no further emails to it (`platform::mail`). Delays don't.
//! A message is accepted if SNS signed it and the operator lists its topic (`platform::mail::sns`). Each message takes
//! effect once: its id is kept for as long as the message could be accepted again. Leaders with the scope can read the
//! list. Administrators remove an entry when the owner says that the address works again.

mod controller;
mod model;
mod service;
mod subscribers;

pub use controller::SuppressionsController;
pub use model::{SUPPRESSION_REMOVED, SnsNotification};
pub use service::{ReceiveError, RemoveError, Suppressions};
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
