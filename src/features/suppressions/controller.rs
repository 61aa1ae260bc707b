//! Operations on the list, and the webhook.

use std::sync::Arc;
use std::time::Duration;

use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::registry::MetaSchema;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi, Tags};

use super::service::{LiftError, ReceiveError, Suppressions};
use crate::http::rights::{Administer, Anybody, ReadMailings};
use crate::http::{
    By, Examples, Failure, Kind, Message, MessageKind, PageBody, PageCursor, PageLimit, Problem, Refusal,
    busy,
};
use crate::platform::mail::sns::{NotBelieved, Unreachable};
use crate::platform::mail::{Suppression, SuppressionCause};
use crate::platform::store::{PageError, StoreError};

/// When SNS may send a message again whose certificate could not be fetched.
const CERTIFICATE_IS_REACHABLE: Duration = Duration::from_secs(60);

#[derive(Tags)]
enum Tag {
    /// Addresses that get no letters.
    Suppressions,
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

/// It is done.
#[derive(ApiResponse)]
pub enum Lifted {
    /// Letters go to the address again.
    #[oai(status = 204)]
    Lifted,
}

const NO_SUCH_SUPPRESSION: Kind = Kind::new(404, "no-such-suppression", "No such suppression");

impl Refusal for LiftError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => {
                NO_SUCH_SUPPRESSION.says("The list has no such entry. `listSuppressions` lists all entries.")
            }
            Self::Store(error) => error.problem(),
        }
    }
}

/// The message was taken.
#[derive(ApiResponse)]
pub enum NotificationTaken {
    /// Taken: it took effect, had done so before, or is about nothing that ends letters.
    #[oai(status = 200)]
    Taken,
}

const UNREADABLE: Kind = Kind::new(400, "notification-unreadable", "Unreadable notification");
const WRONG_TOPIC: Kind = Kind::new(403, "notification-topic", "Unknown topic");
const STALE: Kind = Kind::new(403, "notification-stale", "Notification too old");
const WRONG_ADDRESS: Kind = Kind::new(403, "notification-address", "Untrusted address");
const BAD_CERTIFICATE: Kind = Kind::new(403, "notification-certificate", "Invalid certificate");
const BAD_SIGNATURE: Kind = Kind::new(403, "notification-signature", "Invalid signature");
const NOT_CONFIGURED: Kind = Kind::new(404, "ses-not-configured", "SES is not configured");

impl Refusal for NotBelieved {
    fn examples() -> Examples<Self> {
        let unreadable = Self::Unreadable("its JSON");
        Examples::of([
            unreadable,
            Self::Topic,
            Self::Stale,
            Self::Address,
            Self::Certificate,
            Self::Signature,
        ])
    }

    fn problem(self) -> Problem {
        let kind = match self {
            Self::Unreadable(_) => UNREADABLE,
            Self::Topic => WRONG_TOPIC,
            Self::Stale => STALE,
            Self::Address => WRONG_ADDRESS,
            Self::Certificate => BAD_CERTIFICATE,
            Self::Signature => BAD_SIGNATURE,
        };
        kind.says(format!("The notification was ignored: {self}."))
    }
}

impl Refusal for ReceiveError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotConfigured]).and::<NotBelieved>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotConfigured => {
                NOT_CONFIGURED.says("This service does not send by SES, so it expects no notifications.")
            }
            Self::NotBelieved(why) => why.problem(),
            Self::Unreachable(Unreachable(_)) => busy(CERTIFICATE_IS_REACHABLE),
            Self::Store(error) => error.problem(),
        }
    }
}

/// A message of SNS.
pub struct SnsMessage;

impl MessageKind for SnsMessage {
    const CONTENT_TYPE: &'static str = "text/plain";
    const MAX_BYTES: usize = 256 * 1024;

    fn schema() -> MetaSchema {
        MetaSchema {
            description: Some("SNS message: JSON, sent as text."),
            example: Some(a_notification().into()),
            ..MetaSchema::new("string")
        }
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
    /// List addresses that get no emails
    ///
    /// Newest first. Emails to these addresses bounced permanently, or their owners reported one as spam; no further email
    /// is sent to them, whatever it is about.
    #[oai(path = "/v1/suppressions", method = "get", operation_id = "listSuppressions")]
    async fn list_suppressions(
        &self,
        _caller: By<ReadMailings>,
        /// Maximum number of items per page.
        limit: Query<PageLimit>,
        /// `nextCursor` of the previous page.
        cursor: Query<PageCursor>,
    ) -> Result<Json<PageBody<SuppressionBody>>, Failure<PageError>> {
        Ok(Json(self.0.list(cursor.0.0.as_ref(), limit.0.0).await?.into()))
    }

    /// Lets letters go to an address again
    ///
    /// For an address whose owner says that it works again. It comes back onto the list with the next letter that comes
    /// back. Letters that were kept back are not sent.
    #[oai(path = "/v1/suppressions/:suppressionId", method = "delete", operation_id = "liftSuppression")]
    async fn lift_suppression(
        &self,
        caller: By<Administer>,
        /// The entry's id, from `listSuppressions`.
        #[oai(name = "suppressionId", example = "an_entry")]
        suppression_id: Path<String>,
    ) -> Result<Lifted, Failure<LiftError>> {
        self.0.lift(&caller.0.actor, &suppression_id.0).await?;
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
        _anybody: By<Anybody>,
        message: Message<SnsMessage>,
    ) -> Result<NotificationTaken, Failure<ReceiveError>> {
        self.0.receive(&message.0).await?;
        Ok(NotificationTaken::Taken)
    }
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
