//! Running a plan: some moves per step.

use std::sync::Arc;

use async_trait::async_trait;

use super::model::{PlannedMove, Rebalance};
use super::service::Grouping;
use crate::features::groups::Groups;
use crate::kernel::faults;
use crate::platform::jobs::{Progress, Steps};
use crate::platform::store::{Filter, Query, StoreError, Tx};

/// Moves per step. Few, because each step holds the group book, and students register meanwhile.
const AT_ONCE: u32 = 25;

/// Makes the moves of a plan that was run.
pub struct RunPlan {
    grouping: Arc<Grouping>,
}

impl RunPlan {
    /// The moves that `grouping` makes.
    pub fn new(grouping: Arc<Grouping>) -> Self {
        Self { grouping }
    }
}

#[async_trait]
impl Steps for RunPlan {
    type Plan = Rebalance;

    const KIND: &'static str = "groups.rebalance";
    const GUARDS: &'static [&'static str] = &[Groups::GUARD];

    async fn step(&self, tx: &Tx, run: &mut Rebalance) -> Result<Progress, StoreError> {
        let next = Filter::eq("plan", run.id.as_str()).and(Filter::Gt("id".into(), run.last.as_str().into()));
        let moves: Vec<PlannedMove> = tx.find(Query::new(next).limit(AT_ONCE)).await?;
        let all = moves.len() < AT_ONCE as usize;
        for mut planned in moves {
            self.grouping.make(tx, run, &mut planned).await?;
            run.count(&planned);
            faults::point("rebalance.after-move");
        }
        if all {
            run.finished_at = Some(self.grouping.now());
            return Ok(Progress::Done);
        }
        Ok(Progress::More)
    }
}
