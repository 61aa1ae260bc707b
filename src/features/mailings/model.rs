//! The documents of this feature: mailings, their recipients, and how far the emails are.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::kernel::{Actor, Markdown, Timestamp};
use crate::platform::audit::Action;
use crate::platform::store::{Class, Document, Index, Keep, Owner, Personal, PersonalField};

/// A draft was made.
pub const MAILING_CREATED: Action = Action::new("mailing.created");
/// A draft was edited.
pub const MAILING_UPDATED: Action = Action::new("mailing.updated");
/// A mailing is to start later.
pub const MAILING_SCHEDULED: Action = Action::new("mailing.scheduled");
/// A mailing was started.
pub const MAILING_STARTED: Action = Action::new("mailing.started");
/// A mailing was paused.
pub const MAILING_PAUSED: Action = Action::new("mailing.paused");
/// A paused mailing goes on.
pub const MAILING_RESUMED: Action = Action::new("mailing.resumed");
/// A mailing was cancelled.
pub const MAILING_CANCELLED: Action = Action::new("mailing.cancelled");
/// A draft was deleted.
pub const MAILING_DELETED: Action = Action::new("mailing.deleted");
/// A scheduled mailing became a draft again, because it had far more recipients than were confirmed.
pub const MAILING_RETURNED: Action = Action::new("mailing.returned");
/// Somebody sent a draft to themselves.
pub const MAILING_TESTED: Action = Action::new("mailing.tested");

/// How long mailings are kept: until after the next season.
const KEPT: Duration = Duration::from_hours(400 * 24);

const KEEP: Keep = Keep::lasting(KEPT, "the committee looks up what was sent to whom");

/// Mailings from before this time are deleted.
pub fn kept_since(now: Timestamp) -> Timestamp {
    now.minus(KEPT)
}

/// Recipients in one document: some 20 kB.
pub const RECIPIENTS_IN_ONE: usize = 500;

/// State of a mailing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MailingState {
    /// It can be edited. Nobody gets it yet.
    Draft,
    /// It starts at [`Mailing::send_at`].
    Scheduled,
    /// Its recipients are fixed, and their emails are being sent.
    Sending,
    /// No further emails are sent until it is resumed.
    Paused,
    /// Each recipient's email has reached its final state.
    Finished,
    /// No further emails are sent.
    Cancelled,
}

/// What a mailing says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Content {
    /// A text with placeholders.
    Text {
        /// The text.
        text: Markdown,
    },
    /// The text of an announcement, without placeholders. It is copied when the mailing starts.
    Announcement {
        /// Id of the announcement.
        announcement: String,
        /// The copy.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<Markdown>,
    },
}

impl Content {
    /// Forgets the copy of an announcement, which a draft doesn't have: its text and its audience can change until the start.
    pub fn drop_copy(&mut self) {
        if let Self::Announcement { text, .. } = self {
            *text = None;
        }
    }
}

/// Who gets a mailing, apart from those who have unsubscribed.
///
/// Another kind of audience, such as a waiting list, is a variant here; `audience.rs` says who belongs to it and who may
/// write to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum MailingAudience {
    /// The students within reach that match, as in `listStudents`.
    Students {
        /// Words that a student must match.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        search: Option<String>,
        /// Filters: `<column>:<operator>:<value>`.
        #[serde(default)]
        filters: Vec<String>,
    },
    /// Approved leaders.
    Leaders,
    /// Students, with a form or without, and approved leaders.
    Everyone,
}

/// People of the audience who are no recipients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftOut {
    /// They have unsubscribed.
    pub unsubscribed: u64,
    /// Their address is on the suppression list.
    pub suppressed: u64,
}

/// An email of the committee to many people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mailing {
    pub id: String,
    /// One line, with placeholders.
    pub subject: String,
    pub content: Content,
    pub audience: MailingAudience,
    pub state: MailingState,
    /// Who made the draft.
    pub created_by: Actor,
    pub created_at: Timestamp,
    /// When it was edited last.
    pub updated_at: Timestamp,
    /// Who started it. The recipients were within their reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_by: Option<Actor>,
    /// When it is to start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Number of recipients that was confirmed for a later start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<u64>,
    /// Number of recipients. 0 before the start.
    #[serde(default)]
    pub recipients: u64,
    #[serde(default)]
    pub left_out: LeftOut,
    /// Why the service cancelled it, or made it a draft again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Document for Mailing {
    const COLLECTION: &'static str = "mailings";
    const INDEXES: &'static [Index] = &[Index::on("mailings_by_time", &["createdAt"])];
    // A filter can name a person, or an answer about health.
    const PERSONAL: Personal = Personal::Of(
        Owner::Account("createdBy.id"),
        &[
            PersonalField::new("audience.search", Class::Identity),
            PersonalField::new("audience.filters", Class::Health),
        ],
    );
    const KEEP: Keep = KEEP;

    fn id(&self) -> &str {
        &self.id
    }
}

/// What somebody writes in a draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub subject: String,
    pub content: Content,
    pub audience: MailingAudience,
}

/// What somebody changes in a draft; nothing where there is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DraftChanges {
    pub subject: Option<String>,
    pub content: Option<Content>,
    pub audience: Option<MailingAudience>,
}

impl Mailing {
    /// A new draft.
    pub fn new(id: String, draft: Draft, by: &Actor, now: Timestamp) -> Self {
        let Draft { subject, content, audience } = draft;
        Self {
            id,
            subject,
            content,
            audience,
            state: MailingState::Draft,
            created_by: by.clone(),
            created_at: now,
            updated_at: now,
            started_by: None,
            send_at: None,
            started_at: None,
            finished_at: None,
            confirmed: None,
            recipients: 0,
            left_out: LeftOut::default(),
            reason: None,
        }
    }

    /// Changes what the draft says.
    pub fn edit(&mut self, changes: DraftChanges, now: Timestamp) {
        let DraftChanges { subject, content, audience } = changes;
        if let Some(subject) = subject {
            self.subject = subject;
        }
        if let Some(content) = content {
            self.content = content;
        }
        if let Some(audience) = audience {
            self.audience = audience;
        }
        (self.updated_at, self.reason) = (now, None);
    }

    /// Fixes the recipients.
    pub fn start(&mut self, by: &Actor, recipients: u64, left_out: LeftOut, now: Timestamp) {
        self.state = MailingState::Sending;
        self.started_by = Some(by.clone());
        self.started_at = Some(now);
        (self.recipients, self.left_out) = (recipients, left_out);
    }

    /// Whether its recipients are fixed.
    pub fn was_started(&self) -> bool {
        self.started_at.is_some()
    }
}

/// Some recipients of a mailing, in the order in which their emails are posted. Never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MailingRecipients {
    /// See [`MailingRecipients::id_of`].
    pub id: String,
    /// Ids of accounts.
    pub accounts: Vec<String>,
    pub started_at: Timestamp,
}

impl Document for MailingRecipients {
    const COLLECTION: &'static str = "mailing_recipients";
    const INDEXES: &'static [Index] = &[Index::on("mailing_recipients_by_time", &["startedAt"])];
    // The audience may be those of a filter about health.
    const PERSONAL: Personal =
        Personal::Of(Owner::PartOf("mailings"), &[PersonalField::new("accounts", Class::Health)]);
    const KEEP: Keep = KEEP;

    fn id(&self) -> &str {
        &self.id
    }
}

impl MailingRecipients {
    /// The id of the document that holds the recipient with this number, from 0.
    pub fn id_of(mailing: &str, number: u64) -> String {
        format!("{mailing}:{:05}", number / RECIPIENTS_IN_ONE as u64)
    }

    /// The place in that document.
    pub fn place_of(number: u64) -> usize {
        usize::try_from(number % RECIPIENTS_IN_ONE as u64).expect("it is smaller than the divisor")
    }

    /// The documents that hold these accounts.
    pub fn of(mailing: &str, accounts: &[String], now: Timestamp) -> Vec<Self> {
        let some = |(n, accounts): (usize, &[String])| Self {
            id: Self::id_of(mailing, (n * RECIPIENTS_IN_ONE) as u64),
            accounts: accounts.to_vec(),
            started_at: now,
        };
        accounts.chunks(RECIPIENTS_IN_ONE).enumerate().map(some).collect()
    }
}

/// How far the posting of the emails is. Whatever changes the state of a mailing that was started writes this document,
/// too, so that the store refuses one of two such transactions that overlap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MailingRun {
    /// The mailing's id.
    pub id: String,
    /// Number of recipients.
    pub recipients: u64,
    /// Number of the next recipient whose email is posted.
    pub next: u64,
    /// Recipients whose account no longer existed by then.
    pub gone: u64,
    /// How often it was paused.
    pub round: u32,
    pub started_at: Timestamp,
    /// When the last email was posted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posted_at: Option<Timestamp>,
}

impl Document for MailingRun {
    const COLLECTION: &'static str = "mailing_runs";
    const INDEXES: &'static [Index] = &[Index::on("mailing_runs_by_time", &["startedAt"])];
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = KEEP;

    fn id(&self) -> &str {
        &self.id
    }
}

impl MailingRun {
    /// The run of a mailing that starts.
    pub fn new(mailing: &str, recipients: u64, now: Timestamp) -> Self {
        let id = mailing.to_owned();
        Self { id, recipients, next: 0, gone: 0, round: 0, started_at: now, posted_at: None }
    }

    /// Begins again with the first recipient: emails that were posted and not withdrawn are found and left alone.
    pub fn rewind(&mut self) {
        (self.next, self.gone, self.posted_at) = (0, 0, None);
        self.round += 1;
    }

    /// Whether all emails were posted.
    pub fn is_posted(&self) -> bool {
        self.next >= self.recipients
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_recipient_is_in_one_document() {
        let accounts: Vec<_> = (0..1_001).map(|n| n.to_string()).collect();
        let documents = MailingRecipients::of("m", &accounts, Timestamp::from_millis(0));
        assert_eq!(documents.iter().map(|one| one.accounts.len()).collect::<Vec<_>>(), [500, 500, 1]);
        for number in [0, 499, 500, 999, 1_000] {
            let document = documents.iter().find(|one| one.id == MailingRecipients::id_of("m", number));
            assert_eq!(document.unwrap().accounts[MailingRecipients::place_of(number)], number.to_string());
        }
    }

    #[test]
    fn documents_sort_in_the_order_of_the_recipients() {
        let accounts = vec![String::new(); 6_000];
        let ids: Vec<_> = MailingRecipients::of("m", &accounts, Timestamp::from_millis(0))
            .into_iter()
            .map(|one| one.id)
            .collect();
        assert!(ids.is_sorted() && ids.len() == 12);
    }
}
