//! Operations on mailings.

use std::sync::Arc;

use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi, Tags};

use super::audience::AudienceError;
use super::bodies::{
    ChangesBody, CountBody, DraftBody, MailingBody, PreviewBody, RecipientBody, StartBody, an_id,
};
use super::running::{ChangeMailingError, PauseMailingError, StartMailingError};
use super::service::{
    ContentError, CountMailingError, CreateMailingError, GetMailingError, ListRecipientsError,
    MailingProgress, Mailings, PreviewMailingError, TestMailingError, UpdateMailingError,
};
use crate::features::students::NotGranted;
use crate::features::students::{field_not_granted, no_such_student};
use crate::http::rights::{ReadMailings, SendEmails};
use crate::http::{
    By, Examples, Failure, IfMatch, JsonBody, Kind, PageBody, PageCursor, PageLimit, Problem, Refusal,
    entity_tag, internal, scope_missing,
};
use crate::kernel::{FieldError, Invalid, Scope, Timestamp};
use crate::platform::signals::TooMany;
use crate::platform::store::{PageError, Stale, StoreError};

#[derive(Tags)]
enum Tag {
    /// Emails of the committee to many people.
    Mailings,
}

#[derive(ApiResponse)]
enum MailingAnswer {
    /// The mailing as it is now.
    #[oai(status = 200)]
    Current(
        Json<MailingBody>,
        /// Entity tag of the mailing: send it as `If-Match` with an edit and with the start.
        #[oai(header = "ETag")]
        String,
    ),
}

#[derive(ApiResponse)]
enum NewMailing {
    /// The draft is stored.
    #[oai(status = 201)]
    Created(
        Json<MailingBody>,
        /// Entity tag of the mailing: send it as `If-Match` with an edit and with the start.
        #[oai(header = "ETag")]
        String,
    ),
}

#[derive(ApiResponse)]
enum StartedMailing {
    /// The mailing has begun, or begins at `sendAt`.
    #[oai(status = 202)]
    Started(Json<MailingBody>),
}

#[derive(ApiResponse)]
enum MailingDeleted {
    /// The draft is deleted.
    #[oai(status = 204)]
    Deleted,
}

#[derive(ApiResponse)]
enum TestAnswer {
    /// The email is on its way to you.
    #[oai(status = 202)]
    Queued,
}

impl MailingAnswer {
    fn new(progress: &MailingProgress) -> Result<Self, StoreError> {
        Ok(Self::Current(Json(progress.into()), entity_tag(&progress.mailing)?))
    }
}

// ---- refusals ----

const NO_SUCH_MAILING: Kind = Kind::new(404, "no-such-mailing", "No such mailing");
const MAILING_NOT_A_DRAFT: Kind = Kind::new(409, "mailing-not-a-draft", "Mailing is no draft");
const MAILING_COUNT_CHANGED: Kind = Kind::new(409, "mailing-count-changed", "Number of recipients changed");
const MAILING_WITHOUT_RECIPIENTS: Kind =
    Kind::new(409, "mailing-without-recipients", "Mailing without recipients");
const MAILING_IN_ANOTHER_STATE: Kind = Kind::new(409, "mailing-in-another-state", "Mailing in another state");
const NO_ADDRESS: Kind = Kind::new(409, "no-address", "No address");

fn not_a_draft() -> Problem {
    MAILING_NOT_A_DRAFT.says("This mailing was started, scheduled or cancelled. Make a new one.")
}

impl Refusal for AudienceError {
    fn examples() -> Examples<Self> {
        let unknown = FieldError::new("/text", "unknown-placeholder", "There is no placeholder {name}.");
        Examples::of([
            NotGranted("dietary".into()).into(),
            Self::ScopeMissing(Scope::AdminAll),
            Invalid::from(unknown).into(),
        ])
        .and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotGranted(NotGranted(field)) => field_not_granted(&field),
            Self::ScopeMissing(scope) => scope_missing(scope),
            Self::Invalid(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for ContentError {
    fn examples() -> Examples<Self> {
        Examples::of([]).and::<Invalid>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Invalid(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for CreateMailingError {
    fn examples() -> Examples<Self> {
        Examples::of([]).and::<AudienceError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Audience(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for UpdateMailingError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound, Self::NotADraft]).and::<Stale>().and::<AudienceError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => GetMailingError::NotFound.problem(),
            Self::NotADraft => not_a_draft(),
            Self::Stale(error) => error.problem(),
            Self::Audience(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for GetMailingError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => {
                NO_SUCH_MAILING.says("There is no mailing with this id. `listMailings` lists all.")
            }
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for ListRecipientsError {
    fn examples() -> Examples<Self> {
        Examples::of([NotGranted("dietary".into()).into()]).and::<GetMailingError>().and::<PageError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Mailing(error) => error.problem(),
            Self::NotGranted(NotGranted(field)) => field_not_granted(&field),
            Self::Page(error) => error.problem(),
        }
    }
}

impl Refusal for CountMailingError {
    fn examples() -> Examples<Self> {
        Examples::of([]).and::<GetMailingError>().and::<AudienceError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Mailing(error) => error.problem(),
            Self::Audience(error) => error.problem(),
        }
    }
}

impl Refusal for PreviewMailingError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NoSuchRecipient, NotGranted("legalName".into()).into()])
            .and::<GetMailingError>()
            .and::<ContentError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Mailing(error) => error.problem(),
            Self::NoSuchRecipient => no_such_student(),
            Self::NotGranted(NotGranted(field)) => field_not_granted(&field),
            Self::Content(error) => error.problem(),
            Self::Render(error) => internal(error),
        }
    }
}

impl Refusal for TestMailingError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NoAddress, NotGranted("legalName".into()).into()])
            .and::<GetMailingError>()
            .and::<ContentError>()
            .and::<TooMany>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Mailing(error) => error.problem(),
            Self::NoAddress => NO_ADDRESS.says("A machine has no mailbox. Sign in, and send it to yourself."),
            Self::NotGranted(NotGranted(field)) => field_not_granted(&field),
            Self::Content(error) => error.problem(),
            Self::TooMany(error) => error.problem(),
        }
    }
}

impl Refusal for StartMailingError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotADraft, Self::CountChanged(121), Self::NoRecipients])
            .and::<GetMailingError>()
            .and::<Stale>()
            .and::<AudienceError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Mailing(error) => error.problem(),
            Self::NotADraft => not_a_draft(),
            Self::CountChanged(count) => MAILING_COUNT_CHANGED.says(format!(
                "The mailing has {count} recipients now. Start it with `\"recipients\": {count}` if that is right."
            )),
            Self::NoRecipients => {
                MAILING_WITHOUT_RECIPIENTS.says("Nobody would get this mailing. `countMailing` says who is left out.")
            }
            Self::Stale(error) => error.problem(),
            Self::Audience(error) => error.problem(),
        }
    }
}

fn in_another_state() -> Problem {
    MAILING_IN_ANOTHER_STATE.says(
        "Only a mailing that is being sent can be paused, only a paused one resumed, and only a draft deleted. A finished \
         one can't be cancelled. `getMailing` shows the state.",
    )
}

impl Refusal for PauseMailingError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::WrongState]).and::<GetMailingError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Mailing(error) => error.problem(),
            Self::WrongState => in_another_state(),
        }
    }
}

impl Refusal for ChangeMailingError {
    fn examples() -> Examples<Self> {
        let not_granted = NotGranted("dietary".into()).into();
        Examples::of([Self::WrongState, not_granted, Self::ScopeMissing(Scope::AdminAll)])
            .and::<GetMailingError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Mailing(error) => error.problem(),
            Self::WrongState => in_another_state(),
            Self::NotGranted(NotGranted(field)) => field_not_granted(&field),
            Self::ScopeMissing(scope) => scope_missing(scope),
        }
    }
}

// ---- operations ----

/// The operations of this feature.
pub struct MailingsController(Arc<Mailings>);

impl MailingsController {
    /// The operations over `mailings`.
    pub fn new(mailings: Arc<Mailings>) -> Self {
        Self(mailings)
    }
}

#[OpenApi(tag = "Tag::Mailings")]
impl MailingsController {
    /// Create a mailing
    ///
    /// Stores a draft: nobody gets it before `startMailing`. The audience of students is what `listStudents` shows you for the
    /// same search and filters; fields that are not granted to you can be used neither there nor as placeholders. An announcement for some groups goes
    /// to students with a filter of those groups, or to leaders; one for leaders goes to leaders.
    #[oai(path = "/v1/mailings", method = "post", operation_id = "createMailing")]
    async fn create_mailing(
        &self,
        caller: By<SendEmails>,
        body: JsonBody<DraftBody>,
    ) -> Result<NewMailing, Failure<CreateMailingError>> {
        let draft = body.0.read().map_err(AudienceError::from).map_err(CreateMailingError::from)?;
        let mailing = self.0.create(&caller.0, draft).await?;
        let tag = entity_tag(&mailing).map_err(CreateMailingError::from)?;
        Ok(NewMailing::Created(Json(MailingBody::draft(mailing)), tag))
    }

    /// List mailings
    ///
    /// Newest first, drafts included.
    #[oai(path = "/v1/mailings", method = "get", operation_id = "listMailings")]
    async fn list_mailings(
        &self,
        caller: By<ReadMailings>,
        /// Maximum number of items per page.
        limit: Query<PageLimit>,
        /// `nextCursor` of the previous page.
        cursor: Query<PageCursor>,
    ) -> Result<Json<PageBody<MailingBody>>, Failure<PageError>> {
        Ok(Json(self.0.list(&caller.0.rights, cursor.0.0.as_ref(), limit.0.0).await?.into()))
    }

    /// Get a mailing
    ///
    /// Returns the mailing and, once it is started, what became of its emails. If its audience is filtered by a field that is
    /// not granted to you, search, filters and numbers are absent.
    #[oai(path = "/v1/mailings/:mailingId", method = "get", operation_id = "getMailing")]
    async fn get_mailing(
        &self,
        caller: By<ReadMailings>,
        /// Id of the mailing, from `listMailings`.
        #[oai(name = "mailingId", example = "an_id")]
        mailing_id: Path<String>,
    ) -> Result<MailingAnswer, Failure<GetMailingError>> {
        let progress = self.0.get(&caller.0.rights, &mailing_id.0).await?;
        Ok(MailingAnswer::new(&progress).map_err(GetMailingError::from)?)
    }

    /// Change a mailing
    ///
    /// Changes what a draft says, and its audience. Omitted properties keep their value. It must be yours, or one whose
    /// audience you could write to.
    #[oai(path = "/v1/mailings/:mailingId", method = "patch", operation_id = "updateMailing")]
    async fn update_mailing(
        &self,
        caller: By<SendEmails>,
        /// Id of the mailing, from `listMailings`.
        #[oai(name = "mailingId", example = "an_id")]
        mailing_id: Path<String>,
        /// `ETag` of the mailing that was edited.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
        body: JsonBody<ChangesBody>,
    ) -> Result<MailingAnswer, Failure<UpdateMailingError>> {
        let changes = body.0.read().map_err(AudienceError::from).map_err(UpdateMailingError::from)?;
        let progress = self.0.update(&caller.0, &mailing_id.0, changes, &if_match.0).await?;
        Ok(MailingAnswer::new(&progress).map_err(UpdateMailingError::from)?)
    }

    /// Delete a mailing
    ///
    /// Deletes a draft for good. A mailing that was scheduled or started can be cancelled instead. It must be yours, or one
    /// whose audience you could write to.
    #[oai(path = "/v1/mailings/:mailingId", method = "delete", operation_id = "deleteMailing")]
    async fn delete_mailing(
        &self,
        caller: By<SendEmails>,
        /// Id of the mailing, from `listMailings`.
        #[oai(name = "mailingId", example = "an_id")]
        mailing_id: Path<String>,
    ) -> Result<MailingDeleted, Failure<ChangeMailingError>> {
        self.0.delete(&caller.0, &mailing_id.0).await?;
        Ok(MailingDeleted::Deleted)
    }

    /// Count the recipients of a mailing
    ///
    /// The people who would get it if you started it now, and those who would be left out. `startMailing` takes the number.
    #[oai(path = "/v1/mailings/:mailingId/count", method = "get", operation_id = "countMailing")]
    async fn count_mailing(
        &self,
        caller: By<SendEmails>,
        /// Id of the mailing, from `listMailings`.
        #[oai(name = "mailingId", example = "an_id")]
        mailing_id: Path<String>,
    ) -> Result<Json<CountBody>, Failure<CountMailingError>> {
        Ok(Json(self.0.count_now(&caller.0.rights, &mailing_id.0).await?.into()))
    }

    /// Preview a mailing
    ///
    /// The email as one recipient would get it, or with sample values. Its link to unsubscribe is a sample, too.
    #[oai(path = "/v1/mailings/:mailingId/preview", method = "get", operation_id = "previewMailing")]
    async fn preview_mailing(
        &self,
        caller: By<SendEmails>,
        /// Id of the mailing, from `listMailings`.
        #[oai(name = "mailingId", example = "an_id")]
        mailing_id: Path<String>,
        /// Id of the account of somebody within your reach. By default sample values are shown.
        #[oai(validator(max_length = 100))]
        recipient: Query<Option<String>>,
    ) -> Result<Json<PreviewBody>, Failure<PreviewMailingError>> {
        let email = self.0.preview(&caller.0.rights, &mailing_id.0, recipient.0.as_deref()).await?;
        Ok(Json(email.into()))
    }

    /// Send a mailing to yourself
    ///
    /// Sends the email to your address, with *[Test]* in the subject. Placeholders have your values, or else samples. You can
    /// send 10 tests per hour.
    #[oai(path = "/v1/mailings/:mailingId/test", method = "post", operation_id = "testMailing")]
    async fn test_mailing(
        &self,
        caller: By<SendEmails>,
        /// Id of the mailing, from `listMailings`.
        #[oai(name = "mailingId", example = "an_id")]
        mailing_id: Path<String>,
    ) -> Result<TestAnswer, Failure<TestMailingError>> {
        self.0.test(&caller.0, &mailing_id.0).await?;
        Ok(TestAnswer::Queued)
    }

    /// Start a mailing
    ///
    /// Fixes the recipients and begins to send. `recipients` confirms the number from `countMailing`: if it has changed, nothing
    /// is started. With `sendAt` the recipients are fixed then, with the rights that you have then, so people can join or
    /// leave the audience until that time; if there are more than a tenth more (and more than ten more) than you have
    /// confirmed, the mailing is a draft again and says so. The text of an announcement is that of the confirmation. Each recipient gets an email of their
    /// own, once. People who have unsubscribed or whose address is on the suppression list get none, even if that happens
    /// while the mailing is being sent.
    #[oai(path = "/v1/mailings/:mailingId/start", method = "post", operation_id = "startMailing")]
    async fn start_mailing(
        &self,
        caller: By<SendEmails>,
        /// Id of the mailing, from `listMailings`.
        #[oai(name = "mailingId", example = "an_id")]
        mailing_id: Path<String>,
        /// `ETag` of the mailing that you have seen.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
        body: JsonBody<StartBody>,
    ) -> Result<StartedMailing, Failure<StartMailingError>> {
        let StartBody { recipients, send_at } = body.0;
        let send_at = send_at.and_then(|time| Timestamp::parse(time.as_ref()));
        let started = self.0.start(&caller.0, &mailing_id.0, &if_match.0, recipients, send_at).await?;
        Ok(StartedMailing::Started(Json((&started).into())))
    }

    /// List the recipients of a mailing
    ///
    /// Those within your reach, with the state of their email, in the order in which the emails are posted. Leaders
    /// are shown to administrators, and students without a form to those who reach all groups and hold `students:unregistered`. A page can have fewer items than `limit`; the last page
    /// has no `nextCursor`.
    #[oai(
        path = "/v1/mailings/:mailingId/recipients",
        method = "get",
        operation_id = "listMailingRecipients"
    )]
    async fn list_mailing_recipients(
        &self,
        caller: By<ReadMailings>,
        /// Id of the mailing, from `listMailings`.
        #[oai(name = "mailingId", example = "an_id")]
        mailing_id: Path<String>,
        /// Maximum number of items per page.
        limit: Query<PageLimit>,
        /// `nextCursor` of the previous page.
        cursor: Query<PageCursor>,
    ) -> Result<Json<PageBody<RecipientBody>>, Failure<ListRecipientsError>> {
        let (rights, after) = (&caller.0.rights, cursor.0.0);
        Ok(Json(self.0.recipients(rights, &mailing_id.0, after.as_ref(), limit.0.0).await?.into()))
    }

    /// Pause a mailing
    ///
    /// No further emails are sent until `resumeMailing`, apart from the few that are being sent at this moment or may have been
    /// sent before. If it is paused already, nothing changes.
    #[oai(path = "/v1/mailings/:mailingId/pause", method = "post", operation_id = "pauseMailing")]
    async fn pause_mailing(
        &self,
        caller: By<SendEmails>,
        /// Id of the mailing, from `listMailings`.
        #[oai(name = "mailingId", example = "an_id")]
        mailing_id: Path<String>,
    ) -> Result<MailingAnswer, Failure<PauseMailingError>> {
        let progress = self.0.pause(&caller.0, &mailing_id.0).await?;
        Ok(MailingAnswer::new(&progress).map_err(PauseMailingError::from)?)
    }

    /// Resume a mailing
    ///
    /// Goes on with the recipients who were fixed at the start. If it is being sent already, nothing changes. It must be yours,
    /// or one whose audience you could write to.
    #[oai(path = "/v1/mailings/:mailingId/resume", method = "post", operation_id = "resumeMailing")]
    async fn resume_mailing(
        &self,
        caller: By<SendEmails>,
        /// Id of the mailing, from `listMailings`.
        #[oai(name = "mailingId", example = "an_id")]
        mailing_id: Path<String>,
    ) -> Result<MailingAnswer, Failure<ChangeMailingError>> {
        let progress = self.0.resume(&caller.0, &mailing_id.0).await?;
        Ok(MailingAnswer::new(&progress).map_err(ChangeMailingError::from)?)
    }

    /// Cancel a mailing
    ///
    /// Ends a mailing for good, whether or not it was started. Emails that were sent stay sent. If it is cancelled already,
    /// nothing changes. It must be yours, or one whose audience you could write to.
    #[oai(path = "/v1/mailings/:mailingId/cancel", method = "post", operation_id = "cancelMailing")]
    async fn cancel_mailing(
        &self,
        caller: By<SendEmails>,
        /// Id of the mailing, from `listMailings`.
        #[oai(name = "mailingId", example = "an_id")]
        mailing_id: Path<String>,
    ) -> Result<MailingAnswer, Failure<ChangeMailingError>> {
        let progress = self.0.cancel(&caller.0, &mailing_id.0).await?;
        Ok(MailingAnswer::new(&progress).map_err(ChangeMailingError::from)?)
    }
}
