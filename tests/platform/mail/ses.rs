//! SES, as aws-ses-v2-local plays it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use orientation::config::{AwsCredentials, SenderConfig, SesConfig, SmtpConfig};
use orientation::kernel::{EmailAddress, ManualClock, Secret, SystemClock, Timestamp};
use orientation::platform::mail::{Email, MailClass, SendError, Ses, Smtp, Transport, Unsubscribe};
use serde_json::Value;

use super::{Arrived, Post, contract, email, mail, sender, with_file};
use crate::doubles::{ses as ses_double, smtp as smtp_double};
use crate::servers;

/// An account whose API is at `endpoint`.
pub fn account(endpoint: &str, sender: SenderConfig) -> SesConfig {
    let key = AwsCredentials { id: "id".into(), key: Secret::new("key".into()), token: None };
    SesConfig {
        sender,
        region: "ca-central-1".into(),
        credentials: Some(key),
        endpoint: Some(endpoint.parse().expect("an address")),
        topics: vec![],
    }
}

struct Local {
    transport: Arc<Ses>,
    sender: SenderConfig,
}

impl Local {
    async fn new() -> Self {
        let sender = sender();
        Self {
            transport: Arc::new(
                Ses::new(&account(&servers::ses(), sender.clone()), Arc::new(SystemClock)).await,
            ),
            sender,
        }
    }

    /// What came from our address.
    async fn emails(&self) -> Vec<Value> {
        let store = reqwest::get(format!("{}/store", servers::ses())).await.expect("an answer");
        let store: Value = store.json().await.expect("JSON");
        let ours = |email: &&Value| {
            email["from"].as_str().is_some_and(|from| from.contains(self.sender.address.as_str()))
        };
        store["emails"].as_array().expect("a list").iter().filter(ours).cloned().collect()
    }
}

#[async_trait]
impl Post for Local {
    fn transport(&self) -> Arc<dyn Transport> {
        self.transport.clone()
    }

    async fn arrived(&self) -> Vec<Arrived> {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let file = |file: &Value| {
            let content = STANDARD.decode(text(&file["content"])).expect("base64");
            (text(&file["filename"]), text(&file["contentType"]), content)
        };
        let arrived = |email: &Value| Arrived {
            to: text(&email["destination"]["to"][0]),
            subject: text(&email["subject"]),
            text: text(&email["body"]["text"]),
            html: text(&email["body"]["html"]),
            files: email["attachments"].as_array().expect("a list").iter().map(file).collect(),
        };
        self.emails().await.iter().map(arrived).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let local = Local::new().await;
    contract::holds(&local).await;
    assert!(!local.transport().is_idempotent());
}

#[tokio::test(flavor = "multi_thread")]
async fn ses_gets_the_message_that_smtp_gets() {
    let (ses, smtp) = (ses_double::Ses::start(Duration::ZERO), smtp_double::Smtp::start().await);
    let (sender, clock) = (sender(), Arc::new(ManualClock::at(Timestamp::from_millis(1_788_246_000_000))));
    let by_ses = Ses::new(&account(ses.url(), sender.clone()), clock.clone()).await;
    let by_smtp = Smtp::new(&SmtpConfig { sender, url: Secret::new(smtp.url()) }, clock).expect("a good URL");
    let (bulk, unsubscribe) =
        (MailClass::Bulk, Unsubscribe::on_page("https://o.example.edu/u".parse().expect("a URL")));
    let mail = mail("hello:7", "ana@exämple.org").in_class(bulk);
    let email = with_file(Email { unsubscribe: Some(unsubscribe), ..email() });
    by_ses.send(&mail, &email).await.expect("accepted");
    by_smtp.send(&mail, &email).await.expect("accepted");
    let (ses, smtp) = (ses.taken()[0].clone(), smtp.taken()[0].clone());
    assert_eq!((ses.to.as_str(), smtp.to[0].as_str()), ("ana@xn--exmple-cua.org", "ana@xn--exmple-cua.org"));
    assert_eq!(without_boundaries(&ses.message), without_boundaries(&smtp.message));
    assert!(ses.message.contains("\r\nList-Unsubscribe: <https://o.example.edu/u>\r\n"), "{}", ses.message);
    assert!(ses.message.is_ascii());
}

/// The message with one name for its random boundaries.
fn without_boundaries(message: &str) -> String {
    let boundaries = message.split("boundary=\"").skip(1).filter_map(|rest| rest.split('"').next());
    boundaries.fold(message.to_owned(), |message, boundary| message.replace(boundary, "boundary"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_outside_ascii_is_refused_before_ses_is_asked() {
    let ses = ses_double::Ses::start(Duration::ZERO);
    let transport = Ses::new(&account(ses.url(), sender()), Arc::new(SystemClock)).await;
    let accepts =
        async |address: &str| transport.accepts(&EmailAddress::parse(address).expect("an address")).await;
    assert!(!accepts("jörg@example.org").await);
    assert!(accepts("ana@exämple.org").await);
    let sent = transport.send(&mail("hello:1", "jörg@example.org"), &email()).await;
    assert!(matches!(&sent, Err(SendError::Permanent(why)) if why.contains("outside ASCII")), "{sent:?}");
    assert_eq!(ses.taken().len(), 0);
}
