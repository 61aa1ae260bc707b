//! The documents of this feature: plans, their moves, and how far they are.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::balance::Balance;
use super::moves::Move;
use crate::kernel::{Actor, Timestamp};
use crate::platform::audit::Action;
use crate::platform::store::{Class, Document, Index, Keep, Owner, Personal, PersonalField};

/// A student was moved to another group.
pub const STUDENT_MOVED: Action = Action::new("student.moved");

/// A group was locked.
pub const GROUP_LOCKED: Action = Action::new("group.locked");

/// A group was unlocked.
pub const GROUP_UNLOCKED: Action = Action::new("group.unlocked");

/// Moves that make the groups even were planned.
pub const REBALANCE_PLANNED: Action = Action::new("rebalance.planned");

/// The moves of a plan were begun.
pub const REBALANCE_RUN: Action = Action::new("rebalance.run");

/// How long plans are kept.
const KEPT: Duration = Duration::from_hours(30 * 24);

const KEEP: Keep = Keep::lasting(KEPT, "the committee looks up who was moved");

/// Plans from before this time are deleted.
pub fn kept_since(now: Timestamp) -> Timestamp {
    now.minus(KEPT)
}

/// A plan that makes the groups even. Never changed; its moves are [`PlannedMove`]s.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RebalancePlan {
    pub id: String,
    /// `GroupBook::membership_version` for which the plan was made.
    pub membership_version: u64,
    /// Number of moves.
    pub moves: u32,
    /// Number of students who stay with their friends.
    pub bound: u32,
    /// The balance when the plan was made.
    pub before: Balance,
    /// The balance after the moves.
    pub after: Balance,
    pub planned_at: Timestamp,
}

impl Document for RebalancePlan {
    const COLLECTION: &'static str = "rebalance_plans";
    const INDEXES: &'static [Index] = &[Index::on("rebalance_plans_by_time", &["plannedAt"])];
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = KEEP;

    fn id(&self) -> &str {
        &self.id
    }
}

/// One move of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedMove {
    /// The plan's id and the number of the move, so that ids sort in the order of the moves.
    pub id: String,
    /// Id of the plan.
    pub plan: String,
    /// Id of the student's account.
    pub account: String,
    /// Name of the group when the plan was made.
    pub from: String,
    /// Name of the new group.
    pub to: String,
    pub state: MoveState,
    pub planned_at: Timestamp,
}

/// State of a planned move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MoveState {
    /// Not made yet.
    Planned,
    /// Made.
    Moved,
    /// Not made: since the plan began, the student was moved by hand or deleted, or a group was locked.
    Skipped,
}

impl Document for PlannedMove {
    const COLLECTION: &'static str = "planned_moves";
    const INDEXES: &'static [Index] = &[
        Index::on("planned_moves_by_plan", &["plan", "id"]),
        Index::on("planned_moves_by_account", &["account"]),
        Index::on("planned_moves_by_time", &["plannedAt"]),
    ];
    const PERSONAL: Personal = Personal::Of(
        Owner::Account("account"),
        &[PersonalField::new("from", Class::Logistics), PersonalField::new("to", Class::Logistics)],
    );
    const KEEP: Keep = KEEP;

    fn id(&self) -> &str {
        &self.id
    }
}

impl PlannedMove {
    /// The move of a plan with this number, from 0.
    pub fn new(plan: &str, number: usize, step: &Move<'_>, now: Timestamp) -> Self {
        Self {
            id: format!("{plan}:{number:06}"),
            plan: plan.to_owned(),
            account: step.student.to_owned(),
            from: step.from.to_owned(),
            to: step.to.to_owned(),
            state: MoveState::Planned,
            planned_at: now,
        }
    }
}

/// How far the moves of a plan are. There is one if the plan was run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rebalance {
    /// The plan's id.
    pub id: String,
    /// Who ran the plan. The audit entries of the moves name them.
    pub by: Actor,
    /// Id of the last move that was made or skipped. Empty at first.
    pub last: String,
    /// Number of students moved.
    pub moved: u32,
    /// Number of moves skipped.
    pub skipped: u32,
    /// When the plan was made.
    pub planned_at: Timestamp,
    pub started_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
}

impl Document for Rebalance {
    const COLLECTION: &'static str = "rebalances";
    const INDEXES: &'static [Index] = &[Index::on("rebalances_by_time", &["plannedAt"])];
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = KEEP;

    fn id(&self) -> &str {
        &self.id
    }
}

impl Rebalance {
    /// Begins the moves of `plan`.
    pub fn begin(plan: &RebalancePlan, by: &Actor, now: Timestamp) -> Self {
        Self {
            id: plan.id.clone(),
            by: by.clone(),
            last: String::new(),
            moved: 0,
            skipped: 0,
            planned_at: plan.planned_at,
            started_at: now,
            finished_at: None,
        }
    }

    /// Counts a move that was made or skipped.
    pub fn count(&mut self, planned: &PlannedMove) {
        self.last.clone_from(&planned.id);
        match planned.state {
            MoveState::Moved => self.moved += 1,
            MoveState::Skipped => self.skipped += 1,
            MoveState::Planned => {}
        }
    }
}
