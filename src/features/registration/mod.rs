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
mod copies;
mod corrections;
mod description;
mod fields;
mod form;
mod mails;
mod model;
mod orphans;
mod readers;
mod search;
mod service;

pub use answers::{Answer, AnswerChanges, Answers};
pub use bodies::AnswerBody;
pub use controller::{RegistrationBody, RegistrationController, StudentIdFormat, change, student_id_taken};
pub use copies::CopiesOfAccounts;
pub use corrections::{CorrectError, Corrections};
pub use description::form_fields;
pub use fields::{BESIDE_THE_FORM, FIELDS, Field, Kind, label};
pub use form::{Changes, EmergencyContact, Form};
pub use mails::{AboutChange, REGISTRATION_CHANGED, TICKET};
pub use model::{Registration, RegistrationState};
pub use orphans::{Orphans, orphans};
pub use readers::reader;
pub use search::{SEARCHED, SearchIndex, key_name, tag};
pub use service::{
    GetRegistrationError, OrientationSale, RegisterError, Registrations, UpdateRegistrationError,
    WithdrawBursaryRequestError,
};

#[cfg(test)]
pub use service::tests as testing;

use std::sync::Arc;

use super::Feature;
use crate::base::Base;
use crate::platform::store::{Schema, schema};

/// What registration adds to the service.
pub fn feature(base: &Base, registrations: &Arc<Registrations>) -> Feature<RegistrationController> {
    Feature::new()
        .serves(RegistrationController::new(registrations.clone()))
        .writes(mails::templates(base))
        .handles(copies::FillIn::new(base))
        .every("*/10 * * * *", |_| copies::CopyAccounts {})
        .checks(controller::rules(&base.event))
}

/// The documents of this feature.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<Registration>()]
}
