//! The jobs of the schedule.

use super::model::WithdrawnEntry;
use crate::platform::jobs::{Sweep, sweep};
use crate::platform::store::{Dir, Filter, Query};

/// Deletes what calendars no longer show as cancelled.
pub fn old_withdrawals() -> Sweep {
    sweep::<WithdrawnEntry>("schedule.sweep", |now| {
        let old = Filter::Lt("at".into(), WithdrawnEntry::kept_since(now).into());
        Query::new(old).sort("at", Dir::Asc)
    })
}
