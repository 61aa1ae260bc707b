//! A ring of keys: from the configuration, or created once in the store.

use std::fmt::Write;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::{Deserialize, Serialize};

use crate::config::{ConfiguredKey, KeyPurpose};
use crate::kernel::{Ids, Secret, Timestamp};
use crate::platform::store::{Document, Keep, Personal, Store, StoreError};

/// Maximum length of a key's id: it is part of a ticket's QR code.
const KEY_ID_MAX: usize = 16;

/// Why the keys can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A configured key's id is not 1 to 16 of `a`–`z`, `0`–`9` and `-`.
    #[error("the key id {0:?} is not 1 to 16 lower-case letters, digits and hyphens")]
    BadId(String),
    /// Two keys of one purpose have the same id.
    #[error("two {1:?} keys have the id {0:?}")]
    DoubleId(String, KeyPurpose),
    /// The ring in the store is not readable.
    #[error("the {0:?} keys in the store are damaged")]
    Damaged(KeyPurpose),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A key of a ring.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub id: String,
    pub secret: Secret<[u8; 32]>,
}

/// A ring that the service created; its id is the purpose.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyRing {
    id: String,
    /// The first signs, all verify. Never empty.
    keys: Vec<StoredKey>,
    created_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredKey {
    id: String,
    /// 32 bytes in base64.
    key: String,
}

impl Document for KeyRing {
    const COLLECTION: &'static str = "key_rings";
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep =
        Keep::with_store("what was signed must keep verifying, and what was encrypted must be readable");

    fn id(&self) -> &str {
        &self.id
    }
}

impl KeyRing {
    fn new(purpose: KeyPurpose, ids: &dyn Ids, now: Timestamp) -> Self {
        let key = StoredKey { id: short_id(ids.secret()), key: BASE64_STANDARD.encode(ids.secret()) };
        Self { id: document_id(purpose).into(), keys: vec![key], created_at: now }
    }

    fn keys(&self, purpose: KeyPurpose) -> Result<Vec<Key>, KeysError> {
        let keys: Option<Vec<_>> = self.keys.iter().map(StoredKey::read).collect();
        keys.filter(|keys| !keys.is_empty()).ok_or(KeysError::Damaged(purpose))
    }
}

impl StoredKey {
    fn read(&self) -> Option<Key> {
        let bytes = BASE64_STANDARD.decode(&self.key).ok()?;
        Some(Key { id: self.id.clone(), secret: Secret::new(bytes.try_into().ok()?) })
    }
}

/// The keys of `purpose`, the signing one first. Never empty.
pub(super) async fn load(
    store: &Store,
    ids: &dyn Ids,
    now: Timestamp,
    configured: &[ConfiguredKey],
    purpose: KeyPurpose,
) -> Result<Vec<Key>, KeysError> {
    let configured: Vec<_> = configured.iter().filter(|key| key.purpose == purpose).map(Key::from).collect();
    let keys = match configured.is_empty() {
        true => kept(store, KeyRing::new(purpose, ids, now)).await?.keys(purpose)?,
        false => configured,
    };
    check_ids(&keys, purpose)?;
    Ok(keys)
}

/// The ring in the store; `fresh` if there is none yet and no other process is faster.
async fn kept(store: &Store, fresh: KeyRing) -> Result<KeyRing, StoreError> {
    if let Some(ring) = store.get::<KeyRing>(&fresh.id).await? {
        return Ok(ring);
    }
    match store.insert(&fresh).await {
        Ok(()) => Ok(fresh),
        Err(duplicate @ StoreError::Duplicate { .. }) => store.get(&fresh.id).await?.ok_or(duplicate),
        Err(error) => Err(error),
    }
}

fn check_ids(keys: &[Key], purpose: KeyPurpose) -> Result<(), KeysError> {
    for (place, key) in keys.iter().enumerate() {
        if !is_key_id(&key.id) {
            return Err(KeysError::BadId(key.id.clone()));
        }
        if keys[..place].iter().any(|earlier| earlier.id == key.id) {
            return Err(KeysError::DoubleId(key.id.clone(), purpose));
        }
    }
    Ok(())
}

fn is_key_id(id: &str) -> bool {
    let letter = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=KEY_ID_MAX).contains(&id.len()) && id.bytes().all(letter)
}

impl From<&ConfiguredKey> for Key {
    fn from(key: &ConfiguredKey) -> Self {
        Self { id: key.id.clone(), secret: key.key.clone() }
    }
}

fn document_id(purpose: KeyPurpose) -> &'static str {
    match purpose {
        KeyPurpose::Ticket => "ticket",
        KeyPurpose::Email => "letter",
        KeyPurpose::Unsubscribe => "unsubscribe",
        KeyPurpose::SecondFactor => "second-factor",
    }
}

/// Eight hexadecimal digits: enough to tell the few keys of one ring apart.
fn short_id(random: [u8; 32]) -> String {
    random.iter().take(4).fold(String::new(), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::kernel::RandomIds;
    use crate::platform::keys::{Keys, Sealer, schemas};
    use crate::platform::store::testing::TestStore;

    const NOW: i64 = 1_788_246_000_000;

    fn now() -> Timestamp {
        Timestamp::from_millis(NOW)
    }

    fn configured(id: &str, purpose: KeyPurpose, byte: u8) -> ConfiguredKey {
        ConfiguredKey { id: id.into(), purpose, key: Secret::new([byte; 32]) }
    }

    async fn store() -> TestStore {
        TestStore::with(&schemas()).await
    }

    #[tokio::test]
    async fn a_ring_is_made_once_and_found_again() {
        let store = store().await;
        let first = Keys::load(&store, &RandomIds, now(), &[]).await.unwrap();
        let second = Keys::load(&store, &RandomIds, now(), &[]).await.unwrap();
        assert_eq!(first.tickets().current().id(), second.tickets().current().id());
        assert_eq!(second.open("confirm", &first.seal("confirm", "a")), Some("a".into()));
        assert_eq!(second.open("unsubscribe", &first.seal("unsubscribe", "a")), Some("a".into()));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn processes_that_create_a_ring_at_once_get_the_same_one() {
        let store = store().await;
        let load = |store: Store| async move { Keys::load(&store, &RandomIds, now(), &[]).await.unwrap() };
        let loads: Vec<_> = (0..16).map(|_| tokio::spawn(load(store.clone()))).collect();
        let mut tokens = Vec::new();
        for keys in loads {
            tokens.push(Arc::new(keys.await.unwrap()).seal("confirm", "a"));
        }
        assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
    }

    #[tokio::test]
    async fn a_replaced_key_still_verifies() {
        let store = store().await;
        let old = [configured("old", KeyPurpose::Email, 1), configured("t1", KeyPurpose::Ticket, 1)];
        let new = [
            configured("new", KeyPurpose::Email, 2),
            configured("old", KeyPurpose::Email, 1),
            configured("t2", KeyPurpose::Ticket, 2),
            configured("t1", KeyPurpose::Ticket, 1),
        ];
        let before = Keys::load(&store, &RandomIds, now(), &old).await.unwrap();
        let after = Keys::load(&store, &RandomIds, now(), &new).await.unwrap();
        assert_eq!(after.open("confirm", &before.seal("confirm", "a")), Some("a".into()));
        assert_eq!(before.open("confirm", &after.seal("confirm", "a")), None);
        let signature = before.tickets().current().sign(b"x");
        assert!(after.tickets().verify("t1", b"x", &signature).is_ok());
        assert_eq!(after.tickets().current().id(), "t2");
        assert!(store.get::<KeyRing>("letter").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn malformed_and_duplicate_ids_are_refused() {
        let store = store().await;
        for bad in ["", "Upper", "a.b", "a b", "ключ", "seventeen-letters"] {
            let keys = [configured(bad, KeyPurpose::Ticket, 1)];
            let error = Keys::load(&store, &RandomIds, now(), &keys).await.unwrap_err();
            assert!(matches!(error, KeysError::BadId(_)), "{bad}: {error}");
        }
        let twice = [configured("a", KeyPurpose::Ticket, 1), configured("a", KeyPurpose::Ticket, 2)];
        let error = Keys::load(&store, &RandomIds, now(), &twice).await.unwrap_err();
        assert!(matches!(error, KeysError::DoubleId(..)), "{error}");
    }

    #[tokio::test]
    async fn printed_keys_show_no_secret() {
        let keys = [configured("a", KeyPurpose::Ticket, 0xab), configured("b", KeyPurpose::Email, 0xab)];
        let store = store().await;
        let keys = Keys::load(&store, &RandomIds, now(), &keys).await.unwrap();
        let shown = format!("{keys:?}").to_lowercase();
        assert!(!shown.contains("171, 171") && !shown.contains("abab"), "{shown}");
    }
}
