//! What must not be lost: documents, queries and transactions, over a database that a feature never sees.
//!
//! A feature declares its documents ([`Document`]). It reads with [`Store::get`], [`Store::find`], [`Store::page`],
//! [`Store::count`], [`Store::tally`], [`Store::sum`] and [`Store::stream`], and writes in [`Store::transact`], or a
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
//! - All of a transaction is kept or none of it. The work inside may run again, so it has no effect but through
//!   `tx`. Any store error ends the transaction: every later verb says [`StoreError::TxAborted`], and what
//!   follows from a refusal runs in a transaction of its own.
//! - The unique index decides: insert, and translate `Duplicate`. Never look first.
//! - An outcome, a refusal too, is told only once all that it was based on is safe on the disk.
//! - A rule over several documents writes to the one that guards it: a snapshot alone does not hold it.
//!
//! Beneath stands one adapter per database (`sqlite`, `mongo`), behind the `backend` port, which knows bytes and no
//! documents. `tests/platform/store` is the contract that every adapter keeps.

mod backend;
mod copy;
mod document;
mod error;
mod json;
mod lines;
mod mongo;
mod page;
mod privacy;
mod query;
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

use backend::Backend;
pub use copy::Copied;
pub use document::{Document, Format, Index, Migration, Schema, schema};
use error::Result;
pub use error::StoreError;
use lines::Lines;
pub use page::{Cursor, Page, PageError};
pub use privacy::{Class, Keep, Owner, Personal, PersonalField, Since, Until};
pub use query::{Dir, Filter, Query, Value};
pub use stats::Stats;
pub use tx::Tx;

/// How long the work inside a transaction may run before it is rolled back. It only touches the store, which
/// takes microseconds; on SQLite it holds up every other writer.
const WORK_LIMIT: Duration = Duration::from_secs(5);

/// Documents that [`Store::stream`] reads at a time.
const STREAM_BATCH: u32 = 500;

/// What a process opens the database for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To serve requests and to work on jobs. On SQLite one process at a time; on MongoDB any number.
    Serving,
    /// To do one thing beside those that serve: `admin`, `check`. It migrates nothing while one serves.
    Beside,
}

/// The database, as services hold it. Clones are cheap and mean the same database.
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
    after_commit: Arc<OnceLock<Hook>>,
    work_limit: Duration,
    reruns: Arc<stats::Counter>,
    lines: Arc<Lines>,
}

type Hook = Box<dyn Fn(&[&'static str]) + Send + Sync>;

impl Store {
    /// Opens the SQLite database at `path`, which is made if it is not there; its folder must be.
    ///
    /// Fails with a sentence for the operator when the file can't be opened, or when `access` is
    /// [`Access::Serving`] and another process serves from it already.
    pub fn sqlite(path: &Path, access: Access) -> Result<Self> {
        Ok(Self::over(Arc::new(sqlite::Sqlite::open(path, access)?)))
    }

    /// Connects to the MongoDB at `uri` (`mongodb://…` or `mongodb+srv://…`); the database is the one that its path
    /// names, or `orientation`.
    ///
    /// Fails with a sentence for the operator, which never shows the address's password, when the address can't be
    /// read, no server answers within some seconds, or the server has no transactions.
    pub async fn mongo(uri: &str, access: Access) -> Result<Self> {
        Ok(Self::over(Arc::new(mongo::Mongo::open(uri, access).await?)))
    }

    fn over(backend: Arc<dyn Backend>) -> Self {
        Self {
            backend,
            after_commit: Arc::default(),
            work_limit: WORK_LIMIT,
            reruns: Arc::default(),
            lines: Arc::default(),
        }
    }

    /// The database's name, or of a file its name without extension: what is shared beside the store bears it.
    pub fn name(&self) -> &str {
        self.backend.name()
    }

    /// The same store with another limit on how long the work inside a transaction may run (otherwise five
    /// seconds).
    pub fn with_work_limit(mut self, limit: Duration) -> Self {
        self.work_limit = limit;
        self
    }

    /// Makes the collections and indexes of these documents and brings what is stored up to their versions. Done at
    /// each start, by one process at a time; where nothing has changed it changes nothing. A migration that fails
    /// leaves everything as it was.
    ///
    /// Fails with [`StoreError::Unusable`] when a collection was written by a newer program, or would have to be
    /// migrated while others serve.
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
    /// a copy into the database was not ended.
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

    /// Calls `hook` after each commit with the words that its transaction noted ([`Tx::note`]). The first hook
    /// set stays; it must be quick and must not panic.
    pub fn after_commit(&self, hook: impl Fn(&[&'static str]) + Send + Sync + 'static) {
        // A second hook is a fault of the wiring that the first test shows; there is nobody to tell at run time.
        let _ = self.after_commit.set(Box::new(hook));
    }

    /// What the store has done since it was opened, for metrics.
    pub fn stats(&self) -> Stats {
        let stats = self.backend.stats();
        Stats { conflicts: self.reruns.get(), queue: stats.queue + self.lines.waiting.get(), ..stats }
    }

    /// The document with this id.
    pub async fn get<D: Document>(&self, id: &str) -> Result<Option<D>> {
        self.backend
            .get(D::COLLECTION, id)
            .await?
            .map(|bytes| document::decode(&bytes, self.backend.format()))
            .transpose()
    }

    /// The documents that the query asks for, in its order, as many as its limit lets through.
    pub async fn find<D: Document>(&self, query: Query) -> Result<Vec<D>> {
        let found = self.backend.find(D::COLLECTION, query).await?;
        found.iter().map(|bytes| document::decode(bytes, self.backend.format())).collect()
    }

    /// How many documents match.
    pub async fn count<D: Document>(&self, filter: Filter) -> Result<u64> {
        self.backend.count(D::COLLECTION, filter).await
    }

    /// How many documents there are for each text in `field`, sorted by that text. Those without the field are
    /// left out.
    pub async fn tally<D: Document>(
        &self,
        field: &'static str,
        filter: Filter,
    ) -> Result<Vec<(String, u64)>> {
        self.backend.tally(D::COLLECTION, field, filter).await
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
