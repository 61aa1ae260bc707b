//! Use cases: show the groups and their balance, plan and run moves, move a student, lock a group.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::TryStreamExt;

use super::balance::Balance;
use super::model::{
    GROUP_LOCKED, GROUP_UNLOCKED, MoveState, PlannedMove, REBALANCE_PLANNED, REBALANCE_RUN, Rebalance,
    RebalancePlan, STUDENT_MOVED,
};
use super::planning::{Placed, planned};
use super::steps::RunPlan;
use crate::base::Base;
use crate::config::Event;
use crate::features::accounts::{Account, Approval};
use crate::features::groups::{GroupBook, Groups, LockError, MoveError};
use crate::features::registration::{Registration, Registrations};
use crate::features::students::{
    ListStudentsError, Row, StudentAccess, StudentPage, StudentQuery, Students, View, rows,
    student_within_reach,
};
use crate::kernel::{
    Actor, Clock, FieldError, Ids, Invalid, Principal, Reach, Rights, Role, Scope, Timestamp,
};
use crate::platform::audit::{Action, Subject};
use crate::platform::store::{Cursor, Dir, Filter, Page, PageError, Query, Store, StoreError, Tx};

/// The most leaders of one group that are shown.
const MOST_LEADERS: u32 = 200;

/// Moves that are stored in one call.
const STORED_AT_ONCE: usize = 1000;

/// Why a group can't be shown.
#[derive(Debug, thiserror::Error)]
pub enum GetGroupError {
    /// There is none with this name, or it is out of the caller's reach.
    #[error("there is no such group")]
    NotFound,
    #[error(transparent)]
    Members(#[from] ListStudentsError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a group is not unlocked.
#[derive(Debug, thiserror::Error)]
pub enum UnlockGroupError {
    #[error("there is no such group")]
    NotFound,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a plan can't be shown.
#[derive(Debug, thiserror::Error)]
pub enum GetPlanError {
    #[error("there is no such plan")]
    NotFound,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the moves of a plan can't be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListMovesError {
    #[error(transparent)]
    Plan(#[from] GetPlanError),
    #[error(transparent)]
    Page(#[from] PageError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a plan is not run.
#[derive(Debug, thiserror::Error)]
pub enum RunRebalanceError {
    #[error("there is no such plan")]
    NotFound,
    #[error("the plan was run before")]
    AlreadyRun,
    /// Members, locks or binding wishes have changed, or there is a newer plan.
    #[error("the plan is out of date")]
    Outdated,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a student is not moved.
#[derive(Debug, thiserror::Error)]
pub enum MoveStudentError {
    /// There is none with this id, or the student is out of the caller's reach.
    #[error("there is no such student")]
    NoSuchStudent,
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The group with this name.
    #[error("the group {0} is locked")]
    Locked(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<MoveError> for MoveStudentError {
    fn from(error: MoveError) -> Self {
        match error {
            MoveError::Locked(group) => Self::Locked(group),
            MoveError::NoSuchGroup => Self::no_such_group(),
            MoveError::Store(error) => Self::Store(error),
        }
    }
}

impl MoveStudentError {
    /// The new group is not one of the event's.
    pub fn no_such_group() -> Self {
        let detail = "There is no such group. `listGroups` shows those that there are.";
        Self::Invalid(FieldError::new("/group", "not-an-option", detail).into())
    }
}

/// Why a group is not locked.
#[derive(Debug, thiserror::Error)]
pub enum LockGroupError {
    #[error("there is no such group")]
    NotFound,
    #[error("all other groups are locked")]
    LastUnlocked,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<LockError> for LockGroupError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::NoSuchGroup => Self::NotFound,
            LockError::LastUnlocked => Self::LastUnlocked,
            LockError::Store(error) => Self::Store(error),
        }
    }
}

/// A group as a leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSummary {
    pub name: String,
    /// `None` if `event.toml` no longer lists the group.
    pub symbol: Option<String>,
    /// Students who have submitted the form. `None` if the caller may not know of those who have not paid.
    pub members: Option<u32>,
    /// Members who have paid.
    pub registered: u32,
    pub locked: bool,
}

/// A group with its leaders and a page of its members.
pub struct GroupDetails {
    pub group: GroupSummary,
    pub leaders: Vec<Account>,
    pub members: StudentPage,
}

/// A page of the moves of a plan.
pub struct PlannedMoves {
    pub page: Page<PlannedMove>,
    /// The columns of `rows`.
    pub view: View,
    /// What the caller may read of the students who are within reach.
    pub rows: Vec<Row>,
}

/// A plan, and how far it is. `None` if it was not run.
pub type PlanWithProgress = (RebalancePlan, Option<Rebalance>);

/// The committee's operations on groups.
pub struct Grouping {
    store: Store,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    event: Arc<Event>,
    groups: Arc<Groups>,
    registrations: Arc<Registrations>,
    students: Arc<Students>,
}

impl Grouping {
    /// Operations on `groups` of the event of `base`, whose members are `registrations` and are read as `students`.
    pub fn new(
        base: &Base,
        groups: &Arc<Groups>,
        registrations: &Arc<Registrations>,
        students: &Arc<Students>,
    ) -> Self {
        Self {
            store: base.store.clone(),
            clock: base.clock.clone(),
            ids: base.ids.clone(),
            event: base.event.clone(),
            groups: groups.clone(),
            registrations: registrations.clone(),
            students: students.clone(),
        }
    }

    /// The groups within the caller's reach, or all of them with `groups:edit`, in the order of the file. Groups that the
    /// file no longer lists follow, as long as they have members.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn list(&self, rights: &Rights) -> Result<Vec<GroupSummary>, StoreError> {
        let book = self.groups.book().await?;
        let offered = self.event.groups.iter().map(|group| group.name.as_str());
        let former = book.groups.iter().filter(|tally| tally.members > 0).map(|tally| tally.name.as_str());
        let former = former.filter(|name| self.event.group(name).is_none());
        let visible = offered.chain(former).filter(|name| sees(rights, name));
        Ok(visible.map(|name| self.summary(&book, name, rights)).collect())
    }

    /// The group with this name, if the caller [sees](Self::list) it, with its leaders, and with the page of its members that
    /// begins at `after`: these `fields` of those within reach, or all that are granted.
    ///
    /// # Errors
    /// [`GetGroupError`]
    pub async fn group(
        &self,
        rights: &Rights,
        name: &str,
        fields: Vec<String>,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<GroupDetails, GetGroupError> {
        let filters = vec![format!("group:eq:{name}")];
        let which = StudentQuery { filters, fields, ..StudentQuery::default() };
        let members = self.students.list(&StudentAccess::new(rights), &which, after, limit).await?;
        let groups = self.list(rights).await?;
        let group = groups.into_iter().find(|group| group.name == name).ok_or(GetGroupError::NotFound)?;
        Ok(GroupDetails { group, leaders: self.leaders(name).await?, members })
    }

    /// The accounts of approved leaders whose reach names the group.
    async fn leaders(&self, group: &str) -> Result<Vec<Account>, StoreError> {
        let reach = Reach::Group(group.to_owned());
        let leaders = Filter::eq("role", Role::Leader.as_str())
            .and(Filter::eq("approval", Approval::Approved.as_str()))
            .and(Filter::has("reach", reach.as_str().as_ref()));
        self.store.find(Query::new(leaders).limit(MOST_LEADERS)).await
    }

    fn summary(&self, book: &GroupBook, name: &str, rights: &Rights) -> GroupSummary {
        let tally = book.tally(name);
        let knows_unpaid = rights.may(Scope::GroupsEdit) || rights.may(Scope::StudentsUnregistered);
        GroupSummary {
            name: name.to_owned(),
            symbol: self.event.group(name).map(|group| group.symbol.clone()),
            members: knows_unpaid.then(|| tally.map_or(0, |tally| tally.members)),
            registered: tally.map_or(0, |tally| tally.registered),
            locked: tally.is_some_and(|tally| tally.locked),
        }
    }

    /// How even the groups are.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn balance(&self) -> Result<Balance, StoreError> {
        Ok(Balance::of(&self.groups.book().await?, &self.event.groups))
    }

    /// Plans the fewest moves that make the groups even. Nobody is moved yet.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn plan(&self, by: &Principal) -> Result<RebalancePlan, StoreError> {
        // Read first: if something changes while the students are read, the plan is out of date from the start.
        let book = self.groups.book().await?;
        let students = self.everybody().await?;
        let (id, now, event) = (self.ids.next(), self.clock.now(), self.event.clone());
        let planned = tokio::task::spawn_blocking(move || planned(id, &event, book, &students, now));
        let (plan, moves) = planned.await.map_err(|error| StoreError::Failed(error.to_string()))?;
        self.store
            .transact(async |tx| {
                tx.insert(&plan).await?;
                for some in moves.chunks(STORED_AT_ONCE) {
                    tx.put_all(&some.iter().collect::<Vec<_>>()).await?;
                }
                let (subject, moves) = (Subject::of::<RebalancePlan>(&plan.id), plan.moves.to_string());
                tx.audit(&by.actor, REBALANCE_PLANNED, subject, &[("moves", &moves)], now).await
            })
            .await?;
        Ok(plan)
    }

    /// All students, as far as a plan needs them: with their addresses and wishes if those bind.
    async fn everybody(&self) -> Result<Vec<Placed>, StoreError> {
        let all = self.store.stream::<Registration>(Filter::All);
        let mut students: Vec<_> = all.map_ok(Placed::from).try_collect().await?;
        if self.event.grouping.keep_friends_together {
            let addresses = self.addresses().await?;
            students.iter_mut().for_each(|one| one.friend.address = addresses.get(&one.id).cloned());
        }
        Ok(students)
    }

    /// Keys of the students' addresses, by account.
    async fn addresses(&self) -> Result<HashMap<String, String>, StoreError> {
        let students = self.store.stream::<Account>(Filter::eq("role", Role::Student.as_str()));
        students.map_ok(|account| (account.id, account.email_key)).try_collect().await
    }

    /// The plan with this id.
    ///
    /// # Errors
    /// [`GetPlanError`]
    pub async fn plan_of(&self, id: &str) -> Result<PlanWithProgress, GetPlanError> {
        let plan: RebalancePlan = self.store.get(id).await?.ok_or(GetPlanError::NotFound)?;
        Ok((plan, self.store.get(id).await?))
    }

    /// A page of the moves of a plan, in its order, with what the caller may read of the students.
    ///
    /// # Errors
    /// [`ListMovesError`]
    pub async fn moves_of(
        &self,
        rights: &Rights,
        id: &str,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<PlannedMoves, ListMovesError> {
        let page: Page<PlannedMove> =
            self.store.page(Query::new(Filter::eq("plan", id)).limit(limit), after).await?;
        self.plan_of(id).await?;
        let ids = page.items.iter().map(|planned| planned.account.as_str().into()).collect();
        let students = self.store.find(Query::new(Filter::In("id".into(), ids)).limit(limit)).await?;
        let view = StudentAccess::new(rights).everything(self.students.columns());
        Ok(PlannedMoves { rows: rows(&view, &students)?, view, page })
    }

    /// Begins the moves of a plan, if nothing has changed since it was made.
    ///
    /// # Errors
    /// [`RunRebalanceError`]. Nothing has changed then.
    pub async fn run(&self, by: &Principal, id: &str) -> Result<PlanWithProgress, RunRebalanceError> {
        let (now, job) = (self.clock.now(), self.ids.next());
        let begun = self.store.transact(async |tx| {
            let plan = plan_to_run(&tx, id).await?;
            let run = Rebalance::begin(&plan, &by.actor, now);
            tx.begin::<RunPlan>(&run, job.clone(), now).await?;
            let (subject, moves) = (Subject::of::<RebalancePlan>(id), plan.moves.to_string());
            tx.audit(&by.actor, REBALANCE_RUN, subject, &[("moves", &moves)], now).await?;
            Ok((plan, Some(run)))
        });
        match begun.await {
            Err(RunRebalanceError::Store(StoreError::Duplicate { .. })) => Err(RunRebalanceError::AlreadyRun),
            other => other,
        }
    }

    /// Makes a planned move, or skips it if it is no longer possible, and notes in it which.
    pub(super) async fn make(
        &self,
        tx: &Tx,
        run: &Rebalance,
        planned: &mut PlannedMove,
    ) -> Result<(), StoreError> {
        planned.state = match self.try_make(tx, run, planned).await {
            Ok(state) => state,
            Err(MoveError::Store(error)) => return Err(error),
            Err(MoveError::Locked(_) | MoveError::NoSuchGroup) => MoveState::Skipped,
        };
        tx.put(planned).await
    }

    async fn try_make(
        &self,
        tx: &Tx,
        run: &Rebalance,
        planned: &PlannedMove,
    ) -> Result<MoveState, MoveError> {
        let registration: Option<Registration> = tx.get(&planned.account).await?;
        let Some(registration) = registration.filter(|one| one.group == planned.from) else {
            return Ok(MoveState::Skipped);
        };
        let (to, now) = (planned.to.as_str(), self.clock.now());
        self.registrations.move_to_group(tx, registration, to, &planned.id, now).await?;
        let detail = [("plan", run.id.as_str()), ("from", &planned.from), ("to", to)];
        audit_move(tx, &run.by, &planned.account, &detail, "", now).await?;
        Ok(MoveState::Moved)
    }

    /// Moves a student to another group. Moving a student to their own group changes nothing.
    ///
    /// # Errors
    /// [`MoveStudentError`]. Nothing has changed then.
    pub async fn move_student(
        &self,
        by: &Principal,
        student: &str,
        group: &str,
        reason: &str,
    ) -> Result<(), MoveStudentError> {
        let (change, now, access) = (self.ids.next(), self.clock.now(), StudentAccess::new(&by.rights));
        self.store
            .transact_at(&[Groups::GUARD], async |tx| {
                let registration = student_within_reach(&tx, &access, student).await?;
                let registration = registration.ok_or(MoveStudentError::NoSuchStudent)?;
                if registration.group == group {
                    return Ok(());
                }
                let from = registration.group.clone();
                self.registrations.move_to_group(&tx, registration, group, &change, now).await?;
                let detail = [("from", from.as_str()), ("to", group)];
                Ok(audit_move(&tx, &by.actor, student, &detail, reason, now).await?)
            })
            .await
    }

    /// Locks a group: it gets nobody and loses nobody. Locking a locked group changes nothing.
    ///
    /// # Errors
    /// [`LockGroupError`]. Nothing has changed then.
    pub async fn lock(&self, by: &Principal, group: &str) -> Result<(), LockGroupError> {
        let now = self.clock.now();
        self.store
            .transact_at(&[Groups::GUARD], async |tx| {
                if self.groups.lock(&tx, group).await? {
                    audit_lock(&tx, &by.actor, GROUP_LOCKED, group, now).await?;
                }
                Ok(())
            })
            .await
    }

    /// Unlocks a group. Unlocking an unlocked group changes nothing.
    ///
    /// # Errors
    /// [`UnlockGroupError`]. Nothing has changed then.
    pub async fn unlock(&self, by: &Principal, group: &str) -> Result<(), UnlockGroupError> {
        let now = self.clock.now();
        // A group that `event.toml` no longer lists can still be locked, and its members have to leave it.
        let book = self.groups.book().await?;
        if self.event.group(group).is_none() && !book.groups.iter().any(|tally| tally.name == group) {
            return Err(UnlockGroupError::NotFound);
        }
        self.store
            .transact_at(&[Groups::GUARD], async |tx| {
                if self.groups.unlock(&tx, group).await? {
                    audit_lock(&tx, &by.actor, GROUP_UNLOCKED, group, now).await?;
                }
                Ok(())
            })
            .await
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// Whether the caller sees the counts of the group with this name.
fn sees(rights: &Rights, group: &str) -> bool {
    rights.may(Scope::GroupsEdit) || rights.reaches(Some(group), None)
}

/// The plan, if it can be run.
async fn plan_to_run(tx: &Tx, id: &str) -> Result<RebalancePlan, RunRebalanceError> {
    let plan: RebalancePlan = tx.get(id).await?.ok_or(RunRebalanceError::NotFound)?;
    if tx.get::<Rebalance>(id).await?.is_some() {
        return Err(RunRebalanceError::AlreadyRun);
    }
    // Its moves that are still to be made would be made on top of those of this plan.
    let unfinished = Query::new(Filter::lacks("finishedAt")).limit(1);
    if !tx.find::<Rebalance>(unfinished).await?.is_empty() {
        return Err(RunRebalanceError::Outdated);
    }
    let book: GroupBook = tx.get(GroupBook::ID).await?.unwrap_or_default();
    let newest = Query::new(Filter::All).sort("id", Dir::Desc).limit(1);
    let newest: Vec<RebalancePlan> = tx.find(newest).await?;
    if book.membership_version != plan.membership_version || newest.iter().any(|newest| newest.id != id) {
        return Err(RunRebalanceError::Outdated);
    }
    Ok(plan)
}

async fn audit_move(
    tx: &Tx,
    by: &Actor,
    student: &str,
    detail: &[(&str, &str)],
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let subject = Subject::of::<Registration>(student);
    tx.audit_with_reason(by, STUDENT_MOVED, subject, detail, reason, now).await
}

async fn audit_lock(
    tx: &Tx,
    by: &Actor,
    action: Action,
    group: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.audit(by, action, Subject::of::<GroupBook>(GroupBook::ID), &[("group", group)], now).await
}
