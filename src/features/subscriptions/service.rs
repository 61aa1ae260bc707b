//! Use cases: to unsubscribe, and to subscribe again.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::mails;
use crate::base::Base;
use crate::features::accounts::{Account, put_unsubscribed};
use crate::kernel::Clock;
use crate::platform::keys::{Sealer, UNSUBSCRIBE};
use crate::platform::mail::Unsubscribe;
use crate::platform::signals::{Limit, Signals, TooMany};
use crate::platform::store::{Store, StoreError};

/// How often an account can be subscribed again: each change sends an email to its owner, and a forwarded email has the
/// link, too. To unsubscribe is not limited.
const SUBSCRIBE: Limit = Limit { name: "subscribe", quota: 10, window: Duration::from_hours(1) };

/// Why an account is not subscribed.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The links by which accounts unsubscribe. They lead to this service even if there is a frontend, because mail programs
/// follow no redirects.
#[derive(Clone)]
pub struct UnsubscribeLinks {
    sealer: Arc<dyn Sealer>,
    public_url: Url,
}

impl UnsubscribeLinks {
    /// The path of the page.
    pub const PATH: &'static str = "/unsubscribe";

    /// The links of the service on `base`.
    pub fn new(base: &Base) -> Self {
        Self { sealer: base.keys.clone(), public_url: base.public_url.clone() }
    }

    /// The link of this account.
    pub fn of(&self, account: &str) -> Url {
        self.with(&self.sealer.seal(UNSUBSCRIBE, account))
    }

    /// A link of nobody, for previews.
    pub fn sample(&self) -> Url {
        self.with("sample")
    }

    /// What the headers of an email to this account say.
    pub fn header(&self, account: &str) -> Unsubscribe {
        Unsubscribe::by_one_click(self.of(account))
    }

    fn with(&self, token: &str) -> Url {
        let mut link = self.public_url.clone();
        link.set_path(Self::PATH);
        link.query_pairs_mut().append_pair("token", token);
        link
    }

    fn account_of(&self, token: &str) -> Option<String> {
        self.sealer.open(UNSUBSCRIBE, token)
    }
}

/// Whether accounts get announcements and mailings.
pub struct Subscriptions {
    store: Store,
    clock: Arc<dyn Clock>,
    signals: Arc<dyn Signals>,
    links: UnsubscribeLinks,
}

impl Subscriptions {
    /// The use cases on `base`.
    pub fn new(base: &Base) -> Self {
        Self {
            store: base.store.clone(),
            clock: base.clock.clone(),
            signals: base.signals.clone(),
            links: UnsubscribeLinks::new(base),
        }
    }

    /// Whether the link is one of ours, even if its account is gone.
    pub fn is_ours(&self, token: &str) -> bool {
        self.links.account_of(token).is_some()
    }

    /// The account that a link is for. `None` if the link is not one of ours or the account is gone.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn of_link(&self, token: &str) -> Result<Option<Account>, StoreError> {
        match self.links.account_of(token) {
            Some(account) => self.store.get(&account).await,
            None => Ok(None),
        }
    }

    /// The account gets no announcements and mailings any more. An email says so, once for each change.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing has changed.
    pub async fn unsubscribe(&self, account: &str) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.store
            .transact(async |tx| match put_unsubscribed(&tx, account, Some(now)).await? {
                Some(account) => tx.post(&mails::unsubscribed(&account, now)).await,
                None => Ok(()),
            })
            .await
    }

    /// The account gets announcements and mailings again.
    ///
    /// # Errors
    /// [`SubscribeError`]; then nothing has changed.
    pub async fn subscribe(&self, account: &str) -> Result<(), SubscribeError> {
        self.signals.take(SUBSCRIBE, account).await?;
        self.store.transact(async |tx| Ok(put_unsubscribed(&tx, account, None).await.map(drop)?)).await
    }
}
