//! Use cases of groups. Each is a part of another feature's transaction.

use std::sync::Arc;

use super::model::GroupBook;
use crate::base::Base;
use crate::config::Event;
use crate::kernel::faults;
use crate::platform::store::{Store, StoreError, Tx};

/// Places in the orientation groups.
pub struct Groups {
    store: Store,
    event: Arc<Event>,
}

impl Groups {
    /// The guard of the group book: transactions that change it take it first, so that they run one after the other.
    pub const GUARD: &'static str = "group-book";

    /// The groups of the event of `base`.
    pub fn new(base: &Base) -> Self {
        Self { store: base.store.clone(), event: base.event.clone() }
    }

    /// Takes a place for a student and returns the name of the group. [`GroupBook::take_place`] says which one it is.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn take_place(&self, tx: &Tx, discipline: &str, pronouns: &str) -> Result<String, StoreError> {
        let mut book = self.book(tx).await?.unwrap_or_default();
        let group = book.take_place(&self.event.groups, discipline, pronouns);
        tx.put(&book).await?;
        Ok(group.expect("`Event::parse` refuses an event without groups"))
    }

    /// Counts a member of `group` who has paid.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn count_registered(&self, tx: &Tx, group: &str) -> Result<(), StoreError> {
        self.change(tx, |book| book.count_registered(group)).await
    }

    /// Counts a member of `group` whose payment was refunded.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn count_withdrawn(&self, tx: &Tx, group: &str) -> Result<(), StoreError> {
        self.change(tx, |book| book.count_withdrawn(group)).await
    }

    async fn change(&self, tx: &Tx, change: impl FnOnce(&mut GroupBook)) -> Result<(), StoreError> {
        let Some(mut book) = self.book(tx).await? else { return Ok(()) };
        change(&mut book);
        tx.put(&book).await
    }

    /// The book as this transaction may change it. A copy that was read outside of the transaction can be out of date
    /// when it is written: the race test takes this guard away.
    async fn book(&self, tx: &Tx) -> Result<Option<GroupBook>, StoreError> {
        if faults::guarded("groups.book") {
            tx.get(GroupBook::ID).await
        } else {
            self.store.get(GroupBook::ID).await
        }
    }
}
