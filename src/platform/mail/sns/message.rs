//! A message of SNS, and the text that it signs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;
use serde::Deserialize;

use super::Untrusted;
use crate::kernel::Timestamp;

/// The purpose of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// A publication under the topic.
    Notification,
    /// The topic asks us to confirm a subscription.
    Subscription,
    /// The subscription has ended.
    Unsubscription,
}

/// The algorithm of a signature, by its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignatureVersion {
    /// 1: RSA with SHA-1.
    One,
    /// 2: RSA with SHA-256.
    Two,
}

/// A parsed message, not verified yet.
#[derive(Clone, Debug)]
pub struct Message {
    pub kind: MessageKind,
    /// The same at each delivery of the message.
    pub id: String,
    /// ARN of the topic.
    pub topic: String,
    /// The published text.
    pub text: String,
    /// Time of publication.
    pub at: Timestamp,
    pub(super) certificate: String,
    pub(super) subscribe: Option<String>,
    pub(super) version: SignatureVersion,
    pub(super) signature: Vec<u8>,
    /// The signed text.
    pub(super) canonical: String,
}

/// The message as JSON.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sent {
    #[serde(rename = "Type")]
    kind: String,
    message_id: String,
    topic_arn: String,
    message: String,
    timestamp: String,
    signature_version: String,
    signature: String,
    #[serde(rename = "SigningCertURL")]
    signing_cert_url: String,
    subject: Option<String>,
    token: Option<String>,
    #[serde(rename = "SubscribeURL")]
    subscribe_url: Option<String>,
}

impl Message {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Untrusted> {
        // The parser's message may quote the body.
        let sent: Sent = serde_json::from_slice(body).map_err(|_| Untrusted::Unreadable("its JSON"))?;
        let kind = match sent.kind.as_str() {
            "Notification" => MessageKind::Notification,
            "SubscriptionConfirmation" => MessageKind::Subscription,
            "UnsubscribeConfirmation" => MessageKind::Unsubscription,
            _ => return Err(Untrusted::Unreadable("its type")),
        };
        let version = match sent.signature_version.as_str() {
            "1" => SignatureVersion::One,
            "2" => SignatureVersion::Two,
            _ => return Err(Untrusted::Unreadable("the version of its signature")),
        };
        let signature = STANDARD.decode(&sent.signature);
        let at = DateTime::parse_from_rfc3339(&sent.timestamp);
        Ok(Self {
            kind,
            canonical: sent.canonical(kind),
            id: sent.message_id,
            topic: sent.topic_arn,
            text: sent.message,
            at: at.map_err(|_| Untrusted::Unreadable("its time"))?.to_utc().into(),
            certificate: sent.signing_cert_url,
            subscribe: sent.subscribe_url,
            version,
            signature: signature.map_err(|_| Untrusted::Unreadable("its signature"))?,
        })
    }
}

impl Sent {
    /// Names and values in AWS's order, each on a line; the subject only if there is one.
    fn canonical(&self, kind: MessageKind) -> String {
        let subject = self.subject.as_deref().map(|subject| ("Subject", subject));
        let subscription = [
            ("SubscribeURL", self.subscribe_url.as_deref().unwrap_or_default()),
            ("Timestamp", &self.timestamp),
            ("Token", self.token.as_deref().unwrap_or_default()),
        ];
        let mut pairs = vec![("Message", self.message.as_str()), ("MessageId", &self.message_id)];
        match kind {
            MessageKind::Notification => {
                pairs.extend(subject.into_iter().chain([("Timestamp", &*self.timestamp)]))
            }
            MessageKind::Subscription | MessageKind::Unsubscription => pairs.extend(subscription),
        }
        pairs.extend([("TopicArn", self.topic_arn.as_str()), ("Type", &self.kind)]);
        pairs.iter().map(|(name, value)| format!("{name}\n{value}\n")).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn sent(change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let mut sent = json!({
            "Type": "Notification", "MessageId": "m1", "TopicArn": "arn:aws:sns:ca-central-1:1:bounces",
            "Message": "{}", "Timestamp": "2026-09-01T07:00:00.000Z", "SignatureVersion": "1",
            "Signature": "AAAA", "SigningCertURL": "https://sns.ca-central-1.amazonaws.com/a.pem",
            "UnsubscribeURL": "https://sns.ca-central-1.amazonaws.com/?Action=Unsubscribe",
        });
        change(&mut sent);
        sent.to_string().into_bytes()
    }

    #[test]
    fn the_signed_text_is_the_one_that_aws_defines() {
        let of = |body: Vec<u8>| Message::parse(&body).unwrap().canonical;
        assert_eq!(
            of(sent(|_| {})),
            "Message\n{}\nMessageId\nm1\nTimestamp\n2026-09-01T07:00:00.000Z\nTopicArn\n\
             arn:aws:sns:ca-central-1:1:bounces\nType\nNotification\n"
        );
        let with_subject = of(sent(|sent| sent["Subject"] = "Amazon SES".into()));
        assert!(with_subject.contains("MessageId\nm1\nSubject\nAmazon SES\nTimestamp\n"), "{with_subject}");
        let subscription = of(sent(|sent| {
            sent["Type"] = "SubscriptionConfirmation".into();
            sent["Token"] = "t1".into();
            sent["SubscribeURL"] = "https://x/".into();
        }));
        assert_eq!(
            subscription,
            "Message\n{}\nMessageId\nm1\nSubscribeURL\nhttps://x/\nTimestamp\n2026-09-01T07:00:00.000Z\nToken\nt1\n\
             TopicArn\narn:aws:sns:ca-central-1:1:bounces\nType\nSubscriptionConfirmation\n"
        );
    }

    #[test]
    fn an_unreadable_message_is_refused_without_quoting_it() {
        for (name, value) in
            [("Type", "Hidden"), ("SignatureVersion", "3"), ("Signature", "hidden!"), ("Timestamp", "hidden")]
        {
            let refused = Message::parse(&sent(|sent| sent[name] = value.into())).unwrap_err().to_string();
            assert!(!refused.to_lowercase().contains("hidden"), "{refused}");
        }
        for bad in [&b""[..], b"[]", b"\xff", b"{}"] {
            assert_eq!(Message::parse(bad).err(), Some(Untrusted::Unreadable("its JSON")));
        }
    }
}
