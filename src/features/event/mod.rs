//! Public facts about the event: name, registration window, options of the form, groups, products.
//!
//! They change when the service is restarted with another `event.toml`, and when the window opens or closes. The answer
//! is therefore made once for each state of the window and served from memory, with an `ETag`.

mod controller;

use super::Feature;
use crate::base::Base;

pub use controller::{
    EventController, ExpectedAnswer, FormField, FormFieldCondition, FormFieldKind, GroupBody,
};

/// What the event adds to the service. Its registration form has these fields.
pub fn feature(base: &Base, form: &[FormField]) -> Feature<EventController> {
    Feature::new().serves(EventController::new(base, form))
}
