//! The one reader of the environment, and of `event.toml`.

use std::net::SocketAddr;
use std::path::PathBuf;

use chrono_tz::Tz;
use ipnet::IpNet;
use url::Url;

use crate::kernel::{Currency, EmailAddress, Money, Secret, Timestamp};

/// All that an operator decides.
#[derive(Clone, Debug)]
pub struct Config {
    pub listen: SocketAddr,
    pub data: PathBuf,
    pub event: Event,
    /// Where the service is reached; without a path.
    pub public_url: Url,
    pub frontend_url: Option<Url>,
    pub keys: Vec<ConfiguredKey>,
    pub log: String,
    pub trusted_proxies: Vec<IpNet>,
    pub rehearsal: bool,
    pub stripe_webhook_secrets: Vec<Secret<String>>,
    /// Factor on the rate limits; 0 is off.
    pub limits: f64,
}

/// One entry of `ORIENTATION_KEYS`.
#[derive(Clone, Debug)]
pub struct ConfiguredKey {
    pub id: String,
    pub purpose: KeyPurpose,
    pub key: Secret<[u8; 32]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KeyPurpose {
    /// Signs tickets (an Ed25519 seed).
    Ticket,
    /// Seals the links in letters (HMAC-SHA-256).
    Letter,
    /// Seals the links that end a subscription (HMAC-SHA-256).
    Unsubscribe,
}

/// What belongs to a faculty: `event.toml`.
#[derive(Clone, Debug)]
pub struct Event {
    /// Such as `Orientation Week 2027`.
    pub name: String,
    /// Such as `Faculty of Applied Science & Engineering`.
    pub faculty: String,
    pub time_zone: Tz,
    pub registration: Window,
    pub disciplines: Vec<String>,
    /// Without `Other`, which is always there.
    pub pronouns: Vec<String>,
    pub shirt_sizes: Vec<String>,
    pub dietary: Vec<String>,
    pub moving_months: Vec<String>,
    pub groups: Vec<GroupConfig>,
    pub products: Vec<Product>,
    /// Where people write to for help.
    pub contact: EmailAddress,
    /// Postal address, printed at the foot of letters and on the ticket.
    pub postal_address: String,
    /// How to find us: a few lines, printed on the ticket.
    pub how_to_find_us: String,
    /// Who gets the daily report.
    pub report_recipients: Vec<EmailAddress>,
}

/// From `opens` until before `closes`.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub opens: Timestamp,
    pub closes: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    pub name: String,
    pub symbol: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// `orientation` is the ticket that registers.
    pub id: String,
    pub name: String,
    pub price: Money,
}

impl Config {
    /// The base of links that people follow: the frontend, or the service's own pages.
    pub fn pages_url(&self) -> &Url {
        self.frontend_url.as_ref().unwrap_or(&self.public_url)
    }
}

#[allow(unused)]
fn unused(_: Currency) {}
