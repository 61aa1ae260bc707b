//! A conversation with an SMTP server.
//!
//! lettre builds the messages, but its client is not used: it decodes replies as UTF-8 and requires text in them, so it
//! can't tell that an email was accepted by a server that writes neither (docs/decisions/0021). What is left of SMTP for
//! one message at a time is small.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::reply::Reply;
use super::server::Credentials;

/// Why a conversation can't go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum SmtpError {
    /// The server replied with something else than what the command asks for.
    #[error("{0}")]
    Refused(Reply),
    #[error("{}", in_words(.0))]
    Network(#[from] io::Error),
    #[error("the server does not offer STARTTLS")]
    NoStartTls,
    #[error("the server offers neither AUTH PLAIN nor AUTH LOGIN")]
    NoSignIn,
}

fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the server closed the connection".into(),
        io::ErrorKind::InvalidData if error.get_ref().is_none() => "the server does not reply as SMTP".into(),
        _ => error.to_string(),
    }
}

/// A stream of bytes, encrypted or not.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A conversation with a server that has said what it can do.
pub(super) struct Connection {
    stream: BufReader<Box<dyn Stream>>,
    /// The lines of the reply to EHLO, in upper case.
    extensions: Vec<String>,
}

/// What became of a message.
#[derive(Debug)]
pub(super) enum Delivery {
    /// The server accepted it. Its connection, if another message can follow on it.
    Accepted(Option<Connection>),
    /// The server refused it.
    Refused(Reply),
    /// The server got it, or part of it, and did not reply.
    Unknown,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

impl Connection {
    /// Reads the greeting on a new stream. Nothing but [`start_tls`](Self::start_tls) and [`hello`](Self::hello) may
    /// follow.
    pub async fn greeted(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Self, SmtpError> {
        let mut connection = Self::over(stream);
        connection.reply(200..300).await?;
        Ok(connection)
    }

    fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self { stream: BufReader::new(Box::new(stream)), extensions: vec![] }
    }

    /// Introduces us and reads what the server can do.
    pub async fn hello(&mut self, name: &str) -> Result<(), SmtpError> {
        let reply = self.command(&format!("EHLO {name}"), 200..300).await?;
        self.extensions = reply.texts().skip(1).map(|line| line.to_uppercase()).collect();
        Ok(())
    }

    /// Encrypts the conversation (RFC 3207). What the server can do has to be asked again.
    pub async fn start_tls(
        mut self,
        tls: &Arc<ClientConfig>,
        host: ServerName<'static>,
    ) -> Result<Self, SmtpError> {
        if !self.has("STARTTLS") {
            return Err(SmtpError::NoStartTls);
        }
        self.command("STARTTLS", 200..300).await?;
        // Somebody between us and the server could have added replies that would pass for encrypted ones.
        if !self.stream.buffer().is_empty() {
            return Err(io::Error::from(io::ErrorKind::InvalidData).into());
        }
        Ok(Self::over(TlsConnector::from(tls.clone()).connect(host, self.stream.into_inner()).await?))
    }

    /// Signs in (RFC 4954).
    pub async fn sign_in(&mut self, credentials: &Credentials) -> Result<(), SmtpError> {
        let (name, password) = (&credentials.name, credentials.password.expose());
        if self.can_sign_in_by("PLAIN") {
            let both = STANDARD.encode(format!("\0{name}\0{password}"));
            self.command(&format!("AUTH PLAIN {both}"), 200..300).await?;
        } else if self.can_sign_in_by("LOGIN") {
            self.command("AUTH LOGIN", 334..335).await?;
            self.command(&STANDARD.encode(name), 334..335).await?;
            self.command(&STANDARD.encode(password), 200..300).await?;
        } else {
            return Err(SmtpError::NoSignIn);
        }
        Ok(())
    }

    /// Whether the server offers this extension.
    pub fn has(&self, extension: &str) -> bool {
        self.extensions.iter().any(|line| line.split_whitespace().next() == Some(extension))
    }

    fn can_sign_in_by(&self, mechanism: &str) -> bool {
        // Some servers write AUTH=, as a draft of the standard did.
        let offers = self.extensions.iter().filter(|line| line.starts_with("AUTH"));
        offers.flat_map(|line| line.split([' ', '='])).any(|word| word == mechanism)
    }

    /// Sends a command and reads the reply, whose code must be among `expected`.
    pub async fn command(
        &mut self,
        command: &str,
        expected: std::ops::Range<u16>,
    ) -> Result<Reply, SmtpError> {
        self.stream.write_all(format!("{command}\r\n").as_bytes()).await?;
        self.stream.flush().await?;
        self.reply(expected).await
    }

    async fn reply(&mut self, expected: std::ops::Range<u16>) -> Result<Reply, SmtpError> {
        let mut reply = Reply::default();
        reply.read(&mut self.stream).await?;
        match reply.code() {
            Some(code) if expected.contains(&code) => Ok(reply),
            _ => Err(SmtpError::Refused(reply)),
        }
    }

    /// Hands over a message after the reply to DATA. The code decides as soon as it has arrived: whatever happens to the
    /// connection afterwards, an accepted message is not sent again.
    pub async fn deliver(mut self, message: &[u8], patience: Duration) -> Delivery {
        let mut reply = Reply::default();
        let outcome = timeout(patience, async {
            let written = self.stream.write_all(&with_dots_doubled(message)).await;
            let flushed = self.stream.flush().await;
            // A server may refuse a message before it has all of it, and close the connection.
            reply.read(&mut self.stream).await.and(written).and(flushed)
        })
        .await;
        let is_good = matches!(outcome, Ok(Ok(()))) && reply.is_complete();
        match reply.code() {
            Some(200..=299) => Delivery::Accepted(is_good.then_some(self)),
            Some(400..=599) => Delivery::Refused(reply),
            _ => Delivery::Unknown,
        }
    }

    /// Ends the conversation. What the server says to that doesn't matter.
    pub async fn quit(mut self) {
        let _ = self.command("QUIT", 200..300).await;
    }
}

/// The message with its end, and with another dot before each dot that begins a line (RFC 5321, 4.5.2).
fn with_dots_doubled(message: &[u8]) -> Vec<u8> {
    let mut sent = Vec::with_capacity(message.len() + 64);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            sent.push(b'.');
        }
        sent.extend_from_slice(line);
    }
    if !sent.is_empty() && !sent.ends_with(b"\r\n") {
        sent.extend_from_slice(b"\r\n");
    }
    sent.extend_from_slice(b".\r\n");
    sent
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
