//! What everybody may know about the event: name, window, choices of the form, groups, products.
//!
//! It changes when the service is restarted with another `event.toml`, and when the window opens or closes. So the
//! answer is made once for each of the three times, and served from memory with an `ETag`.

mod controller;

pub use controller::{EventController, GroupBody};
