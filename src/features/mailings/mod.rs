//! Mailings: emails of the committee to many people.
//!
//! A mailing is a draft at first: subject, text and audience. When it starts, its recipients are fixed, in the transaction of
//! the start. From then on [`steps`] posts their emails in batches, and keeps only some hundred of them in the queue, so that
//! a pause or a cancellation acts within seconds. Each email has the id `mailing:<mailing>:<account>`, so nobody gets two.
//! It is rendered when it is sent: somebody who has unsubscribed or is on the suppression list by then gets none.
//!
//! `docs/decisions/0032-…` says why.

mod audience;
mod bodies;
mod content;
mod controller;
mod mails;
mod model;
mod running;
mod service;
mod steps;
mod subscribers;

use std::sync::Arc;

use super::Feature;
use crate::base::Base;
use crate::platform::store::{Schema, schema};

pub use controller::MailingsController;
pub use model::{Content, Mailing, MailingAudience, MailingRecipients, MailingRun, MailingState};
pub use service::Mailings;
pub use steps::QUEUED_MAX;

/// What mailings add to the service.
pub fn feature(base: &Base, mailings: &Arc<Mailings>) -> Feature<MailingsController> {
    Feature::new()
        .serves(MailingsController::new(mailings.clone()))
        .writes(mails::templates(base))
        .handles(subscribers::ScheduledStarts::new(mailings.clone()))
        .steps(base, Arc::new(steps::SendMailing::new(base)))
        .sweeps(base, "50 4 * * *", subscribers::old_mailings())
}

/// The documents of this feature.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<Mailing>(), schema::<MailingRecipients>(), schema::<MailingRun>()]
}
