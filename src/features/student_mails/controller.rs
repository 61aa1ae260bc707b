//! Operations on the emails to a student.

use std::sync::Arc;

use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi, Tags};

use super::model::{NotResendable, check_state};
use super::service::{ListStudentMailsError, ResendStudentMailError, StudentMails};
use crate::features::students::no_such_student;
use crate::http::rights::{EditAccounts, ReadMailings};
use crate::http::{By, Examples, Failure, Kind, PageBody, PageCursor, PageLimit, Problem, Refusal};
use crate::kernel::Timestamp;
use crate::platform::mail::{Mail, MailState};
use crate::platform::signals::TooMany;
use crate::platform::store::{PageError, StoreError};

#[derive(Tags)]
enum Tag {
    /// Emails to one student: what was sent, and sending one again.
    #[oai(rename = "Student emails")]
    StudentMails,
}

/// State of an email.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "MailState", rename_all = "camelCase")]
pub enum MailStateBody {
    /// It waits to be sent.
    Queued,
    /// It is being sent.
    Sending,
    /// Sent once.
    Sent,
    /// Sent, and possibly sent before.
    SentPossiblyTwice,
    /// Refused for good, or tried too often: see `reason`.
    Failed,
    /// Not sent: there was nothing to say any more. See `reason`.
    Obsolete,
    /// Not sent: the address was on the suppression list.
    Suppressed,
    /// Not sent: the student had unsubscribed.
    Unsubscribed,
}

impl From<MailState> for MailStateBody {
    fn from(state: MailState) -> Self {
        match state {
            MailState::Queued => Self::Queued,
            MailState::Sending => Self::Sending,
            MailState::Sent => Self::Sent,
            MailState::SentPossiblyTwice => Self::SentPossiblyTwice,
            MailState::Failed => Self::Failed,
            MailState::Obsolete => Self::Obsolete,
            MailState::Suppressed => Self::Suppressed,
            MailState::Unsubscribed => Self::Unsubscribed,
        }
    }
}

/// An email to a student, without its content.
#[derive(Clone, Debug, Object)]
#[oai(rename = "StudentMail", rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct StudentMailBody {
    /// Id of the email.
    id: String,
    /// Kind of the email, such as `ticket` or `password-reset`.
    kind: String,
    /// State of the email.
    state: MailStateBody,
    /// Time at which it was posted (RFC 3339, UTC).
    posted_at: String,
    /// Time at which it was sent (RFC 3339, UTC).
    sent_at: Option<String>,
    /// Why it failed or is obsolete.
    reason: Option<String>,
    /// Whether its state allows to send it again. `resendStudentMail` also checks the link in the email and the address.
    can_be_sent_again: bool,
}

impl From<&Mail> for StudentMailBody {
    fn from(mail: &Mail) -> Self {
        Self {
            id: mail.id.clone(),
            kind: mail.template.clone(),
            state: mail.state.into(),
            posted_at: mail.created_at.rfc3339(),
            sent_at: mail.sent_at.map(Timestamp::rfc3339),
            reason: mail.reason.clone(),
            can_be_sent_again: check_state(mail).is_ok(),
        }
    }
}

/// The answer of `resendStudentMail`.
#[derive(ApiResponse)]
pub enum ResentMail {
    /// The email is in the queue.
    #[oai(status = 202)]
    Queued(Json<StudentMailBody>),
}

const NO_SUCH_MAIL: Kind = Kind::new(404, "no-such-mail", "No such email");
const MAIL_UNDER_WAY: Kind = Kind::new(409, "mail-under-way", "Email under way");
const MAIL_OBSOLETE: Kind = Kind::new(409, "mail-obsolete", "Email obsolete");
const ADDRESS_SUPPRESSED: Kind = Kind::new(409, "address-suppressed", "Address gets no emails");

impl Refusal for ListStudentMailsError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound]).and::<PageError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_student(),
            Self::Page(error) => error.problem(),
        }
    }
}

impl Refusal for NotResendable {
    fn examples() -> Examples<Self> {
        Examples::of([Self::UnderWay, Self::Obsolete("the account is gone".into())])
    }

    fn problem(self) -> Problem {
        match self {
            Self::UnderWay => {
                MAIL_UNDER_WAY.says("This email has not been sent yet. `listStudentMails` shows when it is.")
            }
            Self::Obsolete(reason) => MAIL_OBSOLETE.says(format!(
                "This email was not sent, because there is nothing to say any more: {reason}."
            )),
        }
    }
}

impl Refusal for ResendStudentMailError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound, Self::NoSuchMail, Self::LinkOver, Self::Suppressed])
            .and::<NotResendable>()
            .and::<TooMany>()
            .and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_student(),
            Self::NoSuchMail => {
                NO_SUCH_MAIL.says("There is no email with this id to the student. `listStudentMails` lists all.")
            }
            Self::NotResendable(error) => error.problem(),
            Self::LinkOver => MAIL_OBSOLETE.says(
                "The link in this email has been used or has expired. The student can ask for a new one: with \
                 `requestPasswordReset`, or by changing the email address again.",
            ),
            Self::Suppressed => ADDRESS_SUPPRESSED.says(
                "Emails to this address bounced, or its owner reported one as spam. If the student says that the address \
                 works, an administrator can take it off the suppression list with `removeSuppression`.",
            ),
            Self::TooMany(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

/// The operations of this feature.
pub struct StudentMailsController(Arc<StudentMails>);

impl StudentMailsController {
    /// The operations over `mails`.
    pub fn new(mails: Arc<StudentMails>) -> Self {
        Self(mails)
    }
}

#[OpenApi(tag = "Tag::StudentMails")]
impl StudentMailsController {
    /// List the emails to a student
    ///
    /// Newest first, never with their content. The student has to be within your reach, and need not be registered yet.
    #[oai(path = "/v1/students/:studentId/mails", method = "get", operation_id = "listStudentMails")]
    async fn list_student_mails(
        &self,
        caller: By<ReadMailings>,
        /// Id of the student's account.
        #[oai(name = "studentId", example = "an_id")]
        student_id: Path<String>,
        /// Maximum number of items per page.
        limit: Query<PageLimit>,
        /// `nextCursor` of the previous page.
        cursor: Query<PageCursor>,
    ) -> Result<Json<PageBody<StudentMailBody>>, Failure<ListStudentMailsError>> {
        let (rights, after) = (&caller.0.rights, cursor.0.0);
        Ok(Json(self.0.list(rights, &student_id.0, after.as_ref(), limit.0.0).await?.into()))
    }

    /// Send an email to a student again
    ///
    /// A failed email is tried again. Any other is posted as a new one, to the address that the account has now; an email
    /// with a link goes to the address that the link is for. It is written anew when it is sent. If there is nothing to say
    /// any more by then, it becomes `obsolete`, and `listStudentMails` shows why. A student can get 10 emails again per
    /// hour.
    #[oai(
        path = "/v1/students/:studentId/mails/:mailId/resend",
        method = "post",
        operation_id = "resendStudentMail"
    )]
    async fn resend_student_mail(
        &self,
        caller: By<EditAccounts>,
        /// Id of the student's account.
        #[oai(name = "studentId", example = "an_id")]
        student_id: Path<String>,
        /// Id of the email, from `listStudentMails`.
        #[oai(name = "mailId", example = "a_mail")]
        mail_id: Path<String>,
    ) -> Result<ResentMail, Failure<ResendStudentMailError>> {
        let resent = self.0.resend(&caller.0, &student_id.0, &mail_id.0).await?;
        Ok(ResentMail::Queued(Json((&resent).into())))
    }
}

/// A well-formed id of nothing.
fn an_id() -> String {
    "019f0000-0000-7000-8000-000000000000".into()
}

/// A well-formed id of no email.
fn a_mail() -> String {
    format!("ticket:{}", an_id())
}
