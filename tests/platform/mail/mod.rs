//! Transports: one suite for all of them, their reactions to failures of the server, and the rate limit.

mod contract;
mod lanes;
mod notifications;
mod outbox;
mod rate;
mod refusals;
mod ses;
mod smtp;

use std::sync::Arc;

use async_trait::async_trait;
use orientation::config::SenderConfig;
use orientation::kernel::{Clock, EmailAddress, Ids, RandomIds, SystemClock};
use orientation::platform::mail::{Attachment, Email, Mail, Transport};

/// A transport, and access to the emails that have arrived.
#[async_trait]
pub trait Post: Send + Sync {
    fn transport(&self) -> Arc<dyn Transport>;
    /// The emails that arrived from this transport.
    async fn arrived(&self) -> Vec<Arrived>;
}

/// An email as its recipient reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    pub to: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// Name, kind and content.
    pub files: Vec<(String, String, Vec<u8>)>,
}

/// The sender of a test's emails; each transport has its own address.
pub fn sender() -> SenderConfig {
    let address = EmailAddress::parse(&format!("{}@example.edu", RandomIds.next())).expect("an address");
    let contact = EmailAddress::parse("help@example.edu").expect("an address");
    SenderConfig { name: Some("Faculté d'Ingénierie".into()), address, contact, rate: 50.0 }
}

pub fn mail(id: &str, to: &str) -> Mail {
    let to = EmailAddress::parse(to).expect("an address");
    Mail::new(id.into(), "hello", &to, [], SystemClock.now())
}

pub fn email() -> Email {
    Email {
        subject: "Your ticket, Zoë 王 — and a subject so long that no header keeps it on one line of its own"
            .into(),
        text: "Hello Zoë,\n\n.a line that begins with a dot\nFrom here on: 王小明, مرحبا\n".into(),
        html: "<p>Hello Zoë & 王小明</p>".into(),
        attachments: vec![],
        unsubscribe: None,
    }
}

pub fn with_file(email: Email) -> Email {
    let bytes = (0..=255).cycle().take(20_000).collect();
    email.attach(Attachment::file("ticket.pdf", "application/pdf", bytes))
}
