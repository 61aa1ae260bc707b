//! Sessions: what is stored about a browser in which somebody is signed in.

use std::time::Duration;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::model::Account;
use crate::kernel::{Secret, Timestamp};
use crate::platform::store::{
    Class, Dir, Document, Filter, Index, Keep, Owner, Personal, PersonalField, Query, StoreError, Tx,
};

/// Lifetime of a session, used or not: about the length of an orientation season.
pub const SESSION_LASTS: Duration = Duration::from_hours(30 * 24);

/// The precision of the time at which a session was last seen: enough for its owner to notice somebody else, too
/// little to follow the owner.
const LAST_SEEN_TO: Duration = Duration::from_hours(1);

/// Maximum number of sessions of an account. Nobody has more browsers, but a script may sign in for each request.
const SESSIONS_PER_ACCOUNT: u64 = 100;

/// Maximum number of an account's sessions that one transaction ends: all of them, those under former ids included.
const AT_ONCE: u32 = 1000;

/// How long a session is accepted under its former id, for requests that were sent before the new one arrived.
const OVERLAP: Duration = Duration::from_mins(1);

/// The secret in a session cookie: 256 random bits.
#[derive(Clone, Debug)]
pub struct SessionSecret(Secret<[u8; 32]>);

impl SessionSecret {
    /// From [`Ids::secret`](crate::kernel::Ids::secret).
    pub fn new(bits: [u8; 32]) -> Self {
        Self(Secret::new(bits))
    }

    /// The secret in a cookie's value; `None` if it is malformed.
    pub fn read(cookie: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(cookie).ok()?;
        Some(Self::new(bytes.try_into().ok()?))
    }

    /// The cookie's value: base64url.
    pub fn cookie(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0.expose())
    }

    /// Id of its session: the SHA-256 of the secret, in base64url.
    pub fn session_id(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(self.0.expose()))
    }
}

/// A signed-in browser.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// SHA-256 of the cookie's secret, in base64url, so that a copy of the store opens no session.
    pub id: String,
    pub account_id: String,
    /// [`Account::password_version`] when it was opened. A new password ends the session.
    pub password_version: u32,
    /// [`Account::rights_version`] when it was opened or got this id.
    #[serde(default)]
    pub rights_version: u32,
    /// What kind of browser it is, such as `Firefox on Android`. Absent in sessions that were opened before it was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The network that it was opened from, such as `192.0.2.0/24`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The hour of its latest request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_at: Option<Timestamp>,
    /// Id of the session that continues this one, which ends within a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<String>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

impl Document for Session {
    const COLLECTION: &'static str = "sessions";
    const INDEXES: &'static [Index] = &[
        Index::on("sessions_by_end", &["expiresAt"]),
        Index::on("sessions_by_account", &["accountId", "createdAt", "id"]),
    ];
    const PERSONAL: Personal = Personal::Of(
        Owner::Account("accountId"),
        &[
            PersonalField::new("createdAt", Class::Activity),
            PersonalField::new("device", Class::Activity),
            PersonalField::new("network", Class::Activity),
            PersonalField::new("seenAt", Class::Activity),
            PersonalField::new("id", Class::Secret),
        ],
    );
    const KEEP: Keep =
        Keep::lasting(SESSION_LASTS, "a signed-in browser; sign-out and a new password end it earlier");

    fn id(&self) -> &str {
        &self.id
    }
}

impl Session {
    /// A session of `account` that begins at `now`. `id` is described at [`Session::id`].
    pub fn open(id: String, account: &Account, now: Timestamp) -> Self {
        Self {
            id,
            account_id: account.id.clone(),
            password_version: account.password_version,
            rights_version: account.rights_version,
            device: None,
            network: None,
            seen_at: Some(hour(now)),
            replaced_by: None,
            created_at: now,
            expires_at: now.plus(SESSION_LASTS),
        }
    }

    /// Whether it signs in `account` at `now`. It ends if it is not used for as long as `idle`.
    pub fn is_good_for(&self, account: &Account, idle: Duration, now: Timestamp) -> bool {
        now < self.expires_at
            && self.account_id == account.id
            && self.password_version == account.password_version
            && self.seen_at.is_none_or(|seen| seen > Self::idle_since(idle, now))
    }

    /// The `seen_at` of sessions that ended at `now` because they were not used for as long as `idle`.
    pub fn idle_since(idle: Duration, now: Timestamp) -> Timestamp {
        now.minus(idle).minus(LAST_SEEN_TO)
    }

    /// The session as used at `now`, if that is worth storing.
    pub fn seen(&self, now: Timestamp) -> Option<Self> {
        let seen_at = Some(hour(now));
        (self.seen_at < seen_at).then(|| Self { seen_at, ..self.clone() })
    }

    /// Stores the session when it is opened. If the account has too many, the oldest end.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin(&self, tx: &Tx) -> Result<(), StoreError> {
        let of_account = Filter::eq("accountId", self.account_id.as_str());
        let open = tx.count::<Self>(of_account.clone()).await?;
        let too_many = (open + 1).saturating_sub(SESSIONS_PER_ACCOUNT);
        if too_many > 0 {
            let oldest_first = Query::new(of_account).sort("createdAt", Dir::Asc);
            let too_many = u32::try_from(too_many).unwrap_or(u32::MAX).min(AT_ONCE);
            for oldest in tx.find::<Self>(oldest_first.limit(too_many)).await? {
                tx.delete::<Self>(&oldest.id).await?;
            }
        }
        tx.insert(self).await
    }

    /// Stores that the session of this id was used at `now`, unless it has ended or was renewed in the meantime.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn touch(tx: &Tx, id: &str, now: Timestamp) -> Result<(), StoreError> {
        let current = tx.get::<Self>(id).await?.filter(|session| session.replaced_by.is_none());
        match current.and_then(|session| session.seen(now)) {
            Some(seen) => tx.put(&seen).await,
            None => Ok(()),
        }
    }

    /// The sessions of an account under which the one of this id is stored: a session that was just renewed is stored under
    /// its former ids as well. Empty if there is no such session.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn under_each_id(tx: &Tx, account: &str, id: &str) -> Result<Vec<Self>, StoreError> {
        let session = tx.get::<Self>(id).await?.filter(|session| session.account_id == account);
        let (mut found, mut next) = (Vec::<Self>::new(), Vec::from_iter(session));
        while let Some(session) = next.pop() {
            if found.iter().any(|known| known.id == session.id) {
                continue;
            }
            let former = Filter::eq("accountId", account).and(Filter::eq("replacedBy", session.id.as_str()));
            next.extend(tx.find::<Self>(Query::new(former)).await?);
            if let Some(id) = &session.replaced_by {
                next.extend(tx.get::<Self>(id).await?);
            }
            found.push(session);
        }
        Ok(found)
    }

    /// Ends the session of this id, if it is of this account, under each of its ids. Returns whether there was one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end(tx: &Tx, account: &str, id: &str) -> Result<bool, StoreError> {
        let same = Self::under_each_id(tx, account, id).await?;
        for session in &same {
            tx.delete::<Self>(&session.id).await?;
        }
        Ok(!same.is_empty())
    }

    /// Ends all sessions of an account but the one of this id, which is kept under each of its ids.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_others(tx: &Tx, account: &str, kept: &str) -> Result<(), StoreError> {
        let kept = Self::under_each_id(tx, account, kept).await?;
        let all = Query::new(Filter::eq("accountId", account)).limit(AT_ONCE);
        for session in tx.find::<Self>(all).await? {
            if !kept.iter().any(|kept| kept.id == session.id) {
                tx.delete::<Self>(&session.id).await?;
            }
        }
        Ok(())
    }

    /// Continues the session of this id under another. Under its former id it ends after a moment, because requests that are
    /// under way still use it. `None` if a request at the same time has done this, or the session has ended.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn renew(
        tx: &Tx,
        id: &str,
        new_id: String,
        account: &Account,
        now: Timestamp,
    ) -> Result<Option<Self>, StoreError> {
        let current = tx.get::<Self>(id).await?.filter(|session| session.replaced_by.is_none());
        let Some(current) = current else { return Ok(None) };
        let (new, former) = current.replace(new_id, account, now);
        tx.put(&former).await?;
        tx.insert(&new).await?;
        Ok(Some(new))
    }

    /// The session under a new id, and under the former one.
    fn replace(&self, id: String, account: &Account, now: Timestamp) -> (Self, Self) {
        let rights_version = account.rights_version;
        let old = Self {
            replaced_by: Some(id.clone()),
            rights_version,
            expires_at: self.expires_at.min(now.plus(OVERLAP)),
            ..self.clone()
        };
        (Self { id, rights_version, seen_at: Some(hour(now)), ..self.clone() }, old)
    }
}

/// The hour that the time is in.
fn hour(time: Timestamp) -> Timestamp {
    let hour = LAST_SEEN_TO.as_secs() as i64 * 1000;
    Timestamp::from_millis(time.as_millis().div_euclid(hour) * hour)
}
