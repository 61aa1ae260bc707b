//! SES, as aws-ses-v2-local plays it.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use orientation::config::{AwsCredentials, SenderConfig, SesConfig};
use orientation::kernel::Secret;
use orientation::platform::mail::{Ses, Transport};
use serde_json::Value;

use super::{Arrived, Post, contract, email, mail, sender};
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
        Self { transport: Arc::new(Ses::new(&account(&servers::ses(), sender.clone())).await), sender }
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
async fn takes_emails_as_they_are() {
    let local = Local::new().await;
    contract::holds(&local).await;
    assert!(!local.transport().is_idempotent());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sender_has_a_name_and_each_email_says_which_it_is() {
    let local = Local::new().await;
    local.transport.send(&mail("hello:7", "ana@example.org"), &email()).await.expect("taken");
    let [email] = &local.emails().await[..] else { panic!("one email") };
    let from = email["from"].as_str().expect("a text");
    assert!(
        from.starts_with("=?UTF-8?B?") && from.ends_with(&format!("<{}>", local.sender.address)),
        "{from}"
    );
    let headers = email["headers"].as_array().expect("a list");
    assert!(headers.contains(&serde_json::json!({ "name": "X-Mail-Id", "value": "hello:7" })), "{headers:?}");
    assert!(headers.contains(&serde_json::json!({ "name": "Auto-Submitted", "value": "auto-generated" })));
}
