//! An email to one recipient, as it is kept, and the rules of its states.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::RenderError;
use crate::kernel::{EmailAddress, Timestamp};
use crate::platform::jobs::{Job, Payload};
use crate::platform::store::{Document, Index, StoreError, Tx};

/// How far an email has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MailState {
    /// Waits for its job.
    Queued,
    /// Is being rendered and sent, or was when the process died.
    Sending,
    /// Has gone once.
    Sent,
    /// Has gone, and may have gone before.
    SentPossiblyTwice,
    /// The transport will never take it: see [`Mail::reason`].
    Failed,
    /// What it was about is gone or over: see [`Mail::reason`].
    Suppressed,
}

/// An email to one recipient.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mail {
    /// Deterministic where an email must go once: `ticket:<order>`.
    pub id: String,
    /// Which [`Template`](super::Template) renders it.
    pub template: String,
    /// Its recipient.
    pub to: EmailAddress,
    /// Ids of what the email is about.
    pub about: BTreeMap<String, String>,
    /// How far it has come.
    pub state: MailState,
    /// A run ended without a word between taking the email up and settling it, or the transport could not say whether
    /// the email has gone.
    #[serde(default)]
    pub interrupted: bool,
    /// Why it failed or was suppressed; never shows the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was posted.
    pub created_at: Timestamp,
    /// When it went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
}

impl Document for Mail {
    const COLLECTION: &'static str = "mails";
    const INDEXES: &'static [Index] = &[Index::on("mails_by_state", &["state", "createdAt"])];
    fn id(&self) -> &str {
        &self.id
    }
}

/// What became of an email that was taken up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The transport has it.
    Sent,
    /// It has not gone, and may go later.
    Deferred,
    /// It may have gone; it goes again, so that nobody is left out.
    Uncertain,
    /// It will never go.
    Failed(String),
    /// There is nothing to send any more.
    Obsolete(&'static str),
}

impl Mail {
    /// A queued email. `about`: names and ids of the documents that its template reads.
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
            to: to.clone(),
            about: about.into_iter().map(|(name, id)| (name.to_owned(), id)).collect(),
            state: MailState::Queued,
            interrupted: false,
            reason: None,
            created_at: now,
            sent_at: None,
        }
    }

    /// The id under this name in what the email is about.
    ///
    /// # Errors
    /// [`RenderError::Failed`] if there is none.
    pub fn about(&self, name: &str) -> Result<&str, RenderError> {
        let id = self.about.get(name).map(String::as_str);
        id.ok_or_else(|| RenderError::Failed(format!("the email names no {name}")))
    }

    /// Begins a run: `false` if the email has come to its end already.
    pub fn start_sending(&mut self) -> bool {
        match self.state {
            MailState::Queued => self.state = MailState::Sending,
            MailState::Sending => self.interrupted = true,
            MailState::Sent | MailState::SentPossiblyTwice | MailState::Failed | MailState::Suppressed => {
                return false;
            }
        }
        true
    }

    /// Ends a run. `is_idempotent`: the transport takes the same email twice without sending two. An email that
    /// another run has brought to its end stays as it is; one that another run has put back has its end by this one,
    /// since no job may be left to take it up.
    pub fn finish_sending(&mut self, outcome: Outcome, is_idempotent: bool, now: Timestamp) {
        if !matches!(self.state, MailState::Queued | MailState::Sending) {
            return;
        }
        self.state = match outcome {
            Outcome::Sent if self.interrupted && !is_idempotent => MailState::SentPossiblyTwice,
            Outcome::Sent => MailState::Sent,
            Outcome::Deferred | Outcome::Uncertain => MailState::Queued,
            Outcome::Failed(_) => MailState::Failed,
            Outcome::Obsolete(_) => MailState::Suppressed,
        };
        match outcome {
            Outcome::Sent => self.sent_at = Some(now),
            Outcome::Deferred => {}
            Outcome::Uncertain => self.interrupted = true,
            Outcome::Failed(reason) => self.reason = Some(reason),
            Outcome::Obsolete(reason) => self.reason = Some(reason.into()),
        }
    }
}

/// Sends the mail of this id.
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

impl Tx {
    /// Records the email and the job that sends it (whose id is `mail:<id>`). An email that is there already goes
    /// no second time.
    pub async fn post(&self, mail: &Mail) -> Result<(), StoreError> {
        if self.get::<Mail>(&mail.id).await?.is_some() {
            return Ok(());
        }
        self.insert(mail).await?;
        let send = SendMail { mail: mail.id.clone() };
        self.enqueue(&Job::new(format!("mail:{}", mail.id), &send, mail.created_at)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: fn() -> Timestamp = || Timestamp::from_millis(1_788_246_000_000);

    fn taken_up(times: u32) -> Mail {
        let to = EmailAddress::parse("ana@example.org").unwrap();
        let mut mail = Mail::new("welcome:1".into(), "welcome", &to, [("account", "1".into())], NOW());
        for _ in 0..times {
            assert!(mail.start_sending());
        }
        mail
    }

    fn settled(mut mail: Mail, outcome: Outcome, is_idempotent: bool) -> Mail {
        mail.finish_sending(outcome, is_idempotent, NOW());
        mail
    }

    #[test]
    fn an_email_that_is_carried_is_sent() {
        let mail = settled(taken_up(1), Outcome::Sent, false);
        assert_eq!((mail.state, mail.sent_at), (MailState::Sent, Some(NOW())));
    }

    #[test]
    fn an_email_whose_run_died_may_have_gone_twice_unless_the_transport_is_idempotent() {
        assert_eq!(settled(taken_up(2), Outcome::Sent, false).state, MailState::SentPossiblyTwice);
        assert_eq!(settled(taken_up(2), Outcome::Sent, true).state, MailState::Sent);
    }

    #[test]
    fn an_email_that_has_surely_not_gone_is_not_marked_at_the_next_run() {
        let mut mail = settled(taken_up(1), Outcome::Deferred, false);
        assert!(mail.start_sending());
        assert_eq!(settled(mail, Outcome::Sent, false).state, MailState::Sent);
    }

    #[test]
    fn an_email_of_which_the_transport_can_not_say_whether_it_has_gone_is_marked_when_it_goes() {
        let mut mail = settled(taken_up(1), Outcome::Uncertain, false);
        assert_eq!((mail.state, mail.sent_at), (MailState::Queued, None));
        assert!(mail.start_sending());
        assert_eq!(settled(mail.clone(), Outcome::Sent, true).state, MailState::Sent);
        assert_eq!(settled(mail, Outcome::Sent, false).state, MailState::SentPossiblyTwice);
    }

    #[test]
    fn a_doubt_is_not_forgotten_by_a_run_that_does_not_send() {
        let mut mail = settled(taken_up(2), Outcome::Deferred, false);
        assert!(mail.start_sending());
        assert_eq!(settled(mail, Outcome::Sent, false).state, MailState::SentPossiblyTwice);
    }

    #[test]
    fn a_run_that_was_given_up_for_dead_and_puts_the_email_back_leaves_its_end_to_the_other_run() {
        for (outcome, end) in [
            (Outcome::Sent, MailState::SentPossiblyTwice),
            (Outcome::Failed("no such mailbox".into()), MailState::Failed),
            (Outcome::Obsolete("over"), MailState::Suppressed),
        ] {
            for back in [Outcome::Deferred, Outcome::Uncertain] {
                let mut put_back = settled(taken_up(2), back, false);
                assert_eq!(put_back.state, MailState::Queued);
                put_back = settled(put_back, outcome.clone(), false);
                assert_eq!(put_back.state, end);
                assert!(!put_back.start_sending());
            }
        }
    }

    #[test]
    fn an_end_is_an_end() {
        let ends = [Outcome::Sent, Outcome::Failed("no such mailbox".into()), Outcome::Obsolete("over")];
        for end in ends {
            let mut mail = settled(taken_up(1), end, false);
            let state = mail.state;
            assert!(!mail.start_sending());
            assert_eq!(settled(mail, Outcome::Sent, false).state, state);
        }
    }

    #[test]
    fn a_document_of_the_first_days_can_still_be_read() {
        let old = serde_json::json!({
            "id": "a", "template": "t", "to": "a@b.org", "about": {}, "state": "sending",
            "createdAt": "2026-09-01T07:00:00.000Z",
        });
        assert!(!serde_json::from_value::<Mail>(old).unwrap().interrupted);
    }
}
