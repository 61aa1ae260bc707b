//! Operations on the suppression list, and the webhook for notifications.

use std::sync::Arc;
use std::time::Duration;

use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::registry::MetaSchema;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi, Tags};

use super::service::{ReceiveError, RemoveError, Suppressions};
use crate::http::rights::{Administer, Anybody, ReadMailings};
use crate::http::{
    By, Examples, Failure, Kind, Message, MessageKind, PageBody, PageCursor, PageLimit, Problem, Refusal,
    busy,
};
use crate::platform::mail::sns::{Unreachable, Untrusted};
use crate::platform::mail::{Suppression, SuppressionCause};
use crate::platform::store::{PageError, StoreError};

/// When SNS may retry a message whose certificate could not be fetched.
const CERTIFICATE_IS_REACHABLE: Duration = Duration::from_secs(60);

#[derive(Tags)]
enum Tag {
    /// The suppression list: addresses that get no emails.
    Suppressions,
}

/// Why an address gets no emails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "SuppressionCause", rename_all = "camelCase")]
pub enum CauseBody {
    /// An email bounced permanently.
    Bounce,
    /// The owner reported an email as spam.
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

/// An address that gets no emails.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Suppression", rename_all = "camelCase", example)]
pub struct SuppressionBody {
    /// Id of the entry. Reveals nothing about the address.
    pub id: String,
    /// The address, as the mail service reported it.
    pub address: String,
    /// Why it gets no emails.
    pub cause: CauseBody,
    /// When it was added (RFC 3339, UTC).
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

/// The entry was removed.
#[derive(ApiResponse)]
pub enum Removed {
    /// The entry was removed. Emails are sent to the address again.
    #[oai(status = 204)]
    Removed,
}

const NO_SUCH_SUPPRESSION: Kind = Kind::new(404, "no-such-suppression", "No such suppression");

impl Refusal for RemoveError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => NO_SUCH_SUPPRESSION
                .says("The suppression list has no such entry. `listSuppressions` lists all entries."),
            Self::Store(error) => error.problem(),
        }
    }
}

/// The message was accepted.
#[derive(ApiResponse)]
pub enum NotificationAccepted {
    /// Accepted: applied now or before, or without effect.
    #[oai(status = 200)]
    Accepted,
}

const UNREADABLE: Kind = Kind::new(400, "notification-unreadable", "Unreadable notification");
const WRONG_TOPIC: Kind = Kind::new(403, "notification-topic", "Unknown topic");
const STALE: Kind = Kind::new(403, "notification-stale", "Notification too old");
const WRONG_ADDRESS: Kind = Kind::new(403, "notification-address", "Untrusted address");
const BAD_CERTIFICATE: Kind = Kind::new(403, "notification-certificate", "Invalid certificate");
const BAD_SIGNATURE: Kind = Kind::new(403, "notification-signature", "Invalid signature");
const NOT_CONFIGURED: Kind = Kind::new(404, "ses-not-configured", "SES is not configured");

impl Refusal for Untrusted {
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
        Examples::of([Self::NotConfigured]).and::<Untrusted>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotConfigured => NOT_CONFIGURED
                .says("This service does not send emails through SES, so it accepts no notifications."),
            Self::Untrusted(why) => why.problem(),
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

    /// Remove an address from the suppression list
    ///
    /// Use this when the owner says that the address works again. The next bounce adds it again. Emails that were suppressed
    /// in the meantime are not sent.
    #[oai(path = "/v1/suppressions/:suppressionId", method = "delete", operation_id = "removeSuppression")]
    async fn remove_suppression(
        &self,
        caller: By<Administer>,
        /// Id of the entry, from `listSuppressions`.
        #[oai(name = "suppressionId", example = "an_entry")]
        suppression_id: Path<String>,
    ) -> Result<Removed, Failure<RemoveError>> {
        self.0.remove(&caller.0.actor, &suppression_id.0).await?;
        Ok(Removed::Removed)
    }

    /// Receive a notification of AWS SES
    ///
    /// SES reports bounces and complaints through SNS. SNS signs its messages, so the example is refused. An address is added
    /// to the suppression list if emails to it bounce permanently or its owner reports one as spam. Notifications may arrive
    /// twice, late or out of order; each takes effect once. Requests to confirm a subscription are answered for the
    /// configured topics.
    #[oai(path = "/v1/webhooks/ses", method = "post", operation_id = "receiveSesNotification")]
    async fn receive_ses_notification(
        &self,
        _anybody: By<Anybody>,
        message: Message<SnsMessage>,
    ) -> Result<NotificationAccepted, Failure<ReceiveError>> {
        self.0.receive(&message.0).await?;
        Ok(NotificationAccepted::Accepted)
    }
}

/// A well-formed id of no entry.
fn an_entry() -> String {
    "019f0000-0000-7000-8000-000000000000".into()
}

/// A well-formed message of an unknown topic.
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
