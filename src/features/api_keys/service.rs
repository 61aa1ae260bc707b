//! Use cases: create, list and revoke keys, and find the machine behind one.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::key::Key;
use super::model::{API_KEY_CREATED, API_KEY_REVOKED, ApiKey, ApiKeyForm};
use crate::base::Base;
use crate::config::Event;
use crate::features::accounts::client_key;
use crate::features::rights::WantedRights;
use crate::kernel::{Actor, Clock, Ids, Invalid, Principal, Timestamp};
use crate::platform::audit::Subject;
use crate::platform::signals::{Limit, Signals, TooMany};
use crate::platform::store::{Cursor, Dir, Filter, Page, PageError, Query, Store, StoreError};

/// Requests of one key: 20 a second, which is more than a machine of the event needs.
const REQUESTS: Limit = Limit { name: "api-key", quota: 1200, window: Duration::from_mins(1) };

/// Requests of one client with keys that are unknown, expired or revoked: enough for several machines on which a key
/// must be replaced. Nobody can guess a key; the limit slows down programs that go on with a key that no longer works.
const INVALID_KEYS: Limit = Limit { name: "api-key-invalid", quota: 30, window: Duration::from_mins(1) };

/// How long a request waits for the time of its key's last use to be stored.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why a key is not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateApiKeyError {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a key is not revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeApiKeyError {
    #[error("there is no such key")]
    NotFound,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a key opens nothing.
#[derive(Debug, thiserror::Error)]
pub enum UseApiKeyError {
    /// It is malformed, unknown, expired or revoked.
    #[error("no valid key")]
    Invalid,
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The key that an administrator asks for, with names of rights that are not checked yet.
#[derive(Clone, Debug)]
pub struct ApiKeyRequest {
    pub name: String,
    pub scopes: Vec<String>,
    pub student_fields: Vec<String>,
    pub reach: Vec<String>,
    pub expires_at: Timestamp,
}

impl ApiKeyRequest {
    fn check(self, event: &Event, now: Timestamp) -> Result<ApiKeyForm, Invalid> {
        let Self { name, scopes, student_fields, reach, expires_at } = self;
        let (rights, mut errors) = match (WantedRights { scopes, student_fields, reach }).check(event) {
            Ok(rights) => (rights, vec![]),
            Err(errors) => (vec![], errors),
        };
        let form = ApiKeyForm { name, rights, expires_at };
        errors.extend(form.errors(now));
        if errors.is_empty() { Ok(form) } else { Err(Invalid(errors)) }
    }
}

/// A key that was just created.
#[derive(Debug)]
pub struct CreatedKey {
    /// The key itself. It is shown once.
    pub key: Key,
    /// What is stored of it.
    pub document: ApiKey,
}

/// The keys of machines.
pub struct ApiKeys {
    store: Store,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    signals: Arc<dyn Signals>,
    event: Arc<Event>,
}

impl ApiKeys {
    /// The keys in the store of `base`.
    pub fn new(base: &Base) -> Self {
        Self {
            store: base.store.clone(),
            clock: base.clock.clone(),
            ids: base.ids.clone(),
            signals: base.signals.clone(),
            event: base.event.clone(),
        }
    }

    /// Creates a key.
    ///
    /// # Errors
    /// [`CreateApiKeyError`]; then nothing has changed.
    pub async fn create(
        &self,
        actor: &Actor,
        request: ApiKeyRequest,
    ) -> Result<CreatedKey, CreateApiKeyError> {
        let now = self.clock.now();
        let form = request.check(&self.event, now)?;
        let key = Key::new(self.ids.secret());
        let document = ApiKey::new(&key, self.ids.next(), &form, actor, now);
        let detail = document.detail();
        let detail: Vec<_> = detail.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let stored = self.store.transact(async |tx| {
            tx.insert(&document).await?;
            tx.audit(actor, API_KEY_CREATED, subject(&document), &detail, now).await
        });
        stored.await?;
        Ok(CreatedKey { key, document })
    }

    /// The page of the keys, newest first, that begins at `after`; at most `limit`.
    ///
    /// # Errors
    /// [`PageError`]
    pub async fn list(&self, after: Option<&Cursor>, limit: u32) -> Result<Page<ApiKey>, PageError> {
        let newest_first = Query::new(Filter::All).sort("keyId", Dir::Desc);
        self.store.page(newest_first.limit(limit), after).await
    }

    /// Revokes the key with this public id: its next request is refused. Revoking it again changes nothing.
    ///
    /// # Errors
    /// [`RevokeApiKeyError`]; then nothing has changed.
    pub async fn revoke(&self, actor: &Actor, key_id: &str) -> Result<(), RevokeApiKeyError> {
        let now = self.clock.now();
        let revoked = self.store.transact(async |tx| {
            let found = tx.find::<ApiKey>(Query::new(Filter::eq("keyId", key_id)).limit(1)).await?.pop();
            let mut key = found.ok_or(RevokeApiKeyError::NotFound)?;
            if key.revoked_at.is_some() {
                return Ok(());
            }
            key.revoked_at = Some(now);
            tx.put(&key).await?;
            tx.audit(actor, API_KEY_REVOKED, subject(&key), &[], now).await?;
            Ok(())
        });
        revoked.await
    }

    /// The machine that `key` belongs to, read anew for each request. `client` is where the request comes from: a client
    /// that sends invalid keys is slowed down, and its valid keys still work.
    ///
    /// # Errors
    /// [`UseApiKeyError`]
    pub async fn machine(&self, key: &str, client: IpAddr) -> Result<Principal, UseApiKeyError> {
        let key = Key::read(key).ok_or(UseApiKeyError::Invalid)?;
        let now = self.clock.now();
        let known = self.store.get::<ApiKey>(&key.hash()).await?.filter(|known| known.is_valid(now));
        let Some(known) = known else {
            self.signals.take(INVALID_KEYS, &client_key(client)).await?;
            return Err(UseApiKeyError::Invalid);
        };
        self.signals.take(REQUESTS, &known.key_id).await?;
        if known.is_unseen_since(now) {
            self.touch(&known, now).await;
        }
        Ok(Principal { rights: known.rights(), actor: Actor::Machine(known.key_id) })
    }

    /// Stores the time of the last use. If that fails, the request goes on, and the next one tries again.
    async fn touch(&self, known: &ApiKey, now: Timestamp) {
        let stored = self.store.transact(async |tx| {
            let current = tx.get::<ApiKey>(&known.id).await?;
            if let Some(mut key) = current.filter(|key| key.is_unseen_since(now)) {
                key.used(now);
                tx.put(&key).await?;
            }
            Ok::<_, StoreError>(())
        });
        match tokio::time::timeout(PATIENCE, stored).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(key = known.key_id, %error, "the last use of a key was not stored")
            }
            Err(_) => tracing::warn!(key = known.key_id, "the last use of a key was not stored in time"),
        }
    }
}

/// The key as the audit log names it.
fn subject(key: &ApiKey) -> Subject {
    Subject::of::<ApiKey>(&key.key_id)
}
