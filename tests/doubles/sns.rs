//! SNS's double: the hosts of its certificates, and signed messages.

use std::collections::HashMap;
use std::future::pending;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::Datelike;
use orientation::kernel::{Clock, SystemClock, Timestamp};
use orientation::platform::mail::sns::{Hosts, Unreachable};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use rsa::pkcs8::DecodePrivateKey;
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

/// The topic of its notifications about emails.
pub const TOPIC: &str = "arn:aws:sns:ca-central-1:123456789012:bounces";

/// The URL of its certificate.
pub const CERTIFICATE: &str = "https://sns.ca-central-1.amazonaws.com/SimpleNotificationService-0123.pem";

/// The URL of an expired certificate of SNS.
pub const EXPIRED_CERTIFICATE: &str =
    "https://sns.ca-central-1.amazonaws.com/SimpleNotificationService-4567.pem";

/// The PKCS#1 prefix of the hash, by the version of the signature.
const BEFORE_SHA1: &[u8] = &[0x30, 0x21, 0x30, 0x09, 6, 5, 0x2b, 0x0e, 3, 2, 0x1a, 5, 0, 4, 0x14];
const BEFORE_SHA256: &[u8] =
    &[0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20];

/// A key and what its certificates need. Generating one is slow, so tests share them.
pub struct Signer {
    key: RsaPrivateKey,
    pair: KeyPair,
}

/// The key that SNS signs with.
pub static SIGNER: LazyLock<Signer> = LazyLock::new(Signer::new);
/// A key that is not SNS's.
pub static FORGER: LazyLock<Signer> = LazyLock::new(Signer::new);

impl Signer {
    fn new() -> Self {
        let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key");
        let key = RsaPrivateKey::from_pkcs8_der(&pair.serialize_der()).expect("the same key");
        Self { key, pair }
    }

    /// A certificate for this name, valid for these days relative to today.
    pub fn certificate(&self, name: &str, days: (i64, i64)) -> Vec<u8> {
        let day = |days: i64| {
            let day = SystemClock.now().to_utc() + chrono::Duration::days(days);
            let small = |number: u32| u8::try_from(number).expect("of a date");
            rcgen::date_time_ymd(day.year(), small(day.month()), small(day.day()))
        };
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        (params.not_before, params.not_after) = (day(days.0), day(days.1));
        params.self_signed(&self.pair).expect("a certificate").pem().into_bytes()
    }

    /// Signs `message` as SNS does, by version 1 or 2.
    pub fn sign(&self, message: &mut Value, version: u8) {
        message["SignatureVersion"] = version.to_string().into();
        let text = canonical(message);
        let (hash, before) = match version {
            1 => (<sha1::Sha1 as sha1::Digest>::digest(&text).to_vec(), BEFORE_SHA1),
            _ => (Sha256::digest(&text).to_vec(), BEFORE_SHA256),
        };
        let scheme = Pkcs1v15Sign { hash_len: Some(hash.len()), prefix: before.into() };
        message["Signature"] = STANDARD.encode(self.key.sign(scheme, &hash).expect("signed")).into();
    }
}

/// The text to sign, as AWS documents it: names and values, one per line.
fn canonical(message: &Value) -> Vec<u8> {
    let names: &[&str] = match message["Type"].as_str() {
        Some("Notification") => &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"],
        _ => &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"],
    };
    let pairs = names.iter().filter_map(|name| Some((name, message[name].as_str()?)));
    pairs.map(|(name, value)| format!("{name}\n{value}\n")).collect::<String>().into_bytes()
}

/// An unsigned notification with this id.
pub fn notification(id: &str, told: &Value, at: Timestamp) -> Value {
    json!({
        "Type": "Notification", "MessageId": id, "TopicArn": TOPIC, "Message": told.to_string(),
        "Subject": "Amazon SES Email Event Notification", "Timestamp": at.rfc3339(),
        "SigningCertURL": CERTIFICATE,
        "UnsubscribeURL": "https://sns.ca-central-1.amazonaws.com/?Action=Unsubscribe",
    })
}

/// An unsigned request to confirm a subscription.
pub fn subscription(id: &str, at: Timestamp) -> Value {
    let url = format!(
        "https://sns.ca-central-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=t1"
    );
    json!({
        "Type": "SubscriptionConfirmation", "MessageId": id, "TopicArn": TOPIC, "Token": "t1",
        "Message": "You have chosen to subscribe …", "SubscribeURL": url, "Timestamp": at.rfc3339(),
        "SigningCertURL": CERTIFICATE,
    })
}

/// SES's event for a bounce of this type.
pub fn bounce(kind: &str, address: &str) -> Value {
    json!({
        "notificationType": "Bounce",
        "bounce": {
            "bounceType": kind, "bounceSubType": "General", "feedbackId": "f1",
            "bouncedRecipients": [{ "emailAddress": address, "action": "failed", "status": "5.1.1" }],
        },
        "mail": { "messageId": "m1", "destination": [address] },
    })
}

/// SES's event for a complaint.
pub fn complaint(address: &str) -> Value {
    json!({
        "notificationType": "Complaint",
        "complaint": { "complainedRecipients": [{ "emailAddress": address }], "complaintFeedbackType": "abuse" },
    })
}

/// The message, signed by SNS.
pub fn signed(mut message: Value, version: u8) -> String {
    SIGNER.sign(&mut message, version);
    message.to_string()
}

#[derive(Default)]
struct State {
    answers: HashMap<String, Vec<u8>>,
    asked: Vec<Url>,
    away: bool,
}

/// A request for this URL is never answered.
pub const SLOW: &str = "slow";

/// SNS's hosts.
pub struct Sns(Mutex<State>);

impl Sns {
    /// Hosts with SNS's certificate.
    pub fn new() -> Arc<Self> {
        Self::with(SIGNER.certificate("sns.amazonaws.com", (-10, 10)))
    }

    /// Hosts with this certificate.
    pub fn with(certificate: Vec<u8>) -> Arc<Self> {
        let expired = SIGNER.certificate("sns.amazonaws.com", (-20, -10));
        let answers = [(CERTIFICATE, certificate), (EXPIRED_CERTIFICATE, expired)];
        let answers = answers.map(|(address, answer)| (address.to_owned(), answer)).into();
        Arc::new(Self(Mutex::new(State { answers, ..State::default() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a certificate at this URL.
    pub fn has(&self, address: &str, certificate: Vec<u8>) {
        self.state().answers.insert(address.to_owned(), certificate);
    }

    /// Makes the hosts unreachable, or reachable again.
    pub fn goes_away(&self, away: bool) {
        self.state().away = away;
    }

    fn answer(&self, address: &Url) -> Result<Vec<u8>, Unreachable> {
        let mut state = self.state();
        state.asked.push(address.clone());
        if state.away {
            return Err(Unreachable("no answer".into()));
        }
        let confirms = address.query().is_some_and(|query| query.contains("Action=ConfirmSubscription"));
        match state.answers.get(address.as_str()) {
            Some(answer) => Ok(answer.clone()),
            None if confirms => Ok(vec![]),
            None => Err(Unreachable("it answers 404".into())),
        }
    }

    /// The requested URLs.
    pub fn asked(&self) -> Vec<String> {
        self.state().asked.iter().map(Url::to_string).collect()
    }
}

#[async_trait]
impl Hosts for Sns {
    async fn get(&self, address: &Url) -> Result<Vec<u8>, Unreachable> {
        let answer = self.answer(address);
        if address.path().contains(SLOW) {
            return pending().await;
        }
        answer
    }
}
