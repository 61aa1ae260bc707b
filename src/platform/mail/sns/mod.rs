//! What AWS tells by SNS: messages that anybody can send us, and how we know which are AWS's.
//!
//! A message is signed with a key of SNS's. The certificate of that key lies at an address that the message names
//! itself, so only an address on SNS's own host in the topic's region is believed (`hosts`), and the TLS connection to it says that it is
//! SNS that answers. A right signature proves that *some* topic of *some* account at AWS told this: only the topics
//! that the operator lists count.

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

/// SNS goes on trying to deliver a message for hours.
const OLDEST: Duration = Duration::from_secs(24 * 3600);
/// Clocks differ.
const AHEAD: Duration = Duration::from_secs(15 * 60);
/// Certificates that are fetched at once: whoever sends us addresses must not make us ask for all of them.
const FETCHES: usize = 2;

/// Why a message is not believed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotBelieved {
    #[error("it is no message of SNS: {0}")]
    Unreadable(&'static str),
    #[error("its topic is not listed in ORIENTATION_SES_TOPICS")]
    Topic,
    #[error("it is too old, or from the future")]
    Stale,
    #[error("it names an address that is not one of SNS's own")]
    Address,
    #[error("its certificate is not one of SNS's that is valid now")]
    Certificate,
    #[error("its signature is wrong")]
    Signature,
}

/// Why a message was not read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    NotBelieved(#[from] NotBelieved),
    /// The certificate can't be had now.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
}

/// Reads the messages of the topics that are believed.
pub struct Sns {
    topics: Vec<String>,
    hosts: Arc<dyn Hosts>,
    kept: Mutex<Kept>,
    fetches: Semaphore,
}

impl Sns {
    /// Believes what is told under one of `topics` (ARNs).
    pub fn new(topics: Vec<String>, hosts: Arc<dyn Hosts>) -> Self {
        Self { topics, hosts, kept: Mutex::default(), fetches: Semaphore::new(FETCHES) }
    }

    /// Reads a message, as it came. Costly questions come last.
    ///
    /// # Errors
    /// [`ReadError`] if it is not believed, or the certificate can't be had now.
    pub async fn read(&self, body: &[u8], now: Timestamp) -> Result<Message, ReadError> {
        let message = Message::parse(body)?;
        if !self.topics.contains(&message.topic) {
            return Err(NotBelieved::Topic.into());
        }
        if message.at > now.plus(AHEAD) || message.at < now.minus(OLDEST) {
            return Err(NotBelieved::Stale.into());
        }
        let address = hosts::certificate(&message.certificate, &message.topic).ok_or(NotBelieved::Address)?;
        let certificate = self.certificate(&address, now).await?;
        if !certificate.is_valid(now) {
            return Err(NotBelieved::Certificate.into());
        }
        if faults::guarded("sns-signature") && !certificate.has_signed(&message) {
            return Err(NotBelieved::Signature.into());
        }
        Ok(message)
    }

    /// Says yes to a subscription that a message of [`MessageKind::Subscription`] asks for.
    ///
    /// # Errors
    /// [`ReadError`] if the address is not one of SNS's own, or does not answer.
    pub async fn confirm(&self, message: &Message) -> Result<(), ReadError> {
        let address =
            message.subscribe.as_deref().and_then(|address| hosts::confirmation(address, &message.topic));
        self.hosts.get(&address.ok_or(NotBelieved::Address)?).await?;
        Ok(())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that is known waits for nobody.
    async fn certificate(&self, address: &Url, now: Timestamp) -> Result<Certificate, ReadError> {
        if let Some(known) = self.kept().certificate(address) {
            return Ok(known);
        }
        if self.kept().failed(address, now) {
            return Err(Unreachable("there was no certificate a moment ago".into()).into());
        }
        let _fetch =
            self.fetches.try_acquire().map_err(|_| Unreachable("others are being fetched".into()))?;
        let fetched = self.fetch(address).await;
        match &fetched {
            Ok(certificate) => self.kept().keep(address, certificate.clone()),
            Err(_) => self.kept().remember_failure(address, now),
        }
        fetched
    }

    async fn fetch(&self, address: &Url) -> Result<Certificate, ReadError> {
        let fetched = self.hosts.get(address).await?;
        Ok(Certificate::parse(&fetched, address).ok_or(NotBelieved::Certificate)?)
    }
}
