//! Request and response bodies of the operations on mailings.

use poem_openapi::types::{Example, MaybeUndefined};
use poem_openapi::{Enum, Object};

use super::audience::Counted;
use super::content::Placeholder;
use super::model::{Content, Draft, DraftChanges, Mailing, MailingAudience, MailingState};
use super::service::{Counts, MailingProgress, Recipient};
use crate::features::students::StudentBody;
use crate::http::{MarkdownBody, MarkdownText, SearchText, TimeText, changed};
use crate::kernel::{FieldError, Invalid, Markdown, Timestamp};
use crate::platform::mail::{Email, Mail, MailState};

// ---- requests ----

/// The people that a mailing is for.
#[derive(Clone, Debug, Object)]
#[oai(
    rename = "MailingAudience",
    rename_all = "camelCase",
    deny_unknown_fields,
    skip_serializing_if_is_none,
    example
)]
pub struct MailingAudienceBody {
    /// Kind of audience.
    #[oai(rename = "for")]
    kind: MailingAudienceKind,
    /// Words that a student must match, as in `listStudents`. At most 200 characters. With `students` only. A search without
    /// words is refused: it would be everybody.
    #[oai(validator(max_length = 200))]
    search: Option<SearchText>,
    /// Filters that a student must match, as in `listStudents`: `field:operator:value`. At most 20, each of at most 500
    /// characters. With `students` only.
    #[oai(validator(max_items = 20))]
    filters: Option<Vec<String>>,
}

/// Maximum length of a filter, in characters.
const FILTER_MAX: usize = 500;

/// A kind of audience.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "MailingAudienceKind", rename_all = "camelCase")]
pub enum MailingAudienceKind {
    /// Students within the reach of the leader who starts the mailing; those who are not registered only with
    /// `students:unregistered`.
    Students,
    /// Approved leaders. For administrators.
    Leaders,
    /// All students, with a form or without, and approved leaders. For administrators.
    Everyone,
}

impl MailingAudienceBody {
    fn read(self) -> Result<MailingAudience, FieldError> {
        let long = |filter: &String| filter.chars().count() > FILTER_MAX;
        if let Some(place) = self.filters.iter().flatten().position(long) {
            let pointer = format!("/audience/filters/{place}");
            return Err(FieldError::new(pointer, "too-long", "A filter has at most 500 characters."));
        }
        match self.kind {
            MailingAudienceKind::Students => Ok(MailingAudience::Students {
                search: self.search.map(SearchText::into_inner),
                filters: self.filters.unwrap_or_default(),
            }),
            _ if self.search.is_some()
                || self.filters.as_ref().is_some_and(|filters| !filters.is_empty()) =>
            {
                let detail = "Search and filters apply only to students.";
                Err(FieldError::new("/audience", "not-applicable", detail))
            }
            MailingAudienceKind::Leaders => Ok(MailingAudience::Leaders),
            MailingAudienceKind::Everyone => Ok(MailingAudience::Everyone),
        }
    }
}

impl MailingAudienceBody {
    /// The same without what the audience is filtered by.
    fn without_values(self) -> Self {
        Self { search: None, filters: None, ..self }
    }
}

impl From<&MailingAudience> for MailingAudienceBody {
    fn from(audience: &MailingAudience) -> Self {
        let all = |kind| Self { kind, search: None, filters: None };
        match audience {
            MailingAudience::Students { search, filters } => Self {
                kind: MailingAudienceKind::Students,
                search: search.as_deref().map(SearchText::from),
                filters: Some(filters.clone()).filter(|filters| !filters.is_empty()),
            },
            MailingAudience::Leaders => all(MailingAudienceKind::Leaders),
            MailingAudience::Everyone => all(MailingAudienceKind::Everyone),
        }
    }
}

impl Example for MailingAudienceBody {
    fn example() -> Self {
        let filters = Some(vec!["group:in:Alpha|Beta".into()]);
        Self { kind: MailingAudienceKind::Students, search: None, filters }
    }
}

/// What a mailing says, and to whom.
#[derive(Clone, Debug, Object)]
#[oai(
    rename = "MailingDraft",
    rename_all = "camelCase",
    deny_unknown_fields,
    skip_serializing_if_is_none,
    example
)]
pub struct DraftBody {
    /// Subject, with at most 3 placeholders. At most 150 characters.
    #[oai(validator(min_length = 1, max_length = 150))]
    subject: String,
    /// Text in Markdown, with the placeholders `{firstName}`, `{legalName}`, `{group}` and `{discipline}`, at most 50 of
    /// them. At most 20,000 characters. Either this or `announcement`.
    #[oai(validator(min_length = 1, max_length = 20000))]
    text: Option<MarkdownText>,
    /// Id of a published announcement whose text is sent, without placeholders. It is copied when the mailing starts.
    #[oai(validator(min_length = 1, max_length = 100))]
    announcement: Option<String>,
    /// People that the mailing is for.
    audience: MailingAudienceBody,
}

impl DraftBody {
    /// What the model calls it.
    ///
    /// # Errors
    /// Validation errors of what a schema can't express.
    pub fn read(self) -> Result<Draft, Invalid> {
        let (mut errors, missing) = (vec![], self.text.is_none() && self.announcement.is_none());
        if missing {
            errors.push(FieldError::new("/text", "missing", "Write a text, or name an announcement."));
        }
        let content =
            content(self.text, self.announcement).map_err(|error| errors.push(error)).ok().flatten();
        let audience = self.audience.read().map_err(|error| errors.push(error)).ok();
        match (content, audience) {
            (Some(content), Some(audience)) => Ok(Draft { subject: self.subject, content, audience }),
            _ => Err(Invalid(errors)),
        }
    }
}

/// The content that a request has, if it has one.
fn content(text: Option<MarkdownText>, announcement: Option<String>) -> Result<Option<Content>, FieldError> {
    match (text, announcement) {
        (Some(text), None) => Ok(Some(Content::Text { text: Markdown::new(text.into_inner()) })),
        (None, Some(announcement)) => Ok(Some(Content::Announcement { announcement, text: None })),
        (None, None) => Ok(None),
        (Some(_), Some(_)) => {
            let detail = "Write a text or name an announcement, not both.";
            Err(FieldError::new("/announcement", "not-applicable", detail))
        }
    }
}

impl Example for DraftBody {
    fn example() -> Self {
        Self {
            subject: "What to bring, {firstName}".into(),
            text: Some("Dear {firstName},\n\n**{group}** meets at nine. Bring water.".into()),
            announcement: None,
            audience: MailingAudienceBody::example(),
        }
    }
}

/// Changes of a draft. Omitted properties keep their value.
#[derive(Clone, Debug, Object)]
#[oai(
    rename = "MailingChanges",
    rename_all = "camelCase",
    deny_unknown_fields,
    skip_serializing_if_is_none,
    example
)]
pub struct ChangesBody {
    /// Subject, with placeholders. 1 to 150 characters.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined", validator(min_length = 1, max_length = 150))]
    subject: MaybeUndefined<String>,
    /// Text in Markdown, with placeholders. 1 to 20,000 characters. It replaces an announcement.
    #[oai(
        skip_serializing_if = "MaybeUndefined::is_undefined",
        validator(min_length = 1, max_length = 20000)
    )]
    text: MaybeUndefined<MarkdownText>,
    /// Id of a published announcement. It replaces a text.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined", validator(min_length = 1, max_length = 100))]
    announcement: MaybeUndefined<String>,
    /// People that the mailing is for.
    audience: Option<MailingAudienceBody>,
}

impl ChangesBody {
    /// What the model calls it.
    ///
    /// # Errors
    /// Validation errors of what a schema can't express.
    pub fn read(self) -> Result<DraftChanges, Invalid> {
        let mut errors = vec![];
        let subject = changed(self.subject, "/subject", &mut errors);
        let (text, announcement) = match (self.text, self.announcement) {
            // One replaces the other.
            (text @ MaybeUndefined::Value(_), announcement)
            | (text, announcement @ MaybeUndefined::Value(_)) => (text.take(), announcement.take()),
            (text, announcement) => {
                (changed(text, "/text", &mut errors), changed(announcement, "/announcement", &mut errors))
            }
        };
        let content = content(text, announcement).map_err(|error| errors.push(error)).ok().flatten();
        let audience = self.audience.map(MailingAudienceBody::read).transpose();
        let audience = audience.map_err(|error| errors.push(error)).ok().flatten();
        if errors.is_empty() { Ok(DraftChanges { subject, content, audience }) } else { Err(Invalid(errors)) }
    }
}

impl Example for ChangesBody {
    fn example() -> Self {
        let subject = MaybeUndefined::Value("Where to meet, {firstName}".into());
        let (text, announcement) = (MaybeUndefined::Undefined, MaybeUndefined::Undefined);
        Self { subject, text, announcement, audience: Some(MailingAudienceBody::example()) }
    }
}

/// The start of a mailing.
#[derive(Clone, Debug, Object)]
#[oai(
    rename = "MailingStart",
    rename_all = "camelCase",
    deny_unknown_fields,
    skip_serializing_if_is_none,
    example
)]
pub struct StartBody {
    /// Number of recipients, from `countMailing`: it confirms that you mean this many people.
    #[oai(validator(minimum(value = "1"), maximum(value = "1000000")))]
    pub recipients: u64,
    /// Time at which it starts (RFC 3339), at most 400 days ahead. By default at once.
    pub send_at: Option<TimeText>,
}

impl Example for StartBody {
    fn example() -> Self {
        Self { recipients: 120, send_at: None }
    }
}

// ---- responses ----

/// State of a mailing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "MailingState", rename_all = "camelCase")]
pub enum StateBody {
    /// It can be edited. Nobody gets it yet.
    Draft,
    /// It starts at `sendAt`.
    Scheduled,
    /// Its recipients are fixed, and their emails are being sent.
    Sending,
    /// No further emails are sent until `resumeMailing`.
    Paused,
    /// Each email has reached its final state.
    Finished,
    /// No further emails are sent.
    Cancelled,
}

impl From<MailingState> for StateBody {
    fn from(state: MailingState) -> Self {
        match state {
            MailingState::Draft => Self::Draft,
            MailingState::Scheduled => Self::Scheduled,
            MailingState::Sending => Self::Sending,
            MailingState::Paused => Self::Paused,
            MailingState::Finished => Self::Finished,
            MailingState::Cancelled => Self::Cancelled,
        }
    }
}

/// What became of the emails of a mailing. Each recipient is counted once, so the numbers add up to `recipients`.
#[derive(Clone, Debug, Object)]
#[oai(rename = "MailingProgress", rename_all = "camelCase", example)]
pub struct ProgressBody {
    /// Number of recipients.
    recipients: u64,
    /// Emails that wait to be sent, or are being sent.
    queued: u64,
    /// Emails that were sent once.
    sent: u64,
    /// Emails that were sent, and possibly sent before.
    possibly_twice: u64,
    /// Emails that were refused for good, or tried too often.
    failed: u64,
    /// Emails that were not sent because the address is on the suppression list.
    suppressed: u64,
    /// Emails that were not sent because the recipient unsubscribed after the start.
    unsubscribed: u64,
    /// Emails that were not sent because the account is gone or the mailing was cancelled.
    obsolete: u64,
}

impl ProgressBody {
    fn new(recipients: u64, counts: Counts) -> Self {
        let Counts { queued, sent, possibly_twice, failed, suppressed, unsubscribed, obsolete } = counts;
        Self { recipients, queued, sent, possibly_twice, failed, suppressed, unsubscribed, obsolete }
    }
}

impl Example for ProgressBody {
    fn example() -> Self {
        let counts = Counts { queued: 20, sent: 98, failed: 1, unsubscribed: 1, ..Counts::default() };
        Self::new(120, counts)
    }
}

/// People of the audience who are no recipients.
#[derive(Clone, Debug, Object)]
#[oai(rename = "MailingLeftOut", rename_all = "camelCase", example)]
pub struct LeftOutBody {
    /// Number of people who have unsubscribed.
    unsubscribed: u64,
    /// Number of people whose address is on the suppression list.
    suppressed: u64,
}

impl From<super::model::LeftOut> for LeftOutBody {
    fn from(left_out: super::model::LeftOut) -> Self {
        Self { unsubscribed: left_out.unsubscribed, suppressed: left_out.suppressed }
    }
}

impl Example for LeftOutBody {
    fn example() -> Self {
        Self { unsubscribed: 3, suppressed: 1 }
    }
}

/// An email of the committee to many people.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Mailing", rename_all = "camelCase", skip_serializing_if_is_none, example)]
pub struct MailingBody {
    /// Id of the mailing.
    id: String,
    /// Subject, with placeholders.
    subject: String,
    /// Text, with placeholders if it is no announcement. Absent for an announcement that was not sent yet.
    text: Option<MarkdownBody>,
    /// Id of the announcement whose text is sent.
    announcement: Option<String>,
    /// People that the mailing is for.
    audience: MailingAudienceBody,
    /// Whether search, filters and numbers are not shown to you, because the audience is filtered by a field that is not
    /// granted to you.
    restricted: bool,
    /// State of the mailing.
    state: StateBody,
    /// Time when the draft was made (RFC 3339, UTC).
    created_at: String,
    /// Time when the draft was edited last (RFC 3339, UTC).
    updated_at: String,
    /// Time at which it starts or was to start (RFC 3339, UTC), if that is not at once.
    send_at: Option<String>,
    /// Time when it was started (RFC 3339, UTC).
    started_at: Option<String>,
    /// Time when the last email had reached its final state (RFC 3339, UTC).
    finished_at: Option<String>,
    /// Why the service cancelled it or made it a draft again.
    reason: Option<String>,
    /// People who were left out at the start.
    left_out: Option<LeftOutBody>,
    /// What became of the emails. Absent before the start.
    progress: Option<ProgressBody>,
}

impl From<&MailingProgress> for MailingBody {
    fn from(progress: &MailingProgress) -> Self {
        let MailingProgress { mailing, counts, is_open } = progress;
        let audience = MailingAudienceBody::from(&mailing.audience);
        let audience = if *is_open { audience } else { audience.without_values() };
        let (text, announcement) = match &mailing.content {
            Content::Text { text } => (Some(text), None),
            Content::Announcement { announcement, text } => (text.as_ref(), Some(announcement.clone())),
        };
        Self {
            id: mailing.id.clone(),
            subject: mailing.subject.clone(),
            text: text.map(Into::into),
            announcement,
            audience,
            restricted: !is_open,
            state: mailing.state.into(),
            created_at: mailing.created_at.rfc3339(),
            updated_at: mailing.updated_at.rfc3339(),
            send_at: mailing.send_at.map(Timestamp::rfc3339),
            started_at: mailing.started_at.map(Timestamp::rfc3339),
            finished_at: mailing.finished_at.map(Timestamp::rfc3339),
            reason: mailing.reason.clone(),
            left_out: (mailing.was_started() && *is_open).then(|| mailing.left_out.into()),
            progress: counts.filter(|_| *is_open).map(|counts| ProgressBody::new(mailing.recipients, counts)),
        }
    }
}

impl MailingBody {
    /// A mailing that was not started.
    pub fn draft(mailing: Mailing) -> Self {
        (&MailingProgress { mailing, counts: None, is_open: true }).into()
    }
}

impl Example for MailingBody {
    fn example() -> Self {
        Self {
            id: an_id(),
            subject: "What to bring, {firstName}".into(),
            text: Some((&Markdown::new("Dear {firstName}, bring water.")).into()),
            announcement: None,
            audience: MailingAudienceBody::example(),
            restricted: false,
            state: StateBody::Sending,
            created_at: "2027-08-20T14:03:00.000Z".into(),
            updated_at: "2027-08-20T14:05:00.000Z".into(),
            send_at: None,
            started_at: Some("2027-08-20T14:10:00.000Z".into()),
            finished_at: None,
            reason: None,
            left_out: Some(LeftOutBody::example()),
            progress: Some(ProgressBody::example()),
        }
    }
}

/// The recipients without a value for a placeholder.
#[derive(Clone, Debug, Object)]
#[oai(rename = "MailingPlaceholderCount", rename_all = "camelCase", example)]
pub struct WithoutBody {
    /// Name of the placeholder, without the braces.
    placeholder: String,
    /// Number of recipients for whom it is left out.
    recipients: u64,
}

impl Example for WithoutBody {
    fn example() -> Self {
        Self { placeholder: Placeholder::Group.name().into(), recipients: 2 }
    }
}

/// The people who would get a mailing now.
#[derive(Clone, Debug, Object)]
#[oai(rename = "MailingCount", rename_all = "camelCase", example)]
pub struct CountBody {
    /// Number of recipients: send it with `startMailing`.
    recipients: u64,
    /// People who are left out.
    left_out: LeftOutBody,
    /// Placeholders of the mailing, with the number of recipients who have no value. Those without such recipients are
    /// absent.
    without_value: Vec<WithoutBody>,
}

impl From<Counted> for CountBody {
    fn from(counted: Counted) -> Self {
        let without = counted.without.iter().filter(|(_, recipients)| *recipients > 0);
        let without = without.map(|(placeholder, recipients)| WithoutBody {
            placeholder: placeholder.name().into(),
            recipients: *recipients,
        });
        Self {
            recipients: counted.recipients.len() as u64,
            left_out: counted.left_out.into(),
            without_value: without.collect(),
        }
    }
}

impl Example for CountBody {
    fn example() -> Self {
        Self {
            recipients: 120,
            left_out: LeftOutBody::example(),
            without_value: vec![WithoutBody::example()],
        }
    }
}

/// An email, as one recipient would get it. Its link to unsubscribe is a sample.
#[derive(Clone, Debug, Object)]
#[oai(rename = "MailingPreview", example)]
pub struct PreviewBody {
    /// Subject.
    subject: String,
    /// The email as HTML: a whole document.
    html: String,
    /// The email as plain text.
    text: String,
}

impl From<Email> for PreviewBody {
    fn from(email: Email) -> Self {
        Self { subject: email.subject, html: email.html, text: email.text }
    }
}

impl Example for PreviewBody {
    fn example() -> Self {
        Self {
            subject: "What to bring, Alex".into(),
            html: "<!doctype html><html lang=\"en\"><body><p>Dear Alex, bring water.</p></body></html>"
                .into(),
            text: "Dear Alex, bring water.".into(),
        }
    }
}

/// State of the email to a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "MailingRecipientState", rename_all = "camelCase")]
pub enum RecipientStateBody {
    /// It waits to be sent, or is being sent.
    Queued,
    /// Sent once.
    Sent,
    /// Sent, and possibly sent before.
    SentPossiblyTwice,
    /// Refused for good, or tried too often: see `reason`.
    Failed,
    /// Not sent: the address is on the suppression list.
    Suppressed,
    /// Not sent: the recipient unsubscribed after the start.
    Unsubscribed,
    /// Not sent: the account is gone, or the mailing was cancelled.
    Obsolete,
}

/// A recipient of a mailing.
#[derive(Clone, Debug, Object)]
#[oai(rename = "MailingRecipient", rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct RecipientBody {
    /// Id of the account.
    account_id: String,
    /// Name, address and group of a student, as far as they are granted to you.
    student: Option<StudentBody>,
    /// State of the email.
    state: RecipientStateBody,
    /// Time when it was sent (RFC 3339, UTC).
    sent_at: Option<String>,
    /// Why it failed.
    reason: Option<String>,
}

impl From<&Recipient> for RecipientBody {
    fn from(recipient: &Recipient) -> Self {
        let mail = recipient.mail.as_ref();
        Self {
            account_id: recipient.account.clone(),
            student: recipient.student.as_ref().map(|(view, row)| StudentBody::new(view, row)),
            state: state(mail, recipient.is_to_come),
            sent_at: mail.and_then(|mail| mail.sent_at).map(Timestamp::rfc3339),
            reason: mail.and_then(|mail| mail.reason.clone()),
        }
    }
}

fn state(mail: Option<&Mail>, is_to_come: bool) -> RecipientStateBody {
    match mail.map(|mail| mail.state) {
        None if is_to_come => RecipientStateBody::Queued,
        None | Some(MailState::Obsolete) => RecipientStateBody::Obsolete,
        Some(MailState::Queued | MailState::Sending) => RecipientStateBody::Queued,
        Some(MailState::Sent) => RecipientStateBody::Sent,
        Some(MailState::SentPossiblyTwice) => RecipientStateBody::SentPossiblyTwice,
        Some(MailState::Failed) => RecipientStateBody::Failed,
        Some(MailState::Suppressed) => RecipientStateBody::Suppressed,
        Some(MailState::Unsubscribed) => RecipientStateBody::Unsubscribed,
    }
}

/// A well-formed id of nothing.
pub fn an_id() -> String {
    "019f0000-0000-7000-8000-000000000000".into()
}
