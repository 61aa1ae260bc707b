//! Reads the environment key by key and collects all errors.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use url::Url;

use super::event::Event;
use super::keys::{self, ConfiguredKey, KEYS, Key, KeyPurpose};
use super::parts::{AwsCredentials, MailConfig, SenderConfig, SesConfig, SmtpConfig, StripeConfig};
use super::site;
use super::{BadConfig, BadKey, Config};
use crate::kernel::{EmailAddress, Secret};

/// The environment and the errors found so far.
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

    /// The value of a key or its default. An invalid value is recorded and gives `None`.
    fn read<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let written = self.env.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
        parse(written.unwrap_or(key(name).default)).map_err(|why| self.refuse(name, why)).ok()
    }

    /// The value of a secret key, if it is set.
    fn secret(
        &mut self,
        name: &'static str,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Option<Option<Secret<String>>> {
        self.read(name, optional(|text| check(text).map(|()| Secret::new(text.to_owned()))))
    }

    fn refuse(&mut self, name: &'static str, why: impl Into<String>) {
        self.bad.push(BadKey { key: name.into(), why: why.into(), wanted: key(name).form.into() });
    }
}

fn key(name: &'static str) -> &'static Key {
    KEYS.iter().find(|key| key.name == name).expect("only keys of the table are read")
}

/// Reads all keys, then checks the rules between them.
pub(super) fn read(mut reader: Reader) -> Result<Config, BadConfig> {
    refuse_unknown(&mut reader);
    let listen = reader.read(keys::LISTEN, address);
    let data = reader.read(keys::DATA, folder);
    let event = reader.read(keys::EVENT, event);
    let fonts = reader.read(keys::FONTS, paths);
    let given_url = reader.read(keys::PUBLIC_URL, optional(site::parse));
    let frontend_url = reader.read(keys::FRONTEND_URL, optional(site::parse));
    let keys = reader.read(keys::KEY_RING, key_ring);
    let log = reader.read(keys::LOG, log_filter);
    let trusted_proxies = reader.read(keys::TRUSTED_PROXIES, proxies);
    let rehearsal = reader.read(keys::REHEARSAL, yes_or_no);
    let limits = reader.read(keys::LIMITS, factor);
    let stripe_webhook_secrets = reader.read(keys::WEBHOOK_SECRETS, webhook_secrets);

    let mongodb = reader.secret(keys::MONGODB_URI, |uri| begins(uri, &["mongodb://", "mongodb+srv://"]));
    let redis = reader.secret(keys::REDIS_URL, |url| begins(url, &["redis://", "rediss://"]));
    let stripe = stripe(&mut reader);
    let mail = mail(&mut reader, event.as_ref().map(|event| &event.contact));
    let metrics_listen = reader.read(keys::METRICS_LISTEN, optional(address));
    let otlp = reader.read(keys::OTLP_ENDPOINT, optional(site::parse));
    if let (Some(listen), Some(Some(metrics))) = (listen, metrics_listen)
        && collide(listen, metrics)
    {
        reader.refuse(keys::METRICS_LISTEN, "ORIENTATION_LISTEN is the same address");
    }

    let derived_url = listen.map(site::of_address);
    let public_url = given_url.clone().and_then(|given| given.or(derived_url.clone()));
    if let (Some(listened), Some(public), Some(rehearsal)) = (&derived_url, &public_url, rehearsal) {
        keep_embedded_parts_local(&mut reader, listened, public, rehearsal);
        hold_public_rules(&mut reader, listened, public, rehearsal);
    }
    if let (Some(public), Some(Some(frontend))) = (&public_url, &frontend_url)
        && !site::same_site(public, frontend)
    {
        reader.refuse(
            keys::FRONTEND_URL,
            "browsers treat it as a different site from the public URL and would not send the session cookie",
        );
    }
    if let Some(Some(stripe)) = &stripe {
        hold_stripe_rules(&mut reader, stripe, &stripe_webhook_secrets);
    }
    if matches!(&stripe, Some(Some(stripe)) if stripe.live) {
        hold_live_rules(&mut reader, public_url.as_ref(), limits, rehearsal);
    }

    let complete = || {
        Some(Config {
            listen: listen?,
            data: data?,
            mongodb: mongodb?,
            redis: redis?,
            stripe: stripe?,
            mail: mail?,
            metrics_listen: metrics_listen?,
            otlp: otlp?,
            event: event?,
            fonts: fonts?,
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

/// Outside a rehearsal, refuses an outbox or sandbox that other machines can reach, and a mix of embedded and real
/// parts.
fn keep_embedded_parts_local(reader: &mut Reader, listened: &Url, public: &Url, rehearsal: bool) {
    const WHY: &str = "other machines could reach the outbox and the payment sandbox: set STRIPE_SECRET_KEY and \
                       ORIENTATION_MAIL_FROM, or ORIENTATION_REHEARSAL=yes for a rehearsal";
    let (stripe, mail) = (reader.is_set(keys::SECRET_KEY), reader.is_set(keys::MAIL_FROM));
    if rehearsal || (stripe && mail) {
        return;
    }
    if stripe {
        let why = "emails about real payments would stay in the outbox: set ORIENTATION_MAIL_FROM, or \
                   ORIENTATION_REHEARSAL=yes";
        return reader.refuse(keys::SECRET_KEY, why);
    }
    if mail {
        let why = "real emails would report payments made in the sandbox: set STRIPE_SECRET_KEY, or \
                   ORIENTATION_REHEARSAL=yes";
        return reader.refuse(keys::MAIL_FROM, why);
    }
    if !site::is_loopback(listened) {
        reader.refuse(keys::LISTEN, WHY);
    }
    if reader.is_set(keys::PUBLIC_URL) && !site::is_loopback(public) {
        reader.refuse(keys::PUBLIC_URL, WHY);
    }
}

/// The public URL must lead to the service, and use TLS unless only this machine can reach it.
fn hold_public_rules(reader: &mut Reader, listened: &Url, public: &Url, rehearsal: bool) {
    let refused = |bad: &BadKey| [keys::LISTEN, keys::PUBLIC_URL].contains(&&*bad.key);
    if reader.bad.iter().any(refused) {
        return;
    }
    let everywhere = matches!(listened.host_str(), Some("0.0.0.0" | "[::]"));
    if everywhere && !reader.is_set(keys::PUBLIC_URL) {
        reader.refuse(
            keys::PUBLIC_URL,
            "required, because ORIENTATION_LISTEN is a wildcard address, which links can't use",
        );
    } else if !rehearsal && !site::is_loopback(public) && public.scheme() != "https" {
        reader.refuse(keys::PUBLIC_URL, "must begin with https:// unless it leads to this machine");
    } else if !rehearsal && site::is_loopback(public) && !site::is_loopback(listened) {
        reader.refuse(
            keys::PUBLIC_URL,
            "leads to this machine, although other machines can reach the service, without https",
        );
    }
}

/// The Stripe account, if one is configured.
fn stripe(reader: &mut Reader) -> Option<Option<StripeConfig>> {
    const KINDS: [&str; 4] = ["sk_test_", "sk_live_", "rk_test_", "rk_live_"];
    let secret_key = reader.secret(keys::SECRET_KEY, |key| begins(key, &KINDS));
    let api_base = reader.read(keys::STRIPE_API_BASE, optional(site::parse));
    let (secret_key, api_base) = (secret_key?, api_base?);
    Some(secret_key.map(|secret_key| {
        let live = secret_key.expose().contains("_live_");
        StripeConfig { secret_key, live, api_base }
    }))
}

/// A Stripe key excludes the sandbox's secrets, and a live key excludes the API address for tests.
fn hold_stripe_rules(reader: &mut Reader, stripe: &StripeConfig, secrets: &Option<Vec<Secret<String>>>) {
    let of_sandbox = |secret: &Secret<String>| secret.expose().starts_with(keys::SANDBOX_SECRET);
    match secrets {
        Some(secrets) if secrets.is_empty() => reader.refuse(
            keys::WEBHOOK_SECRETS,
            "required with STRIPE_SECRET_KEY, to verify Stripe's webhooks: use the signing secret of the endpoint",
        ),
        Some(secrets) if secrets.iter().any(of_sandbox) => {
            reader.refuse(keys::WEBHOOK_SECRETS, "contains a secret of the sandbox, although STRIPE_SECRET_KEY is set");
        }
        _ => {}
    }
    if stripe.live && stripe.api_base.is_some() {
        reader.refuse(keys::STRIPE_API_BASE, "is for tests and can't be used with a live Stripe key");
    }
}

/// A live Stripe key needs rate limits, no rehearsal, and a public URL that leads to more than this machine.
fn hold_live_rules(reader: &mut Reader, public: Option<&Url>, limits: Option<f64>, rehearsal: Option<bool>) {
    if limits == Some(0.0) {
        reader.refuse(keys::LIMITS, "rate limits can't be turned off with a live Stripe key");
    }
    if rehearsal == Some(true) {
        reader
            .refuse(keys::REHEARSAL, "a rehearsal must not move money, and STRIPE_SECRET_KEY is a live key");
    } else if public.is_some_and(site::is_loopback)
        && !reader.bad.iter().any(|bad| bad.key == keys::PUBLIC_URL)
    {
        reader.refuse(
            keys::PUBLIC_URL,
            "with a live Stripe key, links in emails must not lead to this machine",
        );
    }
}

/// The transport for emails.
fn mail(reader: &mut Reader, contact: Option<&EmailAddress>) -> Option<MailConfig> {
    let from = reader.read(keys::MAIL_FROM, optional(mailbox));
    let rate = reader.read(keys::MAIL_RATE, mail_rate);
    let smtp = reader.secret(keys::SMTP_URL, |url| begins(url, &["smtp://", "smtps://"]));
    let topics = reader.read(keys::SES_TOPICS, topics);
    let endpoint = reader.read(keys::AWS_ENDPOINT, optional(site::parse));
    let Some((name, address)) = from? else {
        if reader.is_set(keys::SMTP_URL) {
            reader.refuse(keys::MAIL_FROM, "required with ORIENTATION_SMTP_URL");
        }
        return Some(MailConfig::Outbox);
    };
    // A configuration without a contact is refused because of its event.
    let contact = contact.unwrap_or(&address).clone();
    let sender = SenderConfig { name, address, contact, rate: rate? };
    match smtp? {
        Some(url) => Some(MailConfig::Smtp(SmtpConfig { sender, url })),
        None => ses(reader, sender, topics?, endpoint?).map(MailConfig::Ses),
    }
}

fn ses(
    reader: &mut Reader,
    sender: SenderConfig,
    topics: Vec<String>,
    endpoint: Option<Url>,
) -> Option<SesConfig> {
    let text = |text: &str| Ok(text.to_owned());
    let region = reader.read(keys::AWS_REGION, optional(text))?;
    let id = reader.read(keys::AWS_KEY_ID, optional(text))?;
    let key = reader.secret(keys::AWS_KEY, |_| Ok(()))?;
    let token = reader.secret(keys::AWS_TOKEN, |_| Ok(()))?;
    if id.is_some() != key.is_some() {
        reader.refuse(keys::AWS_KEY_ID, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set together");
    }
    if region.is_none() {
        reader.refuse(keys::AWS_REGION, "required to send emails by SES");
    }
    let credentials = id.zip(key).map(|(id, key)| AwsCredentials { id, key, token });
    Some(SesConfig { sender, region: region?, credentials, endpoint, topics })
}

/// An unknown `ORIENTATION_` key is a typing error.
fn refuse_unknown(reader: &mut Reader) {
    let ours = reader.env.keys().filter(|name| name.starts_with("ORIENTATION_"));
    let unknown = ours.filter(|name| !KEYS.iter().any(|key| key.name == **name));
    // Addresses of the servers for tests.
    let unknown = unknown.filter(|name| !name.starts_with("ORIENTATION_TEST_"));
    // The test build reads this one elsewhere.
    let unknown = unknown.filter(|name| !(cfg!(feature = "faults") && *name == "ORIENTATION_FAULTS"));
    let bad: Vec<_> = unknown.map(|name| unknown_key(name)).collect();
    reader.bad.extend(bad);
}

fn unknown_key(name: &str) -> BadKey {
    let nearest = KEYS.iter().min_by_key(|key| strsim::damerau_levenshtein(key.name, name));
    let nearest = nearest.expect("there are keys").name;
    BadKey { key: name.into(), why: "unknown key".into(), wanted: format!("did you mean {nearest}?") }
}

fn optional<T>(parse: impl Fn(&str) -> Result<T, String>) -> impl Fn(&str) -> Result<Option<T>, String> {
    move |text| if text.is_empty() { Ok(None) } else { parse(text).map(Some) }
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn begins(text: &str, with: &[&str]) -> Result<(), String> {
    let right = with.iter().any(|begin| text.len() > begin.len() && text.starts_with(begin));
    if right { Ok(()) } else { Err(format!("must begin with {}", with.join(" or "))) }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "not an IP address with a port".to_owned())
}

/// Whether a process can't listen on both. Port 0 is any free port.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let covers = |one: SocketAddr, other: SocketAddr| {
        // `[::]` accepts both address families.
        one.ip().is_unspecified() && (one.is_ipv6() || other.is_ipv4())
    };
    one.port() != 0
        && one.port() == other.port()
        && (one.ip() == other.ip() || covers(one, other) || covers(other, one))
}

/// Parses `Name <address>` or the address alone.
fn mailbox(text: &str) -> Result<(Option<String>, EmailAddress), String> {
    let (name, address) = match text.strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
        Some((name, address)) => (name.trim().trim_matches('"'), address),
        None => ("", text),
    };
    let address = EmailAddress::parse(address).map_err(|error| error.to_string())?;
    if address.needs_smtputf8() {
        return Err("the part before the @ must be ASCII: many mail servers accept nothing else".into());
    }
    if name.chars().any(char::is_control) {
        return Err("the name contains control characters".into());
    }
    Ok(((!name.is_empty()).then(|| name.to_owned()), address))
}

fn mail_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.1..=1000.0).contains(&rate) => Ok(rate),
        _ => Err("not a number from 0.1 to 1000".into()),
    }
}

pub(super) fn topics(text: &str) -> Result<Vec<String>, String> {
    let right = |item: &str| {
        let parts: Vec<_> = item.split(':').collect();
        parts.len() == 6
            && parts[0] == "arn"
            && parts[2] == "sns"
            && parts.iter().all(|part| !part.is_empty())
    };
    // An invalid entry may be a secret under the wrong key, so it is not quoted.
    match items(text).position(|item| !right(item)) {
        Some(i) => Err(format!("entry {} is not the ARN of an SNS topic", i + 1)),
        None => Ok(items(text).map(str::to_owned).collect()),
    }
}

/// Refuses a URL: paths are printed, and a URL may contain a password.
fn no_address(path: &str) -> Result<(), String> {
    match path {
        _ if path.contains("://") => Err("is a URL, not a path on this machine".into()),
        _ if keys::looks_secret(path) => Err("looks like a secret, not a path".into()),
        _ => Ok(()),
    }
}

fn folder(text: &str) -> Result<PathBuf, String> {
    no_address(text)?;
    let path = PathBuf::from(text);
    if path.exists() && !path.is_dir() { Err("is a file, not a folder".into()) } else { Ok(path) }
}

/// Paths that exist. None is quoted: it may be a secret under the wrong key.
pub(super) fn paths(text: &str) -> Result<Vec<PathBuf>, String> {
    let paths: Vec<_> = items(text).map(PathBuf::from).collect();
    match paths.iter().position(|path| !path.exists()) {
        Some(i) => Err(format!("entry {} does not exist", i + 1)),
        None => Ok(paths),
    }
}

fn event(path: &str) -> Result<Event, String> {
    no_address(path)?;
    // The value is not quoted: it may be a secret under the wrong key.
    let text =
        std::fs::read_to_string(Path::new(path)).map_err(|e| format!("the file can't be read ({e})"))?;
    Event::parse(&text).map_err(|bad| bad.in_file(path))
}

fn key_ring(text: &str) -> Result<Vec<ConfiguredKey>, String> {
    let ring = items(text)
        .enumerate()
        .map(|(i, item)| configured_key(item).map_err(|why| format!("entry {}: {why}", i + 1)))
        .collect::<Result<Vec<_>, _>>()?;
    let mut seen = HashSet::new();
    if let Some(twice) = ring.iter().find(|key| !seen.insert((key.purpose, &key.id))) {
        return Err(format!("the id {} is used twice for {}", twice.id, twice.purpose.word()));
    }
    let missing = KeyPurpose::ALL.iter().find(|purpose| !ring.iter().any(|key| key.purpose == **purpose));
    match missing {
        Some(purpose) if !ring.is_empty() => Err(format!("has no key for {}", purpose.word())),
        _ => Ok(ring),
    }
}

fn configured_key(item: &str) -> Result<ConfiguredKey, String> {
    let [id, purpose, key] = item.splitn(3, ':').collect::<Vec<_>>()[..] else {
        return Err("not id:purpose:key".into());
    };
    let of_id = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !(1..=16).contains(&id.len()) || !id.bytes().all(of_id) {
        return Err("the id is not 1 to 16 lower-case letters, digits and hyphens".into());
    }
    let purpose =
        KeyPurpose::parse(purpose).ok_or("the purpose is not ticket, email, unsubscribe or second-factor")?;
    let key = STANDARD.decode(key).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let key = key.ok_or("the key is not 32 bytes in base64")?;
    Ok(ConfiguredKey { id: id.into(), purpose, key: Secret::new(key) })
}

fn log_filter(text: &str) -> Result<String, String> {
    match tracing_subscriber::EnvFilter::try_new(text) {
        Ok(_) => Ok(text.into()),
        Err(e) => Err(format!("not a log filter ({e})")),
    }
}

fn proxies(text: &str) -> Result<Vec<IpNet>, String> {
    let network =
        |item: &str| item.parse().or_else(|_| item.parse::<std::net::IpAddr>().map(IpNet::from)).ok();
    items(text)
        .enumerate()
        .map(|(i, item)| {
            network(item).ok_or_else(|| format!("entry {} is neither an IP address nor a network", i + 1))
        })
        .collect()
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("must be yes or no".into()),
    }
}

fn factor(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if (0.0..=1000.0).contains(&factor) => Ok(factor),
        _ => Err("not a number from 0 to 1000".into()),
    }
}

fn webhook_secrets(text: &str) -> Result<Vec<Secret<String>>, String> {
    let begins_right = |item: &str| item.starts_with("whsec_") && item.len() > "whsec_".len();
    if let Some(i) = items(text).position(|item| !begins_right(item)) {
        return Err(format!("entry {} does not begin with whsec_", i + 1));
    }
    Ok(items(text).map(|item| Secret::new(item.to_owned())).collect())
}
