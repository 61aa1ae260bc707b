//! The record of an email to one recipient, and the rules of its states.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::kernel::{EmailAddress, Timestamp};
use crate::platform::audit::Action;
use crate::platform::jobs::{Dropped, Job, Payload};
use crate::platform::store::{
    Class, Document, Index, Keep, Migration, Owner, Personal, PersonalField, StoreError, Tx,
};

/// A failed email was put back into the queue.
pub const EMAIL_RETRIED: Action = Action::new("email.retried");

/// Maximum number of attempts without a reply: each may have delivered a copy.
pub const UNANSWERED_MAX: u32 = 5;

fn is_first(round: &u32) -> bool {
    *round == 0
}

/// The reason of an email that failed after them.
fn unanswered() -> String {
    format!("the server did not reply to any of {UNANSWERED_MAX} attempts: it may have delivered the email")
}

/// The state of an email.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MailState {
    /// Waits for its job.
    Queued,
    /// Is being handed to the transport, or was when the process died.
    Sending,
    /// Sent once.
    Sent,
    /// Sent, and possibly sent before.
    SentPossiblyTwice,
    /// Refused by the transport for good, or attempted too often: see [`Mail::reason`].
    Failed,
    /// Not sent: its subject no longer exists or no longer needs an email. See [`Mail::reason`].
    Obsolete,
    /// Not sent: the address is on the suppression list.
    Suppressed,
    /// Not sent: its recipient gets no more emails of this kind.
    Unsubscribed,
}

/// Which lane an email takes. A direct email never waits for bulk emails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MailClass {
    /// Caused by one person, who waits for it: a link, a ticket.
    #[default]
    Direct,
    /// One of many with the same content: a mailing.
    Bulk,
}

/// An email to one recipient.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mail {
    /// Deterministic where an email must be sent once: `ticket:<order>`.
    pub id: String,
    /// The [`Template`](super::Template) that renders it.
    pub template: String,
    /// Its lane.
    #[serde(default)]
    pub class: MailClass,
    /// Its recipient.
    pub to: EmailAddress,
    /// The mailing that it belongs to, if it is one of many that are counted together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    /// How often the mailing was paused before it was posted: an email that was withdrawn needs another job than before.
    #[serde(default, skip_serializing_if = "is_first")]
    pub round: u32,
    /// Ids of the documents that the email is about. Every email about an account names it as `account`.
    pub about: BTreeMap<String, String>,
    pub state: MailState,
    /// An earlier run may have sent it: the process died before it recorded the outcome, or the transport got no
    /// answer.
    #[serde(default)]
    pub interrupted: bool,
    /// Number of attempts to which the transport did not reply, since the last retry by an operator.
    #[serde(default)]
    pub unanswered: u32,
    /// How often an operator has sent it again after it failed.
    #[serde(default)]
    pub retries: u32,
    /// Why it failed or is obsolete; never contains an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was posted.
    pub created_at: Timestamp,
    /// When the email was posted that this one repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<Timestamp>,
    /// When it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
}

impl Document for Mail {
    const COLLECTION: &'static str = "mails";
    const VERSION: u32 = 2;
    const MIGRATIONS: &'static [Migration] = &[split_suppressed];
    const INDEXES: &'static [Index] = &[
        Index::on("mails_by_state", &["state", "createdAt"]),
        Index::on("mails_by_account", &["about.account", "createdAt"]),
        Index::on("mails_by_batch", &["batch", "state"]),
    ];
    const PERSONAL: Personal = Personal::Of(
        Owner::Address("to"),
        &[
            PersonalField::new("to", Class::Contact),
            PersonalField::new("template", Class::Activity),
            PersonalField::new("sentAt", Class::Activity),
        ],
    );
    const KEEP: Keep =
        Keep::until_disposal("proof of what was sent, and the id that prevents a second email");

    fn id(&self) -> &str {
        &self.id
    }
}

/// Version 2 tells obsolete emails from suppressed ones. In version 1 both were `suppressed`, and only the sentence in
/// `reason` differed.
fn split_suppressed(mut mail: Value) -> Value {
    const SUPPRESSED: &str = "letters to this address came back, or its owner called one spam";
    if mail["state"] == "suppressed" && mail["reason"] != SUPPRESSED {
        mail["state"] = "obsolete".into();
    } else if let Some(suppressed) = mail.as_object_mut().filter(|mail| mail["state"] == "suppressed") {
        suppressed.remove("reason");
    }
    mail
}

/// The result of an attempt to send an email.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The transport accepted it.
    Sent,
    /// It was not sent, and is retried.
    Deferred,
    /// It may have been sent. It is retried, so that no recipient is missed, but at most [`UNANSWERED_MAX`] times in all.
    Uncertain,
    /// It was refused for good, with this reason.
    Failed(String),
    /// There is nothing to send any more, for this reason.
    Obsolete(&'static str),
    /// Its recipient is on the suppression list.
    Suppressed,
    /// Its recipient gets no more emails of this kind.
    Unsubscribed,
}

impl Mail {
    /// A queued email in the direct lane. `about`: names and ids of the documents that its template reads. Features use
    /// [`Mail::of`].
    pub fn new(
        id: String,
        template: &'static str,
        to: &EmailAddress,
        about: impl IntoIterator<Item = (&'static str, String)>,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            template: template.into(),
            class: MailClass::Direct,
            to: to.clone(),
            batch: None,
            round: 0,
            about: about.into_iter().map(|(name, id)| (name.to_owned(), id)).collect(),
            state: MailState::Queued,
            interrupted: false,
            unanswered: 0,
            retries: 0,
            reason: None,
            created_at: now,
            repeats: None,
            sent_at: None,
        }
    }

    /// The same email as a new one with this id, queued for `to`. It is not counted among those of a mailing.
    pub fn again(&self, id: String, to: &EmailAddress, now: Timestamp) -> Self {
        Self {
            id,
            to: to.clone(),
            batch: None,
            round: 0,
            state: MailState::Queued,
            interrupted: false,
            unanswered: 0,
            retries: 0,
            reason: None,
            created_at: now,
            repeats: Some(self.first_posted_at()),
            sent_at: None,
            ..self.clone()
        }
    }

    /// When what it is about happened: when it was posted, or the email that it repeats.
    pub fn first_posted_at(&self) -> Timestamp {
        self.repeats.unwrap_or(self.created_at)
    }

    /// The same email in the lane of `class`.
    pub fn in_class(self, class: MailClass) -> Self {
        Self { class, ..self }
    }

    /// The same email as one of the emails of this mailing, after it was paused `round` times.
    pub fn in_batch(self, batch: &str, round: u32) -> Self {
        Self { batch: Some(batch.to_owned()), round, ..self }
    }

    /// Whether no attempt can have sent it yet.
    fn is_certainly_unsent(&self) -> bool {
        self.state == MailState::Queued && !self.interrupted
    }

    /// Starts a run; `false` if the email has reached its final state already.
    pub fn start_sending(&mut self) -> bool {
        match self.state {
            MailState::Queued => self.state = MailState::Sending,
            MailState::Sending => self.interrupted = true,
            MailState::Sent
            | MailState::SentPossiblyTwice
            | MailState::Failed
            | MailState::Obsolete
            | MailState::Suppressed
            | MailState::Unsubscribed => return false,
        }
        true
    }

    /// Ends a run. With `is_idempotent`, the transport delivers an email once however often it is handed over. A final
    /// state that another run has reached stays. If another run has put the email back into the queue, this run still
    /// decides its state, because no job may be left to do so.
    pub fn finish_sending(&mut self, outcome: Outcome, is_idempotent: bool, now: Timestamp) {
        if !matches!(self.state, MailState::Queued | MailState::Sending) {
            return;
        }
        self.state = match outcome {
            Outcome::Sent if self.interrupted && !is_idempotent => MailState::SentPossiblyTwice,
            Outcome::Sent => MailState::Sent,
            Outcome::Uncertain if !is_idempotent && self.unanswered + 1 >= UNANSWERED_MAX => {
                MailState::Failed
            }
            Outcome::Deferred | Outcome::Uncertain => MailState::Queued,
            Outcome::Failed(_) => MailState::Failed,
            Outcome::Obsolete(_) => MailState::Obsolete,
            Outcome::Suppressed => MailState::Suppressed,
            Outcome::Unsubscribed => MailState::Unsubscribed,
        };
        match outcome {
            Outcome::Sent => self.sent_at = Some(now),
            Outcome::Uncertain => {
                self.interrupted = true;
                self.unanswered += 1;
                self.reason = (self.state == MailState::Failed).then(unanswered);
            }
            Outcome::Failed(reason) => self.reason = Some(reason),
            Outcome::Obsolete(reason) => self.reason = Some(reason.into()),
            Outcome::Deferred | Outcome::Suppressed | Outcome::Unsubscribed => {}
        }
    }

    /// Puts a failed email back into the queue; `false` if it has not failed.
    pub fn retry(&mut self) -> bool {
        if self.state != MailState::Failed {
            return false;
        }
        (self.state, self.reason, self.unanswered) = (MailState::Queued, None, 0);
        self.retries += 1;
        true
    }

    /// Gives it up, because nobody sends it any more; `false` if it has reached its final state.
    fn give_up(&mut self) -> bool {
        let reason = match self.state {
            MailState::Queued if self.interrupted => "its job was dropped: it may have been sent",
            MailState::Queued => "its job was dropped",
            MailState::Sending => "its job was dropped: it may have been sent",
            _ => return false,
        };
        (self.state, self.reason) = (MailState::Failed, Some(reason.to_owned()));
        true
    }

    /// The job that sends it, due at `now`. Each retry has a new job: that of the first attempts is kept for a
    /// while.
    pub(super) fn job(&self, now: Timestamp) -> Job {
        let mail = self.id.clone();
        let id = match (self.round, self.retries) {
            (0, 0) => format!("mail:{mail}"),
            (0, retries) => format!("mail:{mail}:{retries}"),
            (round, retries) => format!("mail:{mail}:{round}.{retries}"),
        };
        match self.class {
            MailClass::Direct => Job::new(id, &SendMail { mail }, now),
            MailClass::Bulk => Job::new(id, &SendBulkMail { mail }, now),
        }
    }
}

/// Sends the direct email with this id.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendMail {
    /// Id of the [`Mail`].
    pub mail: String,
}

impl Payload for SendMail {
    const KIND: &'static str = "mail.send";
    fn key(&self) -> Option<String> {
        Some(self.mail.clone())
    }
}

/// Sends the bulk email with this id.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendBulkMail {
    /// Id of the [`Mail`].
    pub mail: String,
}

impl Payload for SendBulkMail {
    const KIND: &'static str = "mail.send-bulk";
    fn key(&self) -> Option<String> {
        Some(self.mail.clone())
    }
}

/// Ends the email of a job that is dropped, so that it doesn't wait for ever.
pub struct DroppedEmails;

#[async_trait]
impl Dropped for DroppedEmails {
    async fn dropped(&self, tx: &Tx, job: &Job, _: Timestamp) -> Result<(), StoreError> {
        if ![SendMail::KIND, SendBulkMail::KIND].contains(&job.kind.as_str()) {
            return Ok(());
        }
        let mail = job.payload["mail"].as_str().unwrap_or_default();
        let Some(mut mail) = tx.get::<Mail>(mail).await? else { return Ok(()) };
        if mail.give_up() { tx.put(&mail).await } else { Ok(()) }
    }
}

impl Tx {
    /// Records the email and the job that sends it. If an email with this id exists already, nothing changes.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn post(&self, mail: &Mail) -> Result<(), StoreError> {
        self.post_all(std::slice::from_ref(mail)).await
    }

    /// Puts a failed email back into the queue with the job that sends it. Returns it as it is then, or `None` if it has not
    /// failed.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn retry_mail(&self, mail: &Mail, now: Timestamp) -> Result<Option<Mail>, StoreError> {
        let mut mail = mail.clone();
        if !mail.retry() {
            return Ok(None);
        }
        self.put(&mail).await?;
        self.enqueue(&mail.job(now)).await?;
        Ok(Some(mail))
    }

    /// Takes back the emails among these that were certainly not sent, with their waiting jobs, as if they had never been
    /// posted. A job of one of them that is running finds no email and sends nothing. Those that may have been sent are
    /// finished, so that their mark is not lost.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn withdraw_mails(&self, mails: &[Mail]) -> Result<(), StoreError> {
        for mail in mails.iter().filter(|mail| mail.is_certainly_unsent()) {
            self.delete::<Mail>(&mail.id).await?;
            match mail.class {
                MailClass::Direct => self.withdraw::<SendMail>(&mail.id).await?,
                MailClass::Bulk => self.withdraw::<SendBulkMail>(&mail.id).await?,
            }
        }
        Ok(())
    }

    /// [`post`](Self::post) for several emails, in three calls to the store. For a batch of some hundred.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn post_all(&self, mails: &[Mail]) -> Result<(), StoreError> {
        let posted = self.get_all::<Mail>(mails.iter().map(|mail| mail.id.as_str())).await?;
        let mut known: HashSet<&str> = posted.iter().map(|mail| mail.id.as_str()).collect();
        let new: Vec<&Mail> = mails.iter().filter(|mail| known.insert(&mail.id)).collect();
        if new.is_empty() {
            return Ok(());
        }
        self.put_all(&new).await?;
        let jobs: Vec<Job> = new.iter().map(|mail| mail.job(mail.created_at)).collect();
        self.enqueue_all(jobs).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::jobs;
    use crate::platform::store::testing::TestStore;
    use crate::platform::store::{Filter, Query};

    const NOW: fn() -> Timestamp = || Timestamp::from_millis(1_788_246_000_000);

    fn sending(times: u32) -> Mail {
        let to = EmailAddress::parse("ana@example.org").unwrap();
        let mut mail = Mail::new("welcome:1".into(), "welcome", &to, [("account", "1".into())], NOW());
        for _ in 0..times {
            assert!(mail.start_sending());
        }
        mail
    }

    fn finished(mut mail: Mail, outcome: Outcome, is_idempotent: bool) -> Mail {
        mail.finish_sending(outcome, is_idempotent, NOW());
        mail
    }

    #[test]
    fn an_email_to_somebody_who_unsubscribed_is_not_sent_again() {
        let mut mail = finished(sending(1), Outcome::Unsubscribed, false);
        assert_eq!((mail.state, mail.sent_at), (MailState::Unsubscribed, None));
        assert!(!mail.start_sending());
    }

    #[tokio::test]
    async fn emails_are_withdrawn_with_their_jobs_unless_they_may_have_been_sent() {
        let store = TestStore::with(&[crate::platform::mail::schemas(), jobs::schemas()].concat()).await;
        let to = EmailAddress::parse("ana@example.org").unwrap();
        let mail = |n: u32| {
            let mail = Mail::new(format!("mailing:m:{n}"), "mailing", &to, [], NOW());
            mail.in_class(MailClass::Bulk).in_batch("m", 0)
        };
        let posted = [
            mail(1),
            Mail { interrupted: true, ..mail(2) },
            Mail { state: MailState::Sending, ..mail(3) },
            Mail { state: MailState::Sent, ..mail(4) },
        ];
        store.transact(async |tx| tx.post_all(&posted).await).await.unwrap();
        store.transact(async |tx| tx.withdraw_mails(&posted).await).await.unwrap();
        let left: Vec<Mail> = store.find(Query::new(Filter::eq("batch", "m"))).await.unwrap();
        let left: Vec<_> = left.into_iter().map(|mail| mail.id).collect();
        assert_eq!(left, ["mailing:m:2", "mailing:m:3", "mailing:m:4"]);
        let waiting: Vec<Job> = store.find(Query::new(Filter::All)).await.unwrap();
        assert!(waiting.iter().all(|job| job.id != "mail:mailing:m:1") && waiting.len() == 3);
        // After a pause it is posted again, with another job.
        store.transact(async |tx| tx.post(&mail(1).in_batch("m", 1)).await).await.unwrap();
        let waiting: Vec<Job> =
            store.find(Query::new(Filter::eq("id", "mail:mailing:m:1:1.0"))).await.unwrap();
        assert_eq!(waiting.len(), 1);
    }

    #[test]
    fn an_email_that_support_sends_again_does_not_count_among_those_of_the_mailing() {
        let to = EmailAddress::parse("ana@example.org").unwrap();
        let mail = sending(1).in_batch("m", 0);
        assert_eq!((mail.batch.as_deref(), mail.again("again".into(), &to, NOW()).batch), (Some("m"), None));
    }

    #[test]
    fn an_accepted_email_is_sent() {
        let mail = finished(sending(1), Outcome::Sent, false);
        assert_eq!((mail.state, mail.sent_at), (MailState::Sent, Some(NOW())));
    }

    #[test]
    fn an_interrupted_email_is_marked_unless_the_transport_is_idempotent() {
        assert_eq!(finished(sending(2), Outcome::Sent, false).state, MailState::SentPossiblyTwice);
        assert_eq!(finished(sending(2), Outcome::Sent, true).state, MailState::Sent);
    }

    #[test]
    fn a_deferred_email_is_not_marked() {
        let mut mail = finished(sending(1), Outcome::Deferred, false);
        assert!(mail.start_sending());
        assert_eq!(finished(mail, Outcome::Sent, false).state, MailState::Sent);
    }

    #[test]
    fn an_email_without_an_answer_is_marked_when_it_is_sent() {
        let mut mail = finished(sending(1), Outcome::Uncertain, false);
        assert_eq!((mail.state, mail.sent_at), (MailState::Queued, None));
        assert!(mail.start_sending());
        assert_eq!(finished(mail.clone(), Outcome::Sent, true).state, MailState::Sent);
        assert_eq!(finished(mail, Outcome::Sent, false).state, MailState::SentPossiblyTwice);
    }

    #[test]
    fn attempts_without_an_answer_are_limited() {
        let attempts = |is_idempotent| {
            let mut mail = sending(0);
            let attempt = |mail: &mut Mail| {
                let begun = mail.start_sending();
                mail.finish_sending(Outcome::Uncertain, is_idempotent, NOW());
                begun
            };
            let count = (0..20).take_while(|_| attempt(&mut mail)).count();
            (count, mail)
        };
        let (count, mut failed) = attempts(false);
        assert_eq!((count, failed.state), (UNANSWERED_MAX as usize, MailState::Failed));
        assert_eq!(failed.reason, Some(unanswered()));
        assert!(failed.retry() && failed.unanswered == 0 && failed.interrupted);
        assert_eq!(attempts(true).0, 20, "an idempotent transport delivers no copy");
    }

    #[test]
    fn a_deferred_run_keeps_the_mark_of_an_earlier_one() {
        let mut mail = finished(sending(2), Outcome::Deferred, false);
        assert!(mail.start_sending());
        assert_eq!(finished(mail, Outcome::Sent, false).state, MailState::SentPossiblyTwice);
    }

    #[test]
    fn an_email_that_a_stale_run_requeued_is_finished_by_the_other_run() {
        for (outcome, end) in [
            (Outcome::Sent, MailState::SentPossiblyTwice),
            (Outcome::Failed("no such mailbox".into()), MailState::Failed),
            (Outcome::Obsolete("over"), MailState::Obsolete),
            (Outcome::Suppressed, MailState::Suppressed),
        ] {
            for back in [Outcome::Deferred, Outcome::Uncertain] {
                let mut put_back = finished(sending(2), back, false);
                assert_eq!(put_back.state, MailState::Queued);
                put_back = finished(put_back, outcome.clone(), false);
                assert_eq!(put_back.state, end);
                assert!(!put_back.start_sending());
            }
        }
    }

    #[test]
    fn a_final_state_is_final() {
        let ends = [Outcome::Sent, Outcome::Failed("no such mailbox".into()), Outcome::Obsolete("over")];
        for end in ends {
            let mut mail = finished(sending(1), end, false);
            let state = mail.state;
            assert!(!mail.start_sending());
            assert_eq!(finished(mail, Outcome::Sent, false).state, state);
        }
    }

    #[test]
    fn only_a_failed_email_is_retried_and_by_a_job_of_its_own() {
        let mut failed = finished(sending(1), Outcome::Failed("no".into()), false);
        let first = failed.job(NOW());
        assert!(failed.retry());
        assert_eq!((failed.state, failed.reason.as_deref(), failed.retries), (MailState::Queued, None, 1));
        let again = failed.job(NOW());
        assert_eq!((first.id.as_str(), again.id.as_str()), ("mail:welcome:1", "mail:welcome:1:1"));
        assert!(!failed.retry());
        let sent = finished(sending(1), Outcome::Sent, false);
        assert!(!sent.clone().retry());
    }

    #[test]
    fn a_document_without_the_newer_fields_is_direct_and_not_interrupted() {
        let old = serde_json::json!({
            "id": "a", "template": "t", "to": "a@b.org", "about": {}, "state": "sending",
            "createdAt": "2026-09-01T07:00:00.000Z",
        });
        let mail: Mail = serde_json::from_value(old).unwrap();
        assert_eq!((mail.interrupted, mail.class), (false, MailClass::Direct));
        assert_eq!((mail.unanswered, mail.retries), (0, 0));
    }

    #[test]
    fn version_2_tells_obsolete_from_suppressed() {
        let of = |state: &str, reason: Option<&str>| {
            let mut mail = serde_json::json!({ "id": "a", "state": state });
            if let Some(reason) = reason {
                mail["reason"] = reason.into();
            }
            let mail = split_suppressed(mail);
            (mail["state"].as_str().unwrap().to_owned(), mail.get("reason").cloned())
        };
        let bounced = "letters to this address came back, or its owner called one spam";
        assert_eq!(of("suppressed", Some(bounced)), ("suppressed".into(), None));
        assert_eq!(of("suppressed", Some("no order")), ("obsolete".into(), Some("no order".into())));
        assert_eq!(of("failed", Some("no mailbox")), ("failed".into(), Some("no mailbox".into())));
        assert_eq!(of("queued", None), ("queued".into(), None));
    }

    async fn posted(store: &TestStore, mails: &[Mail]) {
        store.transact(async |tx| tx.post_all(mails).await).await.unwrap();
    }

    #[tokio::test]
    async fn an_email_is_posted_once_with_a_job_in_its_lane() {
        let store = TestStore::with(&[super::super::schemas(), jobs::schemas()].concat()).await;
        let to = EmailAddress::parse("ana@example.org").unwrap();
        let mail = |id: &str, class| Mail::new(id.into(), "hello", &to, [], NOW()).in_class(class);
        let mails = [mail("a", MailClass::Direct), mail("b", MailClass::Bulk), mail("b", MailClass::Bulk)];
        posted(&store, &mails).await;
        posted(&store, &[mail("b", MailClass::Direct), mail("c", MailClass::Bulk)]).await;
        posted(&store, &[]).await;
        let mut jobs: Vec<Job> = store.find(Query::new(Filter::All).limit(10)).await.unwrap();
        jobs.sort_by(|a, b| a.id.cmp(&b.id));
        let jobs: Vec<_> = jobs.iter().map(|job| (job.id.as_str(), job.kind.as_str())).collect();
        assert_eq!(
            jobs,
            [("mail:a", "mail.send"), ("mail:b", "mail.send-bulk"), ("mail:c", "mail.send-bulk")]
        );
    }
}
