//! The jobs of lost items.

use super::model::LostItem;
use crate::platform::jobs::{Sweep, sweep};
use crate::platform::store::{Dir, Filter, Query};

/// Deletes old reports.
pub fn old_reports() -> Sweep {
    sweep::<LostItem>("lost-items.sweep", |now| {
        let old = Filter::Lt("reportedAt".into(), LostItem::kept_since(now).into());
        Query::new(old).sort("reportedAt", Dir::Asc)
    })
}
