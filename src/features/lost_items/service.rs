//! Use cases: report a lost item, show, list and change one's own reports.

use std::sync::Arc;
use std::time::Duration;

use super::mails::{AboutItem, LostItemReported};
use super::model::LostItem;
use crate::base::Base;
use crate::features::accounts::Account;
use crate::kernel::{Caller, Clock, Ids};
use crate::platform::mail::Mail;
use crate::platform::signals::{Limit, Signals, TooMany};
use crate::platform::store::{
    Cursor, Dir, Filter, Page, PageError, Precondition, Query, Stale, Store, StoreError,
};

/// Reports per account: more than anybody needs, too few to fill the store.
const REPORT: Limit = Limit { name: "report-lost-item", quota: 10, window: Duration::from_hours(1) };

/// Maximum number of reports that one account has at a time. Two simultaneous reports can exceed it by one, which does no
/// harm.
const MAX_PER_ACCOUNT: u64 = 20;

/// Why an item was not reported.
#[derive(Debug, thiserror::Error)]
pub enum ReportLostItemError {
    #[error("the account has too many reports")]
    TooManyReports,
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an item can't be shown.
#[derive(Debug, thiserror::Error)]
pub enum GetLostItemError {
    #[error("there is no such item, or it is somebody else's")]
    NotFound,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an item was not changed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateLostItemError {
    #[error("there is no such item, or it is somebody else's")]
    NotFound,
    #[error(transparent)]
    Stale(#[from] Stale),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The use cases of lost items.
pub struct LostItems {
    store: Store,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    signals: Arc<dyn Signals>,
}

impl LostItems {
    /// The use cases on `base`.
    pub fn new(base: &Base) -> Self {
        Self {
            store: base.store.clone(),
            clock: base.clock.clone(),
            ids: base.ids.clone(),
            signals: base.signals.clone(),
        }
    }

    /// An item that this account has reported.
    ///
    /// # Errors
    /// [`GetLostItemError`]
    pub async fn item(&self, account: &str, id: &str) -> Result<LostItem, GetLostItemError> {
        let item = self.store.get::<LostItem>(id).await?;
        item.filter(|item| item.account == account).ok_or(GetLostItemError::NotFound)
    }

    /// Reports a lost item, and confirms it by email.
    ///
    /// # Errors
    /// [`ReportLostItemError`]; then nothing has changed.
    pub async fn report(
        &self,
        caller: &Caller,
        description: String,
    ) -> Result<LostItem, ReportLostItemError> {
        let account = caller.account_id.as_str();
        self.signals.take(REPORT, account).await?;
        let item = LostItem {
            id: self.ids.next(),
            account: account.to_owned(),
            description,
            reported_at: self.clock.now(),
        };
        self.store
            .transact(async |tx| {
                if tx.count::<LostItem>(Filter::eq("account", account)).await? >= MAX_PER_ACCOUNT {
                    return Err(ReportLostItemError::TooManyReports);
                }
                tx.insert(&item).await?;
                if let Some(account) = tx.get::<Account>(account).await? {
                    tx.post(&confirmation(&item, &account)).await?;
                }
                Ok(())
            })
            .await?;
        Ok(item)
    }

    /// Describes an item that this account has reported anew, if it is as `condition` says.
    ///
    /// # Errors
    /// [`UpdateLostItemError`]; then nothing has changed.
    pub async fn update(
        &self,
        caller: &Caller,
        id: &str,
        description: String,
        condition: &Precondition,
    ) -> Result<LostItem, UpdateLostItemError> {
        self.store
            .transact(async |tx| {
                let item = tx.get::<LostItem>(id).await?.filter(|item| item.account == caller.account_id);
                let mut item = item.ok_or(UpdateLostItemError::NotFound)?;
                condition.check(&item)?;
                item.description.clone_from(&description);
                tx.put(&item).await?;
                Ok(item)
            })
            .await
    }

    /// The page of this account's items, newest first, that begins at `after`; at most `limit`.
    ///
    /// # Errors
    /// [`PageError`]
    pub async fn list(
        &self,
        account: &str,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<LostItem>, PageError> {
        let newest_first = Query::new(Filter::eq("account", account)).sort("id", Dir::Desc);
        self.store.page(newest_first.limit(limit), after).await
    }
}

/// Its id derives from the item's, so the email is recorded once, however often the transaction runs.
fn confirmation(item: &LostItem, account: &Account) -> Mail {
    let about = AboutItem { account: account.id.clone(), item: item.id.clone() };
    Mail::of::<LostItemReported>(&item.id, &account.email, &about, item.reported_at)
}
