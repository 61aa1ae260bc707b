//! Verifies and reads the gateway's events. The signature covers the raw body and is checked before anything in the
//! body is used. Both gateways share this.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use stripe_webhook::{Webhook as Crate, WebhookError};
use tracing::subscriber::NoSubscriber;

use super::{CheckoutFact, Reached, ReversalFact};
use crate::config::SANDBOX_SECRET;
use crate::kernel::{Money, Secret, Timestamp};

/// The sender whose events are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Sandbox,
    /// Stripe, in the mode of its key.
    Stripe {
        live: bool,
    },
}

/// The webhook secrets can't be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSecrets {
    #[error("there is no webhook secret")]
    None,
    #[error("a webhook secret that begins with {SANDBOX_SECRET} belongs to the sandbox, not to Stripe")]
    Sandbox,
}

/// Why an event was rejected.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    #[error("the header Stripe-Signature is missing")]
    Unsigned,
    #[error("the signature is wrong")]
    BadSignature,
    #[error("the signature is more than five minutes off")]
    Stale,
    #[error("the event and the key are of different modes (live and test)")]
    WrongMode,
}

/// An event whose signature is right.
#[derive(Debug, PartialEq)]
pub struct VerifiedEvent {
    /// The gateway's id; for a body that can't be read, an id derived from the body.
    pub id: String,
    /// The type, such as `checkout.session.completed`.
    pub kind: String,
    /// When it happened, if the event says so.
    pub created: Option<Timestamp>,
    pub fact: Fact,
}

/// What an event reports.
#[derive(Debug, PartialEq)]
pub enum Fact {
    Checkout(CheckoutFact),
    /// A refund or a dispute.
    Reversal(ReversalFact),
    /// An event that we don't act on, or that isn't about one of our checkouts.
    Other,
}

/// Verifies and reads the events of one source.
pub struct Webhook {
    secrets: Vec<Secret<String>>,
    live: bool,
}

impl Webhook {
    /// Accepts events that are signed with one of `secrets`.
    ///
    /// # Errors
    /// [`BadSecrets`] if there is none, or if the source is Stripe and one of them belongs to the sandbox.
    pub fn new(source: Source, secrets: Vec<Secret<String>>) -> Result<Self, BadSecrets> {
        if secrets.is_empty() {
            return Err(BadSecrets::None);
        }
        let real = source != Source::Sandbox;
        if real && secrets.iter().any(|secret| secret.expose().starts_with(SANDBOX_SECRET)) {
            return Err(BadSecrets::Sandbox);
        }
        Ok(Self { secrets, live: source == (Source::Stripe { live: true }) })
    }

    /// Verifies and reads an event. The signature may be 5 minutes old at `now`, as Stripe recommends.
    ///
    /// # Errors
    /// [`Untrusted`] if the signature is missing, wrong or too old, or the event is of the other mode.
    pub fn read(
        &self,
        body: &[u8],
        signature: Option<&str>,
        now: Timestamp,
    ) -> Result<VerifiedEvent, Untrusted> {
        let signature = signature.ok_or(Untrusted::Unsigned)?;
        let body = std::str::from_utf8(body).map_err(|_| Untrusted::BadSignature)?;
        self.verify(body, signature, now)?;
        let event =
            serde_json::from_str::<Envelope>(body).unwrap_or_else(|_| Envelope::unreadable(self.live));
        if event.livemode != self.live {
            return Err(Untrusted::WrongMode);
        }
        let (fact, created) = (event.fact(), event.created());
        let id = if event.id.is_empty() { id_of_body(body) } else { event.id };
        Ok(VerifiedEvent { id, kind: event.kind, created, fact })
    }

    fn verify(&self, body: &str, signature: &str, now: Timestamp) -> Result<(), Untrusted> {
        let mut refusal = Untrusted::BadSignature;
        // The crate subtracts each of these times from now without a check for overflow.
        if times(signature).any(|at| now.as_secs().checked_sub(at).is_none()) {
            return Err(refusal);
        }
        for secret in &self.secrets {
            // Without logging: the crate logs an error for a body that it can't parse, which is fine here.
            let read = tracing::subscriber::with_default(NoSubscriber::new(), || {
                Crate::construct_event_with_timestamp(body, signature, secret.expose(), now.as_secs())
            });
            match read {
                // The crate parses one version of the API. The few fields used below are the same in all.
                Ok(_) | Err(WebhookError::BadParse(_)) => return Ok(()),
                Err(WebhookError::BadTimestamp(_)) => refusal = Untrusted::Stale,
                Err(WebhookError::BadSignature | WebhookError::BadHeader(_) | WebhookError::BadKey) => {}
            }
        }
        Err(refusal)
    }
}

/// The times in the header, in seconds. A forged header may have several.
fn times(signature: &str) -> impl Iterator<Item = i64> {
    signature.split(',').filter_map(|part| part.trim().strip_prefix("t=")?.parse().ok())
}

/// The header that signs `body` as Stripe does.
pub fn sign(body: &str, secret: &Secret<String>, now: Timestamp) -> String {
    Crate::generate_test_header(body, secret.expose(), Some(now.as_secs()))
}

/// The fields of an event that we use. They are the same in all versions of the API.
#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    id: String,
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    livemode: bool,
    /// In seconds; events of other APIs have text here.
    #[serde(default)]
    created: Value,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    object: Value,
}

#[derive(Deserialize)]
struct Session {
    id: String,
    #[serde(default)]
    payment_status: String,
    amount_total: Option<i64>,
    currency: Option<String>,
    payment_intent: Option<Reference>,
    metadata: Option<HashMap<String, String>>,
}

/// A charge, or a dispute about one.
#[derive(Deserialize)]
struct Charge {
    payment_intent: Option<Reference>,
    #[serde(default)]
    amount_refunded: i64,
    currency: Option<String>,
    metadata: Option<HashMap<String, String>>,
}

/// A reference to another object: its id, or the object itself if it is expanded.
#[derive(Deserialize)]
#[serde(untagged)]
enum Reference {
    Id(String),
    Object { id: String },
}

impl Reference {
    fn into_id(self) -> String {
        match self {
            Self::Id(id) | Self::Object { id } => id,
        }
    }
}

impl Envelope {
    /// Replaces a body that is not an event.
    fn unreadable(livemode: bool) -> Self {
        Self { id: String::new(), kind: "unreadable".into(), livemode, created: Value::Null, data: None }
    }

    fn created(&self) -> Option<Timestamp> {
        self.created.as_i64().map(|secs| Timestamp::from_millis(secs.saturating_mul(1000)))
    }

    fn fact(&self) -> Fact {
        let reversal = || self.reversal().map(Fact::Reversal);
        self.checkout().map(Fact::Checkout).or_else(reversal).unwrap_or(Fact::Other)
    }

    fn reversal(&self) -> Option<ReversalFact> {
        let disputed = match &*self.kind {
            "charge.refunded" => false,
            "charge.dispute.created" => true,
            _ => return None,
        };
        let charge = Charge::deserialize(&self.data.as_ref()?.object).ok()?;
        let refunded =
            Money::from_gateway(charge.amount_refunded, charge.currency.as_deref().unwrap_or_default());
        Some(ReversalFact {
            id: self.id.clone(),
            order: charge.metadata.and_then(|metadata| metadata.get("orderId").cloned()),
            intent: charge.payment_intent?.into_id(),
            refunded: refunded.map_or(charge.amount_refunded, |money| money.amount),
            disputed,
        })
    }

    fn checkout(&self) -> Option<CheckoutFact> {
        let kind = self.kind.strip_prefix("checkout.session.")?;
        let session = Session::deserialize(&self.data.as_ref()?.object).ok()?;
        let reached = match (kind, &*session.payment_status) {
            ("completed", "unpaid") => Reached::Processing,
            ("completed" | "async_payment_succeeded", _) => Reached::Paid,
            ("async_payment_failed", _) => Reached::Failed,
            ("expired", _) => Reached::Expired,
            _ => return None,
        };
        let metadata = session.metadata.as_ref()?;
        Some(CheckoutFact {
            id: self.id.clone(),
            order: metadata.get("orderId")?.clone(),
            attempt: metadata.get("attempt").and_then(|number| number.parse().ok()),
            reached,
            money: session
                .amount_total
                .zip(session.currency)
                .and_then(|(amount, code)| Money::from_gateway(amount, &code)),
            intent: session.payment_intent.map(Reference::into_id),
            session: session.id,
        })
    }
}

/// An id for an event that has none. The same body gives the same id.
fn id_of_body(body: &str) -> String {
    let digest = Sha256::digest(body.as_bytes());
    format!("body:{}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    fn webhook(secrets: &[&str]) -> Webhook {
        Webhook::new(Source::Stripe { live: false }, secrets.iter().map(|s| secret(s)).collect()).unwrap()
    }

    const COMPLETED: &str = r#"{"id":"evt_1","type":"checkout.session.completed","livemode":false,"data":{"object":{
        "id":"cs_1","payment_status":"paid","amount_total":13000,"currency":"cad","metadata":{"orderId":"o","attempt":"2"}}}}"#;

    fn read(body: &str) -> VerifiedEvent {
        let header = sign(body, &secret("whsec_a"), time(1000));
        webhook(&["whsec_a"]).read(body.as_bytes(), Some(&header), time(1000)).unwrap()
    }

    #[test]
    fn a_body_of_another_api_version_is_read() {
        let expected = CheckoutFact {
            id: "evt_1".into(),
            order: "o".into(),
            session: "cs_1".into(),
            attempt: Some(2),
            reached: Reached::Paid,
            money: Money::from_gateway(13_000, "cad"),
            intent: None,
        };
        assert!(expected.money.is_some());
        let kind = "checkout.session.completed".into();
        let (created, fact) = (None, Fact::Checkout(expected));
        assert_eq!(read(COMPLETED), VerifiedEvent { id: "evt_1".into(), kind, created, fact });
        let at = |created: &str| {
            read(&COMPLETED.replace("\"type\"", &format!("\"created\":{created},\"type\""))).created
        };
        assert_eq!(at("1000"), Some(time(1000)));
        assert_eq!(at("\"2026-09-01T12:00:00Z\""), None, "and the event is read");
    }

    #[test]
    fn refunds_and_disputes_name_the_payment_and_sometimes_the_order() {
        let event = |kind: &str, object: &str| {
            let body =
                format!(r#"{{"id":"evt_2","type":"{kind}","livemode":false,"data":{{"object":{object}}}}}"#);
            match read(&body).fact {
                Fact::Reversal(event) => Some((event.order, event.intent, event.refunded, event.disputed)),
                _ => None,
            }
        };
        let charge = r#"{"payment_intent":"pi_1","amount_refunded":500,"metadata":{"orderId":"o"}}"#;
        let refunded = Some((Some("o".to_owned()), "pi_1".to_owned(), 500, false));
        assert_eq!(event("charge.refunded", charge), refunded);
        let expanded = charge.replace("\"pi_1\"", "{\"id\":\"pi_1\"}");
        assert_eq!(event("charge.refunded", &expanded), refunded);
        let dispute = r#"{"payment_intent":"pi_1","amount":500,"metadata":{}}"#;
        assert_eq!(event("charge.dispute.created", dispute), Some((None, "pi_1".to_owned(), 0, true)));
        assert_eq!(event("charge.refunded", r#"{"payment_intent":null}"#), None);
        assert_eq!(event("refund.created", charge), None);
    }

    #[test]
    fn amounts_are_converted_from_the_gateway_s_units() {
        let body = COMPLETED.replace("13000", "1300000").replace("cad", "isk");
        let Fact::Checkout(fact) = read(&body).fact else { panic!("another event") };
        assert_eq!(fact.money.unwrap().to_string(), "ISK 13000");
        let charge = r#"{"payment_intent":"pi_1","amount_refunded":500000,"currency":"isk"}"#;
        let body = format!(r#"{{"id":"evt_2","type":"charge.refunded","data":{{"object":{charge}}}}}"#);
        let Fact::Reversal(fact) = read(&body).fact else { panic!("another event") };
        assert_eq!(fact.refunded, 5_000);
    }

    #[test]
    fn a_time_out_of_range_is_rejected() {
        let webhook = webhook(&["whsec_a"]);
        for at in [i64::MIN, i64::MIN + 1, i64::MAX] {
            let header = Crate::generate_test_header(COMPLETED, "whsec_a", Some(at));
            assert!(webhook.read(COMPLETED.as_bytes(), Some(&header), time(1000)).is_err(), "{at}");
        }
    }

    #[test]
    fn an_event_without_an_id_gets_one_from_its_body() {
        let one = read("{}");
        assert_eq!(one.id, read("{}").id);
        assert_ne!(one.id, read("not json").id);
        assert_eq!((one.id.len(), &*read("not json").kind), (5 + 64, "unreadable"));
    }

    #[test]
    fn each_event_reports_a_stage_of_the_checkout() {
        let cases = [
            ("completed", "unpaid", Some(Reached::Processing)),
            ("completed", "paid", Some(Reached::Paid)),
            ("completed", "no_payment_required", Some(Reached::Paid)),
            ("async_payment_succeeded", "paid", Some(Reached::Paid)),
            ("async_payment_failed", "unpaid", Some(Reached::Failed)),
            ("expired", "unpaid", Some(Reached::Expired)),
            ("invented", "paid", None),
        ];
        for (kind, status, reached) in cases {
            let body = COMPLETED
                .replace(".completed", &format!(".{kind}"))
                .replace("paid\"", &format!("{status}\""));
            let read = match read(&body).fact {
                Fact::Checkout(event) => Some(event.reached),
                Fact::Reversal(_) | Fact::Other => None,
            };
            assert_eq!(read, reached, "{kind} {status}");
        }
    }

    #[test]
    fn a_signed_event_that_is_not_understood_is_acknowledged() {
        for body in [
            "not json",
            "{}",
            r#"{"id":"evt_2","type":"charge.refunded","livemode":false,"data":{"object":{"id":"ch_1"}}}"#,
            r#"{"id":"evt_2","type":"v2.core.event","object":"v2.core.event"}"#,
            &COMPLETED.replace("orderId", "other"),
            &COMPLETED.replace("\"metadata\"", "\"data\""),
        ] {
            assert_eq!(read(body).fact, Fact::Other, "{body}");
        }
    }

    #[test]
    fn an_event_that_the_crate_cant_parse_is_not_logged_as_an_error() {
        let (log, writer) = std::io::pipe().unwrap();
        let subscriber = tracing_subscriber::fmt().with_writer(std::sync::Mutex::new(writer)).finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!("logging works");
            read(r#"{"id":"evt_2","type":"charge.refunded","livemode":false}"#);
        });
        let lines = std::io::read_to_string(log).unwrap();
        assert_eq!(lines.lines().count(), 1, "{lines}");
    }

    #[test]
    fn only_fresh_signatures_with_our_secrets_are_accepted() {
        let webhook = webhook(&["whsec_new", "whsec_old"]);
        let read = |header: Option<&str>| webhook.read(COMPLETED.as_bytes(), header, time(1000)).err();
        let signed = |key: &str, at| sign(COMPLETED, &secret(key), time(at));
        assert_eq!(read(Some(&signed("whsec_new", 1000))), None);
        assert_eq!(read(Some(&signed("whsec_old", 1299))), None);
        assert_eq!(read(Some(&signed("whsec_old", 701))), None);
        assert_eq!(read(Some(&signed("whsec_old", 699))), Some(Untrusted::Stale));
        assert_eq!(read(Some(&signed("whsec_new", 1301))), Some(Untrusted::Stale));
        assert_eq!(read(Some(&signed("whsec_other", 1000))), Some(Untrusted::BadSignature));
        assert_eq!(read(None), Some(Untrusted::Unsigned));
        for garbage in ["", "t=,v1=", "t=1000", "v1=00", "t=x,v1=zz", "t=99999999999999999999,v1=00", "=,="] {
            assert_eq!(read(Some(garbage)), Some(Untrusted::BadSignature), "{garbage}");
        }
        let header = signed("whsec_new", 1000);
        let other = COMPLETED.replace("13000", "13001");
        let tampered = webhook.read(other.as_bytes(), Some(&header), time(1000));
        assert_eq!(tampered, Err(Untrusted::BadSignature));
        assert_eq!(webhook.read(b"\xff", Some(&header), time(1000)), Err(Untrusted::BadSignature));
    }

    #[test]
    fn an_event_of_the_other_mode_is_rejected() {
        let live = COMPLETED.replace("\"livemode\":false", "\"livemode\":true");
        let header = sign(&live, &secret("whsec_a"), time(0));
        let read = webhook(&["whsec_a"]).read(live.as_bytes(), Some(&header), time(0));
        assert_eq!(read, Err(Untrusted::WrongMode));
    }

    #[test]
    fn a_sandbox_secret_is_never_accepted_from_stripe() {
        let made = || vec![secret("whsec_real"), secret("whsec_sandbox_x")];
        for live in [true, false] {
            assert_eq!(Webhook::new(Source::Stripe { live }, made()).err(), Some(BadSecrets::Sandbox));
        }
        assert!(Webhook::new(Source::Sandbox, made()).is_ok());
        assert_eq!(Webhook::new(Source::Sandbox, vec![]).err(), Some(BadSecrets::None));
    }
}
