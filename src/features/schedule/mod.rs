//! The schedule: what happens when and where, for whom, and what has changed about it; also as calendars to subscribe to.
//!
//! - [`times`]: when an entry takes place, in event time;
//! - [`model`]: entries, and who sees which;
//! - [`calendar`]: the calendars (RFC 5545).

mod bodies;
mod calendar;
mod controller;
mod model;
mod service;
mod subscribers;
mod times;

use std::sync::Arc;

pub use bodies::{NewScheduleEntryBody, ScheduleBody, ScheduleEntryBody, ScheduleEntryChangesBody};
pub use controller::ScheduleController;
pub use model::{
    Changes, Content, Description, ENTRIES_MAX, ENTRY_CANCELLED, ENTRY_CREATED, ENTRY_DELETED,
    ENTRY_REINSTATED, ENTRY_UPDATED, ScheduleEntry, WithdrawnEntry,
};
pub use service::{
    CancelEntryError, CreateEntryError, DeleteEntryError, ReadScheduleError, Schedule, UpdateEntryError,
};
pub use times::Times;

use super::Feature;
use crate::base::Base;
use crate::platform::store::{Schema, schema};

/// What the schedule adds to the service.
pub fn feature(base: &Base, schedule: &Arc<Schedule>) -> Feature<ScheduleController> {
    Feature::new().serves(ScheduleController::new(base, schedule.clone())).sweeps(
        base,
        "45 4 * * *",
        subscribers::old_withdrawals(),
    )
}

/// The documents of this feature.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<ScheduleEntry>(), schema::<WithdrawnEntry>()]
}
