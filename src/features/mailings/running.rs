//! Use cases: start, pause, resume and cancel.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::audience::{AudienceError, Counted};
use super::model::{
    Content, MAILING_CANCELLED, MAILING_DELETED, MAILING_PAUSED, MAILING_RESUMED, MAILING_RETURNED,
    MAILING_SCHEDULED, MAILING_STARTED, Mailing, MailingRecipients, MailingRun, MailingState,
};
use super::service::{GetMailingError, MailingProgress, Mailings, audit};
use super::steps::{QUEUED_MAX, SendMailing};
use crate::features::accounts::Account;
use crate::features::api_keys::ApiKey;
use crate::features::students::NotGranted;
use crate::kernel::{Actor, FieldError, Invalid, Markdown, Principal, Rights, Scope, Timestamp};
use crate::platform::jobs::{Job, Payload};
use crate::platform::mail::Mail;
use crate::platform::store::{Filter, Precondition, Query, Revision, Stale, StoreError, Tx};

/// How far ahead a mailing can start.
const AHEAD_MAX: Duration = Duration::from_hours(400 * 24);

/// Why a mailing is not started.
#[derive(Debug, thiserror::Error)]
pub enum StartMailingError {
    #[error(transparent)]
    Mailing(#[from] GetMailingError),
    /// It was started, scheduled or cancelled before.
    #[error("the mailing is no draft")]
    NotADraft,
    /// It has this number of recipients now.
    #[error("the number of recipients is {0}")]
    CountChanged(u64),
    #[error("the mailing has no recipients")]
    NoRecipients,
    #[error(transparent)]
    Stale(#[from] Stale),
    #[error(transparent)]
    Audience(#[from] AudienceError),
}

impl From<StoreError> for StartMailingError {
    fn from(error: StoreError) -> Self {
        Self::Mailing(error.into())
    }
}

/// Why a mailing is not paused.
#[derive(Debug, thiserror::Error)]
pub enum PauseMailingError {
    #[error(transparent)]
    Mailing(#[from] GetMailingError),
    /// Its state doesn't allow it.
    #[error("the mailing is in another state")]
    WrongState,
}

impl From<StoreError> for PauseMailingError {
    fn from(error: StoreError) -> Self {
        Self::Mailing(error.into())
    }
}

/// Why a mailing is not resumed, cancelled or deleted.
#[derive(Debug, thiserror::Error)]
pub enum ChangeMailingError {
    #[error(transparent)]
    Mailing(#[from] GetMailingError),
    /// Its state doesn't allow it.
    #[error("the mailing is in another state")]
    WrongState,
    /// A filter of somebody else's mailing needs this field.
    #[error(transparent)]
    NotGranted(#[from] NotGranted),
    /// Somebody else's mailing has an audience that needs this scope.
    #[error("the audience needs another scope")]
    ScopeMissing(Scope),
}

impl From<StoreError> for ChangeMailingError {
    fn from(error: StoreError) -> Self {
        Self::Mailing(error.into())
    }
}

/// Starts the mailing with this id, if it is still scheduled.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartScheduled {
    pub mailing: String,
}

impl Payload for StartScheduled {
    const KIND: &'static str = "mailings.start";
    fn key(&self) -> Option<String> {
        Some(self.mailing.clone())
    }
}

/// A mailing that can be started.
struct Ready {
    /// The text of the announcement, to be copied.
    announced: Option<Markdown>,
    counted: Counted,
}

impl Ready {
    /// Copies the text of the announcement, if the mailing has no copy yet: it is sent as it was confirmed.
    fn copy_text(&self, mailing: &mut Mailing) {
        if let Content::Announcement { text, .. } = &mut mailing.content
            && text.is_none()
        {
            text.clone_from(&self.announced);
        }
    }
}

impl Mailings {
    /// Starts a draft: at once, which fixes its recipients, or at `send_at`. `count` is the number of recipients that the
    /// caller confirms.
    ///
    /// # Errors
    /// [`StartMailingError`]; then nothing has changed.
    pub async fn start(
        &self,
        by: &Principal,
        id: &str,
        condition: &Precondition,
        count: u64,
        send_at: Option<Timestamp>,
    ) -> Result<MailingProgress, StartMailingError> {
        let (now, job) = (self.clock.now(), self.ids.next());
        check_time(send_at, now)?;
        let seen = self.mailing(id).await?;
        if seen.state != MailingState::Draft {
            return Err(StartMailingError::NotADraft);
        }
        condition.check(&seen)?;
        let ready = self.ready(&by.rights, &seen).await?;
        match ready.counted.recipients.len() as u64 {
            0 => return Err(StartMailingError::NoRecipients),
            other if other != count => return Err(StartMailingError::CountChanged(other)),
            _ => {}
        }
        let started = self.store.transact(async |tx| {
            let mut mailing = unchanged(&tx, &seen).await?;
            match send_at {
                Some(at) => schedule(&tx, &mut mailing, &by.actor, &ready, at, &job, now).await?,
                None => begin(&tx, &mut mailing, &by.actor, &ready, &job, now).await?,
            }
            Ok::<_, StartMailingError>(mailing)
        });
        Ok(self.with_counts(&by.rights, started.await?).await?)
    }

    /// Starts a mailing whose time has come, with the rights that its author has now. If it can't be started, it is cancelled
    /// and says why. If it has far more recipients than were confirmed, it is a draft again.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing has changed.
    pub(super) async fn start_scheduled(&self, id: &str) -> Result<(), StoreError> {
        let (now, job) = (self.clock.now(), self.ids.next());
        let seen: Option<Mailing> = self.store.get(id).await?;
        let Some(seen) = seen.filter(|seen| seen.state == MailingState::Scheduled) else { return Ok(()) };
        let by = seen.started_by.clone().unwrap_or(Actor::Operator);
        let ready = match self.ready_again(&by, &seen, now).await {
            Ok(ready) if ready.counted.recipients.is_empty() => Err("The audience is empty."),
            Ok(ready) if has_grown(&seen, &ready.counted) => Err(GROWN),
            Ok(ready) => Ok(ready),
            Err(AudienceError::Store(error)) => return Err(error),
            Err(AudienceError::Invalid(_)) => {
                Err("The announcement, a filter or a placeholder no longer exists.")
            }
            Err(AudienceError::NotGranted(_) | AudienceError::ScopeMissing(_)) => {
                Err("Its author no longer has the rights for it.")
            }
        };
        let started = self.store.transact(async |tx| {
            let mut mailing = unchanged(&tx, &seen).await?;
            match &ready {
                Ok(ready) => begin(&tx, &mut mailing, &by, ready, &job, now).await?,
                Err(reason) => {
                    mailing.state =
                        if *reason == GROWN { MailingState::Draft } else { MailingState::Cancelled };
                    mailing.reason = Some((*reason).to_owned());
                    if mailing.state == MailingState::Draft {
                        mailing.content.drop_copy();
                    }
                    tx.put(&mailing).await?;
                    let service = Actor::System(StartScheduled::KIND.into());
                    let action = if *reason == GROWN { MAILING_RETURNED } else { MAILING_CANCELLED };
                    audit(&tx, &service, action, &mailing, now).await?;
                }
            }
            Ok::<_, StartMailingError>(())
        });
        match started.await {
            Err(StartMailingError::Mailing(GetMailingError::Store(error))) => Err(error),
            // Somebody cancelled it meanwhile.
            _ => Ok(()),
        }
    }

    /// The recipients of a mailing that somebody with these rights may start.
    async fn ready(&self, rights: &Rights, mailing: &Mailing) -> Result<Ready, AudienceError> {
        let prepared = self.prepared(mailing).await?;
        let announced = match &mailing.content {
            Content::Announcement { announcement, .. } => {
                self.announced(announcement).await?.map(|found| found.text)
            }
            Content::Text { .. } => None,
        };
        let counted = self.counted(rights, &mailing.audience, prepared.placeholders()).await?;
        Ok(Ready { announced, counted })
    }

    async fn ready_again(
        &self,
        by: &Actor,
        mailing: &Mailing,
        now: Timestamp,
    ) -> Result<Ready, AudienceError> {
        let rights = self.rights_of(by, now).await?;
        let rights = rights.filter(|rights| rights.may(Scope::EmailSend));
        self.ready(&rights.ok_or(AudienceError::ScopeMissing(Scope::EmailSend))?, mailing).await
    }

    /// The present rights of an account or a key.
    async fn rights_of(&self, actor: &Actor, now: Timestamp) -> Result<Option<Rights>, StoreError> {
        match actor {
            Actor::Account(id) => {
                let account: Option<Account> = self.store.get(id).await?;
                Ok(account.map(|account| account.rights(self.enrolment)))
            }
            Actor::Machine(id) => {
                let query = Query::new(Filter::eq("keyId", id.as_str())).limit(1);
                let key = self.store.find::<ApiKey>(query).await?.pop();
                Ok(key.filter(|key| key.is_valid(now)).map(|key| key.rights()))
            }
            Actor::System(_) | Actor::Operator => Ok(None),
        }
    }

    /// Pauses a mailing. Its queued emails are withdrawn, apart from those that may have been sent. Pausing a paused mailing
    /// changes nothing.
    ///
    /// # Errors
    /// [`PauseMailingError`]; then nothing has changed.
    pub async fn pause(&self, by: &Principal, id: &str) -> Result<MailingProgress, PauseMailingError> {
        let now = self.clock.now();
        let paused = self.store.transact(async |tx| {
            let mut mailing = found(&tx, id).await?;
            match mailing.state {
                MailingState::Paused => return Ok(mailing),
                MailingState::Sending => {}
                _ => return Err(PauseMailingError::WrongState),
            }
            mailing.state = MailingState::Paused;
            withdraw_queued(&tx, id).await?;
            tx.put(&mailing).await?;
            audit(&tx, &by.actor, MAILING_PAUSED, &mailing, now).await?;
            Ok(mailing)
        });
        Ok(self.with_counts(&by.rights, paused.await?).await?)
    }

    /// Whether somebody may resume or cancel the mailing.
    async fn check_change(&self, by: &Principal, id: &str) -> Result<(), ChangeMailingError> {
        match self.check_author(by, &self.mailing(id).await?) {
            Err(AudienceError::NotGranted(error)) => Err(error.into()),
            Err(AudienceError::ScopeMissing(scope)) => Err(ChangeMailingError::ScopeMissing(scope)),
            Err(AudienceError::Store(error)) => Err(error.into()),
            Err(AudienceError::Invalid(_)) | Ok(()) => Ok(()),
        }
    }

    /// Goes on with a paused mailing. Resuming one that is being sent changes nothing.
    ///
    /// # Errors
    /// [`ChangeMailingError`]; then nothing has changed.
    pub async fn resume(&self, by: &Principal, id: &str) -> Result<MailingProgress, ChangeMailingError> {
        self.check_change(by, id).await?;
        let (now, job) = (self.clock.now(), self.ids.next());
        let resumed = self.store.transact(async |tx| {
            let mut mailing = found(&tx, id).await?;
            match mailing.state {
                MailingState::Sending => return Ok(mailing),
                MailingState::Paused => {}
                _ => return Err(ChangeMailingError::WrongState),
            }
            mailing.state = MailingState::Sending;
            tx.put(&mailing).await?;
            tx.go_on::<SendMailing>(id, job.clone(), now).await?;
            audit(&tx, &by.actor, MAILING_RESUMED, &mailing, now).await?;
            Ok(mailing)
        });
        Ok(self.with_counts(&by.rights, resumed.await?).await?)
    }

    /// Deletes a draft.
    ///
    /// # Errors
    /// [`ChangeMailingError`]; then nothing has changed.
    pub async fn delete(&self, by: &Principal, id: &str) -> Result<(), ChangeMailingError> {
        self.check_change(by, id).await?;
        let now = self.clock.now();
        self.store
            .transact(async |tx| {
                let mailing = found(&tx, id).await?;
                if mailing.state != MailingState::Draft {
                    return Err(ChangeMailingError::WrongState);
                }
                tx.delete::<Mailing>(id).await?;
                audit(&tx, &by.actor, MAILING_DELETED, &mailing, now).await?;
                Ok(())
            })
            .await
    }

    /// Cancels a mailing for good, started or not. Cancelling a cancelled mailing changes nothing.
    ///
    /// # Errors
    /// [`ChangeMailingError`]; then nothing has changed.
    pub async fn cancel(&self, by: &Principal, id: &str) -> Result<MailingProgress, ChangeMailingError> {
        self.check_change(by, id).await?;
        let now = self.clock.now();
        let cancelled = self.store.transact(async |tx| {
            let mut mailing = found(&tx, id).await?;
            match mailing.state {
                MailingState::Cancelled => return Ok(mailing),
                MailingState::Finished => return Err(ChangeMailingError::WrongState),
                MailingState::Draft => {}
                MailingState::Scheduled => tx.withdraw::<StartScheduled>(id).await?,
                MailingState::Sending | MailingState::Paused => withdraw_queued(&tx, id).await?,
            }
            mailing.state = MailingState::Cancelled;
            tx.put(&mailing).await?;
            audit(&tx, &by.actor, MAILING_CANCELLED, &mailing, now).await?;
            Ok(mailing)
        });
        Ok(self.with_counts(&by.rights, cancelled.await?).await?)
    }
}

/// Why a scheduled mailing is a draft again.
const GROWN: &str = "It would have far more recipients than were confirmed. Count them, and start it again.";

/// Whether the mailing has far more recipients than were confirmed: more than a tenth, and more than ten.
fn has_grown(mailing: &Mailing, counted: &Counted) -> bool {
    let confirmed = mailing.confirmed.unwrap_or_default();
    counted.recipients.len() as u64 > confirmed + (confirmed / 10).max(10)
}

fn check_time(send_at: Option<Timestamp>, now: Timestamp) -> Result<(), AudienceError> {
    if send_at.is_none_or(|at| at > now && at <= now.plus(AHEAD_MAX)) {
        return Ok(());
    }
    let detail = "Choose a time in the future, at most 400 days ahead.";
    Err(Invalid::from(FieldError::new("/sendAt", "out-of-range", detail)).into())
}

async fn found(tx: &Tx, id: &str) -> Result<Mailing, GetMailingError> {
    tx.get(id).await?.ok_or(GetMailingError::NotFound)
}

/// The mailing, if it is as it was when its recipients were counted.
async fn unchanged(tx: &Tx, seen: &Mailing) -> Result<Mailing, StartMailingError> {
    let mailing = found(tx, &seen.id).await?;
    if mailing.state != seen.state {
        return Err(StartMailingError::NotADraft);
    }
    if Revision::of(&mailing)? != Revision::of(seen)? {
        return Err(Stale.into());
    }
    Ok(mailing)
}

async fn schedule(
    tx: &Tx,
    mailing: &mut Mailing,
    by: &Actor,
    ready: &Ready,
    at: Timestamp,
    job: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    mailing.state = MailingState::Scheduled;
    (mailing.started_by, mailing.send_at) = (Some(by.clone()), Some(at));
    mailing.confirmed = Some(ready.counted.recipients.len() as u64);
    ready.copy_text(mailing);
    tx.put(mailing).await?;
    let start = StartScheduled { mailing: mailing.id.clone() };
    tx.enqueue(&Job::new(job.to_owned(), &start, now).at(at)).await?;
    audit(tx, by, MAILING_SCHEDULED, mailing, now).await
}

/// Fixes the recipients, and begins to post their emails.
async fn begin(
    tx: &Tx,
    mailing: &mut Mailing,
    by: &Actor,
    ready: &Ready,
    job: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Counted { recipients, left_out, .. } = &ready.counted;
    ready.copy_text(mailing);
    mailing.start(by, recipients.len() as u64, *left_out, now);
    let documents = MailingRecipients::of(&mailing.id, recipients, now);
    tx.put_all(&documents.iter().collect::<Vec<_>>()).await?;
    tx.put(mailing).await?;
    let run = MailingRun::new(&mailing.id, mailing.recipients, now);
    tx.begin::<SendMailing>(&run, job.to_owned(), now).await?;
    audit(tx, by, MAILING_STARTED, mailing, now).await
}

/// Takes back the queued emails. Those that are withdrawn are posted again if the mailing is resumed.
async fn withdraw_queued(tx: &Tx, id: &str) -> Result<(), StoreError> {
    let Some(mut run) = tx.get::<MailingRun>(id).await? else { return Ok(()) };
    run.rewind();
    // Written in any case, so that a step that posts emails at the same time is refused.
    tx.put(&run).await?;
    let queued = Filter::eq("batch", id).and(Filter::eq("state", "queued"));
    let queued: Vec<Mail> = tx.find(Query::new(queued).limit(2 * QUEUED_MAX as u32)).await?;
    tx.withdraw_mails(&queued).await
}
