//! The store for data that must not be lost: documents, queries and transactions. Features never see the database.
//!
//! A feature declares its documents ([`Document`]). It reads with [`Store::get`], [`Store::find`], [`Store::page`],
//! [`Store::count`], [`Store::tally`], [`Store::cross`], [`Store::sum`] and [`Store::stream`], and writes in [`Store::transact`], or a
//! single new document with [`Store::insert`]:
//!
//! ```ignore
//! let order = Order::open(self.ids.next(), &account, self.clock.now());   // times and ids: outside
//! self.store.transact(async |tx| {                                       // never `async move`
//!     let mut book: GroupBook = tx.get("orientation").await?.unwrap_or_default();
//!     book.take_place()?;                                                // a pure rule refuses
//!     tx.put(&book).await?;
//!     tx.insert(&order).await?;                                          // or `Duplicate { index }`
//!     Ok(())
//! }).await
//! ```
//!
//! - A transaction is committed as a whole or not at all. The work inside may run again, so its only effects are
//!   those through `tx`. Any store error ends the transaction: every later verb returns [`StoreError::TxAborted`].
//!   What follows from a refusal runs in a new transaction.
//! - The unique index decides: insert, and translate `Duplicate`. Never check first.
//! - An outcome, including a refusal, is returned only once everything that it was based on is durable.
//! - A rule over several documents writes to the document that guards it: snapshot isolation alone doesn't enforce it.
//!
//! Below is one adapter per database (`sqlite`, `mongo`) behind the `backend` port, which handles bytes, not documents.
//! `tests/platform/store` is the contract that every adapter keeps.

mod backend;
mod case;
mod copy;
mod document;
mod error;
mod json;
mod mongo;
mod page;
mod privacy;
mod query;
mod queue;
mod revision;
mod sqlite;
mod stats;
#[cfg(test)]
pub mod testing;
mod transact;
mod tx;

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::{Stream, TryStreamExt, stream};

pub use crate::kernel::{Class, Retention};
use backend::Backend;
pub use copy::Copied;
pub use document::{Document, Format, Index, IndexKind, Migration, Schema, schema};
use error::Result;
pub use error::StoreError;
pub use page::{Cursor, Page, PageError};
pub use privacy::{Keep, Owner, Personal, PersonalField, Since, Until};
pub use query::{Crossed, Dimension, Dir, Field, Filter, Holds, Query, Value};
use queue::KeyedQueue;
pub use revision::{Precondition, Revision, Stale};
pub use stats::Stats;
pub use tx::Tx;

/// How long the work inside a transaction may run before it is rolled back. It only uses the store, which
/// takes microseconds; on SQLite it blocks every other writer.
const WORK_LIMIT: Duration = Duration::from_secs(5);

/// Documents that [`Store::stream`] reads at a time.
const STREAM_BATCH: u32 = 500;

/// Why a process opens the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To serve requests and run jobs. On SQLite one process at a time, on MongoDB any number.
    Serving,
    /// For a single task beside the serving processes: `admin`, `check`. It migrates nothing while a process serves.
    Beside,
}

/// The database, as services hold it. Clones are cheap and share the database.
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
    after_commit: Arc<OnceLock<Hook>>,
    work_limit: Duration,
    reruns: Arc<stats::Counter>,
    queues: Arc<KeyedQueue>,
}

type Hook = Box<dyn Fn(&[&'static str]) + Send + Sync>;

impl Store {
    /// Opens the SQLite database at `path` and creates the file if it doesn't exist; its folder must exist.
    ///
    /// Fails with a message for the operator when the file can't be opened, or when `access` is
    /// [`Access::Serving`] and another process already serves from it.
    pub fn sqlite(path: &Path, access: Access) -> Result<Self> {
        Ok(Self::over(Arc::new(sqlite::Sqlite::open(path, access)?)))
    }

    /// Connects to the MongoDB at `uri` (`mongodb://…` or `mongodb+srv://…`). The database is the one named in the
    /// URI's path, or `orientation`.
    ///
    /// Fails with a message for the operator, without the password, when the URI can't be parsed, no server answers
    /// within some seconds, or the server has no transactions.
    pub async fn mongo(uri: &str, access: Access) -> Result<Self> {
        Ok(Self::over(Arc::new(mongo::Mongo::open(uri, access).await?)))
    }

    fn over(backend: Arc<dyn Backend>) -> Self {
        Self {
            backend,
            after_commit: Arc::default(),
            work_limit: WORK_LIMIT,
            reruns: Arc::default(),
            queues: Arc::default(),
        }
    }

    /// The database's name, or the file's name without extension. Resources shared beside the store use it, too.
    pub fn name(&self) -> &str {
        self.backend.name()
    }

    /// The same store with another limit on how long the work inside a transaction may run (default: five
    /// seconds).
    pub fn with_work_limit(mut self, limit: Duration) -> Self {
        self.work_limit = limit;
        self
    }

    /// Creates the collections and indexes of these documents and migrates stored documents to their current versions.
    /// Runs at each start, in one process at a time, and changes nothing if everything is up to date. A migration that
    /// fails leaves everything as it was.
    ///
    /// Fails with [`StoreError::Unusable`] when a collection was written by a newer program, or needs a
    /// migration while other processes serve.
    pub async fn prepare(&self, schemas: &[Schema]) -> Result<()> {
        for schema in schemas {
            schema.check()?;
        }
        if self.backend.is_unfinished().await? {
            return Err(copy::unfinished());
        }
        self.backend.prepare(schemas).await
    }

    /// The collections of an older version, which the next start would migrate. Writes nothing.
    ///
    /// Fails with [`StoreError::Unusable`] when a start would be refused because a newer program wrote them, or because
    /// a copy into the database was not finished.
    pub async fn outdated(&self, schemas: &[Schema]) -> Result<Vec<&'static str>> {
        if self.backend.is_unfinished().await? {
            return Err(copy::unfinished());
        }
        let stored = self.backend.versions().await?;
        let mut outdated = Vec::new();
        for schema in schemas {
            if let Some(&version) = stored.get(schema.collection)
                && !schema.steps_from(version)?.is_empty()
            {
                outdated.push(schema.collection);
            }
        }
        Ok(outdated)
    }

    /// Whether documents of this kind can be read: the store has their collection, and no older version wrote it.
    ///
    /// # Errors
    /// If the store can't be read, or a newer version wrote the collection.
    pub async fn is_current(&self, schema: &Schema) -> Result<bool> {
        match self.backend.versions().await?.get(schema.collection) {
            Some(&version) => Ok(schema.steps_from(version)?.is_empty()),
            None => Ok(false),
        }
    }

    /// Sets a hook that is called after each commit with the words that its transaction noted ([`Tx::note`]). Only the
    /// first hook is kept; it must be quick and must not panic.
    pub fn after_commit(&self, hook: impl Fn(&[&'static str]) + Send + Sync + 'static) {
        // A second hook is a wiring mistake, which the first test run shows; at run time nobody could act on it.
        let _ = self.after_commit.set(Box::new(hook));
    }

    /// Counters since the store was opened, for metrics.
    pub fn stats(&self) -> Stats {
        let stats = self.backend.stats();
        Stats { conflicts: self.reruns.get(), queue: stats.queue + self.queues.waiting.get(), ..stats }
    }

    /// The document with this id.
    pub async fn get<D: Document>(&self, id: &str) -> Result<Option<D>> {
        self.backend
            .get(D::COLLECTION, id)
            .await?
            .map(|bytes| document::decode(&bytes, self.backend.format()))
            .transpose()
    }

    /// The documents that match the query, in its order and up to its limit.
    pub async fn find<D: Document>(&self, query: Query) -> Result<Vec<D>> {
        let found = self.backend.find(D::COLLECTION, query).await?;
        found.iter().map(|bytes| document::decode(bytes, self.backend.format())).collect()
    }

    /// The number of documents that match.
    pub async fn count<D: Document>(&self, filter: Filter) -> Result<u64> {
        self.backend.count(D::COLLECTION, filter).await
    }

    /// The number of documents for each text in `field`, sorted by that text. Documents without the field are
    /// left out.
    pub async fn tally<D: Document>(
        &self,
        field: &'static str,
        filter: Filter,
    ) -> Result<Vec<(String, u64)>> {
        let by = Dimension { field: field.into(), holds: Holds::Text };
        let rows = self.cross::<D>(vec![by], filter).await?;
        let text = |row: Crossed| match row.values.into_iter().next() {
            Some(Some(Value::Text(text))) => Some((text, row.documents)),
            _ => None,
        };
        Ok(rows.into_iter().filter_map(text).collect())
    }

    /// The number of documents for each combination of values of these fields, sorted by the values; missing ones are
    /// first.
    pub async fn cross<D: Document>(&self, by: Vec<Dimension>, filter: Filter) -> Result<Vec<Crossed>> {
        let mut rows = self.backend.cross(D::COLLECTION, by, filter).await?;
        rows.sort_by(|one, other| one.values.cmp(&other.values));
        Ok(rows)
    }

    /// The sum of the whole numbers in `field`, such as money in minor units; 0 if nothing matches.
    pub async fn sum<D: Document>(&self, field: &'static str, filter: Filter) -> Result<i64> {
        self.backend.sum(D::COLLECTION, field, filter).await
    }

    /// All documents that match, in the order of their ids, read in batches: for exports of any size. Each batch is as of
    /// the moment it is read; a document that exists all the time appears exactly once.
    pub fn stream<D: Document>(&self, filter: Filter) -> impl Stream<Item = Result<D>> + Send + use<D> {
        let (store, first) = (self.clone(), Some(Query::new(filter).limit(STREAM_BATCH)));
        stream::try_unfold(first, move |query| {
            let store = store.clone();
            async move {
                let Some(query) = query else { return Ok(None) };
                let batch = store.find::<D>(query.clone()).await?;
                let next = match batch.last() {
                    Some(last) if batch.len() == STREAM_BATCH as usize => {
                        Some(query.after(vec![last.id().into()]))
                    }
                    _ => None,
                };
                Ok(Some((stream::iter(batch.into_iter().map(Ok)), next)))
            }
        })
        .try_flatten()
    }
}
