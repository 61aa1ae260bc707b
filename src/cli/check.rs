//! `orientation check`: what is configured, which part serves what, and what is wrong with it.

use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use super::{Failed, run};
use crate::app::{STORE_FILE, schemas};
use crate::config::{Config, KEYS, MailConfig};
use crate::features::payments::{Gateway, Source, Stripe, Webhook};
use crate::platform::mail;
use crate::platform::signals::Redis;
use crate::platform::store::{Access, Store};

/// A part that doesn't answer within this time can't be used either.
const PATIENCE: Duration = Duration::from_secs(15);

/// Prints every key with its value, and which part serves what; tries each beside a service that may run.
///
/// # Errors
/// If a key is bad, or a part can't be used.
pub(super) async fn run() -> Result<(), Failed> {
    println!("{}", keys());
    let config = run::configuration()?;
    println!("event     {}, as the file says", config.event.name);
    let mut wrong = vec![];
    for (name, part) in [
        ("store", in_time(store(&config)).await),
        ("signals", in_time(signals(&config)).await),
        ("mail", in_time(mail(&config)).await),
        ("payments", in_time(payments(&config)).await),
        ("metrics", Ok(metrics(&config))),
        ("traces", in_time(traces(&config)).await),
    ] {
        match part {
            Ok(found) => println!("{name:10}{found}"),
            Err(why) => {
                println!("{name:10}WRONG: {why}");
                wrong.push(name);
            }
        }
    }
    if wrong.is_empty() {
        println!("Nothing is wrong.");
        return Ok(());
    }
    Err(Failed(format!("what stands behind these can't be used: {}", wrong.join(", "))))
}

fn keys() -> Table {
    let environment = run::environment();
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["key", "value", "meaning"]);
    for key in KEYS {
        let value = match environment.get(key.name).filter(|value| !value.is_empty()) {
            Some(value) => key.shown(value).to_owned(),
            None => format!("{} (default)", key.default),
        };
        table.add_row([key.name, &value, key.meaning]);
    }
    table
}

/// What was found, or why it can't be used: sentences without secrets.
type Found = Result<String, String>;

async fn in_time(trying: impl Future<Output = Found>) -> Found {
    let found = timeout(PATIENCE, trying).await;
    found.unwrap_or_else(|_| Err(format!("no answer within {} seconds", PATIENCE.as_secs())))
}

async fn store(config: &Config) -> Found {
    if let Some(address) = &config.mongodb {
        let store =
            Store::mongo(address.expose(), Access::Beside).await.map_err(|error| error.to_string())?;
        let known = known(&store).await?;
        return Ok(format!("MongoDB, database {}: answers, and has transactions; {known}", store.name()));
    }
    let folder = config.data.display();
    let file = config.data.join(STORE_FILE);
    if !file.exists() {
        return Ok(format!("SQLite in {folder}: made at the first start"));
    }
    let store = Store::sqlite(&file, Access::Beside).map_err(|error| error.to_string())?;
    Ok(format!("SQLite in {folder}: opens; {}", known(&store).await?))
}

/// What a start of this version would make of what is stored. Looks only: an older version may go on with it.
async fn known(store: &Store) -> Found {
    let outdated = store.outdated(&schemas()).await.map_err(|error| error.to_string())?;
    match outdated.is_empty() {
        true => Ok("its schema is known".to_owned()),
        false => Ok(format!(
            "an older version wrote {}: the start of this one migrates it, once no other process serves",
            outdated.join(", ")
        )),
    }
}

async fn signals(config: &Config) -> Found {
    let Some(url) = &config.redis else { return Ok("within the process".to_owned()) };
    Redis::check(url, "orientation:check:").await.map_err(|error| error.to_string())?;
    Ok("Redis: answers, and takes limits and wake-ups".to_owned())
}

async fn mail(config: &Config) -> Found {
    let part = match &config.mail {
        MailConfig::Outbox => return Ok("the outbox, at /outbox".to_owned()),
        MailConfig::Ses(ses) => format!("AWS SES in {}, from {}", ses.region, ses.sender.address),
        MailConfig::Smtp(smtp) => format!("SMTP, from {}", smtp.sender.address),
    };
    Ok(format!("{part}: {}", mail::check(&config.mail).await?.join("; ")))
}

async fn payments(config: &Config) -> Found {
    let Some(account) = &config.stripe else { return Ok("the sandbox".to_owned()) };
    let stripe = Stripe::new(account).map_err(|error| error.to_string())?;
    Webhook::new(Source::Stripe { live: account.live }, config.stripe_webhook_secrets.clone())
        .map_err(|error| format!("STRIPE_WEBHOOK_SECRETS: {error}"))?;
    stripe.check().await.map_err(|error| error.to_string())?;
    match account.live {
        true => Ok("Stripe, with a live key that it lets in: payments are real".to_owned()),
        false => Ok("Stripe, with a test key that it lets in: no money moves".to_owned()),
    }
}

fn metrics(config: &Config) -> String {
    match config.metrics_listen {
        None => "nowhere".to_owned(),
        Some(address) => format!("at http://{address}/metrics of each process"),
    }
}

async fn traces(config: &Config) -> Found {
    let Some(collector) = &config.otlp else { return Ok("none".to_owned()) };
    reach(collector).await.map_err(|error| format!("{collector} can't be reached: {error}"))?;
    Ok(format!("sent to {collector}, which can be reached"))
}

/// Whether somebody listens there. What is said over the connection is another matter.
async fn reach(url: &Url) -> std::io::Result<()> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    TcpStream::connect((host, url.port_or_known_default().unwrap_or(80))).await.map(drop)
}
