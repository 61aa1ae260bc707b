//! Reads the environment key by key and keeps what is wrong.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use url::Url;

use super::event::Event;
use super::keys::{self, ConfiguredKey, KEYS, Key, KeyPurpose};
use super::site;
use super::{BadConfig, BadKey, Config};
use crate::kernel::Secret;

/// The environment, and what has been found wrong with it.
pub(super) struct Reader<'a> {
    env: &'a BTreeMap<String, String>,
    bad: Vec<BadKey>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(env: &'a BTreeMap<String, String>) -> Self {
        Self { env, bad: vec![] }
    }

    fn is_set(&self, name: &str) -> bool {
        self.env.get(name).is_some_and(|value| !value.trim().is_empty())
    }

    /// The value of a key or its default; `None` if it is wrong, which is kept.
    fn read<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let written = self.env.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
        parse(written.unwrap_or(key(name).default)).map_err(|why| self.refuse(name, why)).ok()
    }

    fn refuse(&mut self, name: &'static str, why: impl Into<String>) {
        self.bad.push(BadKey { key: name.into(), why: why.into(), wanted: key(name).form.into() });
    }
}

fn key(name: &'static str) -> &'static Key {
    KEYS.iter().find(|key| key.name == name).expect("only keys of the table are read")
}

/// Reads everything, then holds the rules between keys.
pub(super) fn read(mut reader: Reader) -> Result<Config, BadConfig> {
    refuse_unknown(&mut reader);
    let listen = reader
        .read(keys::LISTEN, |text| text.parse().map_err(|_| "it is not an IP address and a port".to_owned()));
    let data = reader.read(keys::DATA, folder);
    let event = reader.read(keys::EVENT, event);
    let given_url = reader.read(keys::PUBLIC_URL, optional(site::parse));
    let frontend_url = reader.read(keys::FRONTEND_URL, optional(site::parse));
    let keys = reader.read(keys::KEY_RING, key_ring);
    let log = reader.read(keys::LOG, log_filter);
    let trusted_proxies = reader.read(keys::TRUSTED_PROXIES, proxies);
    let rehearsal = reader.read(keys::REHEARSAL, yes_or_no);
    let limits = reader.read(keys::LIMITS, factor);
    let stripe_webhook_secrets = reader.read(keys::WEBHOOK_SECRETS, webhook_secrets);

    let derived_url = listen.map(site::of_address);
    let public_url = given_url.clone().and_then(|given| given.or(derived_url.clone()));
    if let (Some(listened), Some(public), Some(rehearsal)) = (&derived_url, &public_url, rehearsal) {
        keep_embedded_parts_at_home(&mut reader, listened, public, rehearsal);
    }
    if let (Some(public), Some(Some(frontend))) = (&public_url, &frontend_url)
        && !site::same_site(public, frontend)
    {
        reader.refuse(
            keys::FRONTEND_URL,
            "browsers count it as another site than the public URL, and would not send the session's cookie",
        );
    }
    hold_stripe_rules(&mut reader, &stripe_webhook_secrets, limits);

    let complete = || {
        Some(Config {
            listen: listen?,
            data: data?,
            event: event?,
            public_url: public_url?,
            frontend_url: frontend_url?,
            keys: keys?,
            log: log?,
            trusted_proxies: trusted_proxies?,
            rehearsal: rehearsal?,
            stripe_webhook_secrets: stripe_webhook_secrets?,
            limits: limits?,
            public_url_is_derived: given_url?.is_none(),
        })
    };
    let bad = reader.bad;
    complete().filter(|_| bad.is_empty()).ok_or(BadConfig(bad))
}

/// Outbox and sandbox never face strangers by mistake: only a rehearsal leaves this machine.
fn keep_embedded_parts_at_home(reader: &mut Reader, listened: &Url, public: &Url, rehearsal: bool) {
    const WHY: &str = "others than this machine would reach it, and with it the outbox and the payment sandbox, \
                       the only ones that this version has; ORIENTATION_REHEARSAL=yes allows it";
    if rehearsal {
        let unspecified = matches!(listened.host_str(), Some("0.0.0.0" | "[::]"));
        if unspecified && !reader.is_set(keys::PUBLIC_URL) {
            reader.refuse(keys::PUBLIC_URL, "it is not set, and nobody can follow a link to every address");
        }
        return;
    }
    if !site::is_loopback(listened) {
        reader.refuse(keys::LISTEN, WHY);
    }
    if reader.is_set(keys::PUBLIC_URL) && !site::is_loopback(public) {
        reader.refuse(keys::PUBLIC_URL, WHY);
    }
}

/// Nothing of the sandbox goes with a real key, and a live key goes with the limits on.
fn hold_stripe_rules(reader: &mut Reader, secrets: &Option<Vec<Secret<String>>>, limits: Option<f64>) {
    if !reader.is_set(keys::SECRET_KEY) {
        return;
    }
    reader.refuse(
        keys::SECRET_KEY,
        "this version has only the payment sandbox, and takes no money through Stripe",
    );
    let of_sandbox = |secret: &Secret<String>| secret.expose().starts_with(keys::SANDBOX_SECRET);
    if secrets.iter().flatten().any(of_sandbox) {
        reader.refuse(keys::WEBHOOK_SECRETS, "a secret of the sandbox is listed beside a key of Stripe");
    }
    let live = reader.env[keys::SECRET_KEY].contains("_live_");
    if live && limits == Some(0.0) {
        reader.refuse(keys::LIMITS, "the rate limits are off, and the key of Stripe is a live one");
    }
}

/// A key of ours that nobody reads is a slip of the pen.
fn refuse_unknown(reader: &mut Reader) {
    let ours = reader.env.keys().filter(|name| name.starts_with("ORIENTATION_"));
    let unknown = ours.filter(|name| !KEYS.iter().any(|key| key.name == **name));
    // The test build's switches are read where they are thrown.
    let unknown = unknown.filter(|name| !(cfg!(feature = "faults") && *name == "ORIENTATION_FAULTS"));
    let bad: Vec<_> = unknown.map(|name| unknown_key(name)).collect();
    reader.bad.extend(bad);
}

fn unknown_key(name: &str) -> BadKey {
    let nearest = KEYS.iter().min_by_key(|key| strsim::damerau_levenshtein(key.name, name));
    let nearest = nearest.expect("there are keys").name;
    BadKey { key: name.into(), why: "there is no such key".into(), wanted: format!("perhaps {nearest}") }
}

fn optional<T>(parse: impl Fn(&str) -> Result<T, String>) -> impl Fn(&str) -> Result<Option<T>, String> {
    move |text| if text.is_empty() { Ok(None) } else { parse(text).map(Some) }
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn folder(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.exists() && !path.is_dir() { Err("it is a file".into()) } else { Ok(path) }
}

fn event(path: &str) -> Result<Event, String> {
    let text = std::fs::read_to_string(Path::new(path)).map_err(|e| format!("{path} can't be read ({e})"))?;
    Event::parse(&text).map_err(|bad| bad.in_file(path))
}

fn key_ring(text: &str) -> Result<Vec<ConfiguredKey>, String> {
    let ring = items(text)
        .enumerate()
        .map(|(i, item)| configured_key(item).map_err(|why| format!("entry {}: {why}", i + 1)))
        .collect::<Result<Vec<_>, _>>()?;
    let mut seen = HashSet::new();
    if let Some(twice) = ring.iter().find(|key| !seen.insert((key.purpose, &key.id))) {
        return Err(format!("the id {} stands there twice for {}", twice.id, twice.purpose.word()));
    }
    let missing = KeyPurpose::ALL.iter().find(|purpose| !ring.iter().any(|key| key.purpose == **purpose));
    match missing {
        Some(purpose) if !ring.is_empty() => Err(format!("no key is for {}", purpose.word())),
        _ => Ok(ring),
    }
}

fn configured_key(item: &str) -> Result<ConfiguredKey, String> {
    let [id, purpose, key] = item.splitn(3, ':').collect::<Vec<_>>()[..] else {
        return Err("it is not id:purpose:key".into());
    };
    let of_id = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !(1..=16).contains(&id.len()) || !id.bytes().all(of_id) {
        return Err("its id is not 1 to 16 small letters a to z, digits and hyphens".into());
    }
    let purpose = KeyPurpose::ALL.into_iter().find(|known| known.word() == purpose);
    let purpose = purpose.ok_or("its purpose is none of ticket, letter, unsubscribe")?;
    let key = STANDARD.decode(key).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let key = key.ok_or("its key is not 32 bytes in base64")?;
    Ok(ConfiguredKey { id: id.into(), purpose, key: Secret::new(key) })
}

fn log_filter(text: &str) -> Result<String, String> {
    match tracing_subscriber::EnvFilter::try_new(text) {
        Ok(_) => Ok(text.into()),
        Err(e) => Err(format!("it is not a filter ({e})")),
    }
}

fn proxies(text: &str) -> Result<Vec<IpNet>, String> {
    let network =
        |item: &str| item.parse().or_else(|_| item.parse::<std::net::IpAddr>().map(IpNet::from)).ok();
    items(text)
        .map(|item| network(item).ok_or_else(|| format!("`{item}` is neither an address nor a network")))
        .collect()
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("it is neither yes nor no".into()),
    }
}

fn factor(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if (0.0..=1000.0).contains(&factor) => Ok(factor),
        _ => Err("it is not a number from 0 to 1000".into()),
    }
}

fn webhook_secrets(text: &str) -> Result<Vec<Secret<String>>, String> {
    let begins_right = |item: &str| item.starts_with("whsec_") && item.len() > "whsec_".len();
    if let Some(i) = items(text).position(|item| !begins_right(item)) {
        return Err(format!("entry {} does not begin whsec_", i + 1));
    }
    Ok(items(text).map(|item| Secret::new(item.to_owned())).collect())
}
