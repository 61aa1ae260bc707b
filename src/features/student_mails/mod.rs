//! The emails to one student, for the committee's support: which ones were sent, in which state, and one of them again.
//!
//! An email is about an account if it names it (`about.account`). Its content is never shown.

mod controller;
mod model;
mod service;

pub use controller::StudentMailsController;
pub use model::EMAIL_RESENT;
pub use service::{ListStudentMailsError, ResendStudentMailError, StudentMails};

use std::sync::Arc;

use super::Feature;
use crate::base::Base;

/// What the emails of students add to the service.
pub fn feature(base: &Base) -> Feature<StudentMailsController> {
    Feature::new().serves(StudentMailsController::new(Arc::new(StudentMails::new(base))))
}
