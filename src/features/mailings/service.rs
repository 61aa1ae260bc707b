//! Use cases: drafts, their counts, previews and tests, and what became of a mailing.

use std::sync::Arc;
use std::time::Duration;

use super::audience::{AudienceError, Counted, check_grants};
use super::content::{self, Prepared, Values};
use super::mails::{self, MailingWriter};
use super::model::{
    Content, Draft, DraftChanges, MAILING_CREATED, MAILING_TESTED, MAILING_UPDATED, Mailing,
    MailingRecipients, MailingRun, MailingState,
};
use crate::base::Base;
use crate::config::Event;
use crate::features::accounts::{Account, EnrolmentRule};
use crate::features::announcements::Announcement;
use crate::features::registration::Registration;
use crate::features::students::{Columns, NotGranted, Row, StudentAccess, Students, View};
use crate::kernel::{Actor, Clock, FieldError, Ids, Invalid, Principal, Rights, Role, Scope};
use crate::platform::audit::{Action, Subject};
use crate::platform::mail::{Email, Mail, MailState, RenderError};
use crate::platform::signals::{Limit, Signals, TooMany};
use crate::platform::store::{
    Crossed, Cursor, Dimension, Dir, Filter, Holds, Page, PageError, Precondition, Query, Stale, Store,
    StoreError, Tx, Value,
};

/// Test emails of one account.
const TEST: Limit = Limit { name: "test-mailing", quota: 10, window: Duration::from_hours(1) };

/// Recipients that one page of a list looks at. The rest are looked at by the next page.
const LOOKED_AT: u64 = 2_000;

/// Columns that a list of recipients shows, if they are granted.
const SHOWN: [&str; 4] = ["preferredName", "legalName", "email", "group"];

/// Why what a mailing says can't be sent.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ContentError> for AudienceError {
    fn from(error: ContentError) -> Self {
        match error {
            ContentError::Invalid(error) => error.into(),
            ContentError::Store(error) => error.into(),
        }
    }
}

/// Why a draft is not stored.
#[derive(Debug, thiserror::Error)]
pub enum CreateMailingError {
    #[error(transparent)]
    Audience(#[from] AudienceError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a draft is not edited.
#[derive(Debug, thiserror::Error)]
pub enum UpdateMailingError {
    #[error("there is no such mailing")]
    NotFound,
    /// It is no draft any more.
    #[error("the mailing is no draft")]
    NotADraft,
    #[error(transparent)]
    Stale(#[from] Stale),
    #[error(transparent)]
    Audience(#[from] AudienceError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a mailing is not shown.
#[derive(Debug, thiserror::Error)]
pub enum GetMailingError {
    #[error("there is no such mailing")]
    NotFound,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why recipients are not listed.
#[derive(Debug, thiserror::Error)]
pub enum ListRecipientsError {
    #[error(transparent)]
    Mailing(#[from] GetMailingError),
    /// A filter of the audience needs this field: who is a recipient would reveal it.
    #[error(transparent)]
    NotGranted(#[from] NotGranted),
    #[error(transparent)]
    Page(#[from] PageError),
}

impl From<StoreError> for ListRecipientsError {
    fn from(error: StoreError) -> Self {
        Self::Page(error.into())
    }
}

/// Why an audience is not counted.
#[derive(Debug, thiserror::Error)]
pub enum CountMailingError {
    #[error(transparent)]
    Mailing(#[from] GetMailingError),
    #[error(transparent)]
    Audience(#[from] AudienceError),
}

impl From<StoreError> for CountMailingError {
    fn from(error: StoreError) -> Self {
        Self::Mailing(error.into())
    }
}

/// Why a mailing is not previewed.
#[derive(Debug, thiserror::Error)]
pub enum PreviewMailingError {
    #[error(transparent)]
    Mailing(#[from] GetMailingError),
    #[error("there is no such student within reach")]
    NoSuchRecipient,
    #[error(transparent)]
    NotGranted(#[from] NotGranted),
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error("the email can't be rendered: {0}")]
    Render(String),
}

impl From<StoreError> for PreviewMailingError {
    fn from(error: StoreError) -> Self {
        Self::Mailing(error.into())
    }
}

impl From<RenderError> for PreviewMailingError {
    fn from(error: RenderError) -> Self {
        match error {
            RenderError::Store(error) => error.into(),
            error => Self::Render(error.to_string()),
        }
    }
}

/// Why a draft is not sent to its author.
#[derive(Debug, thiserror::Error)]
pub enum TestMailingError {
    #[error(transparent)]
    Mailing(#[from] GetMailingError),
    /// A machine has no mailbox.
    #[error("the caller has no address")]
    NoAddress,
    #[error(transparent)]
    NotGranted(#[from] NotGranted),
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error(transparent)]
    TooMany(#[from] TooMany),
}

impl From<StoreError> for TestMailingError {
    fn from(error: StoreError) -> Self {
        Self::Mailing(error.into())
    }
}

/// What became of the emails to the recipients of a mailing. Each recipient is counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub queued: u64,
    pub sent: u64,
    pub possibly_twice: u64,
    pub failed: u64,
    pub suppressed: u64,
    pub unsubscribed: u64,
    pub obsolete: u64,
}

/// A mailing, and what became of its emails if it was started.
pub struct MailingProgress {
    pub mailing: Mailing,
    pub counts: Option<Counts>,
    /// Whether the reader may use every filter of the audience. The values of filters and the numbers of people who match
    /// them say something about those people.
    pub is_open: bool,
}

/// A recipient of a mailing.
pub struct Recipient {
    pub account: String,
    /// What the caller may read of the student.
    pub student: Option<(View, Row)>,
    /// The email, once it is posted.
    pub mail: Option<Mail>,
    /// Whether the mailing still sends emails that were not posted yet.
    pub is_to_come: bool,
}

/// The mailings of the committee.
pub struct Mailings {
    pub(super) store: Store,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn Ids>,
    pub(super) enrolment: EnrolmentRule,
    signals: Arc<dyn Signals>,
    event: Arc<Event>,
    students: Arc<Students>,
    writer: MailingWriter,
}

impl Mailings {
    /// The use cases on `base`. Students are found as `students` finds them.
    pub fn new(base: &Base, students: &Arc<Students>) -> Self {
        Self {
            store: base.store.clone(),
            clock: base.clock.clone(),
            ids: base.ids.clone(),
            enrolment: EnrolmentRule::of(&base.event),
            signals: base.signals.clone(),
            event: base.event.clone(),
            students: students.clone(),
            writer: MailingWriter::new(base),
        }
    }

    pub(super) fn columns(&self) -> &Columns {
        self.students.columns()
    }

    /// Stores a draft.
    ///
    /// # Errors
    /// [`CreateMailingError`]; then nothing is stored.
    pub async fn create(&self, by: &Principal, draft: Draft) -> Result<Mailing, CreateMailingError> {
        let (id, now) = (self.ids.next(), self.clock.now());
        let mailing = Mailing::new(id, draft, &by.actor, now);
        self.check(&by.rights, &mailing).await?;
        self.store
            .transact(async |tx| {
                tx.insert(&mailing).await?;
                audit(&tx, &by.actor, MAILING_CREATED, &mailing, now).await
            })
            .await?;
        Ok(mailing)
    }

    /// Changes what a draft says.
    ///
    /// # Errors
    /// [`UpdateMailingError`]; then nothing has changed.
    pub async fn update(
        &self,
        by: &Principal,
        id: &str,
        changes: DraftChanges,
        condition: &Precondition,
    ) -> Result<MailingProgress, UpdateMailingError> {
        let now = self.clock.now();
        let known: Option<Mailing> = self.store.get(id).await?;
        let mut edited = known.ok_or(UpdateMailingError::NotFound)?;
        self.check_author(by, &edited)?;
        edited.edit(changes.clone(), now);
        self.check(&by.rights, &edited).await?;
        let changed = self.store.transact(async |tx| {
            let mut mailing: Mailing = tx.get(id).await?.ok_or(UpdateMailingError::NotFound)?;
            if mailing.state != MailingState::Draft {
                return Err(UpdateMailingError::NotADraft);
            }
            condition.check(&mailing)?;
            mailing.edit(changes.clone(), now);
            if mailing != edited {
                return Err(Stale.into());
            }
            tx.put(&mailing).await?;
            audit(&tx, &by.actor, MAILING_UPDATED, &mailing, now).await?;
            Ok(mailing)
        });
        Ok(self.with_counts(&by.rights, changed.await?).await?)
    }

    /// Whether somebody with these rights may use every filter of the audience. Administrators may use those of fields that
    /// no longer exist.
    pub(super) fn check_filters(&self, rights: &Rights, mailing: &Mailing) -> Result<(), NotGranted> {
        match mailing.audience.people(rights, self) {
            Err(AudienceError::NotGranted(error)) => Err(error),
            Err(AudienceError::Invalid(_)) if !rights.is_administrator() => Err(NotGranted("filters".into())),
            _ => Ok(()),
        }
    }

    /// Whether somebody may change a mailing: its author, and those who could write to its audience.
    pub(super) fn check_author(&self, by: &Principal, mailing: &Mailing) -> Result<(), AudienceError> {
        let is_author = mailing.created_by == by.actor || mailing.started_by.as_ref() == Some(&by.actor);
        if is_author || by.rights.is_administrator() {
            return Ok(());
        }
        self.check_filters(&by.rights, mailing)?;
        match mailing.audience.people(&by.rights, self) {
            Err(AudienceError::ScopeMissing(scope)) => Err(AudienceError::ScopeMissing(scope)),
            _ => Ok(()),
        }
    }

    /// Whether somebody with these rights may write this to its audience.
    async fn check(&self, rights: &Rights, mailing: &Mailing) -> Result<(), AudienceError> {
        mailing.audience.people(rights, self)?;
        check_grants(rights, self.prepared(mailing).await?.placeholders())?;
        Ok(())
    }

    /// What the mailing says, if it can be sent.
    pub(super) async fn prepared(&self, mailing: &Mailing) -> Result<Prepared, ContentError> {
        let mut errors = content::errors_of_subject(&mailing.subject);
        let text = match &mailing.content {
            Content::Text { text } => {
                errors.extend(content::errors_of_text(text));
                Some(text.clone())
            }
            Content::Announcement { announcement, text } => match text {
                Some(copied) => Some(copied.clone()),
                None => self.announced(announcement).await?.map(|announcement| {
                    errors.extend(mailing.audience.error_with(&announcement.audience));
                    announcement.text
                }),
            },
        };
        if text.is_none() {
            let detail = "There is no published announcement with this id. `listAnnouncements` lists all.";
            errors.push(FieldError::new("/announcement", "no-such-announcement", detail));
        }
        match text {
            Some(text) if errors.is_empty() => {
                let fills = matches!(mailing.content, Content::Text { .. });
                Ok(Prepared::new(&mailing.subject, &text, fills))
            }
            _ => Err(Invalid(errors).into()),
        }
    }

    /// A published announcement.
    pub(super) async fn announced(&self, id: &str) -> Result<Option<Announcement>, StoreError> {
        let announcement: Option<Announcement> = self.store.get(id).await?;
        Ok(announcement.filter(|announcement| announcement.is_published(self.clock.now())))
    }

    /// The mailing with this id.
    pub(super) async fn mailing(&self, id: &str) -> Result<Mailing, GetMailingError> {
        self.store.get(id).await?.ok_or(GetMailingError::NotFound)
    }

    /// The mailing with this id, and what became of its emails.
    ///
    /// # Errors
    /// [`GetMailingError`]
    pub async fn get(&self, rights: &Rights, id: &str) -> Result<MailingProgress, GetMailingError> {
        let mailing = self.mailing(id).await?;
        Ok(self.with_counts(rights, mailing).await?)
    }

    /// The page of the mailings, newest first, that begins at `after`; at most `limit`.
    ///
    /// # Errors
    /// [`PageError`]
    pub async fn list(
        &self,
        rights: &Rights,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<MailingProgress>, PageError> {
        let newest_first = Query::new(Filter::All).sort("id", Dir::Desc).limit(limit);
        let page: Page<Mailing> = self.store.page(newest_first, after).await?;
        Ok(Page { items: self.all_with_counts(rights, page.items).await?, next: page.next })
    }

    /// The mailing, and what became of its emails if it was started.
    pub(super) async fn with_counts(
        &self,
        rights: &Rights,
        mailing: Mailing,
    ) -> Result<MailingProgress, StoreError> {
        let counted = self.all_with_counts(rights, vec![mailing]).await?.pop();
        counted.ok_or_else(|| StoreError::Failed("a mailing was not counted".into()))
    }

    /// Counts the emails by their state, in one query, so that nobody is counted twice. Who is in no final state is queued,
    /// posted or not.
    async fn all_with_counts(
        &self,
        rights: &Rights,
        mailings: Vec<Mailing>,
    ) -> Result<Vec<MailingProgress>, StoreError> {
        let started: Vec<Value> = mailings
            .iter()
            .filter(|mailing| mailing.was_started())
            .map(|mailing| mailing.id.as_str().into())
            .collect();
        let (mut runs, mut tally) = (vec![], vec![]);
        if !started.is_empty() {
            let limit = u32::try_from(started.len()).unwrap_or(u32::MAX);
            let query = Query::new(Filter::In("id".into(), started.clone())).limit(limit);
            runs = self.store.find::<MailingRun>(query).await?;
            let by = ["batch", "state"].map(|field| Dimension { field: field.into(), holds: Holds::Text });
            tally = self.store.cross::<Mail>(by.into(), Filter::In("batch".into(), started)).await?;
        }
        let with_counts = |mailing: Mailing| {
            let gone = runs.iter().find(|run| run.id == mailing.id).map_or(0, |run| run.gone);
            let counts = mailing.was_started().then(|| counts(&mailing, gone, &states(&mailing.id, &tally)));
            let is_open = self.check_filters(rights, &mailing).is_ok();
            MailingProgress { mailing, counts, is_open }
        };
        Ok(mailings.into_iter().map(with_counts).collect())
    }

    /// The people who would get the mailing now, if the caller started it.
    ///
    /// # Errors
    /// [`CountMailingError`]
    pub async fn count_now(&self, rights: &Rights, id: &str) -> Result<Counted, CountMailingError> {
        let mailing = self.mailing(id).await?;
        let prepared = self.prepared(&mailing).await.map_err(AudienceError::from)?;
        Ok(self.counted(rights, &mailing.audience, prepared.placeholders()).await?)
    }

    /// The email as this recipient would get it, or with samples. Its link to unsubscribe is one of nobody.
    ///
    /// # Errors
    /// [`PreviewMailingError`]
    pub async fn preview(
        &self,
        rights: &Rights,
        id: &str,
        recipient: Option<&str>,
    ) -> Result<Email, PreviewMailingError> {
        let mailing = self.mailing(id).await?;
        let prepared = self.prepared(&mailing).await?;
        check_grants(rights, prepared.placeholders())?;
        let values = match recipient {
            Some(account) => {
                self.values(rights, account).await?.ok_or(PreviewMailingError::NoSuchRecipient)?
            }
            None => Values::sample(&self.event),
        };
        Ok(self.writer.preview(&prepared.fill(&values))?)
    }

    /// What fills the placeholders for somebody whom the caller may read about.
    async fn values(&self, rights: &Rights, account: &str) -> Result<Option<Values>, StoreError> {
        let registration: Option<Registration> = self.store.get(account).await?;
        let account: Option<Account> = self.store.get(account).await?;
        let reached = is_within_reach(rights, account.as_ref(), registration.as_ref());
        Ok(account.filter(|_| reached).map(|account| Values::of(&account, registration.as_ref())))
    }

    /// Sends the mailing, as it is now, to the caller.
    ///
    /// # Errors
    /// [`TestMailingError`]; then nothing is sent.
    pub async fn test(&self, by: &Principal, id: &str) -> Result<(), TestMailingError> {
        let Actor::Account(author) = &by.actor else { return Err(TestMailingError::NoAddress) };
        let mailing = self.mailing(id).await?;
        let prepared = self.prepared(&mailing).await?;
        check_grants(&by.rights, prepared.placeholders())?;
        self.signals.take(TEST, author).await?;
        let (once, now) = (self.ids.next(), self.clock.now());
        self.store
            .transact(async |tx| {
                let author: Account = tx.get(author).await?.ok_or(TestMailingError::NoAddress)?;
                tx.post(&mails::test(&once, &mailing, &author, now)).await?;
                Ok(audit(&tx, &by.actor, MAILING_TESTED, &mailing, now).await?)
            })
            .await
    }

    /// A page of the recipients within the caller's reach, in the order in which their emails are posted. It may have fewer
    /// than `limit`, and others may follow.
    ///
    /// # Errors
    /// [`ListRecipientsError`]
    pub async fn recipients(
        &self,
        rights: &Rights,
        id: &str,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<Recipient>, ListRecipientsError> {
        let first = after.map_or(Some(0), |after| place(id, after)).ok_or(PageError::BadCursor)?;
        let mailing = self.mailing(id).await?;
        self.check_filters(rights, &mailing)?;
        let (mut number, mut items) = (first, vec![]);
        let look_until = mailing.recipients.min(first.saturating_add(LOOKED_AT));
        while number < look_until && items.len() < limit as usize {
            let some = self.store.get::<MailingRecipients>(&MailingRecipients::id_of(id, number)).await?;
            let accounts = some.map(|some| some.accounts).unwrap_or_default();
            let from = MailingRecipients::place_of(number).min(accounts.len());
            let wanted = limit as usize - items.len();
            let (looked_at, reached) = self.reached(rights, &accounts[from..], wanted).await?;
            items.extend(reached);
            if looked_at == 0 {
                break;
            }
            number += looked_at;
        }
        let next = (number < mailing.recipients).then(|| cursor(id, number));
        let items = self.with_mails(&mailing, items).await?;
        Ok(Page { items, next })
    }

    /// At most `wanted` of these accounts within reach, with what may be read of them, and how many were looked at for that.
    async fn reached(
        &self,
        rights: &Rights,
        accounts: &[String],
        wanted: usize,
    ) -> Result<(u64, Vec<Reached>), StoreError> {
        let access = StudentAccess::new(rights);
        let shown = self.columns().iter().filter(|column| SHOWN.contains(&column.name.as_str()));
        let granted: Vec<_> = shown.filter(|column| access.may_read(column)).collect();
        let view =
            access.view(granted).map_err(|_| StoreError::Failed("a granted column is refused".into()))?;
        let students = self.registrations(accounts.iter().map(String::as_str)).await?;
        let has_form = |id: &str| students.binary_search_by(|student| student.id.as_str().cmp(id)).is_ok();
        let others = accounts.iter().map(String::as_str).filter(|id| !has_form(id));
        let others = if rights.reaches(None, None) { self.accounts(others).await? } else { vec![] };
        let (mut looked_at, mut reached) = (0, vec![]);
        for account in accounts {
            if reached.len() == wanted {
                break;
            }
            looked_at += 1;
            let student = students.binary_search_by(|student| student.id.cmp(account)).ok();
            let student = student.map(|place| &students[place]);
            let other = others.iter().find(|other| other.id == *account);
            if is_within_reach(rights, other, student) {
                let row = student.map(|student| view.row(student)).transpose()?.flatten();
                reached.push((account.clone(), row.map(|row| (view.clone(), row))));
            }
        }
        Ok((looked_at, reached))
    }

    async fn with_mails(
        &self,
        mailing: &Mailing,
        reached: Vec<Reached>,
    ) -> Result<Vec<Recipient>, StoreError> {
        let ids = reached.iter().map(|(account, _)| mails::id(&mailing.id, account).into()).collect();
        let limit = u32::try_from(reached.len()).unwrap_or(u32::MAX).max(1);
        let mails: Vec<Mail> = self.store.find(Query::new(Filter::In("id".into(), ids)).limit(limit)).await?;
        let is_to_come = matches!(mailing.state, MailingState::Sending | MailingState::Paused);
        let recipient = |(account, student): Reached| {
            let mail = mails.iter().find(|mail| mail.id == mails::id(&mailing.id, &account)).cloned();
            Recipient { account, student, mail, is_to_come }
        };
        Ok(reached.into_iter().map(recipient).collect())
    }
}

/// An account within reach, and what may be read of the student.
type Reached = (String, Option<(View, Row)>);

/// Whether somebody with these rights may read about a recipient. Those without a form are in no group: students among
/// them are within the reach of all groups, leaders are read by administrators.
fn is_within_reach(rights: &Rights, account: Option<&Account>, student: Option<&Registration>) -> bool {
    match (student, account) {
        (Some(student), _) => StudentAccess::new(rights).reaches(student),
        (None, Some(account)) if account.role == Role::Student => {
            rights.may(Scope::StudentsUnregistered) && rights.reaches(None, None)
        }
        (None, _) => rights.is_administrator(),
    }
}

/// The recipient at which a page begins. `None` if the cursor is not one of this mailing.
fn place(mailing: &str, cursor: &Cursor) -> Option<u64> {
    let number = cursor.as_str().strip_prefix("recipient-")?.strip_prefix(mailing)?.strip_prefix('-')?;
    number.bytes().all(|digit| digit.is_ascii_digit()).then(|| number.parse().ok())?
}

fn cursor(mailing: &str, number: u64) -> Cursor {
    format!("recipient-{mailing}-{number}").into()
}

/// The states of the emails of this mailing, with the number of each.
fn states(mailing: &str, tally: &[Crossed]) -> Vec<(String, u64)> {
    let of_mailing = |row: &Crossed| match &row.values[..] {
        [Some(Value::Text(batch)), Some(Value::Text(state))] if batch == mailing => {
            Some((state.clone(), row.documents))
        }
        _ => None,
    };
    tally.iter().filter_map(of_mailing).collect()
}

/// The counts of a mailing with this tally of its emails, of which `gone` were not posted because their account no longer
/// existed.
fn counts(mailing: &Mailing, gone: u64, tally: &[(String, u64)]) -> Counts {
    let mut counts = Counts { obsolete: gone, ..Counts::default() };
    let mut open = 0;
    for (state, number) in tally {
        let state: Option<MailState> = serde_json::from_value(state.as_str().into()).ok();
        match state {
            Some(MailState::Sent) => counts.sent += number,
            Some(MailState::SentPossiblyTwice) => counts.possibly_twice += number,
            Some(MailState::Failed) => counts.failed += number,
            Some(MailState::Suppressed) => counts.suppressed += number,
            Some(MailState::Unsubscribed) => counts.unsubscribed += number,
            Some(MailState::Obsolete) => counts.obsolete += number,
            Some(MailState::Queued | MailState::Sending) | None => open += number,
        }
    }
    let ended = counts.sent
        + counts.possibly_twice
        + counts.failed
        + counts.suppressed
        + counts.unsubscribed
        + counts.obsolete;
    let left = mailing.recipients.saturating_sub(ended);
    if mailing.state == MailingState::Cancelled {
        counts.queued = open.min(left);
        counts.obsolete += left - counts.queued;
    } else {
        counts.queued = left;
    }
    counts
}

/// Records a change of a mailing, with its audience and the number of recipients.
pub(super) async fn audit(
    tx: &Tx,
    by: &Actor,
    action: Action,
    mailing: &Mailing,
    now: crate::kernel::Timestamp,
) -> Result<(), StoreError> {
    let (audience, recipients) = (mailing.audience.in_words(), mailing.recipients.to_string());
    let detail = [("audience", audience.as_str()), ("recipients", &recipients)];
    let detail = if mailing.was_started() { &detail[..] } else { &detail[..1] };
    tx.audit(by, action, Subject::of::<Mailing>(&mailing.id), detail, now).await
}

#[cfg(test)]
mod unit_tests {
    use super::*;
    use crate::features::mailings::model::{LeftOut, MailingAudience};
    use crate::kernel::{Markdown, Timestamp};

    fn mailing(state: MailingState) -> Mailing {
        let content = Content::Text { text: Markdown::new("x") };
        let draft = Draft { subject: "x".into(), content, audience: MailingAudience::Everyone };
        let (by, now) = (Actor::Operator, Timestamp::from_millis(0));
        let mut mailing = Mailing::new("m".into(), draft, &by, now);
        mailing.start(&by, 10, LeftOut::default(), now);
        Mailing { state, ..mailing }
    }

    fn tally(states: &[(&str, u64)]) -> Vec<(String, u64)> {
        states.iter().map(|(state, number)| ((*state).to_owned(), *number)).collect()
    }

    #[test]
    fn each_recipient_is_counted_once_whether_or_not_the_email_is_posted() {
        let tally =
            tally(&[("sent", 3), ("sentPossiblyTwice", 1), ("queued", 2), ("sending", 1), ("failed", 1)]);
        let counted = counts(&mailing(MailingState::Sending), 1, &tally);
        let expected =
            Counts { queued: 4, sent: 3, possibly_twice: 1, failed: 1, obsolete: 1, ..Counts::default() };
        assert_eq!(counted, expected);
        assert_eq!(counts(&mailing(MailingState::Paused), 1, &tally), expected);
    }

    #[test]
    fn what_a_cancelled_mailing_never_posted_is_obsolete() {
        let tally = tally(&[("sent", 3), ("sending", 1), ("unsubscribed", 1), ("suppressed", 1)]);
        let counted = counts(&mailing(MailingState::Cancelled), 0, &tally);
        let expected =
            Counts { queued: 1, sent: 3, suppressed: 1, unsubscribed: 1, obsolete: 4, ..Counts::default() };
        assert_eq!(counted, expected);
    }

    #[test]
    fn a_cursor_names_a_recipient_and_nothing_else_is_one() {
        assert_eq!(place("m", &cursor("m", 1_234)), Some(1_234));
        assert_eq!(place("m", &cursor("other", 1_234)), None);
        for bad in ["", "x", "recipient-", "recipient-m-", "recipient-m-+1", "recipient-m--1", "recipient-1"]
        {
            assert_eq!(place("m", &bad.to_owned().into()), None, "{bad}");
        }
        assert_eq!(place("m", &"recipient-m-99999999999999999999".to_owned().into()), None);
    }
}
