//! SES, as aws-ses-v2-local plays it.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use orientation::config::{AwsCredentials, SenderConfig, SesConfig};
use orientation::kernel::Secret;
use orientation::platform::mail::{Carrier, Ses};
use serde_json::Value;

use super::{Arrived, Post, contract, letter, mail, sender};
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
    carrier: Arc<Ses>,
    sender: SenderConfig,
}

impl Local {
    async fn new() -> Self {
        let sender = sender();
        Self { carrier: Arc::new(Ses::new(&account(&servers::ses(), sender.clone())).await), sender }
    }

    /// What came from our address.
    async fn letters(&self) -> Vec<Value> {
        let store = reqwest::get(format!("{}/store", servers::ses())).await.expect("an answer");
        let store: Value = store.json().await.expect("JSON");
        let ours = |letter: &&Value| {
            letter["from"].as_str().is_some_and(|from| from.contains(self.sender.address.as_str()))
        };
        store["emails"].as_array().expect("a list").iter().filter(ours).cloned().collect()
    }
}

#[async_trait]
impl Post for Local {
    fn carrier(&self) -> Arc<dyn Carrier> {
        self.carrier.clone()
    }

    async fn arrived(&self) -> Vec<Arrived> {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let file = |file: &Value| {
            let content = STANDARD.decode(text(&file["content"])).expect("base64");
            (text(&file["filename"]), text(&file["contentType"]), content)
        };
        let arrived = |letter: &Value| Arrived {
            to: text(&letter["destination"]["to"][0]),
            subject: text(&letter["subject"]),
            text: text(&letter["body"]["text"]),
            html: text(&letter["body"]["html"]),
            files: letter["attachments"].as_array().expect("a list").iter().map(file).collect(),
        };
        self.letters().await.iter().map(arrived).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn takes_letters_as_they_are() {
    let local = Local::new().await;
    contract::holds(&local).await;
    assert!(!local.carrier().repeats_safely());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sender_has_a_name_and_each_letter_says_which_it_is() {
    let local = Local::new().await;
    local.carrier.carry(&mail("hello:7", "ana@example.org"), &letter()).await.expect("taken");
    let [letter] = &local.letters().await[..] else { panic!("one letter") };
    let from = letter["from"].as_str().expect("a text");
    assert!(
        from.starts_with("=?UTF-8?B?") && from.ends_with(&format!("<{}>", local.sender.address)),
        "{from}"
    );
    let headers = letter["headers"].as_array().expect("a list");
    assert!(headers.contains(&serde_json::json!({ "name": "X-Mail-Id", "value": "hello:7" })), "{headers:?}");
    assert!(headers.contains(&serde_json::json!({ "name": "Auto-Submitted", "value": "auto-generated" })));
}
