//! Port: documents, queries, transactions. Adapters: `sqlite`, `mongo`.
mod query;
mod sqlite;
pub use query::{Dir, Filter, Query, Value};

use async_trait::async_trait;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

pub trait Document: Serialize + DeserializeOwned + Send + Sync + 'static {
    const COLLECTION: &'static str;
    const VERSION: u32 = 1;
    const INDEXES: &'static [Index] = &[];
    fn id(&self) -> &str;
}
#[derive(Debug, Clone, Copy)]
pub struct Index {
    pub name: &'static str,
    pub fields: &'static [&'static str],
    pub unique: bool,
}
impl Index {
    pub const fn on(name: &'static str, fields: &'static [&'static str]) -> Self {
        Self { name, fields, unique: false }
    }
    pub const fn unique(name: &'static str, fields: &'static [&'static str]) -> Self {
        Self { name, fields, unique: true }
    }
}
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    pub collection: &'static str,
    pub indexes: &'static [Index],
}
pub const fn schema<D: Document>() -> Schema {
    Schema { collection: D::COLLECTION, indexes: D::INDEXES }
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StoreError {
    #[error("duplicate in {index}")]
    Duplicate { index: String },
    /// Write conflict: `transact` runs the work again; callers never see it.
    #[error("write conflict")]
    Conflict,
    #[error("still in conflict when patience ran out")]
    Busy,
    #[error("the transaction has already ended (a refusal ended it, or it was kept too long)")]
    TxAborted,
    #[error("store: {0}")]
    Failed(String),
}
type Result<T, E = StoreError> = std::result::Result<T, E>;

fn encode<T: Serialize>(v: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(v).map_err(|e| StoreError::Failed(e.to_string()))
}
fn decode<T: DeserializeOwned>(b: &[u8]) -> Result<T> {
    serde_json::from_slice(b).map_err(|e| StoreError::Failed(e.to_string()))
}

// ---- what an adapter implements: object-safe, knows bytes, no document types ----
#[async_trait]
pub(crate) trait Backend: Send + Sync {
    async fn prepare(&self, schemas: &[Schema]) -> Result<()>;
    async fn get(&self, coll: &'static str, id: &str) -> Result<Option<Vec<u8>>>;
    async fn find(&self, coll: &'static str, q: Query) -> Result<Vec<Vec<u8>>>;
    async fn tally(
        &self,
        coll: &'static str,
        field: &'static str,
        filter: Filter,
    ) -> Result<Vec<(String, u64)>>;
    async fn count(&self, coll: &'static str, filter: Filter) -> Result<u64>;
    async fn begin(&self) -> Result<Box<dyn BackendTx>>;
    fn stats(&self) -> String {
        String::new()
    }
}
#[async_trait]
pub(crate) trait BackendTx: Send {
    async fn get(&mut self, coll: &'static str, id: &str) -> Result<Option<Vec<u8>>>;
    async fn find(&mut self, coll: &'static str, q: Query) -> Result<Vec<Vec<u8>>>;
    async fn insert(&mut self, coll: &'static str, id: &str, doc: Vec<u8>) -> Result<()>;
    async fn put(&mut self, coll: &'static str, id: &str, doc: Vec<u8>) -> Result<()>;
    async fn delete(&mut self, coll: &'static str, id: &str) -> Result<bool>;
    async fn commit(self: Box<Self>) -> Result<()>;
    async fn rollback(self: Box<Self>) -> Result<()>;
}

// ---- what a service holds ----
#[derive(Clone)]
pub struct Store {
    after_commit: Arc<std::sync::OnceLock<Box<dyn Fn(&[&'static str]) + Send + Sync>>>,
    backend: Arc<dyn Backend>,
    gates: Arc<Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>>,
    pub retries: Arc<AtomicU64>,
}

tokio::task_local! { static IN_TRANSACTION: (); }

impl Store {
    fn over(backend: Arc<dyn Backend>) -> Self {
        Self {
            after_commit: Default::default(),
            backend,
            gates: Default::default(),
            retries: Default::default(),
        }
    }
    pub fn sqlite(path: &std::path::Path) -> Result<Self> {
        Ok(Self::over(Arc::new(sqlite::Sqlite::open(path)?)))
    }
    pub async fn prepare(&self, schemas: &[Schema]) -> Result<()> {
        self.backend.prepare(schemas).await
    }
    /// Calls `hook` after each commit with the words that its transaction noted (`Tx::note`). Set once.
    pub fn after_commit(&self, hook: impl Fn(&[&'static str]) + Send + Sync + 'static) {
        let _ = self.after_commit.set(Box::new(hook));
    }
    pub fn stats(&self) -> String {
        self.backend.stats()
    }

    pub async fn get<D: Document>(&self, id: &str) -> Result<Option<D>> {
        self.backend.get(D::COLLECTION, id).await?.map(|b| decode(&b)).transpose()
    }
    pub async fn find<D: Document>(&self, q: Query) -> Result<Vec<D>> {
        self.backend.find(D::COLLECTION, q).await?.iter().map(|b| decode(b)).collect()
    }
    pub async fn count<D: Document>(&self, filter: Filter) -> Result<u64> {
        self.backend.count(D::COLLECTION, filter).await
    }
    pub async fn tally<D: Document>(
        &self,
        field: &'static str,
        filter: Filter,
    ) -> Result<Vec<(String, u64)>> {
        self.backend.tally(D::COLLECTION, field, filter).await
    }

    /// Runs `work` in one transaction; it may run again, so it must have no effect but through `tx`.
    pub async fn transact<T, E, F, Fut>(&self, work: F) -> Result<T, E>
    where
        F: Fn(Tx) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: From<StoreError> + Send,
    {
        if IN_TRANSACTION.try_with(|_| ()).is_ok() {
            return Err(StoreError::Failed(
                "a transaction inside a transaction would wait for itself".into(),
            )
            .into());
        }
        let patience = Instant::now() + Duration::from_secs(10);
        for attempt in 0u32.. {
            if attempt > 0 {
                if Instant::now() > patience {
                    return Err(StoreError::Busy.into());
                }
                self.retries.fetch_add(1, Ordering::Relaxed);
                let cap = (2u64 << attempt.min(6)).min(60);
                tokio::time::sleep(Duration::from_micros(fastrand::u64(200..=cap * 1000))).await;
            }
            // This frame owns the transaction, `Tx` only points at it: if the caller hangs up it is undone here.
            let running = Running::new(self.backend.begin().await?);
            let outcome = IN_TRANSACTION.scope((), work(Tx { inner: Arc::downgrade(&running.0) })).await;
            let (inner, failure, notes) = running.end().await;
            match (outcome, failure) {
                (_, Some(StoreError::Conflict)) => {
                    inner.rollback().await.ok();
                }
                (Ok(value), None) => match inner.commit().await {
                    Ok(()) => {
                        if let Some(hook) = self.after_commit.get()
                            && !notes.is_empty()
                        {
                            hook(&notes);
                        }
                        return Ok(value);
                    }
                    Err(StoreError::Conflict) => {}
                    Err(e) => return Err(e.into()),
                },
                (Ok(_), Some(swallowed)) => {
                    inner.rollback().await?;
                    return Err(swallowed.into());
                }
                (Err(refusal), _) => {
                    inner.rollback().await?;
                    return Err(refusal);
                }
            }
        }
        unreachable!()
    }
    /// The same, with those who want the same guard queueing in this process instead of colliding.
    pub async fn transact_at<T, E, F, Fut>(&self, guard: &str, work: F) -> Result<T, E>
    where
        F: Fn(Tx) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: From<StoreError> + Send,
    {
        let gate = {
            let mut gates = self.gates.lock().unwrap();
            gates.retain(|_, g| g.strong_count() > 0);
            match gates.get(guard).and_then(Weak::upgrade) {
                Some(gate) => gate,
                None => {
                    let g = Arc::new(tokio::sync::Mutex::new(()));
                    gates.insert(guard.into(), Arc::downgrade(&g));
                    g
                }
            }
        };
        let _turn = gate.lock().await;
        self.transact(work).await
    }
}

/// A handle on a running transaction; useless once the transaction has ended.
pub struct Tx {
    inner: Weak<tokio::sync::Mutex<Inner>>,
}
struct Running(Arc<tokio::sync::Mutex<Inner>>);
struct Inner {
    backend: Option<Box<dyn BackendTx>>,
    failure: Option<StoreError>,
    notes: Vec<&'static str>,
}
impl Running {
    fn new(backend: Box<dyn BackendTx>) -> Self {
        Self(Arc::new(tokio::sync::Mutex::new(Inner {
            backend: Some(backend),
            failure: None,
            notes: vec![],
        })))
    }
    async fn end(self) -> (Box<dyn BackendTx>, Option<StoreError>, Vec<&'static str>) {
        let mut inner = self.0.lock().await;
        (inner.backend.take().expect("ended once"), inner.failure.take(), std::mem::take(&mut inner.notes))
    }
}

macro_rules! on {
    ($tx:expr, $b:ident => $call:expr) => {{
        let Some(running) = $tx.inner.upgrade() else { return Err(StoreError::TxAborted) };
        let mut inner = running.lock().await;
        if inner.failure.is_some() {
            return Err(StoreError::TxAborted);
        }
        let Some($b) = inner.backend.as_mut() else { return Err(StoreError::TxAborted) };
        // Any error ends the transaction: on MongoDB a duplicate aborts it, and SQLite is held to the same.
        let result = $call.await;
        if let Err(e) = &result {
            inner.failure = Some(e.clone());
        }
        result
    }};
}

impl Tx {
    /// Tells `Store::after_commit`'s hook this word, if the transaction commits.
    pub async fn note(&self, word: &'static str) {
        if let Some(r) = self.inner.upgrade() {
            r.lock().await.notes.push(word);
        }
    }
    pub async fn get<D: Document>(&self, id: &str) -> Result<Option<D>> {
        on!(self, b => b.get(D::COLLECTION, id))?.map(|b| decode(&b)).transpose()
    }
    pub async fn find<D: Document>(&self, q: Query) -> Result<Vec<D>> {
        on!(self, b => b.find(D::COLLECTION, q))?.iter().map(|b| decode(b)).collect()
    }
    pub async fn insert<D: Document>(&self, d: &D) -> Result<()> {
        let bytes = encode(d)?;
        on!(self, b => b.insert(D::COLLECTION, d.id(), bytes))
    }
    pub async fn put<D: Document>(&self, d: &D) -> Result<()> {
        let bytes = encode(d)?;
        on!(self, b => b.put(D::COLLECTION, d.id(), bytes))
    }
    pub async fn delete<D: Document>(&self, id: &str) -> Result<bool> {
        on!(self, b => b.delete(D::COLLECTION, id))
    }
}
