//! Operations on groups, plans and moves.
//!
//! A group's name is a part of its path, so that nothing else has a path below `/v1/groups`: a group can be called *Plans*.

use std::sync::Arc;

use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi, Tags};

use super::balance::{Balance, Sizes, Spread};
use super::model::{MoveState, PlannedMove, Rebalance, RebalancePlan};
use super::service::{
    GetGroupError, GetPlanError, GroupSummary, Grouping, ListMovesError, LockGroupError, MoveStudentError,
    PlanWithProgress, RunRebalanceError,
};
use crate::features::accounts::Account;
use crate::http::rights::{ApprovedLeader, EditGroups};
use crate::http::{
    By, Examples, Failure, JsonBody, Kind, PageBody, PageCursor, PageLimit, Problem, Refusal, Remark,
};
use crate::kernel::{Invalid, Timestamp};
use crate::platform::store::{PageError, StoreError};

#[derive(Tags)]
enum Tag {
    /// The committee's work on orientation groups: counts, balance, moves and locks.
    Groups,
}

// ---- requests ----

/// The move of a student.
#[derive(Clone, Debug, Object)]
#[oai(rename = "StudentMove", rename_all = "camelCase", deny_unknown_fields, example)]
pub struct StudentMoveBody {
    /// Name of the new group, from `listGroups`. At most 100 characters.
    #[oai(validator(min_length = 1, max_length = 100))]
    group: String,
    /// Reason, for the audit log. At most 500 characters, in several lines if you like.
    #[oai(validator(min_length = 1, max_length = 500))]
    reason: Remark,
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

impl Example for GroupListBody {
    fn example() -> Self {
        Self { items: vec![GroupSummaryBody::example()] }
    }
}

/// A group with its leaders.
#[derive(Clone, Debug, Object)]
#[oai(rename = "GroupDetails", rename_all = "camelCase", example)]
pub struct GroupDetailsBody {
    /// Name and counts of the group.
    group: GroupSummaryBody,
    /// Approved leaders whose reach names the group.
    leaders: Vec<GroupLeaderBody>,
}

impl From<(GroupSummary, Vec<Account>)> for GroupDetailsBody {
    fn from((group, leaders): (GroupSummary, Vec<Account>)) -> Self {
        Self { group: group.into(), leaders: leaders.iter().map(Into::into).collect() }
    }
}

impl Example for GroupDetailsBody {
    fn example() -> Self {
        Self { group: GroupSummaryBody::example(), leaders: vec![GroupLeaderBody::example()] }
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
#[oai(rename = "PlannedMove", rename_all = "camelCase", example)]
pub struct PlannedMoveBody {
    /// Id of the student's account.
    student_id: String,
    /// Name of the group when the plan was made.
    from: String,
    /// Name of the new group.
    to: String,
    /// State of the move.
    state: MoveStateBody,
}

impl From<&PlannedMove> for PlannedMoveBody {
    fn from(planned: &PlannedMove) -> Self {
        Self {
            student_id: planned.account.clone(),
            from: planned.from.clone(),
            to: planned.to.clone(),
            state: planned.state.into(),
        }
    }
}

impl Example for PlannedMoveBody {
    fn example() -> Self {
        let (from, to) = ("Alpha".into(), "Omega".into());
        Self { student_id: an_id(), from, to, state: MoveStateBody::Planned }
    }
}

#[derive(ApiResponse)]
enum Planned {
    /// The plan. Nobody is moved yet.
    #[oai(status = 201)]
    Planned(Json<PlanBody>),
}

#[derive(ApiResponse)]
enum Running {
    /// The plan, whose moves have begun. `getRebalancePlan` shows how far they are.
    #[oai(status = 202)]
    Running(Json<PlanBody>),
}

/// Done, without content.
#[derive(ApiResponse)]
enum Done {
    /// It is so now, or was so before.
    #[oai(status = 204)]
    Done,
}

// ---- refusals ----

const NO_SUCH_GROUP: Kind = Kind::new(404, "no-such-group", "No such group");
const NO_SUCH_PLAN: Kind = Kind::new(404, "no-such-plan", "No such plan");
const NO_SUCH_STUDENT: Kind = Kind::new(404, "no-such-student", "No such student");
const GROUP_LOCKED: Kind = Kind::new(409, "group-locked", "Group locked");
const LAST_UNLOCKED_GROUP: Kind = Kind::new(409, "last-unlocked-group", "Last unlocked group");
const PLAN_ALREADY_RUN: Kind = Kind::new(409, "plan-already-run", "Plan already run");
const PLAN_OUTDATED: Kind = Kind::new(409, "plan-outdated", "Plan out of date");

fn no_such_group() -> Problem {
    NO_SUCH_GROUP.says(
        "There is no group with this name within your reach. `listGroups` shows those that you can see.",
    )
}

impl Refusal for GetGroupError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_group(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for GetPlanError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_plan(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for ListMovesError {
    fn examples() -> Examples<Self> {
        Examples::of([]).and::<GetPlanError>().and::<PageError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Plan(error) => error.problem(),
            Self::Page(error) => error.problem(),
        }
    }
}

fn no_such_plan() -> Problem {
    NO_SUCH_PLAN
        .says("There is no plan with this id. Plans are kept for 30 days; `planRebalance` makes a new one.")
}

impl Refusal for RunRebalanceError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound, Self::AlreadyRun, Self::Outdated]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_plan(),
            Self::AlreadyRun => {
                PLAN_ALREADY_RUN.says("This plan was run before. `getRebalancePlan` shows how far it is.")
            }
            Self::Outdated => PLAN_OUTDATED.says(
                "Since this plan was made, students have registered or moved, a lock has changed, or a newer plan was \
                 made. Make a new plan with `planRebalance`.",
            ),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for MoveStudentError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NoSuchStudent, Self::Locked("Omega".into())]).and::<Invalid>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NoSuchStudent => NO_SUCH_STUDENT.says("There is no student with this id within your reach."),
            Self::Invalid(error) => error.problem(),
            Self::Locked(group) => GROUP_LOCKED.says(format!(
                "The group {group} is locked: it gets nobody and loses nobody. Unlock it with `unlockGroup` first."
            )),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for LockGroupError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound, Self::LastUnlocked]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_group(),
            Self::LastUnlocked => LAST_UNLOCKED_GROUP.says(
                "All other groups are locked, and new students need a group. Unlock another group first.",
            ),
            Self::Store(error) => error.problem(),
        }
    }
}

// ---- operations ----

/// The operations of this feature.
pub struct GroupingController(Arc<Grouping>);

impl GroupingController {
    /// The operations over `grouping`.
    pub fn new(grouping: Arc<Grouping>) -> Self {
        Self(grouping)
    }
}

#[OpenApi(tag = "Tag::Groups")]
impl GroupingController {
    /// List groups
    ///
    /// Groups within your reach, with counts; with `groups:edit` all groups. A group that `event.toml` no longer lists is
    /// shown as long as it has members.
    #[oai(path = "/v1/groups", method = "get", operation_id = "listGroups")]
    async fn list_groups(
        &self,
        caller: By<ApprovedLeader>,
    ) -> Result<Json<GroupListBody>, Failure<StoreError>> {
        let groups = self.0.list(&caller.0.rights).await?;
        Ok(Json(GroupListBody { items: groups.into_iter().map(Into::into).collect() }))
    }

    /// Get a group
    ///
    /// Returns a group within your reach, or any group with `groups:edit`, with its leaders. `listStudents` lists its members.
    #[oai(path = "/v1/groups/:groupName", method = "get", operation_id = "getGroup")]
    async fn get_group(
        &self,
        caller: By<ApprovedLeader>,
        /// Name of the group, from `listGroups`.
        #[oai(name = "groupName", example = "a_group")]
        group_name: Path<String>,
    ) -> Result<Json<GroupDetailsBody>, Failure<GetGroupError>> {
        Ok(Json(self.0.group(&caller.0.rights, &group_name.0).await?.into()))
    }

    /// Get the balance of the groups
    ///
    /// How even the groups are, and how even they could be. The figure of a trait is the number of pairs of students who are
    /// in the same group and share it. The best figure is a lower bound for the same students in the same number of groups;
    /// both traits and the sizes can't always reach their best at once.
    #[oai(path = "/v1/group-balance", method = "get", operation_id = "getGroupBalance")]
    async fn get_group_balance(
        &self,
        _caller: By<EditGroups>,
    ) -> Result<Json<BalanceBody>, Failure<StoreError>> {
        Ok(Json(self.0.balance().await?.into()))
    }

    /// Plan moves that even the groups out
    ///
    /// Plans the fewest moves that make the sizes as even as possible, and chooses who moves so that disciplines and pronouns
    /// are spread as evenly as possible. Locked groups are left out. Nobody is moved yet: look at the plan, then run it with
    /// `runRebalance`.
    #[oai(path = "/v1/group-plans", method = "post", operation_id = "planRebalance")]
    async fn plan_rebalance(&self, caller: By<EditGroups>) -> Result<Planned, Failure<StoreError>> {
        let plan = self.0.plan(&caller.0).await?;
        Ok(Planned::Planned(Json((plan, None).into())))
    }

    /// Get a plan
    ///
    /// Returns the plan and how far it is. Plans are kept for 30 days.
    #[oai(path = "/v1/group-plans/:planId", method = "get", operation_id = "getRebalancePlan")]
    async fn get_rebalance_plan(
        &self,
        _caller: By<EditGroups>,
        /// Id of the plan, from `planRebalance`.
        #[oai(name = "planId", example = "an_id")]
        plan_id: Path<String>,
    ) -> Result<Json<PlanBody>, Failure<GetPlanError>> {
        Ok(Json(self.0.plan_of(&plan_id.0).await?.into()))
    }

    /// List the moves of a plan
    ///
    /// Who moves from which group to which, sorted by group.
    #[oai(path = "/v1/group-plans/:planId/moves", method = "get", operation_id = "listPlannedMoves")]
    async fn list_planned_moves(
        &self,
        _caller: By<EditGroups>,
        /// Id of the plan, from `planRebalance`.
        #[oai(name = "planId", example = "an_id")]
        plan_id: Path<String>,
        /// Maximum number of items per page.
        limit: Query<PageLimit>,
        /// `nextCursor` of the previous page.
        cursor: Query<PageCursor>,
    ) -> Result<Json<PageBody<PlannedMoveBody>>, Failure<ListMovesError>> {
        Ok(Json(self.0.moves_of(&plan_id.0, cursor.0.0.as_ref(), limit.0.0).await?.into()))
    }

    /// Run a plan
    ///
    /// Begins to move the students, each of whom gets an email and, if registered, a new ticket. The moves continue after a
    /// restart of the service. A plan can be run once, and only as long as nothing has changed since it was made: no
    /// registration, move, correction of discipline or pronouns, or lock, and no newer plan.
    #[oai(path = "/v1/group-plans/:planId/run", method = "post", operation_id = "runRebalance")]
    async fn run_rebalance(
        &self,
        caller: By<EditGroups>,
        /// Id of the plan, from `planRebalance`.
        #[oai(name = "planId", example = "an_id")]
        plan_id: Path<String>,
    ) -> Result<Running, Failure<RunRebalanceError>> {
        Ok(Running::Running(Json(self.0.run(&caller.0, &plan_id.0).await?.into())))
    }

    /// Move a student
    ///
    /// Puts a student within your reach into another group. The student gets an email and, if registered, a new ticket. If the
    /// student is in the group already, nothing changes and no email is sent.
    #[oai(path = "/v1/students/:studentId/group", method = "put", operation_id = "moveStudent")]
    async fn move_student(
        &self,
        caller: By<EditGroups>,
        /// Id of the student's account, from `listStudents`.
        #[oai(name = "studentId", example = "an_id")]
        student_id: Path<String>,
        body: JsonBody<StudentMoveBody>,
    ) -> Result<Done, Failure<MoveStudentError>> {
        let StudentMoveBody { group, reason } = body.0;
        self.0.move_student(&caller.0, &student_id.0, &group, &reason.into_inner()).await?;
        Ok(Done::Done)
    }

    /// Lock a group
    ///
    /// A locked group gets nobody and loses nobody: new students join other groups, and neither moves nor plans touch it. One
    /// group always remains unlocked.
    #[oai(path = "/v1/groups/:groupName/lock", method = "put", operation_id = "lockGroup")]
    async fn lock_group(
        &self,
        caller: By<EditGroups>,
        /// Name of the group, from `listGroups`.
        #[oai(name = "groupName", example = "a_group")]
        group_name: Path<String>,
    ) -> Result<Done, Failure<LockGroupError>> {
        self.0.lock(&caller.0, &group_name.0).await?;
        Ok(Done::Done)
    }

    /// Unlock a group
    ///
    /// If the group is not locked, nothing changes.
    #[oai(path = "/v1/groups/:groupName/lock", method = "delete", operation_id = "unlockGroup")]
    async fn unlock_group(
        &self,
        caller: By<EditGroups>,
        /// Name of the group, from `listGroups`.
        #[oai(name = "groupName", example = "a_group")]
        group_name: Path<String>,
    ) -> Result<Done, Failure<GetGroupError>> {
        self.0.unlock(&caller.0, &group_name.0).await?;
        Ok(Done::Done)
    }
}

/// A well-formed id of nothing.
fn an_id() -> String {
    "019f0000-0000-7000-8000-000000000000".into()
}

fn a_group() -> String {
    "Omega".into()
}
