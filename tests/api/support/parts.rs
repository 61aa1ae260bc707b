//! The adapters that the services of a run use: the embedded ones, or with `ORIENTATION_TEST_PARTS=real` those for
//! MongoDB, Redis and SES of `scripts/servers`, and for a double of Stripe per test.

use std::path::Path;
use std::sync::Arc;

use orientation::config::{AwsCredentials, Config, MailConfig, SenderConfig, SesConfig, StripeConfig};
use orientation::kernel::{Clock, EmailAddress, Ids, RandomIds, Secret, SystemClock};

use super::app::PATIENCE;
use super::mailbox::PostOffice;
use super::{Mailbox, ShiftedClock};
use crate::doubles::proxy::{Proxy, Weather};
use crate::doubles::sns;
use crate::doubles::stripe::{self, Stripe};
use crate::servers;

/// Whether this run is on the real adapters.
#[expect(clippy::disallowed_methods, reason = "how scripts/test chooses the adapters")]
pub fn on_real_parts() -> bool {
    match std::env::var("ORIENTATION_TEST_PARTS").as_deref() {
        Ok("real") => true,
        Err(_) => false,
        Ok(other) => panic!("ORIENTATION_TEST_PARTS is 'real' or not set, and not '{other}'"),
    }
}

/// The adapters of one service, shared with no other.
pub enum Parts {
    Embedded,
    Real(Box<Real>),
}

pub struct Real {
    database: String,
    /// Between the service and MongoDB.
    network: Proxy,
    stripe: Stripe,
    post_office: PostOffice,
}

impl Parts {
    /// Adapters for a service with this configuration; adds their addresses to it.
    pub async fn prepare(config: &mut Config, clock: &Arc<ShiftedClock>) -> Self {
        match on_real_parts() {
            true => Self::Real(Box::new(Real::prepare(config, clock.clone()).await)),
            false => Self::Embedded,
        }
    }

    /// Sets the address of the service, for Stripe's events.
    pub fn served_at(&self, url: &str) {
        if let Self::Real(real) = self {
            real.stripe.deliver_to(url);
        }
    }

    /// Waits until every event has been delivered.
    pub async fn all_delivered(&self) {
        if let Self::Real(real) = self {
            let delivered = tokio::time::timeout(PATIENCE, real.stripe.all_delivered());
            delivered.await.expect("the service accepts Stripe's events");
        }
    }

    /// The emails of the service at `url` to this address.
    pub fn mailbox(&self, url: &str, email: &str) -> Mailbox {
        match self {
            Self::Embedded => Mailbox::new(PostOffice::Outbox(url.to_owned()), email),
            Self::Real(real) => Mailbox::new(real.post_office.clone(), email),
        }
    }

    /// Makes reads and writes fail until [`Parts::bring_store_back`].
    pub fn take_store_away(&self, data: &Path) {
        match self {
            Self::Embedded => rename_tables(data, |table| Some(format!("{TAKEN_AWAY}{table}"))),
            Self::Real(real) => real.network.turns(Weather::Cut),
        }
    }

    pub fn bring_store_back(&self, data: &Path) {
        match self {
            Self::Embedded => rename_tables(data, |table| table.strip_prefix(TAKEN_AWAY).map(str::to_owned)),
            Self::Real(real) => real.network.turns(Weather::Fair),
        }
    }

    /// Removes the data from shared servers.
    pub async fn remove(self) {
        if let Self::Real(real) = self {
            let client =
                mongodb::Client::with_uri_str(servers::mongodb()).await.expect("the server's address");
            client.database(&real.database).drop().await.expect("dropped");
        }
    }
}

impl Real {
    async fn prepare(config: &mut Config, clock: Arc<ShiftedClock>) -> Self {
        let name = RandomIds.next();
        let database = format!("orientation-test-{name}");
        let (network, mongodb) = Proxy::before_url(&servers::mongodb_database(&database)).await;
        let stripe = Stripe::start_with(clock).await;
        let from = format!("orientation.{name}@mail.example.edu");
        config.mongodb = Some(Secret::new(mongodb));
        config.redis = Some(Secret::new(servers::redis()));
        charge_with(config, &stripe);
        config.mail = MailConfig::Ses(ses(&from));
        let post_office =
            PostOffice::Ses { server: servers::ses(), from, since: SystemClock.now().as_secs() };
        Self { database, network, stripe, post_office }
    }
}

/// Configures this double of Stripe as the payment provider.
pub fn charge_with(config: &mut Config, stripe: &Stripe) {
    config.stripe = Some(StripeConfig {
        secret_key: Secret::new(stripe::SECRET_KEY.to_owned()),
        live: false,
        api_base: Some(stripe.url().parse().expect("an address")),
    });
    config.stripe_webhook_secrets.push(Secret::new(stripe::WEBHOOK_SECRET.to_owned()));
}

/// The SES of `scripts/servers`, which lets everybody send as fast as they like.
fn ses(from: &str) -> SesConfig {
    let key = Secret::new("the server checks none".to_owned());
    SesConfig {
        sender: SenderConfig {
            name: None,
            address: EmailAddress::parse(from).expect("an address"),
            contact: EmailAddress::parse(from).expect("an address"),
            rate: 1000.0,
        },
        region: "ca-central-1".into(),
        credentials: Some(AwsCredentials { id: "AKIATEST".into(), key, token: None }),
        endpoint: Some(servers::ses().parse().expect("an address")),
        topics: vec![sns::TOPIC.to_owned()],
    }
}

/// Prefix of the tables' names while the embedded store is unavailable.
const TAKEN_AWAY: &str = "away_";

fn rename_tables(data: &Path, name: impl Fn(&str) -> Option<String>) {
    let mut file = rusqlite::Connection::open(data.join("orientation.db")).expect("it is there");
    file.busy_timeout(PATIENCE).expect("it can be set");
    let change = file.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).expect("in turn");
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let tables: Vec<String> = {
        let mut tables = change.prepare(tables).expect("SQL");
        let names = tables.query_map([], |row| row.get(0)).expect("readable");
        names.map(|name| name.expect("a name")).collect()
    };
    for (table, other) in tables.iter().filter_map(|table| Some((table, name(table)?))) {
        let sql = format!("ALTER TABLE \"{table}\" RENAME TO \"{other}\"");
        change.execute_batch(&sql).expect("renamed");
    }
    change.commit().expect("written");
}
