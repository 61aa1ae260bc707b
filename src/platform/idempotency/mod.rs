//! Requests that take effect once, however often a client sends them.
//!
//! The client chooses a key for a request. The transaction of the effect records the key with the id of what it
//! made ([`Tx::once`]), so the record is kept if and only if the effect is. The key is unique: of requests that arrive
//! together one takes effect, and the others find its record ([`Store::earlier`]). A use case answers a repeated request
//! from what the record names, so that no response is stored.
//!
//! A record holds hashes and an id: neither the key nor any part of the request.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::kernel::Timestamp;
use crate::kernel::faults::guarded;
use crate::platform::jobs::{Sweep, sweep};
use crate::platform::store::{
    Dir, Document, Filter, Index, Keep, Personal, Query, Schema, Store, StoreError, Tx, schema,
};

/// How long a key is remembered: longer than any client repeats a request.
const KEPT: Duration = Duration::from_hours(24);

/// A request under the key that its client gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    id: String,
    fingerprint: String,
}

impl Once {
    /// The request with this content (plain data), sent to `operation` by `account` under `key`. Keys of other operations and
    /// accounts are other keys.
    pub fn new(operation: &str, account: &str, key: &str, content: &impl Serialize) -> Self {
        let content = serde_json::to_vec(content).expect("the content of a request is plain data");
        let id = digest(&[operation.as_bytes(), account.as_bytes(), key.as_bytes()]);
        Self { fingerprint: digest(&[id.as_bytes(), &content]), id }
    }
}

/// SHA-256 of the parts; each is preceded by its length, so that no two lists of parts are the same bytes.
fn digest(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    URL_SAFE_NO_PAD.encode(digest.finalize())
}

/// The record of a request that took effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OnceRecord {
    /// Hash of operation, account and key.
    id: String,
    /// Hash of the content.
    fingerprint: String,
    /// Id of what the request made.
    made: String,
    created_at: Timestamp,
}

impl Document for OnceRecord {
    const COLLECTION: &'static str = "idempotency_keys";
    const INDEXES: &'static [Index] = &[Index::on("idempotency_keys_by_age", &["createdAt"])];
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = Keep::lasting(KEPT, "a repeated request gets the answer of the first");

    fn id(&self) -> &str {
        &self.id
    }
}

/// Why what a request made is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OnceError {
    /// Another request was sent under the key.
    #[error("the key belongs to another request")]
    KeyReused,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Tx {
    /// Records that the request takes effect in this transaction, which makes the document `made`.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] if it has taken effect already; [`Store::earlier`] then returns what it made.
    pub async fn once(&self, once: &Once, made: &str, now: Timestamp) -> Result<(), StoreError> {
        if !guarded("idempotency.once") {
            return Ok(());
        }
        let Once { id, fingerprint } = once.clone();
        self.insert(&OnceRecord { id, fingerprint, made: made.to_owned(), created_at: now }).await
    }
}

impl Store {
    /// Id of what the request made earlier; `None` if it has not taken effect.
    ///
    /// # Errors
    /// [`OnceError`]
    pub async fn earlier(&self, once: &Once) -> Result<Option<String>, OnceError> {
        match self.get::<OnceRecord>(&once.id).await? {
            Some(record) if record.fingerprint == once.fingerprint => Ok(Some(record.made)),
            Some(_) => Err(OnceError::KeyReused),
            None => Ok(None),
        }
    }
}

/// Deletes keys that are no longer remembered.
pub fn old_keys() -> Sweep {
    sweep::<OnceRecord>("idempotency.sweep", |now| {
        Query::new(Filter::Lt("createdAt".into(), now.minus(KEPT).into())).sort("createdAt", Dir::Asc)
    })
}

/// The documents kept here.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<OnceRecord>()]
}

#[cfg(test)]
mod tests;
