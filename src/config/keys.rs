//! The keys of the environment.

use serde::{Deserialize, Serialize};

use super::{reader, site};
use crate::kernel::Secret;

/// One key of the environment, told for people.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Such as `ORIENTATION_LISTEN`.
    pub name: &'static str,
    /// The value that holds where it isn't set; empty if there is none.
    pub default: &'static str,
    /// How a value is written: what would be right.
    pub form: &'static str,
    /// What it decides.
    pub meaning: &'static str,
}

pub(super) const LISTEN: &str = "ORIENTATION_LISTEN";
pub(super) const DATA: &str = "ORIENTATION_DATA";
pub(super) const EVENT: &str = "ORIENTATION_EVENT";
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

/// How the secret begins that the sandbox makes for itself. Stripe's begin `whsec_` and go on with letters and
/// digits only, so that one is never taken for the other.
pub const SANDBOX_SECRET: &str = "whsec_sandbox_";

/// Characters of a secret key of AWS. Its id has half as many.
const AWS_KEY_LENGTH: usize = 40;

/// Every key that is read, in the order in which people meet them.
pub const KEYS: &[Key] = &[
    Key {
        name: LISTEN,
        default: "127.0.0.1:3000",
        form: "an IP address and a port, such as 127.0.0.1:3000 or [::1]:3000; port 0 is any free one",
        meaning: "Where the service listens. Its embedded parts (outbox, sandbox) are only for this machine: \
                  with them another address than a loopback one needs a rehearsal.",
    },
    Key {
        name: DATA,
        default: "./data",
        form: "the path of a folder, which may not be there yet",
        meaning: "Where the embedded store keeps its file. One process serves or works on it at a time.",
    },
    Key {
        name: MONGODB_URI,
        default: "",
        form: "an address such as mongodb://user:password@host/orientation?replicaSet=rs0 or mongodb+srv://…; the \
               path names the database (not admin, config or local), otherwise it is orientation",
        meaning: "The MongoDB that is the store, for any number of processes: a replica set or a sharded cluster. \
                  Not set: the embedded store.",
    },
    Key {
        name: REDIS_URL,
        default: "",
        form: "an address such as redis://:password@host:6379/0, or rediss:// for TLS",
        meaning: "The Redis by which several processes wake each other and share rate limits; it may be lost at any \
                  time. Not set: each process for itself.",
    },
    Key {
        name: EVENT,
        default: "event.toml",
        form: "the path of a file like the event.toml of the repository",
        meaning: "What belongs to the faculty: name, dates, groups, products.",
    },
    Key {
        name: PUBLIC_URL,
        default: "",
        form: "an address such as https://api.orientation.example.edu, without a path; http only on this \
               machine or in a rehearsal",
        meaning: "Where people and Stripe reach the service. Not set: the address listened on.",
    },
    Key {
        name: FRONTEND_URL,
        default: "",
        form: "an address such as https://orientation.example.edu, without a path, with the scheme and the \
               registrable domain of the public URL (on this machine: the same host, any port)",
        meaning: "Where the frontend is; links in letters lead there. Not set: the service's own plain pages.",
    },
    Key {
        name: KEY_RING,
        default: "",
        form: "a comma-separated list of id:purpose:key, where id is up to 16 small letters, digits and \
               hyphens, purpose is ticket, letter or unsubscribe (each at least once), and key is 32 random bytes in \
               base64 (`openssl rand -base64 32`)",
        meaning: "Keys that sign tickets and seal links. The first of a purpose signs, all verify. Not set: a \
                  ring made once in the store.",
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
        meaning: "The proxies in front of the service, whose word on a client's address is believed.",
    },
    Key {
        name: REHEARSAL,
        default: "no",
        form: "yes or no",
        meaning: "Lets the embedded parts face others than this machine: every page and letter says \
                  REHEARSAL, and the outbox wants an administrator.",
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
        form: "a comma-separated list of secrets that begin whsec_",
        meaning: "What webhooks are signed with; all are accepted. The sandbox signs with the first, or with \
                  one that it makes at its first start.",
    },
    Key {
        name: SECRET_KEY,
        default: "",
        form: "a secret or restricted key of Stripe: sk_test_…, sk_live_…, rk_test_… or rk_live_…",
        meaning: "The account at Stripe that takes the money. Not set: the payment sandbox.",
    },
    Key {
        name: STRIPE_API_BASE,
        default: "",
        form: "an address such as http://127.0.0.1:12111, without a path",
        meaning: "Where Stripe's API is, for tests; never with a live key. Not set: Stripe's own.",
    },
    Key {
        name: MAIL_FROM,
        default: "",
        form: "an address, or a name and an address: Orientation Week <orientation@example.edu>",
        meaning: "Whom letters come from; with it they leave by SMTP where ORIENTATION_SMTP_URL is set, otherwise by \
                  AWS SES. Not set: the outbox.",
    },
    Key {
        name: MAIL_RATE,
        default: "10",
        form: "a number from 0.1 to 1000, such as 14",
        meaning: "How many letters leave in a second at most, from all processes together: what the account may send.",
    },
    Key {
        name: SMTP_URL,
        default: "",
        form: "an address such as smtps://user:password@smtp.example.edu, smtp://host:587?tls=required, or smtp://host:25 \
               on this machine",
        meaning: "The server that takes the letters, where it isn't SES.",
    },
    Key {
        name: SES_TOPICS,
        default: "",
        form: "a comma-separated list of topics, such as arn:aws:sns:ca-central-1:123456789012:bounces",
        meaning: "The SNS topics whose word on bounces and complaints is believed.",
    },
    Key {
        name: AWS_REGION,
        default: "",
        form: "the name of a region, such as ca-central-1",
        meaning: "The region of SES; SES can't be used without it.",
    },
    Key {
        name: AWS_KEY_ID,
        default: "",
        form: "the id of an access key, together with AWS_SECRET_ACCESS_KEY",
        meaning: "Whose account at AWS it is. Not set: wherever AWS's own tools look (profile, container, machine).",
    },
    Key {
        name: AWS_KEY,
        default: "",
        form: "the access key of AWS_ACCESS_KEY_ID",
        meaning: "The secret that goes with the id.",
    },
    Key {
        name: AWS_TOKEN,
        default: "",
        form: "the token that came with temporary keys",
        meaning: "Goes with temporary keys only.",
    },
    Key {
        name: AWS_ENDPOINT,
        default: "",
        form: "an address such as http://127.0.0.1:8005, without a path",
        meaning: "Where the API of SES is, for tests. Not set: AWS's own in the region.",
    },
    Key {
        name: METRICS_LISTEN,
        default: "",
        form: "an IP address and a port, such as 127.0.0.1:9464; not where the service listens; port 0 is any free one",
        meaning: "Where metrics can be read at /metrics, in the format of Prometheus; nothing else is served there. \
                  Not set: nowhere.",
    },
    Key {
        name: OTLP_ENDPOINT,
        default: "",
        form: "an address such as http://127.0.0.1:4318, without a path",
        meaning: "The collector that traces are sent to (OTLP over HTTP). Not set: none are.",
    },
];

impl Key {
    /// Whether its value must not be shown.
    pub fn is_secret(&self) -> bool {
        [KEY_RING, WEBHOOK_SECRETS, SECRET_KEY, MONGODB_URI, REDIS_URL, SMTP_URL, AWS_KEY, AWS_TOKEN]
            .contains(&self.name)
    }

    /// What may be shown of the key's value: all of it, or only that it is set. What can't be read may be a secret in
    /// the wrong place, or an address with a password.
    pub fn shown<'a>(&self, value: &'a str) -> &'a str {
        let value = value.trim();
        let harmless = match self.name {
            _ if self.is_secret() => return "set",
            PUBLIC_URL | FRONTEND_URL | STRIPE_API_BASE | AWS_ENDPOINT | OTLP_ENDPOINT => {
                site::parse(value).is_ok()
            }
            SES_TOPICS => reader::topics(value).is_ok(),
            AWS_KEY_ID => value.len() < AWS_KEY_LENGTH && value.bytes().all(|b| b.is_ascii_alphanumeric()),
            _ => !looks_secret(value),
        };
        if harmless { value } else { "set, but not shown: it may hold a secret" }
    }
}

/// Whether it is an address with a user, or begins as Stripe's secrets do.
fn looks_secret(value: &str) -> bool {
    let signed_in = value.contains("://") && value.contains('@');
    signed_in || ["sk_", "rk_", "whsec_"].iter().any(|prefix| value.contains(prefix))
}

/// One entry of `ORIENTATION_KEYS`.
#[derive(Clone, Debug)]
pub struct ConfiguredKey {
    /// Names the key inside what it signs.
    pub id: String,
    /// What it is for.
    pub purpose: KeyPurpose,
    /// The key itself.
    pub key: Secret<[u8; 32]>,
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KeyPurpose {
    /// Signs tickets (an Ed25519 seed).
    Ticket,
    /// Seals the links in emails (HMAC-SHA-256). Stored key rings call it `letter`.
    #[serde(rename = "letter")]
    Email,
    /// Seals the links that end a subscription (HMAC-SHA-256).
    Unsubscribe,
}

impl KeyPurpose {
    /// Every purpose.
    pub const ALL: [Self; 3] = [Self::Ticket, Self::Email, Self::Unsubscribe];

    /// As it is written in `ORIENTATION_KEYS`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ticket => "ticket",
            Self::Email => "letter",
            Self::Unsubscribe => "unsubscribe",
        }
    }
}
