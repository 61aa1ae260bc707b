//! Notifications of AWS through SNS: anybody can send us messages, so they are verified.
//!
//! SNS signs a message with its own key. The message itself names the URL of that key's certificate, so only URLs on
//! SNS's own host in the topic's region are accepted (`hosts`), and the TLS connection proves that the host is SNS's. A
//! valid signature proves that *some* topic of *some* AWS account sent the message: only the topics that the operator
//! lists are accepted.

mod certificate;
mod hosts;
mod kept;
mod message;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use url::Url;

use self::certificate::Certificate;
pub use self::hosts::{AwsHosts, Hosts, Unreachable};
use self::kept::Kept;
pub use self::message::{Message, MessageKind};
use crate::kernel::{Timestamp, faults};

/// Maximum age of a message: SNS retries a delivery for hours.
const OLDEST: Duration = Duration::from_secs(24 * 3600);
/// Maximum difference between the clocks.
const AHEAD: Duration = Duration::from_secs(15 * 60);
/// Maximum number of certificates fetched at once, because anonymous clients choose the URLs.
const FETCHES: usize = 2;

/// Why a message is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    #[error("it is not a message of SNS: {0}")]
    Unreadable(&'static str),
    #[error("its topic is not listed in ORIENTATION_SES_TOPICS")]
    Topic,
    #[error("it is too old, or from the future")]
    Stale,
    #[error("it names a URL that is not one of SNS's own")]
    Address,
    #[error("its certificate is not SNS's or not valid now")]
    Certificate,
    #[error("its signature is invalid")]
    Signature,
}

/// Why a message can't be accepted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// The certificate is unavailable now.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
}

/// Verifies the messages of the listed topics.
pub struct Sns {
    topics: Vec<String>,
    hosts: Arc<dyn Hosts>,
    kept: Mutex<Kept>,
    fetches: Semaphore,
}

impl Sns {
    /// Accepts messages of `topics` (ARNs).
    pub fn new(topics: Vec<String>, hosts: Arc<dyn Hosts>) -> Self {
        Self { topics, hosts, kept: Mutex::default(), fetches: Semaphore::new(FETCHES) }
    }

    /// Parses and verifies a message. Expensive checks come last.
    ///
    /// # Errors
    /// [`ReadError`] if it is refused, or the certificate is unavailable now.
    pub async fn read(&self, body: &[u8], now: Timestamp) -> Result<Message, ReadError> {
        let message = Message::parse(body)?;
        if !self.topics.contains(&message.topic) {
            return Err(Untrusted::Topic.into());
        }
        if message.at > now.plus(AHEAD) || message.at < now.minus(OLDEST) {
            return Err(Untrusted::Stale.into());
        }
        let address = hosts::certificate(&message.certificate, &message.topic).ok_or(Untrusted::Address)?;
        let certificate = self.certificate(&address, now).await?;
        if !certificate.is_valid(now) {
            return Err(Untrusted::Certificate.into());
        }
        if faults::guarded("sns-signature") && !certificate.has_signed(&message) {
            return Err(Untrusted::Signature.into());
        }
        Ok(message)
    }

    /// Confirms the subscription of a message of [`MessageKind::Subscription`].
    ///
    /// # Errors
    /// [`ReadError`] if the URL is not one of SNS's own, or does not answer.
    pub async fn confirm(&self, message: &Message) -> Result<(), ReadError> {
        let address =
            message.subscribe.as_deref().and_then(|address| hosts::confirmation(address, &message.topic));
        self.hosts.get(&address.ok_or(Untrusted::Address)?).await?;
        Ok(())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The certificate of this URL. A cached one is returned at once.
    async fn certificate(&self, address: &Url, now: Timestamp) -> Result<Certificate, ReadError> {
        if let Some(known) = self.kept().certificate(address) {
            return Ok(known);
        }
        if self.kept().failed(address, now) {
            return Err(Unreachable("it had no certificate a moment ago".into()).into());
        }
        let _fetch = self
            .fetches
            .try_acquire()
            .map_err(|_| Unreachable("too many certificates are being fetched".into()))?;
        let fetched = self.fetch(address).await;
        match &fetched {
            Ok(certificate) => self.kept().keep(address, certificate.clone()),
            Err(_) => self.kept().remember_failure(address, now),
        }
        fetched
    }

    async fn fetch(&self, address: &Url) -> Result<Certificate, ReadError> {
        let fetched = self.hosts.get(address).await?;
        Ok(Certificate::parse(&fetched, address).ok_or(Untrusted::Certificate)?)
    }
}
