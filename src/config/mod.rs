//! Reads the environment and `event.toml`.
//!
//! [`KEYS`] describes every key for `orientation check` and `docs/configuration.md`. [`Config::from_env`] takes the
//! environment as a map and reports all errors together.

mod check;
mod event;
mod form;
mod keys;
mod parts;
mod product;
mod question;
mod reader;
mod site;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use url::Url;

use crate::kernel::Secret;

pub use event::{
    BadEvent, Event, EventError, GroupConfig, LIST_LENGTH, NAME_LENGTH, OTHER_PRONOUNS, SignInRules, Window,
};
pub use form::{FormConfig, can_be_left_out};
pub use keys::{ConfiguredKey, KEYS, Key, KeyPurpose, SANDBOX_SECRET};
pub use parts::{AwsCredentials, MailConfig, SenderConfig, SesConfig, SmtpConfig, StripeConfig};
pub use product::{BuyerKind, Buyers, CAPACITY_MAX, EarlyBird, Product};
pub use question::{
    Condition, ExpectedAnswer, LONGEST_ANSWER, NUMBERS, QUESTIONS_MAX, Question, QuestionKind, Required,
};
use reader::Reader;

/// The operator's settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address to listen on; port 0 picks a free port.
    pub listen: SocketAddr,
    /// Folder of the embedded store; created if missing.
    pub data: PathBuf,
    /// Address of MongoDB; `None` for the embedded store in `data`.
    pub mongodb: Option<Secret<String>>,
    /// Address of Redis; `None` for signals within the process.
    pub redis: Option<Secret<String>>,
    /// Stripe account; `None` for the sandbox.
    pub stripe: Option<StripeConfig>,
    /// Transport for emails.
    pub mail: MailConfig,
    /// Address of `/metrics`; `None` if it is not served.
    pub metrics_listen: Option<SocketAddr>,
    /// Collector of traces, if there is one.
    pub otlp: Option<Url>,
    /// Contents of `event.toml`.
    pub event: Event,
    /// Files and folders of fonts that tickets need beside those in the program.
    pub fonts: Vec<PathBuf>,
    /// URL of the service, without a path.
    pub public_url: Url,
    /// URL of the frontend, without a path; on the same site as `public_url`.
    pub frontend_url: Option<Url>,
    /// Configured keys; if empty, a ring is created in the store.
    pub keys: Vec<ConfiguredKey>,
    /// Log filter, in the syntax of `tracing_subscriber::EnvFilter`.
    pub log: String,
    /// Proxies whose forwarding headers are trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether other machines may reach the embedded parts; every page and email then says REHEARSAL.
    pub rehearsal: bool,
    /// Secrets that sign payment webhooks; several while one is being replaced.
    pub stripe_webhook_secrets: Vec<Secret<String>>,
    /// Factor on the rate limits; 0 turns them off.
    pub limits: f64,
    /// Whether `public_url` was derived from the address listened on.
    public_url_is_derived: bool,
}

/// One key with an invalid value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadKey {
    /// Name of the key.
    pub key: String,
    /// What is wrong, without the value.
    pub why: String,
    /// Syntax of a valid value.
    pub wanted: String,
}

/// All errors in the environment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct BadConfig(pub Vec<BadKey>);

impl fmt::Display for BadConfig {
    /// One paragraph per key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, BadKey { key, why, wanted }) in self.0.iter().enumerate() {
            let gap = if i > 0 { "\n" } else { "" };
            write!(f, "{gap}{key}: {why}\n    expected: {wanted}")?;
        }
        Ok(())
    }
}

impl Config {
    /// Reads the environment, and the event file that it names. Other programs' variables are ignored. An empty value
    /// counts as not set.
    ///
    /// # Errors
    /// [`BadConfig`] with every invalid key.
    pub fn from_env(env: &BTreeMap<String, String>) -> Result<Self, BadConfig> {
        reader::read(Reader::new(env))
    }

    /// The configuration with the address that is actually listened on. It determines the public URL if none is set.
    pub fn with_listen_addr(mut self, addr: SocketAddr) -> Self {
        self.listen = addr;
        if self.public_url_is_derived {
            self.public_url = site::of_address(addr);
        }
        self
    }

    /// URL of the address that is listened on.
    pub fn listen_url(&self) -> Url {
        site::of_address(self.listen)
    }

    /// Base of the links in emails: the frontend, or the service's own pages.
    pub fn pages_url(&self) -> &Url {
        self.frontend_url.as_ref().unwrap_or(&self.public_url)
    }
}

#[cfg(test)]
mod tests;
