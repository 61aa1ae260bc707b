//! Use cases of groups. Each is a part of another feature's transaction.

use std::sync::Arc;

use super::model::{GroupBook, LockError, MoveError, Traits};
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

    /// The book as it is now.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn book(&self) -> Result<GroupBook, StoreError> {
        Ok(self.store.get(GroupBook::ID).await?.unwrap_or_default())
    }

    /// Takes a place for a student and returns the name of the group. [`GroupBook::take_place`] says which one it is.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn take_place(&self, tx: &Tx, traits: Traits<'_>) -> Result<String, StoreError> {
        let group = self.change(tx, |book| book.take_place(&self.event.groups, traits)).await?;
        Ok(group.expect("`Event::parse` refuses an event without groups"))
    }

    /// Moves a member from one group to another, as [`GroupBook::move_member`] does.
    ///
    /// # Errors
    /// [`MoveError`]. Nothing has changed then.
    pub async fn move_member(
        &self,
        tx: &Tx,
        groups: (&str, &str),
        traits: Traits<'_>,
        registered: bool,
    ) -> Result<(), MoveError> {
        self.try_change(tx, |book| book.move_member(&self.event.groups, groups, traits, registered)).await
    }

    /// Counts a member of `group` whose discipline or pronouns were corrected.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn reclassify(
        &self,
        tx: &Tx,
        group: &str,
        before: Traits<'_>,
        after: Traits<'_>,
    ) -> Result<(), StoreError> {
        self.change(tx, |book| book.reclassify(group, before, after)).await
    }

    /// Locks a group. Returns whether it was unlocked before.
    ///
    /// # Errors
    /// [`LockError`]. Nothing has changed then.
    pub async fn lock(&self, tx: &Tx, group: &str) -> Result<bool, LockError> {
        self.try_change(tx, |book| book.lock(&self.event.groups, group)).await
    }

    /// Unlocks a group. Returns whether it was locked before.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn unlock(&self, tx: &Tx, group: &str) -> Result<bool, StoreError> {
        self.change(tx, |book| book.unlock(group)).await
    }

    /// Notes that a student's wishes changed. Plans that were made before are out of date then, if wishes bind.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn note_wishes(&self, tx: &Tx) -> Result<(), StoreError> {
        self.change(tx, GroupBook::note_wishes).await
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

    async fn change<T>(&self, tx: &Tx, change: impl FnOnce(&mut GroupBook) -> T) -> Result<T, StoreError> {
        self.try_change(tx, |book| Ok(change(book))).await
    }

    /// Changes the book, unless `change` refuses to.
    async fn try_change<T, E: From<StoreError>>(
        &self,
        tx: &Tx,
        change: impl FnOnce(&mut GroupBook) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut book = self.book_in(tx).await?.unwrap_or_default();
        let result = change(&mut book)?;
        tx.put(&book).await?;
        Ok(result)
    }

    /// The book as this transaction may change it. A copy that was read outside of the transaction can be out of date
    /// when it is written: the race test takes this guard away.
    async fn book_in(&self, tx: &Tx) -> Result<Option<GroupBook>, StoreError> {
        if faults::guarded("groups.book") {
            tx.get(GroupBook::ID).await
        } else {
            self.store.get(GroupBook::ID).await
        }
    }
}
