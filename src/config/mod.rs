//! The one reader of the environment, and of `event.toml`.
//!
//! [`KEYS`] names every key with its default, its form and its meaning: what `orientation check` and
//! `docs/configuration.md` show. [`Config::from_env`] takes the environment as a map and reports everything that
//! is wrong with it at once.

mod event;
mod keys;
mod parts;
mod reader;
mod site;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use url::Url;

use crate::kernel::Secret;

pub use event::{BadEvent, EarlyBird, Event, EventError, GroupConfig, OTHER_PRONOUNS, Product, Window};
pub use keys::{ConfiguredKey, KEYS, Key, KeyPurpose, SANDBOX_SECRET};
pub use parts::{AwsCredentials, MailConfig, SenderConfig, SesConfig, SmtpConfig, StripeConfig};
use reader::Reader;

/// All that an operator decides.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the service listens; port 0 is any free one.
    pub listen: SocketAddr,
    /// The folder of the embedded store; made if it isn't there.
    pub data: PathBuf,
    /// The address of the MongoDB that is the store; `None`: the embedded one in `data`.
    pub mongodb: Option<Secret<String>>,
    /// The address of the Redis that carries signals; `None`: they stay within the process.
    pub redis: Option<Secret<String>>,
    /// Who takes the money; `None`: the sandbox.
    pub stripe: Option<StripeConfig>,
    /// What takes letters away.
    pub mail: MailConfig,
    /// Where metrics can be read; `None`: nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// The collector of traces; `None`: there is none.
    pub otlp: Option<Url>,
    /// What `event.toml` says.
    pub event: Event,
    /// Where the service is reached; without a path.
    pub public_url: Url,
    /// Where the frontend is reached, on the same site as `public_url`; without a path.
    pub frontend_url: Option<Url>,
    /// Keys from outside; none means a ring made once in the store.
    pub keys: Vec<ConfiguredKey>,
    /// Filter of the log, in the syntax of `tracing_subscriber::EnvFilter`.
    pub log: String,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Embedded parts may face strangers, and every page and letter says REHEARSAL.
    pub rehearsal: bool,
    /// What Stripe's webhooks are signed with; several while one is being replaced.
    pub stripe_webhook_secrets: Vec<Secret<String>>,
    /// Factor on the rate limits; 0 is off.
    pub limits: f64,
    /// `public_url` was made from the address listened on.
    public_url_is_derived: bool,
}

/// One key that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadKey {
    /// The key's name.
    pub key: String,
    /// What is wrong with it, without its value.
    pub why: String,
    /// What would be right.
    pub wanted: String,
}

/// Everything that is wrong with the environment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct BadConfig(pub Vec<BadKey>);

impl fmt::Display for BadConfig {
    /// A paragraph a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, BadKey { key, why, wanted }) in self.0.iter().enumerate() {
            let gap = if i > 0 { "\n" } else { "" };
            write!(f, "{gap}{key}: {why}\n    right would be: {wanted}")?;
        }
        Ok(())
    }
}

impl Config {
    /// Reads the environment, and the event's file that it names. Keys of others are left alone; an empty value
    /// counts as not set.
    ///
    /// # Errors
    /// [`BadConfig`] with every key that is wrong.
    pub fn from_env(env: &BTreeMap<String, String>) -> Result<Self, BadConfig> {
        reader::read(Reader::new(env))
    }

    /// The same with the address that is really listened on, which decides the public URL where none was given.
    pub fn with_listen_addr(mut self, addr: SocketAddr) -> Self {
        self.listen = addr;
        if self.public_url_is_derived {
            self.public_url = site::of_address(addr);
        }
        self
    }

    /// The base of links that people follow: the frontend, or the service's own pages.
    pub fn pages_url(&self) -> &Url {
        self.frontend_url.as_ref().unwrap_or(&self.public_url)
    }
}

#[cfg(test)]
mod tests;
