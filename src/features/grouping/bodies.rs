//! Request and response bodies of the operations on groups.

use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};

use super::balance::{Balance, Sizes, Spread};
use super::model::{MoveState, PlannedMove, Rebalance, RebalancePlan};
use super::service::{GroupDetails, GroupSummary, PlanWithProgress, PlannedMoves};
use crate::features::accounts::Account;
use crate::features::students::{StudentBody, StudentPageBody};
use crate::http::{PageBody, Remark};
use crate::kernel::Timestamp;
use crate::platform::store::Page;

// ---- requests ----

/// The move of a student.
#[derive(Clone, Debug, Object)]
#[oai(rename = "StudentMove", rename_all = "camelCase", deny_unknown_fields, example)]
pub struct StudentMoveBody {
    /// Name of the new group, from `listGroups`. At most 100 characters.
    #[oai(validator(min_length = 1, max_length = 100))]
    pub group: String,
    /// Reason, for the audit log. At most 500 characters, in several lines if you like.
    #[oai(validator(min_length = 1, max_length = 500))]
    pub reason: Remark,
}

impl Example for StudentMoveBody {
    fn example() -> Self {
        Self { group: "Omega".into(), reason: "Wants to be with a friend.".into() }
    }
}

// ---- responses ----

/// An orientation group, as leaders see it.
#[derive(Clone, Debug, Object)]
#[oai(rename = "GroupSummary", rename_all = "camelCase", skip_serializing_if_is_none, example)]
pub struct GroupSummaryBody {
    /// Name of the group.
    name: String,
    /// Symbol of the group. Absent if `event.toml` no longer lists the group.
    symbol: Option<String>,
    /// Number of students in the group, paid or not. Only with `groups:edit` or `students:unregistered`.
    members: Option<u32>,
    /// Number of registered students in the group.
    registered: u32,
    /// Whether the group gets nobody and loses nobody.
    locked: bool,
}

impl From<GroupSummary> for GroupSummaryBody {
    fn from(group: GroupSummary) -> Self {
        let GroupSummary { name, symbol, members, registered, locked } = group;
        Self { name, symbol, members, registered, locked }
    }
}

impl Example for GroupSummaryBody {
    fn example() -> Self {
        let (name, symbol) = ("Omega".into(), Some("ω".into()));
        Self { name, symbol, members: Some(52), registered: 47, locked: false }
    }
}

/// Groups.
#[derive(Clone, Debug, Object)]
#[oai(rename = "GroupList", rename_all = "camelCase", example)]
pub struct GroupListBody {
    /// Groups, in the order of `event.toml`.
    items: Vec<GroupSummaryBody>,
}

impl From<Vec<GroupSummary>> for GroupListBody {
    fn from(groups: Vec<GroupSummary>) -> Self {
        Self { items: groups.into_iter().map(Into::into).collect() }
    }
}

impl Example for GroupListBody {
    fn example() -> Self {
        Self { items: vec![GroupSummaryBody::example()] }
    }
}

/// A group with its leaders and members.
#[derive(Clone, Debug, Object)]
#[oai(rename = "GroupDetails", rename_all = "camelCase")]
pub struct GroupDetailsBody {
    /// Name and counts of the group.
    group: GroupSummaryBody,
    /// Approved leaders whose reach names the group.
    leaders: Vec<GroupLeaderBody>,
    /// Page of the members within your reach.
    members: StudentPageBody,
}

impl From<GroupDetails> for GroupDetailsBody {
    fn from(details: GroupDetails) -> Self {
        Self {
            group: details.group.into(),
            leaders: details.leaders.iter().map(Into::into).collect(),
            members: details.members.into(),
        }
    }
}

/// A leader of a group.
#[derive(Clone, Debug, Object)]
#[oai(rename = "GroupLeader", rename_all = "camelCase", skip_serializing_if_is_none, example)]
pub struct GroupLeaderBody {
    /// Id of the leader's account.
    id: String,
    /// First name, or the only name.
    first_name: String,
    /// Last name, if there is one.
    last_name: Option<String>,
    /// Name to address the leader by, if it isn't the first name.
    preferred_name: Option<String>,
}

impl From<&Account> for GroupLeaderBody {
    fn from(leader: &Account) -> Self {
        Self {
            id: leader.id.clone(),
            first_name: leader.first_name.clone(),
            last_name: leader.last_name.clone(),
            preferred_name: leader.preferred_name.clone(),
        }
    }
}

impl Example for GroupLeaderBody {
    fn example() -> Self {
        let (first_name, last_name) = ("Luz".into(), Some("Leader".into()));
        Self { id: an_id(), first_name, last_name, preferred_name: None }
    }
}

/// How even the groups are.
#[derive(Clone, Debug, Object)]
#[oai(rename = "GroupBalance", rename_all = "camelCase", example)]
pub struct BalanceBody {
    /// Sizes of the groups.
    sizes: SizesBody,
    /// Spread of the disciplines over the groups.
    discipline: SpreadBody,
    /// Spread of the pronouns over the groups. Pronouns in a student's own words count as *Other*.
    pronouns: SpreadBody,
}

impl From<Balance> for BalanceBody {
    fn from(balance: Balance) -> Self {
        Self {
            sizes: balance.sizes.into(),
            discipline: balance.discipline.into(),
            pronouns: balance.pronouns.into(),
        }
    }
}

impl Example for BalanceBody {
    fn example() -> Self {
        Self {
            sizes: SizesBody::example(),
            discipline: SpreadBody::example(),
            pronouns: SpreadBody::example(),
        }
    }
}

/// Sizes of the groups, in members.
#[derive(Clone, Debug, Object)]
#[oai(rename = "GroupSizes", rename_all = "camelCase", example)]
pub struct SizesBody {
    /// Members of the largest group.
    largest: u32,
    /// Members of the smallest group.
    smallest: u32,
    /// Difference between the two.
    difference: u32,
    /// Smallest difference that is possible with this number of members: 0 or 1.
    best_difference: u32,
    /// Difference above the best one. 0 proves that no other sizes are more even.
    gap: u32,
}

impl From<Sizes> for SizesBody {
    fn from(sizes: Sizes) -> Self {
        Self {
            largest: sizes.largest,
            smallest: sizes.smallest,
            difference: sizes.difference(),
            best_difference: sizes.best_difference,
            gap: sizes.gap(),
        }
    }
}

impl Example for SizesBody {
    fn example() -> Self {
        Sizes { largest: 53, smallest: 50, best_difference: 1 }.into()
    }
}

/// How evenly a trait is spread over the groups.
#[derive(Clone, Debug, Object)]
#[oai(rename = "GroupSpread", rename_all = "camelCase", example)]
pub struct SpreadBody {
    /// Number of pairs of students in the same group who share the trait. The lower, the more even.
    figure: u64,
    /// Lower bound of the figure for these students in this number of groups.
    best: u64,
    /// Figure above the best one. 0 proves that no other groups are more even.
    gap: u64,
}

impl From<Spread> for SpreadBody {
    fn from(spread: Spread) -> Self {
        Self { figure: spread.figure, best: spread.best, gap: spread.gap() }
    }
}

impl Example for SpreadBody {
    fn example() -> Self {
        Spread { figure: 2_912, best: 2_880 }.into()
    }
}

/// State of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "RebalanceState", rename_all = "camelCase")]
pub enum StateBody {
    /// Not run.
    Planned,
    /// Students are being moved.
    Running,
    /// All students are moved.
    Finished,
}

/// A plan that makes the groups even.
#[derive(Clone, Debug, Object)]
#[oai(rename = "RebalancePlan", rename_all = "camelCase", skip_serializing_if_is_none, example)]
pub struct PlanBody {
    /// Id of the plan.
    id: String,
    /// Time when the plan was made (RFC 3339, UTC).
    planned_at: String,
    /// State of the plan.
    state: StateBody,
    /// Number of moves: no plan makes the sizes as even with fewer. `listPlannedMoves` lists them.
    moves: u32,
    /// Number of students who stay with their friends, as `event.toml` demands.
    bound: u32,
    /// Balance when the plan was made.
    before: BalanceBody,
    /// Balance after the moves.
    after: BalanceBody,
    /// Number of students moved so far.
    moved: u32,
    /// Number of moves skipped so far, because the student was moved by hand or a group was locked after the start.
    skipped: u32,
    /// Time when the plan was run (RFC 3339, UTC).
    started_at: Option<String>,
    /// Time when the last student was moved (RFC 3339, UTC).
    finished_at: Option<String>,
}

impl From<PlanWithProgress> for PlanBody {
    fn from((plan, run): PlanWithProgress) -> Self {
        let run = run.as_ref();
        let RebalancePlan { id, moves, bound, before, after, planned_at, .. } = plan;
        Self {
            id,
            planned_at: planned_at.rfc3339(),
            state: state(run),
            moves,
            bound,
            before: before.into(),
            after: after.into(),
            moved: run.map_or(0, |run| run.moved),
            skipped: run.map_or(0, |run| run.skipped),
            started_at: run.map(|run| run.started_at.rfc3339()),
            finished_at: run.and_then(|run| run.finished_at).map(Timestamp::rfc3339),
        }
    }
}

fn state(run: Option<&Rebalance>) -> StateBody {
    match run {
        None => StateBody::Planned,
        Some(run) if run.finished_at.is_none() => StateBody::Running,
        Some(_) => StateBody::Finished,
    }
}

impl Example for PlanBody {
    fn example() -> Self {
        let after = Sizes { largest: 52, smallest: 51, best_difference: 1 }.into();
        Self {
            id: an_id(),
            planned_at: "2027-08-20T14:03:00.000Z".into(),
            state: StateBody::Planned,
            moves: 4,
            bound: 0,
            before: BalanceBody::example(),
            after: BalanceBody { sizes: after, ..BalanceBody::example() },
            moved: 0,
            skipped: 0,
            started_at: None,
            finished_at: None,
        }
    }
}

/// State of a planned move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "PlannedMoveState", rename_all = "camelCase")]
pub enum MoveStateBody {
    /// Not made yet.
    Planned,
    /// Made.
    Moved,
    /// Not made, because the student was moved by hand or a group was locked after the start.
    Skipped,
}

impl From<MoveState> for MoveStateBody {
    fn from(state: MoveState) -> Self {
        match state {
            MoveState::Planned => Self::Planned,
            MoveState::Moved => Self::Moved,
            MoveState::Skipped => Self::Skipped,
        }
    }
}

/// A move of a plan.
#[derive(Clone, Debug, Object)]
#[oai(rename = "PlannedMove", rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct PlannedMoveBody {
    /// Id of the student's account.
    student_id: String,
    /// Fields of the student that you may read. Absent if the student is out of your reach.
    student: Option<StudentBody>,
    /// Name of the group when the plan was made.
    from: String,
    /// Name of the new group.
    to: String,
    /// State of the move.
    state: MoveStateBody,
}

/// A move with what the caller may read of the student.
type MoveOf = (PlannedMove, Option<StudentBody>);

impl From<&MoveOf> for PlannedMoveBody {
    fn from((planned, student): &MoveOf) -> Self {
        Self {
            student_id: planned.account.clone(),
            student: student.clone(),
            from: planned.from.clone(),
            to: planned.to.clone(),
            state: planned.state.into(),
        }
    }
}

impl From<PlannedMoves> for PageBody<PlannedMoveBody> {
    fn from(PlannedMoves { page, view, rows }: PlannedMoves) -> Self {
        let student =
            |id: &str| rows.iter().find(|row| row.id() == id).map(|row| StudentBody::new(&view, row));
        let items = page.items.into_iter().map(|planned| {
            let student = student(&planned.account);
            (planned, student)
        });
        Page { items: items.collect(), next: page.next }.into()
    }
}

/// A well-formed id of nothing.
pub fn an_id() -> String {
    "019f0000-0000-7000-8000-000000000000".into()
}
