//! Running transactions: begin, work, end, and run again after a collision.

use std::time::Duration;

use tokio::time::Instant;

use super::document::encode;
use super::error::Result;
use super::tx::{Running, Tx};
use super::{Document, Query, Store, StoreError};
use crate::kernel::faults::guarded;

/// How long a colliding transaction is run again before [`StoreError::Busy`] is returned.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest pause between two runs.
const LONGEST_PAUSE: Duration = Duration::from_millis(60);

/// Documents that a sweep deletes per transaction, one by one. Few, so that others don't wait long, and so that it
/// finishes in time even if each takes 50 ms.
const SWEPT_AT_ONCE: u32 = 50;

tokio::task_local! { static IN_TRANSACTION: (); }

/// How one run ended.
enum Run<T, E> {
    Done(Result<T, E>),
    Collided,
}

fn refuse_nested() -> Result<()> {
    match IN_TRANSACTION.try_with(|()| ()) {
        Ok(()) => Err(StoreError::Nested),
        Err(_) => Ok(()),
    }
}

impl Store {
    /// Runs `work` in one transaction and commits its writes if it returns `Ok`; otherwise nothing is kept.
    ///
    /// `work` may run again when it collides with another transaction, so its only effects must be those through
    /// its `Tx`. Its error type converts from [`StoreError`]; a store error that `work` swallows still ends the
    /// transaction. Beginning a transaction inside another one is refused ([`StoreError::Nested`]). Work that runs
    /// longer than five seconds is rolled back ([`StoreError::TooSlow`]), and so is work whose caller hangs up or
    /// panics.
    pub async fn transact<T, E, F, Fut>(&self, work: F) -> Result<T, E>
    where
        F: Fn(Tx) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: From<StoreError> + Send,
    {
        self.transact_until(Instant::now() + PATIENCE, work).await
    }

    /// [`transact`](Self::transact) for documents that many write at once, each named by a guard. Where such
    /// transactions would collide, those of one process queue instead, for ten seconds at most ([`StoreError::Busy`]);
    /// on SQLite they queue anyway. The guards are taken in one order, whatever the order in which they are named, so
    /// that two transactions never wait for each other.
    pub async fn transact_at<T, E, F, Fut>(&self, guards: &[impl AsRef<str>], work: F) -> Result<T, E>
    where
        F: Fn(Tx) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: From<StoreError> + Send,
    {
        if !self.backend.collides() || !guarded("store-queue") {
            return self.transact(work).await;
        }
        refuse_nested()?;
        let give_up = Instant::now() + PATIENCE;
        let guards: Vec<_> = guards.iter().map(AsRef::as_ref).collect();
        let _turns = self.queues.turns(&guards, give_up).await?;
        self.transact_until(give_up, work).await
    }

    /// Inserts one new document in a single call if the database is remote; durable when it returns.
    /// [`StoreError::Duplicate`] if its id or a unique index is taken. After [`StoreError::Failed`], or when the caller
    /// hangs up, it may have been inserted all the same.
    pub async fn insert<D: Document>(&self, document: &D) -> Result<()> {
        refuse_nested()?;
        let bytes = encode(document, self.backend.format())?;
        self.backend.insert(D::COLLECTION, document.id(), bytes).await
    }

    /// Deletes all documents that match the query, in its order and some per transaction. Returns their number.
    pub async fn sweep<D: Document>(&self, which: Query) -> Result<usize> {
        let (which, mut swept) = (which.limit(SWEPT_AT_ONCE), 0);
        loop {
            let some = self.transact(async |tx| {
                let some = tx.find::<D>(which.clone()).await?;
                for document in &some {
                    tx.delete::<D>(document.id()).await?;
                }
                Ok::<_, StoreError>(some.len())
            });
            let some = some.await?;
            swept += some;
            if some < SWEPT_AT_ONCE as usize {
                return Ok(swept);
            }
        }
    }

    async fn transact_until<T, E, F, Fut>(&self, give_up: Instant, work: F) -> Result<T, E>
    where
        F: Fn(Tx) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: From<StoreError> + Send,
    {
        refuse_nested()?;
        let mut longest = Duration::from_millis(2);
        loop {
            if let Run::Done(outcome) = self.run(&work).await? {
                return outcome;
            }
            if Instant::now() > give_up {
                return Err(StoreError::Busy.into());
            }
            self.reruns.add(1);
            longest = (longest * 2).min(LONGEST_PAUSE);
            tokio::time::sleep(longest.mul_f64(fastrand::f64())).await;
        }
    }

    /// Runs the work once. This frame owns the transaction and `Tx` only points to it: when the caller hangs up
    /// or panics, it is undone from here. A database failure is returned as such, whatever the work did with it.
    async fn run<T, E, F, Fut>(&self, work: &F) -> Result<Run<T, E>>
    where
        F: Fn(Tx) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let running = Running::new(self.backend.begin().await?);
        let work = IN_TRANSACTION.scope((), work(running.handle(self.backend.format())));
        let Ok(outcome) = tokio::time::timeout(self.work_limit, work).await else {
            return Err(StoreError::TooSlow);
        };
        let ended = running.end().await?;
        match (outcome, ended.failure) {
            (_, Some(StoreError::Conflict)) => {
                ended.backend.rollback().await?;
                Ok(Run::Collided)
            }
            (Ok(_), Some(error)) | (Err(_), Some(error @ StoreError::Failed(_))) => {
                ended.backend.rollback().await?;
                Err(error)
            }
            (Err(refusal), _) => {
                ended.backend.rollback().await?;
                Ok(Run::Done(Err(refusal)))
            }
            (Ok(value), None) => match ended.backend.commit().await {
                Ok(()) => {
                    self.call_hook(&ended.notes);
                    ended.afterwards.into_iter().for_each(|act| act());
                    Ok(Run::Done(Ok(value)))
                }
                Err(StoreError::Conflict) => Ok(Run::Collided),
                Err(error) => Err(error),
            },
        }
    }

    /// Calls the hook with what the transaction noted.
    fn call_hook(&self, notes: &[&'static str]) {
        if let Some(hook) = self.after_commit.get()
            && !notes.is_empty()
        {
            hook(notes);
        }
    }
}
