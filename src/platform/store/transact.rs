//! How a transaction is run: begun, worked in, ended, and run again when it collides.

use std::time::{Duration, Instant};

use super::error::Result;
use super::tx::{Running, Tx};
use super::{Store, StoreError};

/// How long a transaction that collides is run again before its caller is told that the store is busy.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest pause between two runs.
const LONGEST_PAUSE: Duration = Duration::from_millis(60);

tokio::task_local! { static IN_TRANSACTION: (); }

/// How one run ended.
enum Run<T, E> {
    Told(Result<T, E>),
    Collided,
}

impl Store {
    /// Runs `work` in one transaction and commits what it wrote if it returns `Ok`; otherwise nothing is kept.
    ///
    /// `work` may run again when it collides with another transaction, so it must have no effect but through
    /// its `Tx`. Its error type takes in a [`StoreError`]; one that `work` swallows still ends the transaction.
    /// Beginning a transaction inside another one is refused ([`StoreError::Nested`]), and work that runs for
    /// longer than five seconds is rolled back ([`StoreError::TooSlow`]), as it is when the caller hangs up or
    /// panics.
    pub async fn transact<T, E, F, Fut>(&self, work: F) -> Result<T, E>
    where
        F: Fn(Tx) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: From<StoreError> + Send,
    {
        if IN_TRANSACTION.try_with(|()| ()).is_ok() {
            return Err(StoreError::Nested.into());
        }
        let give_up = Instant::now() + PATIENCE;
        let mut longest = Duration::from_millis(2);
        loop {
            if let Run::Told(outcome) = self.run(&work).await? {
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

    /// The same for work that writes a document which many want to write at once, named by `guard`. Where such
    /// transactions would collide they stand in line instead; on SQLite they stand in line anyway.
    pub async fn transact_at<T, E, F, Fut>(&self, _guard: &str, work: F) -> Result<T, E>
    where
        F: Fn(Tx) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: From<StoreError> + Send,
    {
        self.transact(work).await
    }

    /// Runs the work once. This frame owns the transaction and `Tx` only points at it: when the caller hangs up
    /// or panics, it is undone from here. A failure of the database is told as such, whatever the work made of it.
    async fn run<T, E, F, Fut>(&self, work: &F) -> Result<Run<T, E>>
    where
        F: Fn(Tx) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let running = Running::new(self.backend.begin().await?);
        let work = IN_TRANSACTION.scope((), work(running.handle()));
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
                Ok(Run::Told(Err(refusal)))
            }
            (Ok(value), None) => match ended.backend.commit().await {
                Ok(()) => {
                    self.tell(&ended.notes);
                    Ok(Run::Told(Ok(value)))
                }
                Err(StoreError::Conflict) => Ok(Run::Collided),
                Err(error) => Err(error),
            },
        }
    }

    /// Tells the hook what the transaction noted.
    fn tell(&self, notes: &[&'static str]) {
        if let Some(hook) = self.after_commit.get()
            && !notes.is_empty()
        {
            hook(notes);
        }
    }
}
