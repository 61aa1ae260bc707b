//! The jobs of suppressions.

use super::model::SnsNotification;
use super::service::KEPT;
use crate::platform::jobs::{Sweep, sweep};
use crate::platform::store::{Dir, Filter, Query};

/// Deletes notifications that could not be verified again.
pub fn old_notifications() -> Sweep {
    sweep::<SnsNotification>("notifications.sweep", |now| {
        Query::new(Filter::Lt("receivedAt".into(), now.minus(KEPT).into())).sort("receivedAt", Dir::Asc)
    })
}
