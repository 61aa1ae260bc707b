//! Decisions on bursaries.
//!
//! A student asks for a bursary on the registration form (`features::bursary_requests`). Leaders with the scope
//! `bursaries:decide` approve or decline the requests of students within their reach, once. The student gets an email
//! either way.
//!
//! An approval is one transaction: the decision, its audit entry, the email, and the job that settles it. Settling waives
//! the order ([`Payments::waive`](super::payments::Payments::waive)), which registers the student, sends the ticket and
//! refunds what was paid. It is done at once, and by the job if the gateway is unavailable or the process dies.

mod controller;
mod jobs;
mod mails;
mod model;
mod service;
mod subscribers;

pub use controller::BursariesController;
pub use jobs::{RecordEarlierRequests, SettleBursary};
pub use service::{Applicant, Bursaries, DecideBursaryError};

use std::sync::Arc;

use super::Feature;
use crate::base::Base;

/// What bursaries add to the service.
pub fn feature(base: &Base, bursaries: &Arc<Bursaries>) -> Feature<BursariesController> {
    Feature::new()
        .serves(BursariesController::new(bursaries.clone()))
        .writes(mails::templates(base))
        .handles(subscribers::Settlements(bursaries.clone()))
        .handles(subscribers::EarlierRequests(bursaries.clone()))
        .every("7 * * * *", |_| RecordEarlierRequests {})
}
