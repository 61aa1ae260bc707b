//! The copies of an account's address and preferred name in its registration.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::model::Registration;
use crate::base::Base;
use crate::features::accounts::{Account, AccountCopies};
use crate::platform::jobs::{JobError, Payload, Run, Subscriber};
use crate::platform::store::{Filter, Query, Store, StoreError, Tx};

/// Registrations that are completed in one transaction.
const PAGE: u32 = 50;

/// Renews the copy in a registration with each change of the account.
pub struct CopiesOfAccounts;

#[async_trait]
impl AccountCopies for CopiesOfAccounts {
    async fn renew(&self, tx: &Tx, account: &Account) -> Result<(), StoreError> {
        let Some(mut registration) = tx.get::<Registration>(&account.id).await? else { return Ok(()) };
        registration.copy_account(account);
        tx.put(&registration).await
    }
}

/// Copies the accounts into registrations that were stored before there were copies.
#[derive(Serialize, Deserialize)]
pub struct CopyAccounts {}

impl Payload for CopyAccounts {
    const KIND: &'static str = "registration.copy-accounts";
}

/// Handles [`CopyAccounts`].
pub struct FillIn {
    store: Store,
}

impl FillIn {
    /// For the registrations in the store of `base`.
    pub fn new(base: &Base) -> Self {
        Self { store: base.store.clone() }
    }

    /// Completes the page of registrations after this id. Returns its last id; none if there are no more.
    async fn page(&self, after: &str) -> Result<Option<String>, StoreError> {
        self.store
            .transact(async |tx| {
                let incomplete =
                    Filter::eq("search.keys.email", "").and(Filter::Gt("id".into(), after.into()));
                let registrations: Vec<Registration> = tx.find(Query::new(incomplete).limit(PAGE)).await?;
                let last = registrations.last().map(|last| last.id.clone());
                for mut registration in registrations {
                    if let Some(account) = tx.get::<Account>(&registration.id).await? {
                        registration.copy_account(&account);
                        tx.put(&registration).await?;
                    }
                }
                Ok(last)
            })
            .await
    }
}

#[async_trait]
impl Subscriber for FillIn {
    type Payload = CopyAccounts;
    const CONCURRENCY: usize = 1;

    async fn handle(&self, _: CopyAccounts, _: Run) -> Result<(), JobError> {
        let mut after = String::new();
        while let Some(last) = self.page(&after).await? {
            after = last;
        }
        Ok(())
    }
}
