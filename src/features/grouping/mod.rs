//! The committee's operations on groups: counts, balance, moves and locks.
//!
//! Students are assigned when they register (`features::groups`), so groups start out even. They become uneven when students
//! are moved by hand, or when groups are added to `event.toml`. [`Grouping`] shows how even they are ([`Balance`]), plans the
//! fewest moves that make them even again ([`moves`]), and runs a plan in steps, as long as nothing has changed since it was
//! made.
//!
//! - [`balance`]: figures, and the best that is possible;
//! - [`places`]: how many members each group gives up and gets;
//! - [`moves`]: who moves;
//! - [`friends`]: who stays;
//! - [`planning`]: the plan, made of all of these.

mod balance;
mod bodies;
mod controller;
mod friends;
mod model;
mod moves;
mod places;
mod planning;
mod service;
mod steps;
mod subscribers;

use std::sync::Arc;

pub use balance::{Balance, Sizes, Spread};
pub use controller::GroupingController;
pub use model::{MoveState, PlannedMove, Rebalance, RebalancePlan};
pub use moves::{Member, Move, moves};
pub use service::{
    GetGroupError, GetPlanError, GroupDetails, Grouping, ListMovesError, LockGroupError, MoveStudentError,
    RunRebalanceError,
};

use super::Feature;
use crate::base::Base;
use crate::platform::store::{Schema, schema};

/// What the committee's operations on groups add to the service.
pub fn feature(base: &Base, grouping: &Arc<Grouping>) -> Feature<GroupingController> {
    Feature::new()
        .serves(GroupingController::new(grouping.clone()))
        .steps(base, Arc::new(steps::RunPlan::new(grouping.clone())))
        .sweeps(base, "25 4 * * *", subscribers::old_plans())
        .sweeps(base, "26 4 * * *", subscribers::old_moves())
        .sweeps(base, "27 4 * * *", subscribers::old_runs())
}

/// The documents of this feature.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<RebalancePlan>(), schema::<PlannedMove>(), schema::<Rebalance>()]
}
