//! The rule that there is always an administrator.

use serde::{Deserialize, Serialize};

use super::model::{Account, Approval};
use crate::kernel::faults::guarded;
use crate::kernel::{Right, Role, Scope};
use crate::platform::store::{Document, Filter, Keep, Personal, StoreError, Tx};

/// Written by every transaction that ends an administrator, so that the store refuses one of two that overlap.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdministratorsGuard {
    id: String,
    /// Number of administrators who ended.
    ended: u64,
}

impl AdministratorsGuard {
    const ID: &str = "administrators";
}

impl Document for AdministratorsGuard {
    const COLLECTION: &'static str = "administrators_guard";
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = Keep::with_store("keeps two administrators from ending each other at once");

    fn id(&self) -> &str {
        &self.id
    }
}

/// Why the account of a leader is not changed.
#[derive(Debug, thiserror::Error)]
pub enum PutStaffError {
    /// Nobody could give anybody rights afterwards, except at the command line.
    #[error("this is the last administrator")]
    LastAdministrator,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Stores `after`, the changed account of a leader who was `before`. Every change that can end an administrator is made
/// with it.
///
/// # Errors
/// [`PutStaffError`]; then the transaction must end without effect.
pub async fn put_staff(tx: &Tx, before: &Account, after: &Account) -> Result<(), PutStaffError> {
    if before.is_administrator() && !after.is_administrator() {
        end_administrator(tx, &before.id).await?;
    }
    Ok(tx.put(after).await?)
}

/// Approves a leader, and stores the account.
///
/// # Errors
/// [`StoreError`].
pub async fn approve(tx: &Tx, leader: &Account) -> Result<Account, StoreError> {
    let mut approved = leader.clone();
    approved.decide(Approval::Approved);
    tx.put(&approved).await?;
    Ok(approved)
}

/// Adds a right to those of a leader, and stores the account.
///
/// # Errors
/// [`StoreError`].
pub async fn grant(tx: &Tx, leader: &Account, right: Right) -> Result<Account, StoreError> {
    let mut granted = leader.clone();
    granted.grant(right);
    tx.put(&granted).await?;
    Ok(granted)
}

/// The accounts of administrators.
pub fn administrators() -> Filter {
    Filter::eq("role", Role::Leader.as_str())
        .and(Filter::eq("approval", Approval::Approved.as_str()))
        .and(Filter::has("scopes", Scope::AdminAll.as_str()))
}

/// Refuses the end of the last administrator. Two transactions that overlap each count the administrator whom the other
/// ends, so both write the guard: then the store lets only one of them commit.
async fn end_administrator(tx: &Tx, id: &str) -> Result<(), PutStaffError> {
    if !guarded("accounts.last-administrator") {
        return Ok(());
    }
    if guarded("accounts.administrators-guard") {
        let guard: Option<AdministratorsGuard> = tx.get(AdministratorsGuard::ID).await?;
        let ended = guard.map_or(0, |guard| guard.ended) + 1;
        tx.put(&AdministratorsGuard { id: AdministratorsGuard::ID.into(), ended }).await?;
    }
    let others = administrators().and(!Filter::eq("id", id));
    match tx.count::<Account>(others).await? {
        0 => Err(PutStaffError::LastAdministrator),
        _ => Ok(()),
    }
}
