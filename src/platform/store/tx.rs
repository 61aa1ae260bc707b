//! The transaction handle for the work inside.

use std::mem::take;
use std::sync::{Arc, Weak};

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::backend::BackendTx;
use super::document::{Format, decode, encode};
use super::error::Result;
use super::{Document, Filter, Query, StoreError, Value};

/// A running transaction, for the work inside. Reads see the transaction's own writes. After the work has ended
/// the handle is useless: its verbs return [`StoreError::TxAborted`].
pub struct Tx {
    inner: Weak<Mutex<Inner>>,
    format: Format,
}

impl Tx {
    /// The document with this id.
    pub async fn get<D: Document>(&self, id: &str) -> Result<Option<D>> {
        let mut step = self.step().await?;
        let found = step.backend()?.get(D::COLLECTION, id).await;
        step.settle(found.and_then(|found| found.map(|bytes| decode(&bytes, self.format)).transpose()))
    }

    /// The documents with these ids, ordered by id, read in one call; missing ones are left out. For a batch,
    /// not for a whole collection.
    pub async fn get_all<D: Document>(&self, ids: impl IntoIterator<Item = &str>) -> Result<Vec<D>> {
        let ids: Vec<Value> = ids.into_iter().map(Value::from).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let limit = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        self.find(Query::new(Filter::In("id".into(), ids)).limit(limit)).await
    }

    /// The documents that match the query.
    pub async fn find<D: Document>(&self, query: Query) -> Result<Vec<D>> {
        let mut step = self.step().await?;
        let found = step.backend()?.find(D::COLLECTION, query).await;
        step.settle(found.and_then(|found| found.iter().map(|bytes| decode(bytes, self.format)).collect()))
    }

    /// The number of documents that match. It reads them all: for a frequent question keep the number in a document.
    pub async fn count<D: Document>(&self, filter: Filter) -> Result<u64> {
        let mut step = self.step().await?;
        let counted = step.backend()?.count(D::COLLECTION, filter).await;
        step.settle(counted)
    }

    /// Adds a new document. [`StoreError::Duplicate`] if its id or a unique index is taken.
    pub async fn insert<D: Document>(&self, document: &D) -> Result<()> {
        let bytes = encode(document, self.format)?;
        let mut step = self.step().await?;
        let done = step.backend()?.insert(D::COLLECTION, document.id(), bytes).await;
        step.settle(done)
    }

    /// Replaces the document with the same id, or adds it. [`StoreError::Duplicate`] if a unique index is taken by
    /// another document.
    pub async fn put<D: Document>(&self, document: &D) -> Result<()> {
        let bytes = encode(document, self.format)?;
        let mut step = self.step().await?;
        let done = step.backend()?.put(D::COLLECTION, document.id(), bytes).await;
        step.settle(done)
    }

    /// [`put`](Self::put) for several documents in their order, in one call if the database is remote. For a batch, not
    /// for a whole collection: together they must be smaller than 16 MB, MongoDB's limit for one call.
    pub async fn put_all<D: Document>(&self, documents: &[&D]) -> Result<()> {
        let encoded = |document: &&D| Ok((document.id().to_owned(), encode(*document, self.format)?));
        let documents = documents.iter().map(encoded).collect::<Result<Vec<_>>>()?;
        let mut step = self.step().await?;
        let done = step.backend()?.put_all(D::COLLECTION, documents).await;
        step.settle(done)
    }

    /// Removes the document with this id; returns whether it existed.
    pub async fn delete<D: Document>(&self, id: &str) -> Result<bool> {
        let mut step = self.step().await?;
        let gone = step.backend()?.delete(D::COLLECTION, id).await;
        step.settle(gone)
    }

    /// Passes this word to the hook of [`Store::after_commit`](super::Store::after_commit) if the transaction
    /// commits.
    pub async fn note(&self, word: &'static str) {
        if let Ok(mut step) = self.step().await
            && !step.notes.contains(&word)
        {
            step.notes.push(word);
        }
    }

    /// Runs `act` after a commit: for effects that can't be undone, such as a log line. It must be quick and must not
    /// panic.
    pub async fn once_committed(&self, act: impl FnOnce() + Send + 'static) {
        if let Ok(mut step) = self.step().await {
            step.afterwards.push(Box::new(act));
        }
    }

    /// The transaction, locked for one verb.
    async fn step(&self) -> Result<OwnedMutexGuard<Inner>> {
        Ok(self.inner.upgrade().ok_or(StoreError::TxAborted)?.lock_owned().await)
    }
}

/// The transaction as `transact` holds it while the work runs. Dropping it undoes the transaction.
pub(super) struct Running(Arc<Mutex<Inner>>);

/// An action to run after the commit.
type Act = Box<dyn FnOnce() + Send>;

/// What remains when the work has ended.
pub(super) struct Ended {
    pub backend: Box<dyn BackendTx>,
    /// The first store error inside, whatever the work did with it.
    pub failure: Option<StoreError>,
    pub notes: Vec<&'static str>,
    pub afterwards: Vec<Act>,
}

impl Running {
    pub fn new(backend: Box<dyn BackendTx>) -> Self {
        let backend = Some(backend);
        let (failure, notes, afterwards) = (None, Vec::new(), Vec::new());
        Self(Arc::new(Mutex::new(Inner { backend, failure, notes, afterwards })))
    }

    pub fn handle(&self, format: Format) -> Tx {
        Tx { inner: Arc::downgrade(&self.0), format }
    }

    /// Takes the transaction back; waits for a verb that an escaped handle is still running.
    pub async fn end(self) -> Result<Ended> {
        let mut inner = self.0.lock().await;
        let backend = inner.backend.take().ok_or(StoreError::TxAborted)?;
        let (notes, afterwards) = (take(&mut inner.notes), take(&mut inner.afterwards));
        Ok(Ended { backend, failure: inner.failure.take(), notes, afterwards })
    }
}

struct Inner {
    backend: Option<Box<dyn BackendTx>>,
    failure: Option<StoreError>,
    notes: Vec<&'static str>,
    afterwards: Vec<Act>,
}

impl Inner {
    /// The adapter's transaction, unless it has ended.
    fn backend(&mut self) -> Result<&mut dyn BackendTx> {
        match &mut self.backend {
            Some(backend) if self.failure.is_none() => Ok(backend.as_mut()),
            _ => Err(StoreError::TxAborted),
        }
    }

    /// Any error ends the transaction: MongoDB aborts it anyway, and every database behaves the same.
    fn settle<T>(&mut self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result {
            self.failure = Some(error.clone());
        }
        result
    }
}
