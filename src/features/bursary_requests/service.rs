//! Changes of requests. Each is a part of another feature's transaction.

use super::model::{Bursary, BursaryDecided, BursaryState, Decision, DecisionRefused};
use crate::kernel::{Actor, Timestamp};
use crate::platform::store::{StoreError, Tx};

/// Why a request is not made or withdrawn.
#[derive(Debug, thiserror::Error)]
pub enum FollowFormError {
    #[error(transparent)]
    Decided(#[from] BursaryDecided),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a request is not decided.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    #[error(transparent)]
    Refused(#[from] DecisionRefused),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Records the request of a student who submits a form that asks for a bursary.
///
/// # Errors
/// [`StoreError`]
pub async fn request(tx: &Tx, account: &str, now: Timestamp) -> Result<(), StoreError> {
    tx.put(&Bursary::requested(account, now)).await
}

/// Makes the request if the changed form of a student `asks` for a bursary, and withdraws it otherwise.
///
/// # Errors
/// [`FollowFormError`]
pub async fn follow_form(tx: &Tx, account: &str, asks: bool, now: Timestamp) -> Result<(), FollowFormError> {
    let before = tx.get::<Bursary>(account).await?;
    if let Some(bursary) = &before {
        bursary.check_undecided()?;
    }
    match before {
        Some(bursary) if asks == (bursary.state == BursaryState::Requested) => Ok(()),
        Some(bursary) if !asks => Ok(tx.put(&bursary.withdrawn()?).await?),
        None if !asks => Ok(()),
        _ => Ok(request(tx, account, now).await?),
    }
}

/// Decides on the request of `account`, once.
///
/// # Errors
/// [`DecideError`]
pub async fn decide(
    tx: &Tx,
    by: &Actor,
    account: &str,
    decision: Decision<'_>,
    now: Timestamp,
) -> Result<Bursary, DecideError> {
    let bursary = tx.get::<Bursary>(account).await?.ok_or(DecisionRefused::NotRequested)?;
    let bursary = bursary.decided(by, decision, now)?;
    tx.put(&bursary).await?;
    Ok(bursary)
}

/// Records that an approved bursary has taken effect.
///
/// # Errors
/// [`StoreError`]
pub async fn settled(tx: &Tx, account: &str, now: Timestamp) -> Result<(), StoreError> {
    let Some(mut bursary) = tx.get::<Bursary>(account).await? else { return Ok(()) };
    if bursary.settled_at.is_none() {
        bursary.settled_at = Some(now);
        tx.put(&bursary).await?;
    }
    Ok(())
}
