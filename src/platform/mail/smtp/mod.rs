//! A server that speaks SMTP takes the emails away.
//!
//! Connections are kept for the next email by ourselves: the library's own pool takes a dialogue that was cut short
//! (by a deadline, or because the job was lost) up again where the next one would begin.

mod idle;
mod message;
mod server;

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lettre::address::Envelope;
use lettre::message::Mailbox;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt, Rset};
use lettre::transport::smtp::extension::{Extension, MailParameter};
use tokio::time::{Instant, timeout};

use self::idle::Idle;
pub use self::server::BadSmtpUrl;
use self::server::Server;
use super::{Email, Mail, SendError, Transport};
use crate::config::SmtpConfig;
use crate::kernel::Clock;

/// The server has answered within this time up to the point at which it is given the email …
const DIALOGUE: Duration = Duration::from_secs(30);
/// … and once it has it within this (RFC 5321 §4.5.3.2 asks for more, which a job can't wait for). An email whose
/// answer takes longer may have gone.
const TAKING: Duration = Duration::from_secs(60);
/// A connection that was kept says within this time that it is still one. A small part of a dialogue's time: what is
/// left is enough for another.
const STILL_THERE: Duration = Duration::from_secs(3);

/// Answers about who may send at all (RFC 4954), not about one email.
const ABOUT_THE_ACCOUNT: &[u16] = &[454, 530, 534, 535, 538];
/// What the words of a refusal begin with if it is one of permission (RFC 3463 §3.8).
const NOT_ALLOWED: &str = "5.7.";

/// Emails by SMTP.
pub struct Smtp {
    server: Server,
    from: Mailbox,
    clock: Arc<dyn Clock>,
    idle: Idle<AsyncSmtpConnection>,
}

impl Smtp {
    /// Emails by this server. Nothing is asked of it yet.
    ///
    /// # Errors
    /// [`BadSmtpUrl`] if the address is no good, or a password would cross the network as plain text.
    pub fn new(config: &SmtpConfig, clock: Arc<dyn Clock>) -> Result<Self, BadSmtpUrl> {
        let server = Server::at(config.url.expose())?;
        let address = config.sender.address.on_the_wire().parse();
        let address = address.map_err(|_| BadSmtpUrl::Sender)?;
        let from = Mailbox::new(config.sender.name.clone(), address);
        Ok(Self { server, from, clock, idle: Idle::new() })
    }

    /// Connects, signs in, names the sender and goes: what is to be known of it. No email is begun.
    ///
    /// # Errors
    /// What is wrong, in a sentence for operators.
    pub async fn check(&self) -> Result<Vec<String>, String> {
        match timeout(DIALOGUE, self.introduce()).await {
            Ok(Ok(())) => Ok(vec!["the server lets us in, and does not mind the sender".into()]),
            Ok(Err(error)) => Err(format!("SMTP: {}", in_words(&error))),
            Err(_) => Err("SMTP: the server does not answer".into()),
        }
    }

    async fn introduce(&self) -> Result<(), SmtpError> {
        let mut connection = self.server.connect().await?;
        connection.command(MailFrom::new(Some(self.from.email.clone()), vec![])).await?;
        connection.command(Rset).await?;
        connection.abort().await;
        Ok(())
    }

    /// A connection on which an email can begin.
    async fn connection(&self) -> Result<AsyncSmtpConnection, SmtpError> {
        if let Some(mut kept) = self.idle.take(Instant::now()) {
            if let Ok(Ok(_)) = timeout(STILL_THERE, kept.command(Rset)).await {
                return Ok(kept);
            }
            // What has become of one has most likely become of all (a server that closes what waits for long, a
            // network that forgets it without a word): no email has to find that out again.
            self.idle.clear();
        }
        self.server.connect().await
    }

    /// Speaks with the server until it waits for the email.
    async fn begin(&self, envelope: &Envelope) -> Result<AsyncSmtpConnection, SendError> {
        let mut connection = self.connection().await.map_err(|error| not_sent(&error))?;
        let mut parameters = vec![];
        if envelope.to().iter().any(|to| !AsRef::<str>::as_ref(to).is_ascii()) {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(SendError::Permanent("SMTP: the server takes no such address (SMTPUTF8)".into()));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        let from = MailFrom::new(envelope.from().cloned(), parameters);
        // What is said of the sender is true of every email.
        connection.command(from).await.map_err(|error| of_the_account(&error))?;
        for to in envelope.to() {
            connection
                .command(Rcpt::new(to.clone(), vec![]))
                .await
                .map_err(|error| refused_unread(&error))?;
        }
        connection.command(Data).await.map_err(|error| refused_unread(&error))?;
        Ok(connection)
    }
}

#[async_trait]
impl Transport for Smtp {
    async fn send(&self, mail: &Mail, email: &Email) -> Result<(), SendError> {
        let message = message::written(&self.from, mail, email, self.clock.now());
        let message = message.map_err(|error| SendError::Permanent(error.to_string()))?;
        let begun = timeout(DIALOGUE, self.begin(message.envelope())).await;
        let mut connection =
            begun.unwrap_or_else(|_| Err(SendError::Temporary("SMTP: the server does not answer".into())))?;
        match timeout(TAKING, connection.message(&message.formatted())).await {
            Ok(Ok(_)) => {
                self.idle.keep(connection, Instant::now());
                Ok(())
            }
            Ok(Err(error)) if error.status().is_some() => Err(refused(&error)),
            Ok(Err(_)) | Err(_) => {
                Err(SendError::Uncertain("SMTP: the server was given the email, and did not answer".into()))
            }
        }
    }

    fn is_idempotent(&self) -> bool {
        false
    }
}

/// No connection, or none on which emails are taken.
fn not_sent(error: &SmtpError) -> SendError {
    let code = error.status().map(u16::from);
    if error.is_permanent() || code.is_some_and(|code| ABOUT_THE_ACCOUNT.contains(&code)) {
        return of_the_account(error);
    }
    SendError::Temporary(format!("SMTP: {}", in_words(error)))
}

fn of_the_account(error: &SmtpError) -> SendError {
    if let Some(code) = error.status().map(u16::from).filter(|_| error.is_permanent()) {
        // What the server says may hold an address.
        tracing::error!(code, "the SMTP server takes no emails from us: they wait until that is mended");
    }
    SendError::Temporary(format!("SMTP: {}", in_words(error)))
}

/// An answer before the server has read the email. Servers such as Postfix hold back what they have against us or the
/// sender until a recipient is named ("554 5.7.1 Relay access denied"): a want of permission is not the email's fault.
fn refused_unread(error: &SmtpError) -> SendError {
    let words = error.source().map(ToString::to_string).unwrap_or_default();
    match error.is_permanent() && words.trim_start().starts_with(NOT_ALLOWED) {
        true => of_the_account(error),
        false => refused(error),
    }
}

/// An answer about this email, or none before the server had it.
fn refused(error: &SmtpError) -> SendError {
    let code = error.status().map(u16::from);
    match error.is_permanent() && !code.is_some_and(|code| ABOUT_THE_ACCOUNT.contains(&code)) {
        true => SendError::Permanent(format!("SMTP: {}", in_words(error))),
        false => not_sent(error),
    }
}

/// The server's words, or what broke, on one line.
fn in_words(error: &SmtpError) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}
