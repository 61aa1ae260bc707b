//! Operations on groups, plans and moves.
//!
//! A group's name is a part of its path, so that nothing else has a path below `/v1/groups`: a group can be called *Plans*.

use std::sync::Arc;

use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi, Tags};

use super::bodies::{
    BalanceBody, GroupDetailsBody, GroupListBody, PlanBody, PlannedMoveBody, StudentMoveBody, an_id,
};
use super::service::{
    GetGroupError, GetPlanError, Grouping, ListMovesError, LockGroupError, MoveStudentError,
    RunRebalanceError, UnlockGroupError,
};
use crate::features::students::{ListStudentsError, no_such_student};
use crate::http::rights::{EditGroups, ReadStudents};
use crate::http::{By, Examples, Failure, JsonBody, Kind, PageBody, PageCursor, PageLimit, Problem, Refusal};
use crate::kernel::Invalid;
use crate::platform::store::{PageError, StoreError};

#[derive(Tags)]
enum Tag {
    /// The committee's work on orientation groups: counts, balance, moves and locks.
    Groups,
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
        Examples::of([Self::NotFound]).and::<ListStudentsError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_group(),
            Self::Members(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for UnlockGroupError {
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
            Self::Store(error) => error.problem(),
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
                "Since this plan was made, students have registered or moved, a lock or wishes that bind have changed, or a \
                 newer plan was made; or another plan is still being run. Make a new plan with `planRebalance`.",
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
            Self::NoSuchStudent => no_such_student(),
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
        caller: By<ReadStudents>,
    ) -> Result<Json<GroupListBody>, Failure<StoreError>> {
        Ok(Json(self.0.list(&caller.0.rights).await?.into()))
    }

    /// Get a group
    ///
    /// Returns a group within your reach, or any group with `groups:edit`, with its leaders and a page of its members: the
    /// granted fields of students within your reach, as in `listStudents`.
    #[oai(path = "/v1/groups/:groupName", method = "get", operation_id = "getGroup")]
    async fn get_group(
        &self,
        caller: By<ReadStudents>,
        /// Name of the group, from `listGroups`.
        #[oai(name = "groupName", example = "a_group")]
        group_name: Path<String>,
        /// Fields of the members to return, besides `id`. By default all that are granted.
        #[oai(default, validator(max_items = 100))]
        fields: Query<Vec<String>>,
        /// Maximum number of members per page.
        limit: Query<PageLimit>,
        /// `nextCursor` of the previous page of members.
        cursor: Query<PageCursor>,
    ) -> Result<Json<GroupDetailsBody>, Failure<GetGroupError>> {
        let (rights, after) = (&caller.0.rights, cursor.0.0.as_ref());
        let details = self.0.group(rights, &group_name.0, fields.0, after, limit.0.0).await?;
        Ok(Json(details.into()))
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
    /// Who moves from which group to which, sorted by group. The ids and groups of all who move are shown, and the granted fields of
    /// those within your reach.
    #[oai(path = "/v1/group-plans/:planId/moves", method = "get", operation_id = "listPlannedMoves")]
    async fn list_planned_moves(
        &self,
        caller: By<EditGroups>,
        /// Id of the plan, from `planRebalance`.
        #[oai(name = "planId", example = "an_id")]
        plan_id: Path<String>,
        /// Maximum number of items per page.
        limit: Query<PageLimit>,
        /// `nextCursor` of the previous page.
        cursor: Query<PageCursor>,
    ) -> Result<Json<PageBody<PlannedMoveBody>>, Failure<ListMovesError>> {
        Ok(Json(self.0.moves_of(&caller.0.rights, &plan_id.0, cursor.0.0.as_ref(), limit.0.0).await?.into()))
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
    ) -> Result<Done, Failure<UnlockGroupError>> {
        self.0.unlock(&caller.0, &group_name.0).await?;
        Ok(Done::Done)
    }
}

fn a_group() -> String {
    "Omega".into()
}
