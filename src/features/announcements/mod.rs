//! Announcements of the committee, which each account ticks off.
//!
//! An [`Announcement`] is for everybody, for the students of some groups, or for leaders, and is published at once or from a
//! time on. No job publishes it: who sees what is decided when it is read. Each process keeps all announcements in memory
//! until one changes, so a list reads nothing but what belongs to its reader: the ticks, and the group if one of the
//! announcements is for groups.

mod model;

pub use model::{
    ANNOUNCEMENT_CREATED, ANNOUNCEMENT_DELETED, ANNOUNCEMENT_UPDATED, Announcement, AnnouncementChanges,
    AnnouncementForm, AnnouncementTicks, reader_without_group, sees_planned,
};

use crate::platform::store::{Schema, schema};

/// The documents of this feature.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<Announcement>(), schema::<AnnouncementTicks>()]
}
