//! Letters to one address, read from the outbox as scripts do.

use serde_json::Value;

use super::Visitor;
use super::app::PATIENCE;

/// What has been sent to one address.
pub struct Mailbox {
    visitor: Visitor,
    path: String,
}

impl Mailbox {
    pub fn new(url: &str, email: &str) -> Self {
        let to: String = url::form_urlencoded::byte_serialize(email.as_bytes()).collect();
        Self { visitor: Visitor::new(url), path: format!("/outbox.json?to={to}") }
    }

    /// All letters, the newest first.
    pub async fn letters(&self) -> Vec<Value> {
        let answer = self.visitor.get(&self.path).await.ok(200);
        let items = answer.get("items").unwrap_or(&answer);
        items.as_array().expect("a list of letters").clone()
    }

    /// Waits for a letter whose subject contains this.
    pub async fn letter(&self, subject: &str) -> Value {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let letters = self.letters().await;
            let found =
                letters.iter().find(|letter| letter["subject"].as_str().is_some_and(|s| s.contains(subject)));
            if let Some(letter) = found {
                return letter.clone();
            }
            let subjects: Vec<_> = letters.iter().map(|letter| letter["subject"].clone()).collect();
            assert!(tokio::time::Instant::now() < deadline, "no letter '{subject}' among {subjects:?}");
            // The mailer sends by itself: there is no event to wait for from outside.
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// The token in the link of such a letter.
    pub async fn token(&self, subject: &str) -> String {
        token_in(&self.letter(subject).await)
    }
}

/// The token in the link of a letter.
pub fn token_in(letter: &Value) -> String {
    let text = letter["text"].as_str().expect("a text");
    let rest = text.split("token=").nth(1).expect("a link with a token");
    rest.split(|c: char| c.is_whitespace() || c == '&').next().expect("a token").to_owned()
}
