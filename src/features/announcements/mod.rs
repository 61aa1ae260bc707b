//! Announcements of the committee, which each account ticks off.
//!
//! An [`Announcement`] is for everybody, for the students of some groups, or for leaders, and is published at once or from a
//! time on. No job publishes it: who sees what is decided when it is read. Each process keeps all announcements in memory
//! until one changes, so a list reads nothing but what belongs to its reader: the ticks, and the group if one of the
//! announcements is for groups.

mod controller;
mod model;
mod service;

pub use controller::AnnouncementsController;
pub use model::{
    ANNOUNCEMENT_CREATED, ANNOUNCEMENT_DELETED, ANNOUNCEMENT_UPDATED, Announcement, AnnouncementTicks,
};
pub use service::Announcements;

use std::sync::Arc;

use super::Feature;
use crate::base::Base;
use crate::platform::store::{Schema, schema};

/// What announcements add to the service.
pub fn feature(base: &Base) -> Feature<AnnouncementsController> {
    Feature::new().serves(AnnouncementsController::new(Arc::new(Announcements::new(base))))
}

/// The documents of this feature.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<Announcement>(), schema::<AnnouncementTicks>()]
}
