//! A transaction of SQLite: a savepoint in the open batch.

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::sync::OwnedMutexGuard;

use super::super::backend::BackendTx;
use super::super::error::Result;
use super::super::{Filter, Query, StoreError};
use super::connection::failed;
use super::sql;
use super::writer::{Writer, committer_gone};
use crate::kernel::faults::guarded;

/// A running transaction. It holds the writer until it ends.
pub(super) struct SqliteTx {
    /// Taken when the turn ends.
    writer: Option<OwnedMutexGuard<Writer>>,
}

impl SqliteTx {
    /// Begins in the open batch. If that fails, the drop undoes it.
    pub fn begin(writer: OwnedMutexGuard<Writer>) -> Result<Self> {
        let mut tx = Self { writer: Some(writer) };
        tx.writer()?.run("SAVEPOINT t")?;
        Ok(tx)
    }

    fn writer(&mut self) -> Result<&mut Writer> {
        self.writer.as_deref_mut().ok_or(StoreError::TxAborted)
    }

    fn read<T>(&mut self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let writer = self.writer()?;
        let found = read(&writer.conn);
        writer.checked(found)
    }

    fn write<T>(&mut self, write: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let writer = self.writer()?;
        let full = !guarded("store-disk-space");
        if full {
            limit_pages(&writer.conn, 1)?;
        }
        let done = write(&writer.conn);
        if full {
            limit_pages(&writer.conn, u32::MAX - 1)?;
        }
        writer.checked(done)
    }

    /// Ends the turn, and waits until everything that this transaction wrote *or read* is on the disk.
    async fn durable(&mut self) -> Result<()> {
        let Some(mut writer) = self.writer.take() else { return Err(StoreError::TxAborted) };
        let told = writer.join_batch()?;
        if !guarded("store-commit") {
            writer.conn.execute_batch("ROLLBACK").map_err(failed)?;
        }
        if !guarded("store-group-commit") {
            writer.commit_batch().notify();
        }
        drop(writer);
        if !guarded("store-acknowledge-late") {
            return Ok(());
        }
        told.await.map_err(|_| committer_gone())?
    }
}

/// Limits the database to `pages` pages, to simulate a full disk in test builds. SQLite never goes below what is used.
fn limit_pages(conn: &Connection, pages: u32) -> Result<()> {
    conn.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).map_err(failed)
}

#[async_trait]
impl BackendTx for SqliteTx {
    async fn get(&mut self, collection: &'static str, id: &str) -> Result<Option<Vec<u8>>> {
        self.read(|conn| sql::get(conn, collection, id))
    }

    async fn find(&mut self, collection: &'static str, query: Query) -> Result<Vec<Vec<u8>>> {
        self.read(|conn| sql::find(conn, collection, &query))
    }

    async fn count(&mut self, collection: &'static str, filter: Filter) -> Result<u64> {
        self.read(|conn| sql::count(conn, collection, &filter))
    }

    async fn insert(&mut self, collection: &'static str, id: &str, document: Vec<u8>) -> Result<()> {
        self.write(|conn| sql::insert(conn, collection, id, &document))
    }

    async fn put(&mut self, collection: &'static str, id: &str, document: Vec<u8>) -> Result<()> {
        self.write(|conn| sql::put(conn, collection, id, &document))
    }

    async fn delete(&mut self, collection: &'static str, id: &str) -> Result<bool> {
        self.write(|conn| sql::delete(conn, collection, id))
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        self.writer()?.run("RELEASE t")?;
        self.durable().await
    }

    async fn rollback(mut self: Box<Self>) -> Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        if !writer.open {
            // SQLite has undone the whole batch, and its other members were notified.
            writer.counters.rollbacks.add(1);
            self.writer = None;
            return Ok(());
        }
        if writer.undo()? {
            return self.durable().await;
        }
        self.writer = None;
        Ok(())
    }
}

impl Drop for SqliteTx {
    /// The caller hung up, panicked or was too slow: undo this transaction and leave the batch to the others.
    fn drop(&mut self) {
        if let Some(writer) = &mut self.writer
            && writer.open
            && let Err(error) = writer.undo()
        {
            tracing::error!(%error, "an abandoned transaction could not be undone");
            writer.abandon_batch();
            writer.ended(Err(error)).notify();
        }
    }
}
