//! Registration: the form that makes a signed-in person a student with a group.
//!
//! A student submits the form once, within the window. It is checked as a whole against `event.toml` ([`Form`]),
//! and one transaction keeps the registration, takes a place in the [`GroupBook`] and records the order of the
//! orientation ticket with the job that would finish the rest. Then the checkout is opened, between two
//! transactions. When the order is paid, payments call [`OrientationSale`]: the student is registered and
//! the letter with the ticket is posted in the transaction that settles the order; when a checkout ends unpaid, a
//! letter says that the place is kept. Afterwards a student changes what isn't fixed.

mod controller;
mod form;
mod mails;
mod model;
mod service;

pub use controller::{RegistrationBody, RegistrationController};
pub use form::{Changes, EmergencyContact, Form};
pub use model::{GroupBook, GroupTally, Registration, RegistrationState};
pub use service::{
    GetRegistrationError, OrientationSale, RegisterError, Registrations, UpdateRegistrationError,
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
        .checks([controller::rule(&base.event)])
}

/// The documents of this feature.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<Registration>(), schema::<GroupBook>()]
}
