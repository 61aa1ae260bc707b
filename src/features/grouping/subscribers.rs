//! The sweeps of plans.

use super::model::{PlannedMove, Rebalance, RebalancePlan, kept_since};
use crate::kernel::Timestamp;
use crate::platform::jobs::{Sweep, sweep};
use crate::platform::store::{Dir, Filter, Query};

/// Deletes old plans.
pub fn old_plans() -> Sweep {
    sweep::<RebalancePlan>("groups.sweep-plans", planned_long_ago)
}

/// Deletes the moves of old plans.
pub fn old_moves() -> Sweep {
    sweep::<PlannedMove>("groups.sweep-moves", planned_long_ago)
}

/// Deletes the progress of old plans.
pub fn old_runs() -> Sweep {
    sweep::<Rebalance>("groups.sweep-runs", planned_long_ago)
}

fn planned_long_ago(now: Timestamp) -> Query {
    Query::new(Filter::Lt("plannedAt".into(), kept_since(now).into())).sort("plannedAt", Dir::Asc)
}
