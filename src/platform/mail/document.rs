//! A letter to one recipient, as it is kept, and the rules of its states.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::RenderError;
use crate::kernel::{EmailAddress, Timestamp};
use crate::platform::jobs::{Job, Payload};
use crate::platform::store::{Document, Index, StoreError, Tx};

/// How far a letter has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MailState {
    /// Waits for its job.
    Queued,
    /// Is being rendered and carried, or was when the process died.
    Sending,
    /// Has gone once.
    Sent,
    /// Has gone, and may have gone before.
    SentPossiblyTwice,
    /// The carrier will never take it: see [`Mail::reason`].
    Failed,
    /// What it was about is gone or over: see [`Mail::reason`].
    Suppressed,
}

/// A letter to one recipient.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mail {
    /// Deterministic where a letter must go once: `ticket:<order>`.
    pub id: String,
    /// Which [`Template`](super::Template) renders it.
    pub template: String,
    /// Its recipient.
    pub to: EmailAddress,
    /// Ids of what the letter is about.
    pub about: BTreeMap<String, String>,
    /// How far it has come.
    pub state: MailState,
    /// A run ended without a word between taking the letter up and settling it, or the carrier could not say whether
    /// the letter has gone.
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

/// What became of a letter that was taken up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The carrier has it.
    Carried,
    /// It has not gone, and may go later.
    NotYet,
    /// It may have gone; it goes again, so that nobody is left out.
    Uncertain,
    /// It will never go.
    Refused(String),
    /// There is nothing to send any more.
    Moot(&'static str),
}

impl Mail {
    /// A queued letter. `about`: names and ids of the documents that its template reads.
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

    /// The id under this name in what the letter is about.
    ///
    /// # Errors
    /// [`RenderError::Failed`] if there is none.
    pub fn about(&self, name: &str) -> Result<&str, RenderError> {
        let id = self.about.get(name).map(String::as_str);
        id.ok_or_else(|| RenderError::Failed(format!("the letter names no {name}")))
    }

    /// Begins a run: `false` if the letter has come to its end already.
    pub fn take_up(&mut self) -> bool {
        match self.state {
            MailState::Queued => self.state = MailState::Sending,
            MailState::Sending => self.interrupted = true,
            MailState::Sent | MailState::SentPossiblyTwice | MailState::Failed | MailState::Suppressed => {
                return false;
            }
        }
        true
    }

    /// Ends a run. `repeats_safely`: the carrier takes the same letter twice without sending two. A letter that
    /// another run has brought to its end stays as it is; one that another run has put back has its end by this one,
    /// since no job may be left to take it up.
    pub fn settle(&mut self, outcome: Outcome, repeats_safely: bool, now: Timestamp) {
        if !matches!(self.state, MailState::Queued | MailState::Sending) {
            return;
        }
        self.state = match outcome {
            Outcome::Carried if self.interrupted && !repeats_safely => MailState::SentPossiblyTwice,
            Outcome::Carried => MailState::Sent,
            Outcome::NotYet | Outcome::Uncertain => MailState::Queued,
            Outcome::Refused(_) => MailState::Failed,
            Outcome::Moot(_) => MailState::Suppressed,
        };
        match outcome {
            Outcome::Carried => self.sent_at = Some(now),
            Outcome::NotYet => {}
            Outcome::Uncertain => self.interrupted = true,
            Outcome::Refused(reason) => self.reason = Some(reason),
            Outcome::Moot(reason) => self.reason = Some(reason.into()),
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
    /// Records the letter and the job that sends it (whose id is `mail:<id>`). A letter that is there already goes
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
            assert!(mail.take_up());
        }
        mail
    }

    fn settled(mut mail: Mail, outcome: Outcome, repeats_safely: bool) -> Mail {
        mail.settle(outcome, repeats_safely, NOW());
        mail
    }

    #[test]
    fn a_letter_that_is_carried_is_sent() {
        let mail = settled(taken_up(1), Outcome::Carried, false);
        assert_eq!((mail.state, mail.sent_at), (MailState::Sent, Some(NOW())));
    }

    #[test]
    fn a_letter_whose_run_died_may_have_gone_twice_unless_the_carrier_repeats_safely() {
        assert_eq!(settled(taken_up(2), Outcome::Carried, false).state, MailState::SentPossiblyTwice);
        assert_eq!(settled(taken_up(2), Outcome::Carried, true).state, MailState::Sent);
    }

    #[test]
    fn a_letter_that_has_surely_not_gone_is_not_marked_at_the_next_run() {
        let mut mail = settled(taken_up(1), Outcome::NotYet, false);
        assert!(mail.take_up());
        assert_eq!(settled(mail, Outcome::Carried, false).state, MailState::Sent);
    }

    #[test]
    fn a_letter_of_which_the_carrier_can_not_say_whether_it_has_gone_is_marked_when_it_goes() {
        let mut mail = settled(taken_up(1), Outcome::Uncertain, false);
        assert_eq!((mail.state, mail.sent_at), (MailState::Queued, None));
        assert!(mail.take_up());
        assert_eq!(settled(mail.clone(), Outcome::Carried, true).state, MailState::Sent);
        assert_eq!(settled(mail, Outcome::Carried, false).state, MailState::SentPossiblyTwice);
    }

    #[test]
    fn a_doubt_is_not_forgotten_by_a_run_that_does_not_send() {
        let mut mail = settled(taken_up(2), Outcome::NotYet, false);
        assert!(mail.take_up());
        assert_eq!(settled(mail, Outcome::Carried, false).state, MailState::SentPossiblyTwice);
    }

    #[test]
    fn a_run_that_was_given_up_for_dead_and_puts_the_letter_back_leaves_its_end_to_the_other_run() {
        for (outcome, end) in [
            (Outcome::Carried, MailState::SentPossiblyTwice),
            (Outcome::Refused("no such mailbox".into()), MailState::Failed),
            (Outcome::Moot("over"), MailState::Suppressed),
        ] {
            for back in [Outcome::NotYet, Outcome::Uncertain] {
                let mut put_back = settled(taken_up(2), back, false);
                assert_eq!(put_back.state, MailState::Queued);
                put_back = settled(put_back, outcome.clone(), false);
                assert_eq!(put_back.state, end);
                assert!(!put_back.take_up());
            }
        }
    }

    #[test]
    fn an_end_is_an_end() {
        let ends = [Outcome::Carried, Outcome::Refused("no such mailbox".into()), Outcome::Moot("over")];
        for end in ends {
            let mut mail = settled(taken_up(1), end, false);
            let state = mail.state;
            assert!(!mail.take_up());
            assert_eq!(settled(mail, Outcome::Carried, false).state, state);
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
