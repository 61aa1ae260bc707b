//! Registration: the form that makes a signed-in person a student with a group.
//!
//! A student submits the form once, within the registration window. It is checked as a whole against `event.toml`
//! ([`Form`]). One transaction then stores the registration, takes a place in a group, and records the order of the
//! orientation ticket with the job that finishes the rest if the process dies. The checkout is opened after that
//! transaction.
//!
//! When the order is paid or waived, payments call [`OrientationSale`]: it registers the student and posts the email with the
//! ticket, in the transaction that settles the order. When a checkout expires, an email says that the place is kept.
//! Later a student can change the parts of the form that are not fixed. A request for a bursary follows the form
//! (`features::bursary_requests`).

mod answers;
mod bodies;
mod controller;
mod description;
mod fields;
mod form;
mod mails;
mod model;
mod orphans;
mod service;

pub use answers::{Answer, Answers};
pub use controller::{RegistrationBody, RegistrationController};
pub use description::form_fields;
pub use fields::{FIELDS, Field, Kind};
pub use form::{Changes, EmergencyContact, Form};
pub use mails::{AboutChange, AboutOrder, REGISTRATION_CHANGED, TICKET};
pub use model::{Registration, RegistrationState};
pub use orphans::{Orphans, orphans};
pub use service::{
    GetRegistrationError, OrientationSale, RegisterError, Registrations, UpdateRegistrationError,
    WithdrawBursaryRequestError,
};

use std::sync::Arc;

use super::Feature;
use crate::base::Base;
use crate::platform::store::{Schema, schema};

/// What registration adds to the service.
pub fn feature(base: &Base, registrations: &Arc<Registrations>) -> Feature<RegistrationController> {
    Feature::new()
        .serves(RegistrationController::new(registrations.clone()))
        .writes(mails::templates(base))
        .checks(controller::rules(&base.event))
}

/// The documents of this feature.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<Registration>()]
}
