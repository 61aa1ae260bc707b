//! The emails to one address.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use orientation::kernel::EmailAddress;
use serde_json::{Value, json};

use super::Visitor;
use super::app::PATIENCE;

/// Where emails can be read.
#[derive(Clone)]
pub enum PostOffice {
    /// The outbox of the service at this address.
    Outbox(String),
    /// aws-ses-v2-local: emails sent from this address, after this time (seconds of Unix time).
    Ses { server: String, from: String, since: i64 },
}

/// The emails to one address.
pub struct Mailbox {
    office: PostOffice,
    email: String,
    visitor: Visitor,
}

impl Mailbox {
    pub fn new(office: PostOffice, email: &str) -> Self {
        let (PostOffice::Outbox(server) | PostOffice::Ses { server, .. }) = &office;
        let visitor = Visitor::new(server);
        Self { office, email: email.to_owned(), visitor }
    }

    /// All emails as the outbox shows them, newest first.
    pub async fn emails(&self) -> Vec<Value> {
        match &self.office {
            PostOffice::Outbox(_) => {
                let to: String = url::form_urlencoded::byte_serialize(self.email.as_bytes()).collect();
                let answer = self.visitor.get(&format!("/outbox.json?to={to}")).await.ok(200);
                list(&answer["items"]).clone()
            }
            PostOffice::Ses { from, since, .. } => {
                let answer = self.visitor.get(&format!("/store?since={since}")).await.ok(200);
                let to = |email: &&Value| {
                    let to = list(&email["destination"]["to"]);
                    email["from"] == **from && to.iter().any(|to| self.is_ours(to))
                };
                list(&answer["emails"]).iter().rev().filter(to).map(as_in_the_outbox).collect()
            }
        }
    }

    /// Whether this recipient is the mailbox. The domain may be in its ASCII form.
    fn is_ours(&self, to: &Value) -> bool {
        let key = |address: &str| EmailAddress::parse(address).ok().map(|address| address.key());
        to.as_str().is_some_and(|to| key(to).is_some_and(|to| key(&self.email) == Some(to)))
    }

    /// Waits for an email whose subject contains this.
    pub async fn email(&self, subject: &str) -> Value {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let emails = self.emails().await;
            let found =
                emails.iter().find(|email| email["subject"].as_str().is_some_and(|s| s.contains(subject)));
            if let Some(email) = found {
                return email.clone();
            }
            let subjects: Vec<_> = emails.iter().map(|email| email["subject"].clone()).collect();
            assert!(tokio::time::Instant::now() < deadline, "no email '{subject}' among {subjects:?}");
            // A worker of the service sends it: there is no event to wait for from outside.
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// The token in the link of such an email.
    pub async fn token(&self, subject: &str) -> String {
        token_in(&self.email(subject).await)
    }

    /// The content of an attachment.
    pub async fn file(&self, file: &Value) -> Vec<u8> {
        let address = file["address"].as_str().expect("an address");
        match address.strip_prefix(INLINE) {
            Some(content) => STANDARD.decode(content).expect("base64"),
            None => self.visitor.get(address).await.bytes,
        }
    }
}

/// Prefix of an attachment's address that contains its content, because attachments at SES have no address.
const INLINE: &str = "data:;base64,";

/// An email from SES's double in the outbox's format. The double shows no headers, and therefore no id.
fn as_in_the_outbox(email: &Value) -> Value {
    let files = list(&email["attachments"]).iter().map(|file| {
        let content = file["content"].as_str().expect("base64");
        json!({ "name": file["filename"], "type": file["contentType"], "address": format!("{INLINE}{content}") })
    });
    json!({
        "to": email["destination"]["to"][0],
        "subject": email["subject"], "text": email["body"]["text"], "html": email["body"]["html"],
        "attachments": files.collect::<Vec<_>>(),
    })
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

/// The token in the link of an email.
pub fn token_in(email: &Value) -> String {
    let text = email["text"].as_str().expect("a text");
    let rest = text.split("token=").nth(1).expect("a link with a token");
    rest.split(|c: char| c.is_whitespace() || c == '&').next().expect("a token").to_owned()
}
