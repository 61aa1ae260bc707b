//! Operations on the list, and the webhook.

use std::sync::Arc;
use std::time::Duration;

use poem::http::StatusCode;
use poem::{Request, RequestBody};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::{Json, ParsePayload, Payload};
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::{ApiResponse, Enum, Object, OpenApi, Tags};

use super::service::{LiftError, ReceiveError, Suppressions};
use crate::http::{Failure, Granted, Problem, ProblemJson, Right, busy, unavailable};
use crate::platform::mail::sns::NotBelieved;
use crate::platform::mail::{Suppression, SuppressionCause};

/// When SNS may try again if its certificate can't be had.
const LATER: Duration = Duration::from_secs(60);

#[derive(Tags)]
enum Tag {
    /// Addresses that get no letters.
    Suppressions,
}

struct ReadMailings;

impl Right for ReadMailings {
    const SCOPE: &'static str = "mailings:read";
}

struct Administrate;

impl Right for Administrate {
    const SCOPE: &'static str = "admin:all";
}

/// Why an address gets no letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "SuppressionCause", rename_all = "camelCase")]
pub enum CauseBody {
    /// A letter came back for good.
    Bounce,
    /// Its owner called a letter spam.
    Complaint,
}

impl From<SuppressionCause> for CauseBody {
    fn from(cause: SuppressionCause) -> Self {
        match cause {
            SuppressionCause::Bounce => Self::Bounce,
            SuppressionCause::Complaint => Self::Complaint,
        }
    }
}

/// An address that gets no letters.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Suppression", rename_all = "camelCase", example)]
pub struct SuppressionBody {
    /// The entry's id; tells nothing of the address.
    pub id: String,
    /// The address, as the mail service wrote it.
    pub address: String,
    /// Why it gets no letters.
    pub cause: CauseBody,
    /// Since when: RFC 3339, UTC.
    pub created_at: String,
}

impl poem_openapi::types::Example for SuppressionBody {
    fn example() -> Self {
        Self {
            id: an_entry(),
            address: "ana@example.org".into(),
            cause: CauseBody::Bounce,
            created_at: "2026-09-01T07:00:00.000Z".into(),
        }
    }
}

impl From<&Suppression> for SuppressionBody {
    fn from(entry: &Suppression) -> Self {
        Self {
            id: entry.id.clone(),
            address: entry.address.to_string(),
            cause: entry.cause.into(),
            created_at: entry.created_at.rfc3339(),
        }
    }
}

/// One page of the list.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct SuppressionPage {
    /// The latest first.
    pub items: Vec<SuppressionBody>,
    /// Given as `cursor` it returns the next page; absent on the last.
    pub next_cursor: Option<String>,
}

/// It is done.
#[derive(ApiResponse)]
pub enum Lifted {
    /// Letters go to the address again.
    #[oai(status = 204)]
    Lifted,
}

/// Why nothing was lifted.
#[derive(ApiResponse)]
pub enum LiftRefused {
    /// There is no such entry (any more).
    #[oai(status = 404)]
    NotFound(ProblemJson),
}

/// The message was taken.
#[derive(ApiResponse)]
pub enum NotificationTaken {
    /// Taken: it took effect, had done so before, or is about nothing that ends letters.
    #[oai(status = 200)]
    Taken,
}

/// Why a message was not taken.
#[derive(ApiResponse)]
pub enum NotificationRefused {
    /// It is no message of SNS.
    #[oai(status = 400)]
    Unreadable(ProblemJson),
    /// It is not believed: another topic, too old, or not signed as SNS signs.
    #[oai(status = 403)]
    NotBelieved(ProblemJson),
    /// Letters don't leave by SES here.
    #[oai(status = 404)]
    NotConfigured(ProblemJson),
}

impl From<LiftError> for Failure<LiftRefused> {
    fn from(error: LiftError) -> Self {
        match error {
            LiftError::NotFound => {
                let detail = "`listSuppressions` lists the entries that there are.";
                let problem =
                    Problem::new(StatusCode::NOT_FOUND, "no-such-suppression", "No such entry", detail);
                LiftRefused::NotFound(ProblemJson(problem)).into()
            }
            LiftError::Store(error) => Self::shared(unavailable(error)),
        }
    }
}

impl From<ReceiveError> for Failure<NotificationRefused> {
    fn from(error: ReceiveError) -> Self {
        match error {
            ReceiveError::NotConfigured => NotificationRefused::NotConfigured(not_configured()).into(),
            ReceiveError::NotBelieved(why @ NotBelieved::Unreadable(_)) => {
                let title = "No message of SNS";
                let problem = problem(StatusCode::BAD_REQUEST, "notification-unreadable", title, &why);
                NotificationRefused::Unreadable(problem).into()
            }
            ReceiveError::NotBelieved(why) => {
                tracing::warn!(%why, "a notification is not believed");
                let title = "The message is not believed";
                let problem = problem(StatusCode::FORBIDDEN, slug(&why), title, &why);
                NotificationRefused::NotBelieved(problem).into()
            }
            ReceiveError::Unreachable(why) => {
                // No error: strangers can cause it, too.
                tracing::warn!(%why, "a notification can't be checked");
                Self::shared(busy(LATER))
            }
            ReceiveError::Store(error) => Self::shared(unavailable(error)),
        }
    }
}

fn slug(why: &NotBelieved) -> &'static str {
    match why {
        NotBelieved::Unreadable(_) => "notification-unreadable",
        NotBelieved::Topic => "notification-topic",
        NotBelieved::Stale => "notification-stale",
        NotBelieved::Address => "notification-address",
        NotBelieved::Certificate => "notification-certificate",
        NotBelieved::Signature => "notification-signature",
    }
}

fn problem(status: StatusCode, slug: &str, title: &str, why: &NotBelieved) -> ProblemJson {
    ProblemJson(Problem::new(status, slug, title, format!("Nothing was done: {why}.")))
}

fn not_configured() -> ProblemJson {
    let detail = "Letters don't leave by SES here, so nobody expects to be told of them by SNS.";
    ProblemJson(Problem::new(StatusCode::NOT_FOUND, "ses-not-configured", "SES is not configured", detail))
}

/// A message as it came over the wire. How long it may be says `http/limits.rs`.
pub struct RawNotification(Vec<u8>);

poem_openapi::impl_apirequest_for_payload!(RawNotification,);

impl Payload for RawNotification {
    const CONTENT_TYPE: &'static str = "text/plain";

    /// SNS names the charset.
    fn check_content_type(content_type: &str) -> bool {
        let essence = content_type.split(';').next().unwrap_or_default();
        essence.trim().eq_ignore_ascii_case(Self::CONTENT_TYPE)
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            description: Some("A message of SNS's: JSON, sent as text."),
            example: Some(a_notification().into()),
            ..MetaSchema::new("string")
        }))
    }
}

impl ParsePayload for RawNotification {
    const IS_REQUIRED: bool = true;

    async fn from_request(_: &Request, body: &mut RequestBody) -> poem::Result<Self> {
        Ok(Self(body.take()?.into_vec().await?))
    }
}

/// The operations of this feature.
pub struct SuppressionsController(Arc<Suppressions>);

impl SuppressionsController {
    /// The operations over `suppressions`.
    pub fn new(suppressions: Arc<Suppressions>) -> Self {
        Self(suppressions)
    }
}

#[OpenApi(tag = "Tag::Suppressions")]
impl SuppressionsController {
    /// Lists addresses that get no letters
    ///
    /// The latest first, a page at a time. Letters to these addresses came back for good, or their owners called one
    /// spam; further ones are kept back, whatever they are about.
    #[oai(path = "/v1/suppressions", method = "get", operation_id = "listSuppressions")]
    async fn list_suppressions(
        &self,
        _caller: Granted<ReadMailings>,
        /// At most so many on one page.
        #[oai(default = "default_limit", validator(minimum(value = "1"), maximum(value = "100")))]
        limit: Query<u32>,
        /// `nextCursor` of the page before.
        #[oai(validator(max_length = 64))]
        cursor: Query<Option<String>>,
    ) -> poem::Result<Json<SuppressionPage>> {
        let (entries, more) = self.0.list(cursor.0, limit.0).await.map_err(unavailable)?;
        let next_cursor = entries.last().filter(|_| more).map(|entry| entry.id.clone());
        Ok(Json(SuppressionPage { items: entries.iter().map(SuppressionBody::from).collect(), next_cursor }))
    }

    /// Lets letters go to an address again
    ///
    /// For an address whose owner says that it works again. It comes back onto the list with the next letter that comes
    /// back. Letters that were kept back are not sent.
    #[oai(path = "/v1/suppressions/:suppressionId", method = "delete", operation_id = "liftSuppression")]
    async fn lift_suppression(
        &self,
        caller: Granted<Administrate>,
        /// The entry's id, from `listSuppressions`.
        #[oai(name = "suppressionId", example = "an_entry")]
        suppression_id: Path<String>,
    ) -> Result<Lifted, Failure<LiftRefused>> {
        self.0.lift(&suppression_id.0, &caller.0.account_id).await?;
        Ok(Lifted::Lifted)
    }

    /// Receives a notification of the mail service
    ///
    /// For SES, which tells by SNS what became of letters. SNS signs with a key of its own, so the example is refused.
    /// An address whose letters come back for good, or whose owner calls one spam, gets no more. A notification may
    /// come twice, late or out of order: it takes effect once. SNS's question whether we want its notifications is
    /// answered here, too, for the topics that are configured.
    #[oai(path = "/v1/webhooks/ses", method = "post", operation_id = "receiveSesNotification")]
    async fn receive_ses_notification(
        &self,
        body: RawNotification,
    ) -> Result<NotificationTaken, Failure<NotificationRefused>> {
        self.0.receive(&body.0).await?;
        Ok(NotificationTaken::Taken)
    }
}

fn default_limit() -> u32 {
    20
}

/// Has the shape of an entry's id and is none.
fn an_entry() -> String {
    "019f0000-0000-7000-8000-000000000000".into()
}

/// Has the shape of a message, of a topic that nobody lists.
fn a_notification() -> String {
    serde_json::json!({
        "Type": "Notification",
        "MessageId": "019f0000-0000-7000-8000-000000000000",
        "TopicArn": "arn:aws:sns:ca-central-1:123456789012:example",
        "Message": "{\"notificationType\":\"Bounce\"}",
        "Timestamp": "2026-09-01T07:00:00.000Z",
        "SignatureVersion": "2",
        "Signature": "AAAA",
        "SigningCertURL": "https://sns.ca-central-1.amazonaws.com/SimpleNotificationService-0.pem",
    })
    .to_string()
}
