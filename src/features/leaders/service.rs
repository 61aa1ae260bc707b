//! Use cases: list and show accounts, approve and reject leaders, withdraw an approval.

use std::sync::Arc;

use super::mails;
use super::model::{APPROVAL_WITHDRAWN, ApprovalDecision, LEADER_APPROVED, LEADER_REJECTED};
use crate::base::Base;
use crate::features::accounts::{self, Account, Approval, PutStaffError};
use crate::kernel::{Clock, Ids, Principal, Role, Scope};
use crate::platform::audit::{Action, Subject};
use crate::platform::store::{Cursor, Dir, Filter, Page, PageError, Query, Store, StoreError, Tx};

/// Which accounts a list shows. The default is all of them.
#[derive(Clone, Debug, Default)]
pub struct AccountFilter {
    /// Those with this role.
    pub role: Option<Role>,
    /// Those with this approval.
    pub approval: Option<Approval>,
    /// Administrators only.
    pub administrators: bool,
    /// Those whose names or address contain each word of this text, ignoring case.
    pub search: Option<String>,
}

impl AccountFilter {
    fn filter(&self) -> Filter {
        let role = self.role.map(|role| Filter::eq("role", role.as_str()));
        let approval = self.approval.map(|approval| Filter::eq("approval", approval.as_str()));
        let administrators = self.administrators.then(accounts::administrators);
        let words = self.search.iter().flat_map(|text| text.split_whitespace()).map(names_or_address);
        [role, approval, administrators].into_iter().flatten().chain(words).fold(Filter::All, Filter::and)
    }
}

/// The accounts whose names or address contain this word.
fn names_or_address(word: &str) -> Filter {
    let fields = ["firstName", "lastName", "preferredName", "email"];
    Filter::Or(fields.map(|field| Filter::Contains(field.into(), word.to_owned())).into())
}

/// Why an account can't be shown.
#[derive(Debug, thiserror::Error)]
pub enum GetAccountError {
    #[error("there is no such account")]
    NotFound,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a leader is not approved.
#[derive(Debug, thiserror::Error)]
pub enum ApproveLeaderError {
    #[error("there is no such account")]
    NotFound,
    /// The account is a student's.
    #[error("students need no approval")]
    NotALeader,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a leader is not rejected, or an approval not withdrawn.
#[derive(Debug, thiserror::Error)]
pub enum EndApprovalError {
    #[error("there is no such account")]
    NotFound,
    /// The account is a student's.
    #[error("students need no approval")]
    NotALeader,
    /// The account is an administrator's, and the caller is not an administrator.
    #[error("only an administrator can do this to an administrator")]
    AdministratorsOnly,
    /// Nobody would be an administrator any more.
    #[error("this is the last administrator")]
    LastAdministrator,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<PutStaffError> for EndApprovalError {
    fn from(error: PutStaffError) -> Self {
        match error {
            PutStaffError::LastAdministrator => Self::LastAdministrator,
            PutStaffError::Store(error) => Self::Store(error),
        }
    }
}

/// Accounts as the committee sees them.
pub struct Leaders {
    store: Store,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

impl Leaders {
    /// The use cases on `base`.
    pub fn new(base: &Base) -> Self {
        Self { store: base.store.clone(), clock: base.clock.clone(), ids: base.ids.clone() }
    }

    /// The page of the accounts that match, newest first, that begins at `after`; at most `limit`.
    ///
    /// # Errors
    /// [`PageError`]
    pub async fn list(
        &self,
        which: &AccountFilter,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<Account>, PageError> {
        let newest_first = Query::new(which.filter()).sort("createdAt", Dir::Desc);
        self.store.page(newest_first.limit(limit), after).await
    }

    /// The account with this id.
    ///
    /// # Errors
    /// [`GetAccountError`]
    pub async fn account(&self, id: &str) -> Result<Account, GetAccountError> {
        self.store.get(id).await?.ok_or(GetAccountError::NotFound)
    }

    /// Approves a leader, whether waiting, rejected or withdrawn. Approving an approved leader changes nothing.
    ///
    /// # Errors
    /// [`ApproveLeaderError`]; then nothing has changed.
    pub async fn approve(&self, by: &Principal, id: &str) -> Result<(), ApproveLeaderError> {
        let decision = self.decision(id, Approval::Approved, None);
        self.store
            .transact(async |tx| {
                let before: Account = tx.get(id).await?.ok_or(ApproveLeaderError::NotFound)?;
                if before.role != Role::Leader {
                    return Err(ApproveLeaderError::NotALeader);
                }
                if before.approval != Approval::Approved {
                    let leader = accounts::approve(&tx, &before).await?;
                    record(&tx, by, LEADER_APPROVED, &decision).await?;
                    tx.post(&mails::approved(&decision, &leader)).await?;
                }
                Ok(())
            })
            .await
    }

    /// Rejects a leader, whether waiting or approved. The leader's rights end. Rejecting a rejected leader changes nothing.
    ///
    /// # Errors
    /// [`EndApprovalError`]; then nothing has changed.
    pub async fn reject(
        &self,
        by: &Principal,
        id: &str,
        reason: Option<String>,
    ) -> Result<(), EndApprovalError> {
        let decision = self.decision(id, Approval::Rejected, reason);
        self.store
            .transact(async |tx| {
                let leader = leader_to_end(&tx, by, id).await?;
                if leader.approval != Approval::Rejected {
                    end(&tx, &leader, &decision).await?;
                    record(&tx, by, LEADER_REJECTED, &decision).await?;
                    tx.post(&mails::rejected(&decision, &leader)).await?;
                }
                Ok(())
            })
            .await
    }

    /// Withdraws the approval of a leader, whose rights end. Changes nothing if the leader is not approved.
    ///
    /// # Errors
    /// [`EndApprovalError`]; then nothing has changed.
    pub async fn withdraw(&self, by: &Principal, id: &str) -> Result<(), EndApprovalError> {
        let decision = self.decision(id, Approval::Withdrawn, None);
        self.store
            .transact(async |tx| {
                let leader = leader_to_end(&tx, by, id).await?;
                if leader.approval == Approval::Approved {
                    end(&tx, &leader, &decision).await?;
                    record(&tx, by, APPROVAL_WITHDRAWN, &decision).await?;
                    tx.post(&mails::withdrawn(&decision, &leader)).await?;
                }
                Ok(())
            })
            .await
    }

    fn decision(&self, account: &str, approval: Approval, reason: Option<String>) -> ApprovalDecision {
        let (id, account, decided_at) = (self.ids.next(), account.to_owned(), self.clock.now());
        ApprovalDecision { id, account, approval, reason, decided_at }
    }
}

/// A leader whose approval `by` may end.
async fn leader_to_end(tx: &Tx, by: &Principal, id: &str) -> Result<Account, EndApprovalError> {
    let account: Account = tx.get(id).await?.ok_or(EndApprovalError::NotFound)?;
    if account.role != Role::Leader {
        return Err(EndApprovalError::NotALeader);
    }
    if account.is_administrator() && !by.rights.may(Scope::AdminAll) {
        return Err(EndApprovalError::AdministratorsOnly);
    }
    Ok(account)
}

/// Ends the approval and the rights of a leader.
async fn end(tx: &Tx, leader: &Account, decision: &ApprovalDecision) -> Result<(), PutStaffError> {
    let mut ended = leader.clone();
    ended.decide(decision.approval);
    accounts::put_staff(tx, leader, &ended).await
}

/// Stores a decision and its audit entry.
async fn record(
    tx: &Tx,
    by: &Principal,
    action: Action,
    decision: &ApprovalDecision,
) -> Result<(), StoreError> {
    tx.insert(decision).await?;
    let (subject, detail) = (Subject::of::<Account>(&decision.account), [("decision", decision.id.as_str())]);
    let reason = decision.reason.as_deref().unwrap_or_default();
    tx.audit_with_reason(&by.actor, action, subject, &detail, reason, decision.decided_at).await
}
