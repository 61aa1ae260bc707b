//! SES's notifications about emails, and which of them suppress an address.

use serde::{Deserialize, Serialize};

use crate::kernel::{EmailAddress, Timestamp};
use crate::platform::audit::Action;
use crate::platform::mail::SuppressionCause;
use crate::platform::store::{Document, Index, Keep, Personal};

/// An address was taken off the suppression list.
pub const SUPPRESSION_REMOVED: Action = Action::new("suppression.removed");

/// A notification that took effect, by SNS's id. Its content is not kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SnsNotification {
    pub id: String,
    pub received_at: Timestamp,
}

impl Document for SnsNotification {
    const COLLECTION: &'static str = "sns_notifications";
    const INDEXES: &'static [Index] = &[Index::on("sns_notifications_by_time", &["receivedAt"])];
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = Keep::lasting(super::service::KEPT, "a notification takes effect once");

    fn id(&self) -> &str {
        &self.id
    }
}

/// A report of SES about an email, in the format of identity notifications or of configuration set events.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SesEvent {
    #[serde(alias = "eventType")]
    notification_type: String,
    bounce: Bounce,
    complaint: Complaint,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Bounce {
    bounce_type: String,
    bounced_recipients: Vec<Recipient>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Complaint {
    complaint_feedback_type: Option<String>,
    complained_recipients: Vec<Recipient>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Recipient {
    email_address: String,
}

/// Addresses to suppress.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub cause: SuppressionCause,
    /// Addresses that we would not accept are left out.
    pub addresses: Vec<EmailAddress>,
}

impl SesEvent {
    /// Parses a publication. An unreadable one has no effect.
    pub(super) fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// `None` if the event suppresses nothing: delays, deliveries, openings and unknown events.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        match self.notification_type.as_str() {
            "Bounce" if self.bounce.bounce_type == "Permanent" => {
                Some(verdict(SuppressionCause::Bounce, &self.bounce.bounced_recipients))
            }
            // Some providers also report withdrawn complaints.
            "Complaint" if self.complaint.complaint_feedback_type.as_deref() != Some("not-spam") => {
                Some(verdict(SuppressionCause::Complaint, &self.complaint.complained_recipients))
            }
            _ => None,
        }
    }
}

fn verdict(cause: SuppressionCause, recipients: &[Recipient]) -> Verdict {
    let mut addresses: Vec<_> = recipients.iter().filter_map(|to| address(&to.email_address)).collect();
    addresses.sort_by_key(EmailAddress::key);
    addresses.dedup_by_key(|address| address.key());
    Verdict { cause, addresses }
}

/// The address alone, or with a name before it.
fn address(text: &str) -> Option<EmailAddress> {
    let bare = text.rsplit_once('<').map_or(text, |(_, address)| address.trim_end_matches('>'));
    EmailAddress::parse(bare).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn bounce(kind: &str, to: &[&str]) -> Value {
        let to: Vec<_> = to.iter().map(|to| json!({ "emailAddress": to, "action": "failed" })).collect();
        json!({ "notificationType": "Bounce", "bounce": { "bounceType": kind, "bouncedRecipients": to }, "mail": {} })
    }

    fn verdict_of(value: &Value) -> Option<(SuppressionCause, Vec<String>)> {
        let verdict = SesEvent::read(&value.to_string()).verdict()?;
        Some((verdict.cause, verdict.addresses.iter().map(EmailAddress::key).collect()))
    }

    #[test]
    fn a_permanent_bounce_suppresses_the_address_and_a_delay_does_not() {
        let ana = vec!["ana@example.org".to_owned()];
        assert_eq!(
            verdict_of(&bounce("Permanent", &["ana@example.org"])),
            Some((SuppressionCause::Bounce, ana.clone()))
        );
        for kind in ["Transient", "Undetermined", "", "permanent"] {
            assert_eq!(verdict_of(&bounce(kind, &["ana@example.org"])), None, "{kind}");
        }
        let mut event = bounce("Permanent", &["ana@example.org"]);
        event["eventType"] = event.as_object_mut().unwrap().remove("notificationType").unwrap();
        assert_eq!(verdict_of(&event), Some((SuppressionCause::Bounce, ana)));
    }

    #[test]
    fn a_complaint_suppresses_the_address_unless_it_is_withdrawn() {
        let complaint = |kind: Value| {
            let to = json!([{ "emailAddress": "ana@example.org" }]);
            let complaint = json!({ "complaintFeedbackType": kind, "complainedRecipients": to });
            verdict_of(&json!({ "notificationType": "Complaint", "complaint": complaint }))
                .map(|verdict| verdict.0)
        };
        for kind in [json!("abuse"), Value::Null] {
            assert_eq!(complaint(kind), Some(SuppressionCause::Complaint));
        }
        assert_eq!(complaint(json!("not-spam")), None);
    }

    #[test]
    fn addresses_are_parsed_by_our_own_rules() {
        let to = ["Ana <Ana@Exämple.org>", "ANA@xn--exmple-cua.org", "no address", "bo@example.org"];
        let (_, keys) = verdict_of(&bounce("Permanent", &to)).unwrap();
        assert_eq!(keys, ["ana@xn--exmple-cua.org", "bo@example.org"]);
    }

    #[test]
    fn an_unreadable_event_has_no_effect() {
        for text in
            ["", "Successfully validated SNS topic", "[]", "{\"notificationType\":\"AmazonSnsSubscription\"}"]
        {
            assert_eq!(SesEvent::read(text).verdict(), None, "{text}");
        }
        let delivery =
            json!({ "eventType": "Delivery", "bounce": bounce("Permanent", &["a@b.org"])["bounce"] });
        assert_eq!(verdict_of(&delivery), None);
    }
}
