//! Sends emails by an SMTP server.
//!
//! A connection is kept for the next email. One that was used until a deadline passed or a job was cancelled is closed: the
//! next reply on it would be that to an earlier command.

mod connection;
mod idle;
mod refusals;
mod reply;
mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use self::connection::{Connection, Delivery, SmtpError};
use self::idle::Idle;
use self::refusals::{Stage, judge, judge_reply};
pub use self::server::BadSmtpUrl;
use self::server::Server;
use super::message::Message;
use super::{Email, Mail, SendError, Transport};
use crate::config::{SenderConfig, SmtpConfig};
use crate::kernel::{Clock, EmailAddress};

/// Maximum time until the server asks for the message …
const DIALOGUE: Duration = Duration::from_secs(30);
/// … and until it replies to it (RFC 5321, 4.5.3.2 recommends more, but a job can't wait that long). A message whose
/// reply takes longer may have been accepted.
const DELIVERY: Duration = Duration::from_secs(60);
/// Maximum time until a kept connection shows that it still works. Short, so that there is time for another one.
const STILL_THERE: Duration = Duration::from_secs(3);
/// Maximum time that a sign-up waits to learn whether the server accepts its address.
const QUESTION: Duration = Duration::from_secs(5);
/// Minimum time between two such questions, so that sign-ups can't open any number of connections.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// The extension for addresses with characters outside ASCII (RFC 6531).
const SMTPUTF8: &str = "SMTPUTF8";

/// Emails by SMTP.
pub struct Smtp {
    server: Server,
    sender: SenderConfig,
    clock: Arc<dyn Clock>,
    idle: Idle<Connection>,
    /// Whether the server offers SMTPUTF8, as far as is known.
    utf8: AtomicU8,
    /// When a sign-up last asked for it.
    asked_at: Mutex<Option<Instant>>,
}

const UNKNOWN: u8 = 0;
const NOT_OFFERED: u8 = 1;
const OFFERED: u8 = 2;

impl Smtp {
    /// Emails by this server. It is not asked anything yet.
    ///
    /// # Errors
    /// [`BadSmtpUrl`] if the URL is malformed, or a password would cross the network unencrypted.
    pub fn new(config: &SmtpConfig, clock: Arc<dyn Clock>) -> Result<Self, BadSmtpUrl> {
        let server = Server::at(config.url.expose())?;
        let utf8 = AtomicU8::new(UNKNOWN);
        let (idle, asked_at) = (Idle::new(), Mutex::default());
        Ok(Self { server, sender: config.sender.clone(), clock, idle, utf8, asked_at })
    }

    /// Connects, signs in and names the sender, without an email; returns remarks.
    ///
    /// # Errors
    /// What is wrong, in a sentence for operators.
    pub async fn check(&self) -> Result<Vec<String>, String> {
        match timeout(DIALOGUE, self.introduce()).await {
            Ok(Ok(true)) => Ok(vec![READY.into()]),
            Ok(Ok(false)) => Ok(vec![READY.into(), NO_UTF8.into()]),
            Ok(Err(error)) => Err(format!("SMTP: {error}")),
            Err(_) => Err("SMTP: the server does not reply".into()),
        }
    }

    /// Names the sender; returns whether the server offers SMTPUTF8.
    async fn introduce(&self) -> Result<bool, SmtpError> {
        let mut connection = self.connect().await?;
        connection.command(&mail_from(&self.sender.address.on_the_wire(), false), 200..300).await?;
        connection.command("RSET", 200..300).await?;
        let offers_utf8 = connection.has(SMTPUTF8);
        connection.quit().await;
        Ok(offers_utf8)
    }

    async fn connect(&self) -> Result<Connection, SmtpError> {
        let connection = self.server.connect().await?;
        let utf8 = if connection.has(SMTPUTF8) { OFFERED } else { NOT_OFFERED };
        self.utf8.store(utf8, Ordering::Relaxed);
        Ok(connection)
    }

    /// A connection on which an email can begin.
    async fn connection(&self) -> Result<Connection, SmtpError> {
        if let Some(mut kept) = self.idle.take(Instant::now()) {
            if let Ok(Ok(_)) = timeout(STILL_THERE, kept.command("RSET", 200..300)).await {
                return Ok(kept);
            }
            // What happened to one has most likely happened to all: the server closes idle connections, or the network
            // has forgotten them. No email should find that out again.
            self.idle.clear();
        }
        self.connect().await
    }

    /// Talks to the server until it asks for the message.
    async fn begin(&self, message: &Message) -> Result<Connection, SendError> {
        let mut connection = self.connection().await.map_err(|error| judge(&error, Stage::Opening))?;
        let needs_utf8 = !message.to.is_ascii() || !message.from.is_ascii();
        if needs_utf8 && !connection.has(SMTPUTF8) {
            self.idle.keep(connection, Instant::now());
            return Err(SendError::Permanent(
                "SMTP: the server does not accept addresses with characters outside ASCII (SMTPUTF8)".into(),
            ));
        }
        let from = mail_from(&message.from, needs_utf8);
        connection.command(&from, 200..300).await.map_err(|error| judge(&error, Stage::Opening))?;
        let to = format!("RCPT TO:<{}>", message.to);
        connection.command(&to, 200..300).await.map_err(|error| judge(&error, Stage::Recipient))?;
        connection.command("DATA", 354..355).await.map_err(|error| judge(&error, Stage::Recipient))?;
        Ok(connection)
    }
}

const READY: &str = "the server accepts the sender";
const NO_UTF8: &str = "the server does not offer SMTPUTF8: nobody can sign up with an address that has characters outside \
                       ASCII before the @";

fn mail_from(address: &str, needs_utf8: bool) -> String {
    format!("MAIL FROM:<{address}>{}", if needs_utf8 { " SMTPUTF8" } else { "" })
}

#[async_trait]
impl Transport for Smtp {
    async fn send(&self, mail: &Mail, email: &Email) -> Result<(), SendError> {
        let message = Message::new(&self.sender, mail, email, self.clock.now());
        let message = message.map_err(|error| SendError::Permanent(error.to_string()))?;
        let begun = timeout(DIALOGUE, self.begin(&message)).await;
        let connection =
            begun.unwrap_or_else(|_| Err(SendError::Temporary("SMTP: the server does not reply".into())))?;
        match connection.deliver(&message.bytes, DELIVERY).await {
            Delivery::Accepted(reusable) => {
                if let Some(connection) = reusable {
                    self.idle.keep(connection, Instant::now());
                }
                Ok(())
            }
            Delivery::Refused(reply) => Err(judge_reply(&reply, Stage::Message)),
            Delivery::Unknown => {
                Err(SendError::Uncertain("SMTP: the server got the email and did not reply".into()))
            }
        }
    }

    fn is_idempotent(&self) -> bool {
        false
    }

    /// Asks the server, unless it is known to offer SMTPUTF8, but at most once in [`ASK_AGAIN`]: sign-ups that arrive meanwhile
    /// wait for the answer. If the server can't be asked, the address counts as accepted.
    async fn accepts(&self, to: &EmailAddress) -> bool {
        if !to.needs_smtputf8() {
            return true;
        }
        let mut asked_at = self.asked_at.lock().await;
        let is_due = asked_at.is_none_or(|at| at.elapsed() >= ASK_AGAIN);
        if is_due && self.utf8.load(Ordering::Relaxed) != OFFERED {
            if let Ok(Ok(connection)) = timeout(QUESTION, self.connect()).await {
                self.idle.keep(connection, Instant::now());
            }
            *asked_at = Some(Instant::now());
        }
        self.utf8.load(Ordering::Relaxed) != NOT_OFFERED
    }
}
