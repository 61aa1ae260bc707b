//! The keys of the environment.

use serde::{Deserialize, Serialize};

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

/// How the secret begins that the sandbox makes for itself. Stripe's begin `whsec_` and go on with letters and
/// digits only, so that one is never taken for the other.
pub const SANDBOX_SECRET: &str = "whsec_sandbox_";

/// Every key that is read, in the order in which people meet them.
pub const KEYS: &[Key] = &[
    Key {
        name: LISTEN,
        default: "127.0.0.1:3000",
        form: "an IP address and a port, such as 127.0.0.1:3000 or [::1]:3000; port 0 is any free one",
        meaning: "Where the service listens. Its embedded parts (outbox, sandbox) are only for this machine: \
                  another address than a loopback one needs a rehearsal.",
    },
    Key {
        name: DATA,
        default: "./data",
        form: "the path of a folder, which may not be there yet",
        meaning: "Where the embedded store keeps its file. One process serves or works on it at a time.",
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
        form: "no value: this version takes payments in its sandbox only",
        meaning: "Reserved for the key of a Stripe account; the service refuses to start with it.",
    },
];

impl Key {
    /// Whether its value must not be shown.
    pub fn is_secret(&self) -> bool {
        [KEY_RING, WEBHOOK_SECRETS, SECRET_KEY].contains(&self.name)
    }
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
    /// Seals the links in letters (HMAC-SHA-256).
    Letter,
    /// Seals the links that end a subscription (HMAC-SHA-256).
    Unsubscribe,
}

impl KeyPurpose {
    /// Every purpose.
    pub const ALL: [Self; 3] = [Self::Ticket, Self::Letter, Self::Unsubscribe];

    /// As it is written in `ORIENTATION_KEYS`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ticket => "ticket",
            Self::Letter => "letter",
            Self::Unsubscribe => "unsubscribe",
        }
    }
}
