//! Whether an account gets announcements and mailings by email.
//!
//! Everybody does at first. Each such email has a signed link to a page of this service, which changes nothing when it is
//! opened and has one button; mail programs can send the same form by themselves (RFC 8058). Accounts hold the time of
//! the unsubscribing. Emails about one's own account, ticket and payments are not affected.

mod controller;
mod mails;
mod pages;
mod service;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::Feature;
use crate::base::Base;

pub use controller::SubscriptionsController;
pub use service::{SubscribeError, Subscriptions, UnsubscribeLinks};

/// What subscriptions add to the service.
pub fn feature(base: &Base, subscriptions: &Arc<Subscriptions>) -> Feature<SubscriptionsController> {
    Feature::new()
        .serves(SubscriptionsController::new(subscriptions.clone()))
        .shows(pages::pages(&base.page_layout, subscriptions))
        .writes(vec![Arc::new(mails::Unsubscribed::new(base))])
}
