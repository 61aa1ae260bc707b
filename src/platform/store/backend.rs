//! The port that a database's adapter implements. It handles bytes and names, not documents, so that it can be
//! used as a trait object.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::error::Result;
use super::{Crossed, Dimension, Filter, Format, Query, Schema, Stats};

/// A database. The verbs are those of [`Store`](super::Store); a document is passed as its bytes in the database's
/// format.
#[async_trait]
pub(super) trait Backend: Send + Sync {
    fn format(&self) -> Format;

    /// See [`Store::name`](super::Store::name).
    fn name(&self) -> &str;

    /// Whether transactions that write the same document collide, so that it is better to queue them.
    fn collides(&self) -> bool;

    async fn prepare(&self, schemas: &[Schema]) -> Result<()>;
    async fn get(&self, collection: &'static str, id: &str) -> Result<Option<Vec<u8>>>;
    async fn find(&self, collection: &'static str, query: Query) -> Result<Vec<Vec<u8>>>;
    async fn count(&self, collection: &'static str, filter: Filter) -> Result<u64>;
    /// In any order.
    async fn cross(
        &self,
        collection: &'static str,
        by: Vec<Dimension>,
        filter: Filter,
    ) -> Result<Vec<Crossed>>;
    async fn sum(&self, collection: &'static str, field: &'static str, filter: Filter) -> Result<i64>;

    /// Inserts one document in a separate transaction. Returns once it, or the document it collides with, is durable.
    async fn insert(&self, collection: &'static str, id: &str, document: Vec<u8>) -> Result<()> {
        let mut tx = self.begin().await?;
        match tx.insert(collection, id, document).await {
            Ok(()) => tx.commit().await,
            Err(error) => tx.rollback().await.and(Err(error)),
        }
    }

    /// Begins a transaction; waits for its turn where the database has one writer.
    async fn begin(&self) -> Result<Box<dyn BackendTx>>;

    /// The collections that were ever prepared, with their stored versions.
    async fn versions(&self) -> Result<BTreeMap<String, u32>>;

    /// Whether it contains no documents.
    async fn is_empty(&self) -> Result<bool>;

    /// Whether other processes serve from it now.
    async fn is_served(&self) -> Result<bool>;

    /// Whether a copy into it was begun and not finished: see [`Store::copy_to`](super::Store::copy_to).
    async fn is_unfinished(&self) -> Result<bool>;

    /// Records that a copy into it has begun or finished.
    async fn set_unfinished(&self, unfinished: bool) -> Result<()>;

    /// The adapter's counters.
    fn stats(&self) -> Stats;
}

/// A running transaction. Dropping it without an end rolls it back.
#[async_trait]
pub(super) trait BackendTx: Send {
    async fn get(&mut self, collection: &'static str, id: &str) -> Result<Option<Vec<u8>>>;
    async fn find(&mut self, collection: &'static str, query: Query) -> Result<Vec<Vec<u8>>>;
    async fn count(&mut self, collection: &'static str, filter: Filter) -> Result<u64>;
    async fn insert(&mut self, collection: &'static str, id: &str, document: Vec<u8>) -> Result<()>;
    async fn put(&mut self, collection: &'static str, id: &str, document: Vec<u8>) -> Result<()>;

    /// Inserts several documents, in one call if the database is remote.
    async fn insert_all(
        &mut self,
        collection: &'static str,
        documents: Vec<(String, Vec<u8>)>,
    ) -> Result<()> {
        for (id, document) in documents {
            self.insert(collection, &id, document).await?;
        }
        Ok(())
    }

    /// Puts several documents in their order, in one call if the database is remote.
    async fn put_all(&mut self, collection: &'static str, documents: Vec<(String, Vec<u8>)>) -> Result<()> {
        for (id, document) in documents {
            self.put(collection, &id, document).await?;
        }
        Ok(())
    }

    async fn delete(&mut self, collection: &'static str, id: &str) -> Result<bool>;

    /// Commits the writes. Returns once they are durable.
    async fn commit(self: Box<Self>) -> Result<()>;

    /// Undoes the writes. Returns once everything that was *read* is durable.
    async fn rollback(self: Box<Self>) -> Result<()>;
}
