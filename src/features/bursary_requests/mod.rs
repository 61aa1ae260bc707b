//! Requests for bursaries, as students make and withdraw them on the registration form, and the decisions about them.
//!
//! Other features change a [`Bursary`] through the functions of this one, in a transaction of theirs: `registration` when a
//! form changes, `bursaries` when the committee decides.

mod controller;
mod model;
mod service;

pub use controller::BursaryStateBody;
pub use model::{Bursary, BursaryDecided, BursaryState, Decision, DecisionRefused};
pub use service::{DecideError, FollowFormError, decide, follow_form, request, settled};

use crate::platform::store::{Schema, schema};

/// The documents of this feature.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<Bursary>()]
}
