//! Copies of an account's names and address, which other features keep to search and sort by them.

use async_trait::async_trait;

use super::model::Account;
use crate::platform::store::{StoreError, Tx};

/// A feature that keeps a copy of accounts' names and addresses.
#[async_trait]
pub trait AccountCopies: Send + Sync + 'static {
    /// The names or the address of `account` have changed, in this transaction.
    ///
    /// # Errors
    /// [`StoreError`]: then nothing is changed.
    async fn renew(&self, tx: &Tx, account: &Account) -> Result<(), StoreError>;
}
