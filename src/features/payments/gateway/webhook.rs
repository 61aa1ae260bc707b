//! What the gateway sends: its signature is checked over the raw body before anything in it is believed. Both
//! gateways share this.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use stripe_webhook::{Webhook as Crate, WebhookError};
use tracing::subscriber::NoSubscriber;

use crate::config::SANDBOX_SECRET;
use crate::features::payments::model::{AttemptState, PaymentEvent, ReturnEvent};
use crate::kernel::{Currency, Money, Secret, Timestamp};

/// Whose events are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Sandbox,
    /// Stripe; `live` as its key is.
    Stripe {
        live: bool,
    },
}

/// The secrets can't be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSecrets {
    #[error("there is no webhook secret")]
    None,
    #[error("a webhook secret that begins with {SANDBOX_SECRET} is known to the sandbox only")]
    Sandbox,
}

/// Why an event is not believed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotBelieved {
    #[error("the header Stripe-Signature is missing")]
    Unsigned,
    #[error("the signature is wrong")]
    BadSignature,
    #[error("the signature is more than five minutes off")]
    Stale,
    #[error("a live event met a test key, or the other way round")]
    WrongMode,
}

/// An event that is believed.
#[derive(Debug, PartialEq)]
pub struct Notice {
    /// The gateway's id of it; of what can't be read, one made from the body.
    pub id: String,
    /// Such as `checkout.session.completed`.
    pub kind: String,
    /// When it happened, if it says so.
    pub created: Option<Timestamp>,
    pub fact: Fact,
}

/// What an event says.
#[derive(Debug, PartialEq)]
pub enum Fact {
    /// How far a checkout has come.
    Checkout(PaymentEvent),
    /// Money went back or is asked back.
    Return(ReturnEvent),
    /// Of a kind that we don't act on, or about a checkout that isn't ours.
    Other,
}

/// Reads the events of one source.
pub struct Webhook {
    secrets: Vec<Secret<String>>,
    live: bool,
}

impl Webhook {
    /// Believes what is signed with one of `secrets`.
    ///
    /// # Errors
    /// [`BadSecrets`] if there is none, or if one that the sandbox made is to be believed from Stripe.
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

    /// Reads an event. `now` decides whether the signature is too old: Stripe's tolerance, 5 minutes.
    ///
    /// # Errors
    /// [`NotBelieved`] if it isn't signed as Stripe signs, or is of the other mode.
    pub fn read(&self, body: &[u8], signature: Option<&str>, now: Timestamp) -> Result<Notice, NotBelieved> {
        let signature = signature.ok_or(NotBelieved::Unsigned)?;
        let body = std::str::from_utf8(body).map_err(|_| NotBelieved::BadSignature)?;
        self.verify(body, signature, now)?;
        let event =
            serde_json::from_str::<Envelope>(body).unwrap_or_else(|_| Envelope::unreadable(self.live));
        if event.livemode != self.live {
            return Err(NotBelieved::WrongMode);
        }
        let (fact, created) = (event.fact(), event.created());
        let id = if event.id.is_empty() { id_of_body(body) } else { event.id };
        Ok(Notice { id, kind: event.kind, created, fact })
    }

    fn verify(&self, body: &str, signature: &str, now: Timestamp) -> Result<(), NotBelieved> {
        let mut refusal = NotBelieved::BadSignature;
        // The crate subtracts any of them from now.
        if times(signature).any(|at| now.as_secs().checked_sub(at).is_none()) {
            return Err(refusal);
        }
        for secret in &self.secrets {
            // In silence: the crate logs as an error that it can't parse what need not be parsed here.
            let read = tracing::subscriber::with_default(NoSubscriber::new(), || {
                Crate::construct_event_with_timestamp(body, signature, secret.expose(), now.as_secs())
            });
            match read {
                // The crate reads one version of the API; of the others the few fields below are the same.
                Ok(_) | Err(WebhookError::BadParse(_)) => return Ok(()),
                Err(WebhookError::BadTimestamp(_)) => refusal = NotBelieved::Stale,
                Err(WebhookError::BadSignature | WebhookError::BadHeader(_) | WebhookError::BadKey) => {}
            }
        }
        Err(refusal)
    }
}

/// When it was signed, in seconds; strangers may write several.
fn times(signature: &str) -> impl Iterator<Item = i64> {
    signature.split(',').filter_map(|part| part.trim().strip_prefix("t=")?.parse().ok())
}

/// The header that signs `body`, as Stripe writes it.
pub fn sign(body: &str, secret: &Secret<String>, now: Timestamp) -> String {
    Crate::generate_test_header(body, secret.expose(), Some(now.as_secs()))
}

/// The few fields of an event that matter, the same in all versions of the API.
#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    id: String,
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    livemode: bool,
    /// In seconds, or in other kinds of events something else.
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

/// A charge, or a dispute over one.
#[derive(Deserialize)]
struct Charge {
    payment_intent: Option<Reference>,
    #[serde(default)]
    amount_refunded: i64,
    metadata: Option<HashMap<String, String>>,
}

/// Another object: its id, or the object itself where the endpoint is set so.
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
    /// Stands for a body that is no event.
    fn unreadable(livemode: bool) -> Self {
        Self { id: String::new(), kind: "unreadable".into(), livemode, created: Value::Null, data: None }
    }

    fn created(&self) -> Option<Timestamp> {
        self.created.as_i64().map(|secs| Timestamp::from_millis(secs.saturating_mul(1000)))
    }

    fn fact(&self) -> Fact {
        let returned = || self.returned().map(Fact::Return);
        self.payment().map(Fact::Checkout).or_else(returned).unwrap_or(Fact::Other)
    }

    fn returned(&self) -> Option<ReturnEvent> {
        let disputed = match &*self.kind {
            "charge.refunded" => false,
            "charge.dispute.created" => true,
            _ => return None,
        };
        let charge = Charge::deserialize(&self.data.as_ref()?.object).ok()?;
        Some(ReturnEvent {
            id: self.id.clone(),
            order: charge.metadata.and_then(|metadata| metadata.get("orderId").cloned()),
            intent: charge.payment_intent?.into_id(),
            refunded: charge.amount_refunded,
            disputed,
        })
    }

    fn payment(&self) -> Option<PaymentEvent> {
        let kind = self.kind.strip_prefix("checkout.session.")?;
        let session = Session::deserialize(&self.data.as_ref()?.object).ok()?;
        let reached = match (kind, &*session.payment_status) {
            ("completed", "unpaid") => AttemptState::Processing,
            ("completed" | "async_payment_succeeded", _) => AttemptState::Paid,
            ("async_payment_failed", _) => AttemptState::Failed,
            ("expired", _) => AttemptState::Expired,
            _ => return None,
        };
        let metadata = session.metadata.as_ref()?;
        Some(PaymentEvent {
            id: self.id.clone(),
            order: metadata.get("orderId")?.clone(),
            attempt: metadata.get("attempt").and_then(|number| number.parse().ok()),
            reached,
            money: session.amount_total.zip(session.currency.as_deref()).and_then(money),
            intent: session.payment_intent.map(Reference::into_id),
            session: session.id,
        })
    }
}

/// An id for what has none: the same body has the same.
fn id_of_body(body: &str) -> String {
    let digest = Sha256::digest(body.as_bytes());
    format!("body:{}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// An amount as Stripe writes it; none if the currency isn't one.
pub(super) fn money((amount, currency): (i64, &str)) -> Option<Money> {
    Some(Money { amount, currency: Currency::try_from(currency.to_uppercase()).ok()? })
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

    fn read(body: &str) -> Notice {
        let header = sign(body, &secret("whsec_a"), time(1000));
        webhook(&["whsec_a"]).read(body.as_bytes(), Some(&header), time(1000)).unwrap()
    }

    #[test]
    fn a_body_of_another_version_is_read_by_the_fields_that_matter() {
        let expected = PaymentEvent {
            id: "evt_1".into(),
            order: "o".into(),
            session: "cs_1".into(),
            attempt: Some(2),
            reached: AttemptState::Paid,
            money: money((13_000, "cad")),
            intent: None,
        };
        assert!(expected.money.is_some());
        let kind = "checkout.session.completed".into();
        let (created, fact) = (None, Fact::Checkout(expected));
        assert_eq!(read(COMPLETED), Notice { id: "evt_1".into(), kind, created, fact });
        let at = |created: &str| {
            read(&COMPLETED.replace("\"type\"", &format!("\"created\":{created},\"type\""))).created
        };
        assert_eq!(at("1000"), Some(time(1000)));
        assert_eq!(at("\"2026-09-01T12:00:00Z\""), None, "and the event is read");
    }

    #[test]
    fn what_goes_back_is_read_by_the_payment_and_our_order_where_it_is_named() {
        let event = |kind: &str, object: &str| {
            let body =
                format!(r#"{{"id":"evt_2","type":"{kind}","livemode":false,"data":{{"object":{object}}}}}"#);
            match read(&body).fact {
                Fact::Return(event) => Some((event.order, event.intent, event.refunded, event.disputed)),
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
    fn a_time_that_can_not_be_compared_with_now_is_not_believed() {
        let webhook = webhook(&["whsec_a"]);
        for at in [i64::MIN, i64::MIN + 1, i64::MAX] {
            let header = Crate::generate_test_header(COMPLETED, "whsec_a", Some(at));
            assert!(webhook.read(COMPLETED.as_bytes(), Some(&header), time(1000)).is_err(), "{at}");
        }
    }

    #[test]
    fn an_event_without_an_id_gets_one_of_its_body() {
        let one = read("{}");
        assert_eq!(one.id, read("{}").id);
        assert_ne!(one.id, read("not json").id);
        assert_eq!((one.id.len(), &*read("not json").kind), (5 + 64, "unreadable"));
    }

    #[test]
    fn each_event_says_how_far_the_checkout_has_come() {
        let cases = [
            ("completed", "unpaid", Some(AttemptState::Processing)),
            ("completed", "paid", Some(AttemptState::Paid)),
            ("completed", "no_payment_required", Some(AttemptState::Paid)),
            ("async_payment_succeeded", "paid", Some(AttemptState::Paid)),
            ("async_payment_failed", "unpaid", Some(AttemptState::Failed)),
            ("expired", "unpaid", Some(AttemptState::Expired)),
            ("invented", "paid", None),
        ];
        for (kind, status, reached) in cases {
            let body = COMPLETED
                .replace(".completed", &format!(".{kind}"))
                .replace("paid\"", &format!("{status}\""));
            let read = match read(&body).fact {
                Fact::Checkout(event) => Some(event.reached),
                Fact::Return(_) | Fact::Other => None,
            };
            assert_eq!(read, reached, "{kind} {status}");
        }
    }

    #[test]
    fn what_is_signed_and_not_understood_is_acknowledged() {
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
    fn an_event_that_the_crate_cant_parse_is_no_error_in_the_log() {
        let (log, writer) = std::io::pipe().unwrap();
        let subscriber = tracing_subscriber::fmt().with_writer(std::sync::Mutex::new(writer)).finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!("the log is heard");
            read(r#"{"id":"evt_2","type":"charge.refunded","livemode":false}"#);
        });
        let lines = std::io::read_to_string(log).unwrap();
        assert_eq!(lines.lines().count(), 1, "{lines}");
    }

    #[test]
    fn only_what_is_signed_now_with_a_secret_of_ours_is_believed() {
        let webhook = webhook(&["whsec_new", "whsec_old"]);
        let read = |header: Option<&str>| webhook.read(COMPLETED.as_bytes(), header, time(1000)).err();
        let signed = |key: &str, at| sign(COMPLETED, &secret(key), time(at));
        assert_eq!(read(Some(&signed("whsec_new", 1000))), None);
        assert_eq!(read(Some(&signed("whsec_old", 1299))), None);
        assert_eq!(read(Some(&signed("whsec_old", 701))), None);
        assert_eq!(read(Some(&signed("whsec_old", 699))), Some(NotBelieved::Stale));
        assert_eq!(read(Some(&signed("whsec_new", 1301))), Some(NotBelieved::Stale));
        assert_eq!(read(Some(&signed("whsec_other", 1000))), Some(NotBelieved::BadSignature));
        assert_eq!(read(None), Some(NotBelieved::Unsigned));
        for garbage in ["", "t=,v1=", "t=1000", "v1=00", "t=x,v1=zz", "t=99999999999999999999,v1=00", "=,="] {
            assert_eq!(read(Some(garbage)), Some(NotBelieved::BadSignature), "{garbage}");
        }
        let header = signed("whsec_new", 1000);
        let other = COMPLETED.replace("13000", "13001");
        let tampered = webhook.read(other.as_bytes(), Some(&header), time(1000));
        assert_eq!(tampered, Err(NotBelieved::BadSignature));
        assert_eq!(webhook.read(b"\xff", Some(&header), time(1000)), Err(NotBelieved::BadSignature));
    }

    #[test]
    fn live_and_test_events_stay_apart() {
        let live = COMPLETED.replace("\"livemode\":false", "\"livemode\":true");
        let header = sign(&live, &secret("whsec_a"), time(0));
        let read = webhook(&["whsec_a"]).read(live.as_bytes(), Some(&header), time(0));
        assert_eq!(read, Err(NotBelieved::WrongMode));
    }

    #[test]
    fn a_secret_of_the_sandbox_is_never_believed_from_stripe() {
        let made = || vec![secret("whsec_real"), secret("whsec_sandbox_x")];
        for live in [true, false] {
            assert_eq!(Webhook::new(Source::Stripe { live }, made()).err(), Some(BadSecrets::Sandbox));
        }
        assert!(Webhook::new(Source::Sandbox, made()).is_ok());
        assert_eq!(Webhook::new(Source::Sandbox, vec![]).err(), Some(BadSecrets::None));
    }
}
