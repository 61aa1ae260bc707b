//! Use cases: ask for rights, grant and decline them, set all rights of a leader.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::mails;
use super::model::{
    AskedRight, RIGHT_DECLINED, RIGHT_GRANTED, RIGHT_REQUESTED, RIGHTS_SET, RequestState, RightsChange,
    RightsRequest, WantedRights, check_asked, exists,
};
use crate::base::Base;
use crate::config::Event;
use crate::features::accounts::{self, Account, PutStaffError};
use crate::kernel::faults::guarded;
use crate::kernel::{Actor, Caller, Clock, FieldError, Ids, Invalid, Right, Timestamp};
use crate::platform::audit::{Action, Subject};
use crate::platform::signals::{Limit, Signals, TooMany};
use crate::platform::store::{
    Cursor, Dir, Filter, Page, PageError, Precondition, Query, Stale, Store, StoreError, Tx,
};

/// Requests for rights of one leader, each for up to 50 rights.
const REQUEST: Limit = Limit { name: "request-rights", quota: 20, window: Duration::from_hours(1) };

/// Maximum number of open requests of one leader: more than there are scopes and fields. Two simultaneous requests can
/// exceed it, which does no harm.
const OPEN_MAX: u32 = 100;

/// How often a request is tried again that collided with one for the same right.
const TRIES: usize = 5;

/// The result of asking for one right.
#[derive(Clone, Debug)]
pub enum Requested {
    /// An administrator will decide.
    Open(RightsRequest),
    /// There was an open request for it already: this one.
    AlreadyOpen(RightsRequest),
    /// The leader holds the right.
    AlreadyHeld(Right),
}

/// A request, and who made it.
#[derive(Clone, Debug)]
pub struct RequestOf {
    pub request: RightsRequest,
    /// The leader's account.
    pub account: Option<Account>,
}

/// Which requests a list shows.
#[derive(Clone, Debug)]
pub struct RequestFilter {
    /// Those in this state.
    pub state: RequestState,
    /// Those of the account with this id.
    pub account: Option<String>,
}

/// Why rights are not asked for.
#[derive(Debug, thiserror::Error)]
pub enum RequestRightsError {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The session ended after the request began.
    #[error("not signed in any more")]
    SignedOut,
    #[error("the leader has too many open requests")]
    TooManyOpen,
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a right is not granted.
#[derive(Debug, thiserror::Error)]
pub enum GrantRightError {
    #[error("there is no such request")]
    NotFound,
    #[error("the request is decided")]
    Decided,
    /// Approval was withdrawn in the meantime, or the account is gone.
    #[error("the account is not an approved leader's")]
    NotAnApprovedLeader,
    /// The event no longer has what the right is about.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a right is not declined.
#[derive(Debug, thiserror::Error)]
pub enum DeclineRightError {
    #[error("there is no such request")]
    NotFound,
    #[error("the request is decided")]
    Decided,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the rights of a leader are not set.
#[derive(Debug, thiserror::Error)]
pub enum SetRightsError {
    #[error("there is no such account")]
    NotFound,
    #[error("the account is not an approved leader's")]
    NotAnApprovedLeader,
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    Stale(#[from] Stale),
    /// Nobody would be an administrator any more.
    #[error("this is the last administrator")]
    LastAdministrator,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<PutStaffError> for SetRightsError {
    fn from(error: PutStaffError) -> Self {
        match error {
            PutStaffError::LastAdministrator => Self::LastAdministrator,
            PutStaffError::Store(error) => Self::Store(error),
        }
    }
}

/// The rights of leaders, and their requests for more.
pub struct RightsRequests {
    store: Store,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    signals: Arc<dyn Signals>,
    event: Arc<Event>,
}

impl RightsRequests {
    /// The use cases on `base`.
    pub fn new(base: &Base) -> Self {
        Self {
            store: base.store.clone(),
            clock: base.clock.clone(),
            ids: base.ids.clone(),
            signals: base.signals.clone(),
            event: base.event.clone(),
        }
    }

    /// Asks for rights. The result has one entry for each, in their order: a right that the leader holds, or that there is
    /// an open request for, is not asked for again.
    ///
    /// # Errors
    /// [`RequestRightsError`]; then nothing has changed.
    pub async fn request(
        &self,
        caller: &Caller,
        asked: &[AskedRight],
    ) -> Result<Vec<Requested>, RequestRightsError> {
        self.signals.take(REQUEST, &caller.account_id).await?;
        let rights = check_asked(asked, &self.event).map_err(Invalid)?;
        let (account, now) = (&caller.account_id, self.clock.now());
        let new = |(right, reason)| RightsRequest::open(self.ids.next(), account, right, reason, now);
        let requests: Vec<_> = rights.into_iter().map(new).collect();
        for _ in 0..TRIES {
            match self.store.transact(async |tx| ask(&tx, &caller.actor(), &requests).await).await {
                // The same was asked for at the same time. The next try finds it.
                Err(RequestRightsError::Store(StoreError::Duplicate { .. })) => {}
                done => return done,
            }
        }
        Err(StoreError::Busy.into())
    }

    /// The page of the account's requests, newest first, that begins at `after`; at most `limit`.
    ///
    /// # Errors
    /// [`PageError`]
    pub async fn list_own(
        &self,
        account: &str,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<RightsRequest>, PageError> {
        let newest_first = Query::new(Filter::eq("account", account)).sort("id", Dir::Desc);
        self.store.page(newest_first.limit(limit), after).await
    }

    /// The page of the requests that match, oldest first, that begins at `after`; at most `limit`.
    ///
    /// # Errors
    /// [`PageError`]
    pub async fn list(
        &self,
        which: &RequestFilter,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<RequestOf>, PageError> {
        let account = which.account.as_deref().map(|account| Filter::eq("account", account));
        let filter = Filter::eq("state", which.state.as_str()).and(account.unwrap_or(Filter::All));
        let page = self.store.page::<RightsRequest>(Query::new(filter).limit(limit), after).await?;
        Ok(Page { items: self.with_accounts(page.items).await?, next: page.next })
    }

    async fn with_accounts(&self, requests: Vec<RightsRequest>) -> Result<Vec<RequestOf>, StoreError> {
        let ids = requests.iter().map(|request| request.account.as_str().into()).collect();
        let limit = u32::try_from(requests.len()).unwrap_or(u32::MAX);
        let accounts: Vec<Account> =
            self.store.find(Query::new(Filter::In("id".into(), ids)).limit(limit)).await?;
        let with_account = |request: RightsRequest| {
            let account = accounts.iter().find(|account| account.id == request.account).cloned();
            RequestOf { request, account }
        };
        Ok(requests.into_iter().map(with_account).collect())
    }

    /// Grants the right that a request asks for. The leader can use it with the next request of each session.
    ///
    /// # Errors
    /// [`GrantRightError`]; then nothing has changed.
    pub async fn grant(&self, by: &Actor, id: &str, reason: &str) -> Result<RequestOf, GrantRightError> {
        let now = self.clock.now();
        self.store
            .transact(async |tx| {
                let request: RightsRequest = tx.get(id).await?.ok_or(GrantRightError::NotFound)?;
                if is_decided(&request) {
                    return Err(GrantRightError::Decided);
                }
                if !exists(&request.right, &self.event) {
                    return Err(Invalid::from(no_longer_there()).into());
                }
                let leader = approved_leader(&tx, &request.account).await?;
                let leader = leader.ok_or(GrantRightError::NotAnApprovedLeader)?;
                let leader = accounts::grant(&tx, &leader, request.right.clone()).await?;
                let request = request.decided(RequestState::Granted, reason, now);
                tx.put(&request).await?;
                audit(&tx, by, RIGHT_GRANTED, &request, reason, now).await?;
                tx.post(&mails::granted(&request, &leader, now)).await?;
                Ok(RequestOf { request, account: Some(leader) })
            })
            .await
    }

    /// Declines to grant the right that a request asks for. The leader can ask for it again.
    ///
    /// # Errors
    /// [`DeclineRightError`]; then nothing has changed.
    pub async fn decline(&self, by: &Actor, id: &str, reason: &str) -> Result<RequestOf, DeclineRightError> {
        let now = self.clock.now();
        self.store
            .transact(async |tx| {
                let request: RightsRequest = tx.get(id).await?.ok_or(DeclineRightError::NotFound)?;
                if is_decided(&request) {
                    return Err(DeclineRightError::Decided);
                }
                let request = request.decided(RequestState::Declined, reason, now);
                tx.put(&request).await?;
                audit(&tx, by, RIGHT_DECLINED, &request, reason, now).await?;
                let account: Option<Account> = tx.get(&request.account).await?;
                if let Some(leader) = &account {
                    tx.post(&mails::declined(&request, leader, now)).await?;
                }
                Ok(RequestOf { request, account })
            })
            .await
    }

    /// Replaces all rights of a leader, if the account is as `condition` says. Open requests for rights that the leader
    /// then holds are granted with it, for the same reason. If the rights are the same, nothing changes.
    ///
    /// # Errors
    /// [`SetRightsError`]; then nothing has changed.
    pub async fn set(
        &self,
        by: &Actor,
        account: &str,
        wanted: &WantedRights,
        reason: &str,
        condition: &Precondition,
    ) -> Result<Account, SetRightsError> {
        let rights = wanted.check(&self.event).map_err(Invalid)?;
        let (id, now) = (self.ids.next(), self.clock.now());
        self.store
            .transact(async |tx| {
                let before: Account = tx.get(account).await?.ok_or(SetRightsError::NotFound)?;
                if !before.is_approved_leader() {
                    return Err(SetRightsError::NotAnApprovedLeader);
                }
                condition.check(&before)?;
                let mut after = before.clone();
                after.set_rights(rights.iter().cloned());
                let Some(change) = RightsChange::between(&id, &before, &after, reason, now) else {
                    return Ok(before);
                };
                accounts::put_staff(&tx, &before, &after).await?;
                record_change(&tx, by, &change).await?;
                grant_open_requests(&tx, by, &after, &change).await?;
                tx.post(&mails::set(&change, &after)).await?;
                Ok(after)
            })
            .await
    }
}

/// Stores the requests for rights that the leader neither holds nor has asked for.
async fn ask(
    tx: &Tx,
    actor: &Actor,
    requests: &[RightsRequest],
) -> Result<Vec<Requested>, RequestRightsError> {
    let Actor::Account(id) = actor else { return Err(RequestRightsError::SignedOut) };
    let account: Account = tx.get(id).await?.ok_or(RequestRightsError::SignedOut)?;
    let open = open_requests(tx, id).await?;
    let mut results = vec![];
    for request in requests {
        let known = open.iter().find(|known| known.right == request.right);
        results.push(match known {
            _ if account.is_administrator() || account.holds(&request.right) => {
                Requested::AlreadyHeld(request.right.clone())
            }
            Some(known) => Requested::AlreadyOpen(known.clone()),
            None => Requested::Open(request.clone()),
        });
    }
    let new: Vec<_> = results.iter().filter_map(Requested::new_request).collect();
    if open.len() + new.len() > OPEN_MAX as usize {
        return Err(RequestRightsError::TooManyOpen);
    }
    for request in new {
        tx.insert(request).await?;
        audit(tx, actor, RIGHT_REQUESTED, request, &request.reason, request.requested_at).await?;
    }
    Ok(results)
}

impl Requested {
    /// The right that was asked for.
    pub fn right(&self) -> &Right {
        match self {
            Self::Open(request) | Self::AlreadyOpen(request) => &request.right,
            Self::AlreadyHeld(right) => right,
        }
    }

    fn new_request(&self) -> Option<&RightsRequest> {
        match self {
            Self::Open(request) => Some(request),
            Self::AlreadyOpen(_) | Self::AlreadyHeld(_) => None,
        }
    }
}

async fn open_requests(tx: &Tx, account: &str) -> Result<Vec<RightsRequest>, StoreError> {
    let open = Filter::eq("account", account).and(Filter::eq("state", RequestState::Open.as_str()));
    tx.find(Query::new(open).limit(2 * OPEN_MAX)).await
}

fn no_longer_there() -> FieldError {
    let detail =
        "The event no longer has the field or the group that this request is about. Decline the request.";
    FieldError::new("", "not-an-option", detail)
}

fn is_decided(request: &RightsRequest) -> bool {
    request.state != RequestState::Open && guarded("rights.decided-once")
}

async fn approved_leader(tx: &Tx, account: &str) -> Result<Option<Account>, StoreError> {
    let account: Option<Account> = tx.get(account).await?;
    Ok(account.filter(|account| account.is_approved_leader() || !guarded("rights.approved-only")))
}

/// The subject of the entry is the leader's account.
async fn audit(
    tx: &Tx,
    by: &Actor,
    action: Action,
    request: &RightsRequest,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let right = request.right.to_string();
    let detail = [("request", request.id.as_str()), ("right", right.as_str())];
    tx.audit_with_reason(by, action, Subject::of::<Account>(&request.account), &detail, reason, now).await
}

async fn record_change(tx: &Tx, by: &Actor, change: &RightsChange) -> Result<(), StoreError> {
    tx.insert(change).await?;
    let (added, removed) = (names(&change.added), names(&change.removed));
    let detail = [("added", added.as_str()), ("change", change.id.as_str()), ("removed", removed.as_str())];
    let detail: Vec<_> = detail.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    let subject = Subject::of::<Account>(&change.account);
    tx.audit_with_reason(by, RIGHTS_SET, subject, &detail, &change.reason, change.changed_at).await
}

fn names(rights: &BTreeSet<Right>) -> String {
    rights.iter().map(Right::to_string).collect::<Vec<_>>().join(", ")
}

/// Closes the requests for rights that the leader holds now, so that nobody decides on them.
async fn grant_open_requests(
    tx: &Tx,
    by: &Actor,
    leader: &Account,
    change: &RightsChange,
) -> Result<(), StoreError> {
    let (reason, now) = (&change.reason, change.changed_at);
    for request in open_requests(tx, &leader.id).await? {
        if leader.holds(&request.right) {
            let request = request.decided(RequestState::Granted, reason, now);
            tx.put(&request).await?;
            audit(tx, by, RIGHT_GRANTED, &request, reason, now).await?;
        }
    }
    Ok(())
}
