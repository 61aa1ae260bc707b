//! `orientation check`: what is configured, which part serves what, and what is wrong with it.

#[cfg(unix)]
use std::path::{Path, PathBuf};
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use super::{Failed, run};
use crate::app::{STORE_FILE, schemas};
use crate::config::{Config, FormConfig, KEYS, MailConfig, Question, Required};
use crate::features::payments::{Gateway, Source, Stripe, Webhook};
use crate::features::registration::{self, Registration};
use crate::platform::mail;
use crate::platform::signals::Redis;
use crate::platform::store::{Access, Store, schema};

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
    for question in &config.event.form.questions {
        println!("{:10}{}", "question", described(question));
    }
    let mut wrong = vec![];
    let opened = in_time(open_store(&config)).await;
    for (name, part) in [
        ("form", form(&config.event.form, &opened).await),
        ("store", in_time(store(&config, &opened)).await),
        ("signals", in_time(signals(&config)).await),
        ("mail", in_time(mail(&config)).await),
        ("payments", in_time(payments(&config)).await),
        ("metrics", Ok(metrics(&config))),
        ("traces", in_time(traces(&config)).await),
    ] {
        match part {
            Ok(found) => println!("{name:10}{found}"),
            Err(why) => {
                println!("{name:10}ERROR: {why}");
                wrong.push(name);
            }
        }
    }
    for warning in open_files(&config) {
        println!("{:10}{warning}", "WARNING");
    }
    if wrong.is_empty() {
        println!("No errors.");
        return Ok(());
    }
    Err(Failed(format!("these can't be used as they are: {}", wrong.join(", "))))
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

async fn in_time<T>(trying: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let found = timeout(PATIENCE, trying).await;
    found.unwrap_or_else(|_| Err(format!("no reply within {} seconds", PATIENCE.as_secs())))
}

/// A question in words: `bus (yes-no, required)`.
fn described(question: &Question) -> String {
    let required = match &question.required {
        _ if question.retired => "retired".to_owned(),
        Required::No => "optional".to_owned(),
        Required::Yes => "required".to_owned(),
        Required::If(condition) => format!("depends on {}", condition.question),
    };
    format!("{} ({}, {required}): {}", question.id, question.kind.as_str(), question.label)
}

/// The store, opened beside a service that may run; `None` if it doesn't exist yet.
async fn open_store(config: &Config) -> Result<Option<Store>, String> {
    let file = config.data.join(STORE_FILE);
    let opened = match &config.mongodb {
        Some(address) => Store::mongo(address.expose(), Access::Beside).await,
        None if file.exists() => Store::sqlite(&file, Access::Beside),
        None => return Ok(None),
    };
    opened.map(Some).map_err(|error| error.to_string())
}

async fn store(config: &Config, opened: &Result<Option<Store>, String>) -> Found {
    let folder = config.data.display();
    match opened.as_ref().map_err(Clone::clone)? {
        None => Ok(format!("SQLite in {folder}: will be created at the first start")),
        Some(store) if config.mongodb.is_some() => {
            let known = known(store).await?;
            Ok(format!("MongoDB, database {}: reachable, with transactions; {known}", store.name()))
        }
        Some(store) => Ok(format!("SQLite in {folder}: opens; {}", known(store).await?)),
    }
}

/// Compares the form with the answers that are stored, unless an older version wrote them. Reads every registration,
/// however long that takes.
async fn form(form: &FormConfig, opened: &Result<Option<Store>, String>) -> Found {
    let summary =
        format!("{} questions, {} built-in fields left out", form.asked().count(), form.without.len());
    let Ok(Some(store)) = opened else { return Ok(summary) };
    if !store.is_current(&schema::<Registration>()).await.map_err(|error| error.to_string())? {
        return Ok(summary);
    }
    let orphans = registration::orphans(store, form).await.map_err(|error| error.to_string())?;
    match orphans.is_empty() {
        true => Ok(format!("{summary}; it has a place for everything that is stored")),
        false => Err(orphans.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
    }
}

/// A warning for each file of the embedded store that other users of this machine can open: it holds keys and personal
/// data. This program creates files with the rights 0600, but older versions and copies by hand may have wider rights.
#[cfg(unix)]
fn open_files(config: &Config) -> Vec<String> {
    use std::os::unix::fs::PermissionsExt;
    let files = ["", "-wal", "-shm", ".lock"].map(|end| config.data.join(format!("{STORE_FILE}{end}")));
    let mode = |file: &Path| std::fs::metadata(file).ok().map(|found| found.permissions().mode() & 0o777);
    let open =
        files.iter().filter_map(|file| Some((file, mode(file)?))).filter(|(_, mode)| mode & 0o077 != 0);
    let warning = |(file, mode): (&PathBuf, u32)| {
        let file = file.display();
        format!("{file} can be opened by other users of this machine ({mode:04o}): run `chmod 600 {file}`")
    };
    open.map(warning).collect()
}

/// Rights are checked on Unix only.
#[cfg(not(unix))]
fn open_files(_: &Config) -> Vec<String> {
    vec![]
}

/// What a start of this version would make of what is stored. Looks only: an older version may go on with it.
async fn known(store: &Store) -> Found {
    let outdated = store.outdated(&schemas()).await.map_err(|error| error.to_string())?;
    match outdated.is_empty() {
        true => Ok("its schema is known".to_owned()),
        false => Ok(format!(
            "an older version wrote {}: this version migrates it at its first start, when no other process is running",
            outdated.join(", ")
        )),
    }
}

async fn signals(config: &Config) -> Found {
    let Some(url) = &config.redis else { return Ok("within the process".to_owned()) };
    Redis::check(url, "orientation:check:").await.map_err(|error| error.to_string())?;
    Ok("Redis: reachable, accepts rate limits and signals".to_owned())
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
        true => Ok("Stripe: live key accepted, payments are real".to_owned()),
        false => Ok("Stripe: test key accepted, no money moves".to_owned()),
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
    Ok(format!("sent to {collector}, which is reachable"))
}

/// Whether somebody listens there. What is said over the connection is another matter.
async fn reach(url: &Url) -> std::io::Result<()> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    TcpStream::connect((host, url.port_or_known_default().unwrap_or(80))).await.map(drop)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn files_that_others_can_open_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().to_string_lossy().into_owned();
        let config = Config::from_env(&[("ORIENTATION_DATA".to_owned(), data)].into()).unwrap();
        assert_eq!(open_files(&config), Vec::<String>::new());
        for (name, mode) in
            [(STORE_FILE, 0o644), ("orientation.db-wal", 0o600), ("orientation.db-shm", 0o640)]
        {
            let file = folder.path().join(name);
            write(&file, "").unwrap();
            set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        }
        let warnings = open_files(&config);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        let file = folder.path().join(STORE_FILE).display().to_string();
        assert_eq!(
            warnings[0],
            format!("{file} can be opened by other users of this machine (0644): run `chmod 600 {file}`")
        );
        assert!(warnings[1].contains("orientation.db-shm") && warnings[1].contains("(0640)"), "{warnings:?}");
    }
}
