//! What everybody may know about the event: name, window, choices of the form, groups, products.
//!
//! It changes when the service is restarted with another `event.toml`, and when the window opens or closes. So the
//! answer is made once for each of the three times, and served from memory with an `ETag`.

mod controller;

use super::Feature;
use crate::base::Base;

pub use controller::{EventController, GroupBody};

/// What the event adds to the service.
pub fn feature(base: &Base) -> Feature<EventController> {
    Feature::new().serves(EventController::new(base))
}
