//! Use cases: apply a notification, list the entries, remove an entry.

use std::sync::Arc;
use std::time::Duration;

use super::model::{SUPPRESSION_REMOVED, SesEvent, SnsNotification, Verdict};
use crate::base::Base;
use crate::kernel::{Actor, Clock, Ids, Timestamp};
use crate::platform::audit::Subject;
use crate::platform::mail::Suppression;
use crate::platform::mail::sns::{Message, MessageKind, ReadError, Sns, Unreachable, Untrusted};
use crate::platform::store::{Cursor, Dir, Filter, Page, PageError, Query, Store, StoreError, Tx};

/// How long notifications are remembered: longer than one could be accepted again.
pub(super) const KEPT: Duration = Duration::from_secs(3 * 24 * 3600);
/// How often applying a message is tried while others add its addresses to the list.
const TRIES: u32 = 5;

/// Why a message was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// Emails are not sent through SES.
    #[error("messages of SNS are not expected")]
    NotConfigured,
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// The certificate that would verify it is unavailable now.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ReadError> for ReceiveError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Untrusted(why) => Self::Untrusted(why),
            ReadError::Unreachable(why) => Self::Unreachable(why),
        }
    }
}

/// Why an entry was not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    #[error("there is no such entry")]
    NotFound,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The suppression list.
pub struct Suppressions {
    store: Store,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    /// `None` if emails are not sent through SES.
    sns: Option<Sns>,
}

impl Suppressions {
    /// The list in the store of `base`. `sns` verifies the messages if emails are sent through SES.
    pub fn new(base: &Base, sns: Option<Sns>) -> Self {
        Self { store: base.store.clone(), clock: base.clock.clone(), ids: base.ids.clone(), sns }
    }

    /// Verifies and applies a message of SNS. A repeated message, or one that suppresses nothing, has no effect.
    ///
    /// # Errors
    /// [`ReceiveError`], if it is refused or can't be applied now.
    pub async fn receive(&self, body: &[u8]) -> Result<(), ReceiveError> {
        let sns = self.sns.as_ref().ok_or(ReceiveError::NotConfigured)?;
        let now = self.clock.now();
        let message = sns.read(body, now).await.inspect_err(log)?;
        match message.kind {
            MessageKind::Notification => self.act_on(&message, now).await?,
            MessageKind::Subscription => self.confirm(sns, &message, now).await?,
            MessageKind::Unsubscription => {
                tracing::warn!(
                    topic = message.topic,
                    "a subscription has ended: SNS reports no more bounces of this topic"
                );
            }
        }
        Ok(())
    }

    /// Confirms once per message, even if it is delivered several times.
    async fn confirm(&self, sns: &Sns, message: &Message, now: Timestamp) -> Result<(), ReceiveError> {
        if self.store.get::<SnsNotification>(&message.id).await?.is_some() {
            return Ok(());
        }
        sns.confirm(message).await.inspect_err(log)?;
        tracing::info!(topic = message.topic, "the subscription to an SNS topic is confirmed");
        Ok(self.act(message, None, now).await?)
    }

    async fn act_on(&self, message: &Message, now: Timestamp) -> Result<(), StoreError> {
        let verdict = SesEvent::read(&message.text).verdict();
        if let Some(Verdict { cause, addresses }) = &verdict {
            tracing::info!(
                message = message.id,
                ?cause,
                addresses = addresses.len(),
                "SES reported a bounce or a complaint"
            );
        }
        self.act(message, verdict, now).await
    }

    /// If another message adds one of the addresses at the same time, the next try finds it on the list.
    async fn act(
        &self,
        message: &Message,
        verdict: Option<Verdict>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let taken = SnsNotification { id: message.id.clone(), received_at: now };
        let entry = |verdict: &Verdict| {
            let listed = |address| Suppression::new(self.ids.next(), address, verdict.cause, now);
            verdict.addresses.iter().map(listed).collect::<Vec<_>>()
        };
        let entries = verdict.as_ref().map(entry).unwrap_or_default();
        for _ in 0..TRIES {
            match self.store.transact(async |tx| record(&tx, &taken, &entries).await).await {
                Err(StoreError::Duplicate { index }) if index == Suppression::BY_ADDRESS => {}
                Err(StoreError::Duplicate { .. }) => return Ok(()),
                settled => return settled,
            }
        }
        Err(StoreError::Busy)
    }

    /// The page of the list, newest first, that begins at `after`; at most `limit` entries.
    ///
    /// # Errors
    /// [`PageError`].
    pub async fn list(&self, after: Option<&Cursor>, limit: u32) -> Result<Page<Suppression>, PageError> {
        let newest_first = Query::new(Filter::All).sort("id", Dir::Desc);
        self.store.page(newest_first.limit(limit), after).await
    }

    /// Removes the entry. Later emails to its address are sent again.
    ///
    /// # Errors
    /// [`RemoveError`] if there is no such entry.
    pub async fn remove(&self, actor: &Actor, id: &str) -> Result<(), RemoveError> {
        let now = self.clock.now();
        let removed = self.store.transact(async |tx| {
            if !tx.delete::<Suppression>(id).await? {
                return Err(RemoveError::NotFound);
            }
            tx.audit(actor, SUPPRESSION_REMOVED, Subject::of::<Suppression>(id), &[], now).await?;
            Ok(())
        });
        removed.await?;
        tracing::info!(entry = id, ?actor, "an address was removed from the suppression list");
        Ok(())
    }
}

/// At *warn*, because anonymous clients can cause it.
fn log(error: &ReadError) {
    match error {
        ReadError::Untrusted(Untrusted::Unreadable(_)) => {}
        ReadError::Untrusted(why) => tracing::warn!(%why, "a notification was refused"),
        ReadError::Unreachable(why) => tracing::warn!(%why, "a notification can't be verified"),
    }
}

/// Records the message and its entries. [`StoreError::Duplicate`] of the id if the message took effect before.
async fn record(tx: &Tx, taken: &SnsNotification, entries: &[Suppression]) -> Result<(), StoreError> {
    tx.insert(taken).await?;
    for entry in entries {
        if tx.find::<Suppression>(Suppression::of(&entry.address)).await?.is_empty() {
            tx.insert(entry).await?;
        }
    }
    Ok(())
}
