//! A transaction of MongoDB.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bson::{RawDocumentBuf, doc};
use mongodb::error::{Error, UNKNOWN_TRANSACTION_COMMIT_RESULT};
use mongodb::options::ReadConcern;
use mongodb::{Client, ClientSession, Collection, Database};
use tokio::time::timeout;

use super::super::backend::BackendTx;
use super::super::error::Result;
use super::super::{Filter, Query, StoreError};
use super::bytes::{inward, outward};
use super::connection::{bounded, durable};
use super::error::failed;
use super::{Counters, read};
use crate::kernel::faults;

/// How long a commit whose outcome isn't known is sent again.
const COMMIT_PATIENCE: Duration = Duration::from_secs(10);

/// A running transaction. Dropped without an end, the driver undoes it behind our back.
pub(super) struct MongoTx {
    session: ClientSession,
    db: Database,
    counters: Arc<Counters>,
    /// A collection that was read or written: a refusal is told only when what it is based on is durable.
    touched: Option<&'static str>,
    /// The server has undone it already, or can't be asked to.
    lost: bool,
    ended: bool,
    is_test_server: bool,
}

impl MongoTx {
    pub async fn begin(
        client: &Client,
        db: &Database,
        counters: Arc<Counters>,
        is_test_server: bool,
    ) -> Result<Self> {
        let session = bounded(client.start_session()).await?;
        let mut tx = Self {
            session,
            db: db.clone(),
            counters,
            touched: None,
            lost: false,
            ended: false,
            is_test_server,
        };
        let started =
            tx.session.start_transaction().read_concern(ReadConcern::snapshot()).write_concern(durable());
        started.await.map_err(failed)?;
        Ok(tx)
    }

    fn collection(&mut self, name: &'static str) -> Collection<RawDocumentBuf> {
        self.touched = Some(name);
        self.db.collection(name)
    }

    /// Passes a result on, and remembers whether there is still something to undo here and now.
    fn noticed<T>(&mut self, result: Result<T>) -> Result<T> {
        self.lost |= matches!(result, Err(StoreError::Conflict | StoreError::Failed(_)));
        result
    }
}

#[async_trait]
impl BackendTx for MongoTx {
    async fn get(&mut self, collection: &'static str, id: &str) -> Result<Option<Vec<u8>>> {
        let collection = self.collection(collection);
        let found = bounded(collection.find_one(doc! { "_id": id }).session(&mut self.session)).await;
        self.noticed(found)?.as_deref().map(outward).transpose()
    }

    async fn find(&mut self, collection: &'static str, query: Query) -> Result<Vec<Vec<u8>>> {
        self.touched = Some(collection);
        let found = read::find_in(&mut self.session, &self.db, collection, &query).await;
        self.noticed(found)
    }

    async fn count(&mut self, collection: &'static str, filter: Filter) -> Result<u64> {
        self.touched = Some(collection);
        let counted = read::count_in(&mut self.session, &self.db, collection, &filter).await;
        self.noticed(counted)
    }

    async fn insert(&mut self, collection: &'static str, _id: &str, document: Vec<u8>) -> Result<()> {
        let (collection, document) = (self.collection(collection), inward(&document)?);
        let done = bounded(collection.insert_one(document).session(&mut self.session)).await;
        self.noticed(done.map(drop))
    }

    async fn put(&mut self, collection: &'static str, id: &str, document: Vec<u8>) -> Result<()> {
        if self.is_test_server {
            self.delete(collection, id).await?;
        }
        let (collection, document) = (self.collection(collection), inward(&document)?);
        let replaced = collection.replace_one(doc! { "_id": id }, document).upsert(true);
        let done = bounded(replaced.session(&mut self.session)).await.map(drop);
        self.noticed(match done {
            // Another put the first document of this id in the same moment: next time it is there to be replaced.
            Err(StoreError::Duplicate { index }) if index == "id" => Err(StoreError::Conflict),
            other => other,
        })
    }

    async fn delete(&mut self, collection: &'static str, id: &str) -> Result<bool> {
        let collection = self.collection(collection);
        let done = bounded(collection.delete_one(doc! { "_id": id }).session(&mut self.session)).await;
        Ok(self.noticed(done)?.deleted_count > 0)
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        let start = Instant::now();
        faults::point("store.before-commit");
        let done = timeout(COMMIT_PATIENCE, commit(&mut self.session)).await.unwrap_or(Err(not_known()));
        let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.counters.commit_micros.add(micros);
        self.ended = true;
        match &done {
            Ok(()) => self.counters.commits.add(1),
            Err(_) => self.counters.rollbacks.add(1),
        }
        done
    }

    async fn rollback(mut self: Box<Self>) -> Result<()> {
        self.ended = true;
        self.counters.rollbacks.add(1);
        if self.lost {
            // Nobody waits for a server that is away: the driver tells it when the session is dropped.
            return Ok(());
        }
        bounded(self.session.abort_transaction()).await?;
        match self.touched {
            Some(collection) => seen_by_most(&mut self.session, &self.db, collection).await,
            None => Ok(()),
        }
    }
}

impl Drop for MongoTx {
    fn drop(&mut self) {
        if !self.ended {
            self.counters.rollbacks.add(1);
        }
    }
}

/// Commits, and sends it again while nobody knows whether it is in: that is safe, running the work again is not.
async fn commit(session: &mut ClientSession) -> Result<()> {
    let mut longest = Duration::from_millis(20);
    loop {
        match session.commit_transaction().await {
            Ok(()) => return Ok(()),
            Err(error) if is_unknown(&error) => tracing::warn!("a commit is sent again: its answer was lost"),
            Err(error) => return Err(failed(error)),
        }
        tokio::time::sleep(longest.mul_f64(fastrand::f64())).await;
        longest = (longest * 2).min(Duration::from_secs(1));
    }
}

fn is_unknown(error: &Error) -> bool {
    error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT)
}

fn not_known() -> StoreError {
    StoreError::Failed("MongoDB: whether the transaction was kept is not known".into())
}

/// Waits until most servers have all that the transaction read. It was undone, and without a commit MongoDB doesn't
/// say whether what it read will last; a read of the same session that asks for the majority's state waits for it.
async fn seen_by_most(session: &mut ClientSession, db: &Database, collection: &str) -> Result<()> {
    let collection = db.collection::<RawDocumentBuf>(collection);
    bounded(collection.find_one(doc! { "_id": "" }).read_concern(ReadConcern::majority()).session(session))
        .await
        .map(drop)
}
