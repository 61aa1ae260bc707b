//! Signing in and out, and one's own sessions.
//!
//! A session is a browser in which somebody signed in. It ends when its owner signs out or ends it, when the password
//! changes, after two weeks without a request (`event.toml`), and in any case after 30 days. The caller of every request
//! is read from the store, so a change of rights takes effect at the next request. When rights have grown, that request
//! also gives the session a new id. The former one ends within a minute.

mod controller;
mod errors;
mod mails;
mod model;
mod service;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::Feature;
use crate::base::Base;

pub use controller::SessionsController;
pub use errors::{EndSessionError, SignInError};
pub use model::Origin;
pub use service::{OpenedSession, Sessions};

/// What sessions add to the service.
pub fn feature(base: &Base, sessions: &Arc<Sessions>) -> Feature<SessionsController> {
    Feature::new()
        .serves(SessionsController::new(base, sessions.clone()))
        .writes(vec![Arc::new(mails::NewDevice::new(base))])
        .checks(controller::rules())
}
