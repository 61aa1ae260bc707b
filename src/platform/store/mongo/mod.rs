//! MongoDB as the store: a replica set or a sharded cluster that any number of processes share.
//!
//! A document's `id` is stored as `_id` and times as dates, so that the data reads well in
//! MongoDB's own tools. Writes are multi-document transactions on a snapshot, or a single insert, acknowledged by a majority
//! and journalled. Two transactions that write the same document collide, and
//! [`Store::transact`](super::Store::transact) runs the loser again.
//!
//! Every call has a time limit: while the server is unreachable calls fail within seconds; afterwards they work again.
//!
//! Besides the documents there are `_versions` (see [`prepare`]), `_locks` (which process prepares now), `_processes`
//! (which processes serve now; see [`presence`] and [`abandoned`]) and `_copies` (whether a copy into the database is
//! under way).

mod abandoned;
mod bytes;
mod connection;
mod error;
mod filter;
mod heartbeat;
mod indexes;
mod lock;
mod migrate;
mod prepare;
mod presence;
mod read;
mod transaction;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bson::{Document, RawDocumentBuf, doc};
use mongodb::{Client, Collection, Database};

use self::connection::bounded;
use self::heartbeat::Heartbeat;
use self::transaction::MongoTx;
use super::backend::{Backend, BackendTx};
use super::error::Result;
use super::stats::Counter;
use super::{Access, Crossed, Dimension, Filter, Format, Query, Schema, Stats};

/// A database of MongoDB.
pub(super) struct Mongo {
    client: Client,
    db: Database,
    access: Access,
    /// Present while this process serves.
    presence: OnceLock<Heartbeat>,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Counters {
    commits: Counter,
    rollbacks: Counter,
    commit_micros: Counter,
}

impl Counters {
    /// Counts a commit that was begun at `start`, and returns its outcome.
    fn committed(&self, start: Instant, done: Result<()>) -> Result<()> {
        self.commit_micros.add(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
        match &done {
            Ok(()) => self.commits.add(1),
            Err(_) => self.rollbacks.add(1),
        }
        done
    }
}

impl Mongo {
    /// Connects; waits some seconds for the server to answer.
    pub async fn open(uri: &str, access: Access) -> Result<Self> {
        let (client, db) = connection::open(uri).await?;
        Ok(Self { client, db, access, presence: OnceLock::new(), counters: Arc::default() })
    }
}

impl Mongo {
    fn copies(&self) -> Collection<Document> {
        self.db.collection("_copies")
    }
}

/// The document that exists while a copy into the database is under way.
fn unfinished() -> Document {
    doc! { "_id": "unfinished" }
}

#[async_trait]
impl Backend for Mongo {
    fn format(&self) -> Format {
        Format::Bson
    }

    fn name(&self) -> &str {
        self.db.name()
    }

    fn collides(&self) -> bool {
        true
    }

    async fn prepare(&self, schemas: &[Schema]) -> Result<()> {
        prepare::prepare(&self.client, &self.db, schemas, self.access, &self.presence).await
    }

    async fn get(&self, collection: &'static str, id: &str) -> Result<Option<Vec<u8>>> {
        let found =
            bounded(self.db.collection::<RawDocumentBuf>(collection).find_one(doc! { "_id": id })).await?;
        found.as_deref().map(bytes::outward).transpose()
    }

    async fn find(&self, collection: &'static str, query: Query) -> Result<Vec<Vec<u8>>> {
        read::find(&self.db, collection, &query).await
    }

    async fn count(&self, collection: &'static str, filter: Filter) -> Result<u64> {
        read::count(&self.db, collection, &filter).await
    }

    async fn cross(
        &self,
        collection: &'static str,
        by: Vec<Dimension>,
        filter: Filter,
    ) -> Result<Vec<Crossed>> {
        read::cross(&self.db, collection, &by, &filter).await
    }

    async fn sum(&self, collection: &'static str, field: &'static str, filter: Filter) -> Result<i64> {
        read::sum(&self.db, collection, field, &filter).await
    }

    /// One call instead of a transaction's two, and equally durable by the client's write concern. If its answer is lost
    /// the driver repeats it, and MongoDB recognises the repetition.
    async fn insert(&self, collection: &'static str, _id: &str, document: Vec<u8>) -> Result<()> {
        let (document, start) = (bytes::inward(&document)?, Instant::now());
        let done = bounded(self.db.collection::<RawDocumentBuf>(collection).insert_one(document)).await;
        self.counters.committed(start, done.map(drop))
    }

    async fn begin(&self) -> Result<Box<dyn BackendTx>> {
        let counters = Arc::clone(&self.counters);
        let tx = MongoTx::begin(&self.client, &self.db, self.presence.get(), counters).await?;
        Ok(Box::new(tx))
    }

    async fn versions(&self) -> Result<BTreeMap<String, u32>> {
        let stored = prepare::stored_versions(&self.db).await?;
        Ok(stored.into_iter().map(|(collection, version)| (collection, version.number)).collect())
    }

    async fn is_empty(&self) -> Result<bool> {
        for name in bounded(self.db.list_collection_names()).await? {
            let ours = name.starts_with('_') || name.starts_with("system.");
            let collection = self.db.collection::<RawDocumentBuf>(&name);
            if !ours && bounded(collection.find_one(doc! {})).await?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn is_served(&self) -> Result<bool> {
        presence::others_serve(&self.db, self.presence.get()).await
    }

    async fn is_unfinished(&self) -> Result<bool> {
        Ok(bounded(self.copies().find_one(unfinished())).await?.is_some())
    }

    async fn set_unfinished(&self, is_unfinished: bool) -> Result<()> {
        match is_unfinished {
            true => bounded(self.copies().insert_one(unfinished())).await.map(drop),
            false => bounded(self.copies().delete_one(unfinished())).await.map(drop),
        }
    }

    fn stats(&self) -> Stats {
        let commits = self.counters.commits.get();
        Stats {
            transactions: commits,
            commits,
            rollbacks: self.counters.rollbacks.get(),
            committing: Duration::from_micros(self.counters.commit_micros.get()),
            ..Stats::default()
        }
    }
}
