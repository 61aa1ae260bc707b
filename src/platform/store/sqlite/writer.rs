//! The one connection that writes, the queue for it, and group commit.
//!
//! A commit waits for the disk, which takes a thousand times as long as the writes in it. So a transaction ends
//! by releasing its savepoint, and its caller waits. The *committer*, a thread, waits in the same fair queue as
//! the writers. Transactions before it are in this commit, those after it in the next. Under load a
//! commit contains all transactions that arrived while the last one waited for the disk; on an idle store each
//! transaction is committed at once.
//!
//! What a transaction read may be in the same batch and not yet on the disk. So a refusal that is based on it waits
//! for the commit as well.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak, mpsc};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};

use super::super::error::Result;
use super::super::stats::Counter;
use super::super::{Schema, Stats, StoreError};
use super::connection::{failed, is_busy};
use super::lock::ServingLock;
use super::prepare;
use super::transaction::SqliteTx;
use crate::kernel::faults;

/// How long a writer waits while another process writes, before [`StoreError::Busy`] is returned.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it checks whether the other process is done.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// The shared writer and its queue.
pub(super) struct Writers {
    writer: Arc<Mutex<Writer>>,
    counters: Arc<Counters>,
    path: PathBuf,
}

#[derive(Default)]
pub(super) struct Counters {
    transactions: Counter,
    commits: Counter,
    pub rollbacks: Counter,
    queue: Counter,
    commit_micros: Counter,
}

impl Writers {
    /// Takes over the connection and starts the committer, which ends with the last writer.
    pub fn start(conn: Connection, lock: Option<ServingLock>, path: &Path) -> Result<Self> {
        // Waiting for another process happens between tries, never inside SQLite, where it would block a thread.
        conn.busy_timeout(Duration::ZERO).map_err(failed)?;
        let (wake, woken) = mpsc::channel();
        let counters = Arc::<Counters>::default();
        let writer = Arc::new(Mutex::new(Writer {
            conn,
            open: false,
            waiting: Vec::new(),
            wake,
            counters: Arc::clone(&counters),
            lock,
        }));
        let committer = Arc::downgrade(&writer);
        std::thread::Builder::new()
            .name("store-committer".into())
            .spawn(move || commit_batches(&committer, &woken))
            .map_err(|error| StoreError::Unusable(format!("the committer could not be started: {error}")))?;
        Ok(Self { writer, counters, path: path.to_owned() })
    }

    /// Waits for its turn and begins a transaction.
    pub async fn begin(&self) -> Result<SqliteTx> {
        let mut writer = self.turn().await;
        writer.open_batch().await?;
        SqliteTx::begin(writer)
    }

    /// Creates and migrates the collections, in a separate batch and on a blocking thread.
    pub async fn prepare(&self, schemas: &[Schema]) -> Result<()> {
        let mut writer = self.turn().await;
        writer.commit_batch().notify();
        writer.open_batch().await?;
        let (schemas, path) = (schemas.to_vec(), self.path.clone());
        tokio::task::spawn_blocking(move || writer.prepare(&schemas, &path))
            .await
            .map_err(|error| StoreError::Failed(format!("the preparation ended early: {error}")))?
    }

    /// Runs a statement in a separate batch.
    pub async fn run_alone(&self, statement: String) -> Result<()> {
        let mut writer = self.turn().await;
        writer.commit_batch().notify();
        writer.open_batch().await?;
        if let Err(error) = writer.run(&statement) {
            writer.abandon_batch();
            return Err(error);
        }
        writer.commit_batch().outcome
    }

    async fn turn(&self) -> OwnedMutexGuard<Writer> {
        let _waiting = self.counters.queue.hold();
        Arc::clone(&self.writer).lock_owned().await
    }

    pub fn stats(&self) -> Stats {
        Stats {
            transactions: self.counters.transactions.get(),
            commits: self.counters.commits.get(),
            rollbacks: self.counters.rollbacks.get(),
            conflicts: 0,
            queue: self.counters.queue.get(),
            committing: Duration::from_micros(self.counters.commit_micros.get()),
        }
    }
}

/// The committer: the only thread that waits for the disk.
fn commit_batches(writers: &Weak<Mutex<Writer>>, woken: &mpsc::Receiver<()>) {
    while woken.recv().is_ok() {
        let Some(writers) = writers.upgrade() else { return };
        let mut writer = writers.blocking_lock();
        let ended = writer.commit_batch();
        drop(writer);
        // Before members are notified: one that then closes the store must find the file free.
        drop(writers);
        ended.notify();
    }
}

/// The connection and its open batch. The holder of the lock around it has the turn.
pub(super) struct Writer {
    pub conn: Connection,
    /// Whether a batch has been begun and not ended.
    pub open: bool,
    /// Members of the batch that wait until it is on the disk.
    waiting: Vec<oneshot::Sender<Result<()>>>,
    wake: mpsc::Sender<()>,
    pub counters: Arc<Counters>,
    /// Last, so that the connection is closed before another process can take the lock.
    lock: Option<ServingLock>,
}

impl Writer {
    /// Begins a batch unless one is open; waits while another process writes.
    async fn open_batch(&mut self) -> Result<()> {
        let give_up = Instant::now() + PATIENCE;
        while !self.open {
            match self.conn.execute_batch("BEGIN IMMEDIATE") {
                Ok(()) => self.open = true,
                Err(error) if !is_busy(&error) => return Err(failed(error)),
                Err(_) if Instant::now() > give_up => return Err(StoreError::Busy),
                Err(_) => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
        Ok(())
    }

    /// Runs a statement without parameters or results.
    pub fn run(&mut self, statement: &str) -> Result<()> {
        let done = self.conn.prepare_cached(statement).and_then(|mut s| s.execute([])).map(drop);
        self.checked(done)
    }

    /// Returns the result. Some errors (disk full, I/O) make SQLite roll back the whole batch: then all its members
    /// are notified.
    pub fn checked<T>(&mut self, result: rusqlite::Result<T>) -> Result<T> {
        let result = result.map_err(failed);
        if let Err(error) = &result
            && self.open
            && self.conn.is_autocommit()
        {
            self.open = false;
            self.ended(Err(error.clone())).notify();
        }
        result
    }

    /// Commits the batch to the disk. If that fails, all of it is undone.
    pub fn commit_batch(&mut self) -> Ended {
        if !self.open {
            return self.ended(Ok(()));
        }
        let start = Instant::now();
        faults::point("store.before-commit");
        let done = self.conn.execute_batch("COMMIT").map_err(failed);
        if done.is_err() {
            self.abandon_batch();
        }
        self.open = false;
        let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.counters.commit_micros.add(micros);
        self.counters.commits.add(1);
        self.ended(done)
    }

    /// Undoes the whole batch. No outcome of its members has been returned yet.
    pub fn abandon_batch(&mut self) {
        if !self.conn.is_autocommit() && self.conn.execute_batch("ROLLBACK").is_err() {
            tracing::error!("a batch could not be rolled back");
        }
        self.open = false;
    }

    /// The members to be notified of the batch's end, with its outcome.
    pub fn ended(&mut self, outcome: Result<()>) -> Ended {
        let waiting = std::mem::take(&mut self.waiting);
        let members = u64::try_from(waiting.len()).unwrap_or(u64::MAX);
        match outcome {
            Ok(()) => self.counters.transactions.add(members),
            Err(_) => self.counters.rollbacks.add(members),
        }
        Ended { waiting, outcome }
    }

    /// Undoes one transaction and leaves the batch to the others; returns whether it has others.
    pub fn undo(&mut self) -> Result<bool> {
        self.counters.rollbacks.add(1);
        if self.waiting.is_empty() {
            self.abandon_batch();
            return Ok(false);
        }
        self.run("ROLLBACK TO t")?;
        self.run("RELEASE t")?;
        Ok(true)
    }

    /// Waits for the batch with its other members; the first one wakes the committer.
    pub fn join_batch(&mut self) -> Result<oneshot::Receiver<Result<()>>> {
        let (tell, told) = oneshot::channel();
        self.waiting.push(tell);
        if self.waiting.len() == 1 {
            self.wake.send(()).map_err(|_| committer_gone())?;
        }
        Ok(told)
    }

    /// Prepares the collections in the open batch, which has no other members.
    ///
    /// A process that doesn't serve changes existing collections only while no other process serves: a running program
    /// must not find documents of a version that it doesn't know.
    fn prepare(&mut self, schemas: &[Schema], path: &Path) -> Result<()> {
        let alone = match self.lock {
            Some(_) => None,
            None => ServingLock::take(path, Duration::ZERO).ok(),
        };
        let may_change = self.lock.is_some() || alone.is_some();
        // The next transaction must not commit half the work of a migration that panicked.
        let prepared = catch_unwind(AssertUnwindSafe(|| prepare::prepare(&self.conn, schemas, may_change)))
            .unwrap_or_else(|_| Err(StoreError::Unusable("a migration panicked".into())));
        if prepared.is_err() {
            self.abandon_batch();
            return prepared;
        }
        self.commit_batch().outcome
    }
}

/// A batch that has ended. Its members are notified after the writer is released.
#[must_use]
pub(super) struct Ended {
    waiting: Vec<oneshot::Sender<Result<()>>>,
    outcome: Result<()>,
}

impl Ended {
    pub fn notify(self) {
        for member in self.waiting {
            // A caller that has hung up needs no answer.
            let _ = member.send(self.outcome.clone());
        }
    }
}

pub(super) fn committer_gone() -> StoreError {
    StoreError::Failed("the committer has ended".into())
}
