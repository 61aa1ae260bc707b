//! A transaction of MongoDB.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bson::{RawArrayBuf, RawDocumentBuf, doc, rawdoc};
use mongodb::error::{Error, UNKNOWN_TRANSACTION_COMMIT_RESULT};
use mongodb::options::ReadConcern;
use mongodb::{Client, ClientSession, Collection, Database};
use tokio::time::timeout;

use super::super::backend::BackendTx;
use super::super::error::Result;
use super::super::{Filter, Query, StoreError};
use super::bytes::{inward, outward};
use super::connection::{Failure, asked, bounded, durable};
use super::error::{failed, refused};
use super::heartbeat::Heartbeat;
use super::{Counters, abandoned, read};
use crate::kernel::faults;

/// How long a commit with an unknown outcome is retried.
const COMMIT_PATIENCE: Duration = Duration::from_secs(10);

/// A running transaction. If it is dropped without an end, the driver aborts it in the background.
pub(super) struct MongoTx {
    /// Present until the transaction is ended in the background.
    session: Option<ClientSession>,
    db: Database,
    counters: Arc<Counters>,
    /// A collection that was read or written: a refusal is returned only when what it is based on is durable.
    touched: Option<&'static str>,
    /// The server has already aborted it, or can't be asked to.
    lost: bool,
    /// The server may not have aborted it.
    unsure: bool,
    ended: bool,
}

impl MongoTx {
    pub async fn begin(
        client: &Client,
        db: &Database,
        presence: Option<&Heartbeat>,
        counters: Arc<Counters>,
    ) -> Result<Self> {
        let mut session = bounded(client.start_session()).await?;
        if let Some(presence) = presence {
            presence.note(session.id()).await?;
        }
        let started =
            session.start_transaction().read_concern(ReadConcern::snapshot()).write_concern(durable());
        started.await.map_err(failed)?;
        Ok(Self {
            session: Some(session),
            db: db.clone(),
            counters,
            touched: None,
            lost: false,
            unsure: false,
            ended: false,
        })
    }

    fn collection(&mut self, name: &'static str) -> Collection<RawDocumentBuf> {
        self.touched = Some(name);
        self.db.collection(name)
    }

    /// Returns the result, and records whether there is still something to abort.
    fn noticed<T>(&mut self, result: Result<T, Failure>) -> Result<T> {
        result.map_err(|failure| {
            self.lost |= matches!(failure.error, StoreError::Conflict | StoreError::Failed(_));
            self.unsure |= !failure.answered;
            failure.error
        })
    }

    /// The result of a put. If another transaction put the first document of this id at the same moment, the next run
    /// replaces that one.
    fn put_or_collided(&mut self, done: Result<(), Failure>) -> Result<()> {
        match self.noticed(done) {
            Err(StoreError::Duplicate { index }) if index == "id" => {
                self.lost = true;
                Err(StoreError::Conflict)
            }
            other => other,
        }
    }

    /// Its locks are released as soon as the server is reachable. The session is given up: the driver must not reuse it
    /// before that.
    fn end_soon(&mut self) {
        if let Some(session) = self.session.take() {
            abandoned::end_soon(self.db.client().clone(), session);
        }
    }
}

#[async_trait]
impl BackendTx for MongoTx {
    async fn get(&mut self, collection: &'static str, id: &str) -> Result<Option<Vec<u8>>> {
        let collection = self.collection(collection);
        let found = asked(collection.find_one(doc! { "_id": id }).session(open(&mut self.session))).await;
        self.noticed(found)?.as_deref().map(outward).transpose()
    }

    async fn find(&mut self, collection: &'static str, query: Query) -> Result<Vec<Vec<u8>>> {
        self.touched = Some(collection);
        let found = read::find_in(open(&mut self.session), &self.db, collection, &query).await;
        read::all_outward(&self.noticed(found)?)
    }

    async fn count(&mut self, collection: &'static str, filter: Filter) -> Result<u64> {
        self.touched = Some(collection);
        let counted = read::count_in(open(&mut self.session), &self.db, collection, &filter).await;
        self.noticed(counted)
    }

    async fn insert(&mut self, collection: &'static str, _id: &str, document: Vec<u8>) -> Result<()> {
        let (collection, document) = (self.collection(collection), inward(&document)?);
        let done = asked(collection.insert_one(document).session(open(&mut self.session))).await;
        self.noticed(done.map(drop))
    }

    async fn insert_all(
        &mut self,
        collection: &'static str,
        documents: Vec<(String, Vec<u8>)>,
    ) -> Result<()> {
        if documents.is_empty() {
            return Ok(());
        }
        let documents = documents.iter().map(|(_, document)| inward(document)).collect::<Result<Vec<_>>>()?;
        let collection = self.collection(collection);
        let done = asked(collection.insert_many(documents).session(open(&mut self.session))).await;
        self.noticed(done.map(drop))
    }

    async fn put(&mut self, collection: &'static str, id: &str, document: Vec<u8>) -> Result<()> {
        let (collection, document) = (self.collection(collection), inward(&document)?);
        let replaced = collection.replace_one(doc! { "_id": id }, document).upsert(true);
        let done = asked(replaced.session(open(&mut self.session))).await.map(drop);
        self.put_or_collided(done)
    }

    /// Uses the server's own command: the driver's bulk write needs MongoDB 8.
    async fn put_all(&mut self, collection: &'static str, documents: Vec<(String, Vec<u8>)>) -> Result<()> {
        if documents.is_empty() {
            return Ok(());
        }
        let mut updates = RawArrayBuf::new();
        for (id, document) in documents {
            let document = inward(&document)?;
            updates.push(rawdoc! { "q": { "_id": id }, "u": document, "upsert": true });
        }
        self.touched = Some(collection);
        let command = rawdoc! { "update": collection, "updates": updates, "ordered": true };
        let answer = asked(self.db.run_raw_command(command).session(open(&mut self.session))).await;
        let done = answer.and_then(|answer| match refused(answer) {
            Some(error) => Err(Failure { error, answered: true }),
            None => Ok(()),
        });
        self.put_or_collided(done)
    }

    async fn delete(&mut self, collection: &'static str, id: &str) -> Result<bool> {
        let collection = self.collection(collection);
        let done = asked(collection.delete_one(doc! { "_id": id }).session(open(&mut self.session))).await;
        Ok(self.noticed(done)?.deleted_count > 0)
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        let start = Instant::now();
        faults::point("store.before-commit");
        let done =
            timeout(COMMIT_PATIENCE, commit(open(&mut self.session))).await.unwrap_or(Err(not_known()));
        self.ended = true;
        let done = self.counters.committed(start, done);
        if matches!(done, Err(StoreError::Failed(_))) {
            self.end_soon();
        }
        done
    }

    async fn rollback(mut self: Box<Self>) -> Result<()> {
        self.ended = true;
        self.counters.rollbacks.add(1);
        if self.unsure {
            // Nobody waits for an unreachable server.
            self.end_soon();
        }
        if self.lost {
            return Ok(());
        }
        if let Err(error) = bounded(open(&mut self.session).abort_transaction()).await {
            self.end_soon();
            return Err(error);
        }
        match self.touched {
            Some(collection) => seen_by_most(open(&mut self.session), &self.db, collection).await,
            None => Ok(()),
        }
    }
}

impl Drop for MongoTx {
    fn drop(&mut self) {
        if !self.ended {
            self.counters.rollbacks.add(1);
            // The driver tries to abort once; the server may be unreachable.
            self.end_soon();
        }
    }
}

fn open(session: &mut Option<ClientSession>) -> &mut ClientSession {
    session.as_mut().expect("the session is kept until the transaction's last call")
}

/// Commits, and retries while the outcome is unknown. Repeating the commit is safe, running the work again is not.
async fn commit(session: &mut ClientSession) -> Result<()> {
    let mut longest = Duration::from_millis(20);
    loop {
        match session.commit_transaction().await {
            Ok(()) => return Ok(()),
            Err(error) if is_unknown(&error) => tracing::warn!("retrying a commit whose answer was lost"),
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
    StoreError::Failed("MongoDB: it is unknown whether the transaction was committed".into())
}

/// Waits until a majority of servers has everything that the aborted transaction read. Without a commit MongoDB doesn't
/// report that; a read in the same session with read concern *majority* waits for it.
async fn seen_by_most(session: &mut ClientSession, db: &Database, collection: &str) -> Result<()> {
    let collection = db.collection::<RawDocumentBuf>(collection);
    bounded(collection.find_one(doc! { "_id": "" }).read_concern(ReadConcern::majority()).session(session))
        .await
        .map(drop)
}
