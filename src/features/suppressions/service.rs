//! Use cases: take in what SNS tells, show the list, lift what is on it.

use std::sync::Arc;
use std::time::Duration;

use super::model::{SesEvent, SnsNotification, Verdict};
use crate::base::Base;
use crate::kernel::{Actor, Clock, Ids, Timestamp};
use crate::platform::audit::{Action, Subject};
use crate::platform::mail::Suppression;
use crate::platform::mail::sns::{Message, MessageKind, NotBelieved, ReadError, Sns, Unreachable};
use crate::platform::store::{Cursor, Dir, Filter, Page, PageError, Query, Store, StoreError, Tx};

/// Longer than a notification could be believed again.
pub(super) const KEPT: Duration = Duration::from_secs(3 * 24 * 3600);
/// How often a message is taken in while others put its addresses on the list.
const TRIES: u32 = 5;

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// Emails don't leave by SES.
    #[error("nobody here expects messages of SNS")]
    NotConfigured,
    #[error(transparent)]
    NotBelieved(#[from] NotBelieved),
    /// What would show whether it is to be believed can't be had now.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ReadError> for ReceiveError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotBelieved(why) => Self::NotBelieved(why),
            ReadError::Unreachable(why) => Self::Unreachable(why),
        }
    }
}

/// Why nothing was lifted.
#[derive(Debug, thiserror::Error)]
pub enum LiftError {
    #[error("there is no such entry")]
    NotFound,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The list of addresses that get no emails.
pub struct Suppressions {
    store: Store,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    /// `None` where emails don't leave by SES.
    sns: Option<Sns>,
}

impl Suppressions {
    /// The list in the store of `base`. `sns` verifies the messages of SNS, where emails go through SES.
    pub fn new(base: &Base, sns: Option<Sns>) -> Self {
        Self { store: base.store.clone(), clock: base.clock.clone(), ids: base.ids.clone(), sns }
    }

    /// Takes in a message of SNS, as it came. One that has come before, or is about nothing that ends emails, changes
    /// nothing.
    ///
    /// # Errors
    /// [`ReceiveError`], if it is not believed or can't be taken now.
    pub async fn receive(&self, body: &[u8]) -> Result<(), ReceiveError> {
        let sns = self.sns.as_ref().ok_or(ReceiveError::NotConfigured)?;
        let now = self.clock.now();
        let message = sns.read(body, now).await.inspect_err(log)?;
        match message.kind {
            MessageKind::Notification => self.act_on(&message, now).await?,
            MessageKind::Subscription => self.confirm(sns, &message, now).await?,
            MessageKind::Unsubscription => {
                tracing::warn!(topic = message.topic, "SNS will tell nothing more of emails that come back");
            }
        }
        Ok(())
    }

    /// Once per message, however often it comes.
    async fn confirm(&self, sns: &Sns, message: &Message, now: Timestamp) -> Result<(), ReceiveError> {
        if self.store.get::<SnsNotification>(&message.id).await?.is_some() {
            return Ok(());
        }
        sns.confirm(message).await.inspect_err(log)?;
        tracing::info!(topic = message.topic, "the subscription to a topic of SNS is confirmed");
        Ok(self.act(message, None, now).await?)
    }

    async fn act_on(&self, message: &Message, now: Timestamp) -> Result<(), StoreError> {
        let verdict = SesEvent::read(&message.text).verdict();
        if let Some(Verdict { cause, addresses }) = &verdict {
            tracing::info!(
                message = message.id,
                ?cause,
                addresses = addresses.len(),
                "SES tells of an email"
            );
        }
        self.act(message, verdict, now).await
    }

    /// Whoever else puts an address of this message on the list at the same time is before us: then it is there.
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

    /// Emails go to the address of this entry again, from the next on.
    ///
    /// # Errors
    /// [`LiftError`] if there is no such entry.
    pub async fn lift(&self, actor: &Actor, id: &str) -> Result<(), LiftError> {
        let now = self.clock.now();
        let lifted = self.store.transact(async |tx| {
            if !tx.delete::<Suppression>(id).await? {
                return Err(LiftError::NotFound);
            }
            tx.audit(actor, Action::SuppressionRemoved, Subject::of::<Suppression>(id), &[], now).await?;
            Ok(())
        });
        lifted.await?;
        tracing::info!(entry = id, ?actor, "emails go to an address again");
        Ok(())
    }
}

/// At *warn*: anonymous clients can cause it.
fn log(error: &ReadError) {
    match error {
        ReadError::NotBelieved(NotBelieved::Unreadable(_)) => {}
        ReadError::NotBelieved(why) => tracing::warn!(%why, "a notification is not believed"),
        ReadError::Unreachable(why) => tracing::warn!(%why, "a notification can't be checked"),
    }
}

/// [`StoreError::Duplicate`] of the id if the message has taken effect before.
async fn record(tx: &Tx, taken: &SnsNotification, entries: &[Suppression]) -> Result<(), StoreError> {
    tx.insert(taken).await?;
    for entry in entries {
        if tx.find::<Suppression>(Suppression::of(&entry.address)).await?.is_empty() {
            tx.insert(entry).await?;
        }
    }
    Ok(())
}
