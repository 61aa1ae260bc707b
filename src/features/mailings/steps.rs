//! Posting the emails of a mailing: a batch per step, and no more in the queue than can be withdrawn at once.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::mails;
use super::model::{Mailing, MailingRecipients, MailingRun, MailingState};
use crate::base::Base;
use crate::features::accounts::Account;
use crate::kernel::{Clock, Timestamp};
use crate::platform::jobs::{Progress, Steps};
use crate::platform::mail::{Mail, Outcome, SendBulkMail};
use crate::platform::store::{Filter, Query, StoreError, Tx};

/// The most emails of a mailing that are queued or being sent. A pause withdraws them in one transaction; at SES's usual
/// rates they are the emails of ten seconds.
pub const QUEUED_MAX: u64 = 250;

/// Emails that one step posts.
const AT_ONCE: u64 = 100;

/// Pause while the queue is full.
const FULL: Duration = Duration::from_millis(400);

/// Pause while the last emails are being sent: short at first, and longer for those that are retried for hours.
const ENDING: [(Duration, Duration); 2] =
    [(Duration::from_secs(60), Duration::from_secs(1)), (Duration::MAX, Duration::from_secs(30))];

/// Time after which an email is not sent any more: longer than all attempts of its job take. An email that is still queued
/// then has no job, because an operator dropped it or its workers died too often.
const GIVEN_UP_AFTER: Duration = Duration::from_hours(4 * 24);

/// Posts the emails of a mailing that was started.
pub struct SendMailing {
    clock: Arc<dyn Clock>,
}

impl SendMailing {
    /// Posts at the time of `base`.
    pub fn new(base: &Base) -> Self {
        Self { clock: base.clock.clone() }
    }
}

#[async_trait]
impl Steps for SendMailing {
    type Plan = MailingRun;

    const KIND: &'static str = "mailings.send";

    async fn step(&self, tx: &Tx, run: &mut MailingRun) -> Result<Progress, StoreError> {
        let mailing: Option<Mailing> = tx.get(&run.id).await?;
        let Some(mailing) = mailing.filter(|mailing| mailing.state == MailingState::Sending) else {
            return Ok(Progress::Done);
        };
        let (now, open) = (self.clock.now(), open(tx, &run.id).await?);
        match run.is_posted() {
            false if open < QUEUED_MAX => post_some(tx, run, QUEUED_MAX - open, now).await,
            false => Ok(Progress::Later(FULL)),
            true if open > 0 && run.posted_at.is_none_or(|posted| now.since(posted) < GIVEN_UP_AFTER) => {
                Ok(Progress::Later(ending(run, now)))
            }
            true if open > 0 => {
                give_up(tx, &run.id, now).await?;
                Ok(Progress::More)
            }
            true => {
                let finished = Mailing { state: MailingState::Finished, finished_at: Some(now), ..mailing };
                tx.put(&finished).await?;
                Ok(Progress::Done)
            }
        }
    }
}

/// Number of emails that are queued or being sent.
async fn open(tx: &Tx, mailing: &str) -> Result<u64, StoreError> {
    tx.count::<Mail>(are_open(mailing)).await
}

fn are_open(mailing: &str) -> Filter {
    let states = vec!["queued".into(), "sending".into()];
    Filter::eq("batch", mailing).and(Filter::In("state".into(), states))
}

/// Ends the emails that nobody sends any more, so that the mailing ends.
async fn give_up(tx: &Tx, mailing: &str, now: Timestamp) -> Result<(), StoreError> {
    let mut mails: Vec<Mail> = tx.find(Query::new(are_open(mailing)).limit(QUEUED_MAX as u32)).await?;
    for mail in &mut mails {
        mail.finish_sending(Outcome::Failed("it was never sent: its job is gone".into()), false, now);
        tx.withdraw::<SendBulkMail>(&mail.id).await?;
    }
    tx.put_all(&mails.iter().collect::<Vec<_>>()).await
}

fn ending(run: &MailingRun, now: Timestamp) -> Duration {
    let since = run.posted_at.map_or(Duration::ZERO, |posted| now.since(posted));
    let (_, pause) = ENDING.into_iter().find(|(until, _)| since < *until).unwrap_or(ENDING[1]);
    pause
}

/// Posts the emails of the next recipients, at most `room`.
async fn post_some(tx: &Tx, run: &mut MailingRun, room: u64, now: Timestamp) -> Result<Progress, StoreError> {
    let some: Option<MailingRecipients> = tx.get(&MailingRecipients::id_of(&run.id, run.next)).await?;
    let some = some.ok_or_else(|| StoreError::Failed("recipients of a mailing are missing".into()))?;
    let from = MailingRecipients::place_of(run.next);
    let wanted = usize::try_from(room.min(AT_ONCE)).expect("it is at most a hundred");
    let ids = &some.accounts[from..some.accounts.len().min(from + wanted)];
    let accounts: Vec<Account> = tx.get_all(ids.iter().map(String::as_str)).await?;
    let mails: Vec<_> =
        accounts.iter().map(|account| mails::to_recipient(&run.id, account, run.round, now)).collect();
    post(tx, mails, run.round).await?;
    run.next += ids.len() as u64;
    run.gone += (ids.len() - accounts.len()) as u64;
    run.posted_at = Some(now);
    let full = !run.is_posted() && room <= ids.len() as u64;
    Ok(if full { Progress::Later(FULL) } else { Progress::More })
}

/// Posts the emails that were not posted before. After a pause, the job of a withdrawn email may have been put back: it
/// makes way for the new one.
async fn post(tx: &Tx, mails: Vec<Mail>, round: u32) -> Result<(), StoreError> {
    if round == 0 {
        return tx.post_all(&mails).await;
    }
    let known: Vec<Mail> = tx.get_all(mails.iter().map(|mail| mail.id.as_str())).await?;
    let is_new = |mail: &Mail| known.binary_search_by(|known| known.id.cmp(&mail.id)).is_err();
    let new: Vec<_> = mails.into_iter().filter(is_new).collect();
    for mail in &new {
        tx.withdraw::<SendBulkMail>(&mail.id).await?;
    }
    tx.post_all(&new).await
}
