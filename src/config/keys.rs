//! The environment variables that the service reads, called keys.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{reader, site};
use crate::kernel::Secret;

/// One environment variable, described for people.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Such as `ORIENTATION_LISTEN`.
    pub name: &'static str,
    /// Value that applies if the key is not set; empty if there is none.
    pub default: &'static str,
    /// Syntax of a valid value.
    pub form: &'static str,
    /// What the key sets, and what applies without it.
    pub meaning: &'static str,
}

pub(super) const LISTEN: &str = "ORIENTATION_LISTEN";
pub(super) const DATA: &str = "ORIENTATION_DATA";
pub(super) const EVENT: &str = "ORIENTATION_EVENT";
pub(super) const FONTS: &str = "ORIENTATION_FONTS";
pub(super) const PUBLIC_URL: &str = "ORIENTATION_PUBLIC_URL";
pub(super) const FRONTEND_URL: &str = "ORIENTATION_FRONTEND_URL";
pub(super) const KEY_RING: &str = "ORIENTATION_KEYS";
pub(super) const LOG: &str = "ORIENTATION_LOG";
pub(super) const TRUSTED_PROXIES: &str = "ORIENTATION_TRUSTED_PROXIES";
pub(super) const REHEARSAL: &str = "ORIENTATION_REHEARSAL";
pub(super) const LIMITS: &str = "ORIENTATION_LIMITS";
pub(super) const WEBHOOK_SECRETS: &str = "STRIPE_WEBHOOK_SECRETS";
pub(super) const SECRET_KEY: &str = "STRIPE_SECRET_KEY";
pub(super) const STRIPE_API_BASE: &str = "STRIPE_API_BASE";
pub(super) const MONGODB_URI: &str = "ORIENTATION_MONGODB_URI";
pub(super) const REDIS_URL: &str = "ORIENTATION_REDIS_URL";
pub(super) const MAIL_FROM: &str = "ORIENTATION_MAIL_FROM";
pub(super) const MAIL_RATE: &str = "ORIENTATION_MAIL_RATE";
pub(super) const SMTP_URL: &str = "ORIENTATION_SMTP_URL";
pub(super) const SES_TOPICS: &str = "ORIENTATION_SES_TOPICS";
pub(super) const AWS_REGION: &str = "AWS_REGION";
pub(super) const AWS_ENDPOINT: &str = "AWS_ENDPOINT_URL_SESV2";
pub(super) const AWS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";
pub(super) const AWS_KEY: &str = "AWS_SECRET_ACCESS_KEY";
pub(super) const AWS_TOKEN: &str = "AWS_SESSION_TOKEN";
pub(super) const METRICS_LISTEN: &str = "ORIENTATION_METRICS_LISTEN";
pub(super) const OTLP_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Prefix of the secret that the sandbox creates. Stripe's secrets begin with `whsec_` and continue with letters and
/// digits only, so neither can be mistaken for the other.
pub const SANDBOX_SECRET: &str = "whsec_sandbox_";

/// Length of an AWS secret access key, in characters. A key id has half of that.
const AWS_KEY_LENGTH: usize = 40;

/// All keys, in the order in which people need them.
pub const KEYS: &[Key] = &[
    Key {
        name: LISTEN,
        default: "127.0.0.1:3000",
        form: "an IP address and a port, such as 127.0.0.1:3000 or [::1]:3000; port 0 picks a free port",
        meaning: "Address to listen on. The embedded parts (outbox, sandbox) serve this machine only: with them, an \
                  address that is not loopback needs ORIENTATION_REHEARSAL=yes.",
    },
    Key {
        name: DATA,
        default: "./data",
        form: "the path of a folder; it is created if missing",
        meaning: "Folder of the embedded store. One process at a time can use it.",
    },
    Key {
        name: MONGODB_URI,
        default: "",
        form: "an address such as mongodb://user:password@host/orientation?replicaSet=rs0 or mongodb+srv://…; the \
               path names the database (not admin, config or local), the default is orientation",
        meaning: "MongoDB as the store, for any number of processes: a replica set or a sharded cluster. Without \
                  it, the embedded store is used.",
    },
    Key {
        name: REDIS_URL,
        default: "",
        form: "an address such as redis://:password@host:6379/0, or rediss:// for TLS",
        meaning: "Redis, through which several processes wake each other and share rate limits. It holds nothing \
                  that must not be lost. Without it, each process works alone.",
    },
    Key {
        name: EVENT,
        default: "event.toml",
        form: "the path of a file such as the repository's event.toml",
        meaning: "The faculty's settings: name, dates, groups, products.",
    },
    Key {
        name: FONTS,
        default: "",
        form: "a comma-separated list of paths: font files (.ttf, .otf, .ttc, .otc), or folders that contain them; \
               256 MiB at most",
        meaning: "Fonts for tickets, for scripts that the fonts in the program lack.",
    },
    Key {
        name: PUBLIC_URL,
        default: "",
        form: "an address such as https://api.orientation.example.edu, without a path; http only on this machine or \
               in a rehearsal",
        meaning: "URL at which people and Stripe reach the service. Without it, the address listened on.",
    },
    Key {
        name: FRONTEND_URL,
        default: "",
        form: "an address such as https://orientation.example.edu, without a path, with the scheme and the \
               registrable domain of the public URL (on this machine: the same host, any port)",
        meaning: "URL of the frontend, to which links in emails lead. Without it, they lead to the service's own \
                  pages.",
    },
    Key {
        name: KEY_RING,
        default: "",
        form: "a comma-separated list of id:purpose:key, where id is 1 to 16 lower-case letters, digits and \
               hyphens, purpose is ticket, email, unsubscribe or second-factor (each at least once), and key is 32 \
               random bytes in base64 (`openssl rand -base64 32`)",
        meaning: "Keys that sign tickets, seal links and encrypt the secrets of second factors. The first key of a \
                  purpose signs or encrypts, all verify or decrypt. Without it, a key ring is created in the store.",
    },
    Key {
        name: LOG,
        default: "info",
        form: "a level (error, warn, info, debug, trace), or a filter such as info,orientation=debug",
        meaning: "What is logged.",
    },
    Key {
        name: TRUSTED_PROXIES,
        default: "",
        form: "a comma-separated list of IP addresses or networks, such as 10.0.0.0/8,192.0.2.7",
        meaning: "Proxies in front of the service whose X-Forwarded-For, X-Request-Id and traceparent headers are \
                  trusted.",
    },
    Key {
        name: REHEARSAL,
        default: "no",
        form: "yes or no",
        meaning: "Allows the embedded parts to be reached from other machines. Every page and email then says \
                  REHEARSAL, and the outbox needs an administrator.",
    },
    Key {
        name: LIMITS,
        default: "1",
        form: "a number from 0 to 1000, such as 1, 0.5 or 20",
        meaning: "Factor on the rate limits, for rehearsals and tests; 0 turns them off.",
    },
    Key {
        name: WEBHOOK_SECRETS,
        default: "",
        form: "a comma-separated list of secrets that begin with whsec_",
        meaning: "Secrets that sign payment webhooks; all are accepted. The sandbox signs with the first, or with \
                  one that it creates at its first start.",
    },
    Key {
        name: SECRET_KEY,
        default: "",
        form: "a secret or restricted key of Stripe: sk_test_…, sk_live_…, rk_test_… or rk_live_…",
        meaning: "API key of the Stripe account that receives payments. Without it, the payment sandbox is used.",
    },
    Key {
        name: STRIPE_API_BASE,
        default: "",
        form: "an address such as http://127.0.0.1:12111, without a path",
        meaning: "URL of Stripe's API, for tests; refused with a live key. Without it, Stripe's own.",
    },
    Key {
        name: MAIL_FROM,
        default: "",
        form: "an address, or a name and an address: Orientation Week <orientation@example.edu>",
        meaning: "Sender of all emails. If it is set, emails are sent by SMTP if ORIENTATION_SMTP_URL is set, and \
                  otherwise by AWS SES. Without it, emails are kept in the outbox.",
    },
    Key {
        name: MAIL_RATE,
        default: "10",
        form: "a number from 0.1 to 1000, such as 14",
        meaning: "Maximum number of emails sent per second by all processes together. Set it to the limit of your \
                  account.",
    },
    Key {
        name: SMTP_URL,
        default: "",
        form: "an address such as smtps://user:password@smtp.example.edu, smtp://host:587?tls=required, or \
               smtp://host:25 on this machine",
        meaning: "SMTP server that sends the emails. Without it, SES is used.",
    },
    Key {
        name: SES_TOPICS,
        default: "",
        form: "a comma-separated list of topics, such as arn:aws:sns:ca-central-1:123456789012:bounces",
        meaning: "SNS topics whose notifications of bounces and complaints are accepted.",
    },
    Key {
        name: AWS_REGION,
        default: "",
        form: "the name of a region, such as ca-central-1",
        meaning: "Region of SES. Required for SES.",
    },
    Key {
        name: AWS_KEY_ID,
        default: "",
        form: "the id of an access key, together with AWS_SECRET_ACCESS_KEY",
        meaning: "Access key of the AWS account. Without it, AWS's standard sources are used (profile, container, \
                  machine).",
    },
    Key {
        name: AWS_KEY,
        default: "",
        form: "the secret access key of AWS_ACCESS_KEY_ID",
        meaning: "Secret of the access key.",
    },
    Key {
        name: AWS_TOKEN,
        default: "",
        form: "the session token of temporary credentials",
        meaning: "Session token. Needed with temporary credentials only.",
    },
    Key {
        name: AWS_ENDPOINT,
        default: "",
        form: "an address such as http://127.0.0.1:8005, without a path",
        meaning: "URL of the SES API, for tests. Without it, AWS's own in the region.",
    },
    Key {
        name: METRICS_LISTEN,
        default: "",
        form: "an IP address and a port, such as 127.0.0.1:9464; not the address of ORIENTATION_LISTEN; port 0 \
               picks a free port",
        meaning: "Address at which /metrics is served in the Prometheus format, and nothing else. Without it, \
                  metrics are not served.",
    },
    Key {
        name: OTLP_ENDPOINT,
        default: "",
        form: "an address such as http://127.0.0.1:4318, without a path",
        meaning: "Collector that traces are sent to (OTLP over HTTP). Without it, no traces are sent.",
    },
];

impl Key {
    /// Whether the value is secret.
    pub fn is_secret(&self) -> bool {
        [KEY_RING, WEBHOOK_SECRETS, SECRET_KEY, MONGODB_URI, REDIS_URL, SMTP_URL, AWS_KEY, AWS_TOKEN]
            .contains(&self.name)
    }

    /// What `check` prints of the value: all of it, or only that it is set. A value that can't be parsed may be a secret
    /// under the wrong key, or an address that contains a password.
    pub fn shown<'a>(&self, value: &'a str) -> &'a str {
        let value = value.trim();
        let harmless = match self.name {
            _ if self.is_secret() => return "set",
            PUBLIC_URL | FRONTEND_URL | STRIPE_API_BASE | AWS_ENDPOINT | OTLP_ENDPOINT => {
                site::parse(value).is_ok()
            }
            SES_TOPICS => reader::topics(value).is_ok(),
            AWS_KEY_ID => value.len() < AWS_KEY_LENGTH && value.bytes().all(|b| b.is_ascii_alphanumeric()),
            // A secret under the wrong key is not the path of a file.
            EVENT => Path::new(value).is_file(),
            FONTS => reader::paths(value).is_ok(),
            _ => !looks_secret(value),
        };
        if harmless { value } else { "set, but not shown: it may contain a secret" }
    }
}

/// Whether the value is an address with a user, or contains the prefix of a Stripe secret.
pub(super) fn looks_secret(value: &str) -> bool {
    let signed_in = value.contains("://") && value.contains('@');
    signed_in || ["sk_", "rk_", "whsec_"].iter().any(|prefix| value.contains(prefix))
}

/// One entry of `ORIENTATION_KEYS`.
#[derive(Clone, Debug)]
pub struct ConfiguredKey {
    /// Id of the key in what it signs.
    pub id: String,
    /// What the key is used for.
    pub purpose: KeyPurpose,
    /// The key itself.
    pub key: Secret<[u8; 32]>,
}

/// What a key is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KeyPurpose {
    /// Signs tickets (an Ed25519 seed).
    Ticket,
    /// Seals the links in emails (HMAC-SHA-256). Stored key rings call it `letter`.
    #[serde(rename = "letter")]
    Email,
    /// Seals unsubscribe links (HMAC-SHA-256).
    Unsubscribe,
    /// Encrypts the secrets of second factors (AES-256-GCM).
    SecondFactor,
}

impl KeyPurpose {
    /// Every purpose.
    pub const ALL: [Self; 4] = [Self::Ticket, Self::Email, Self::Unsubscribe, Self::SecondFactor];

    /// Name in `ORIENTATION_KEYS`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ticket => "ticket",
            Self::Email => "email",
            Self::Unsubscribe => "unsubscribe",
            Self::SecondFactor => "second-factor",
        }
    }

    /// The purpose of this name. `letter` is the former name of `email`.
    pub fn parse(word: &str) -> Option<Self> {
        let word = if word == "letter" { "email" } else { word };
        Self::ALL.into_iter().find(|purpose| purpose.word() == word)
    }
}
