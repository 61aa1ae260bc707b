//! Frequent questions: anybody asks, the committee answers, everybody reads.
//!
//! A [`FaqQuestion`] is unanswered until the committee answers it, which makes it public. The address of somebody who wants to
//! be told is kept apart from the question ([`FaqAsker`]) and deleted in the transaction that posts the email, so no list
//! can show it. Deleted questions can be restored for some time.
//!
//! What anonymous clients can make grow is bounded: by the number of unanswered questions, and by a daily limit of each client,
//! which is lower while there is a backlog. The daily report says how many wait. A field that pages hide catches programs that
//! fill in every field.
//!
//! The public list is one response that each process keeps until a question changes. The committee orders the questions of a
//! category by positions between which there is always room (`order`), so moving one writes one.

mod controller;
mod mails;
mod model;
mod order;
mod service;
mod subscribers;

pub use controller::FaqController;
pub use model::{
    FAQ_ANSWERED, FAQ_DELETED, FAQ_RESTORED, FAQ_UPDATED, FaqAsker, FaqQuestion, FaqState, in_state,
};
pub use service::Faq;

use std::sync::Arc;

use super::Feature;
use crate::base::Base;
use crate::platform::store::{Schema, schema};

/// What frequent questions add to the service.
pub fn feature(base: &Base) -> Feature<FaqController> {
    Feature::new()
        .serves(FaqController::new(base, Arc::new(Faq::new(base))))
        .checks(controller::rules())
        .writes(vec![Arc::new(mails::QuestionAnswered::new(base))])
        .sweeps(base, "45 4 * * *", subscribers::old_questions())
}

/// The documents of this feature.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<FaqQuestion>(), schema::<FaqAsker>()]
}
