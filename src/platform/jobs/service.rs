//! Looking after jobs: for administrators, metrics and tests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::TOPIC;
use super::model::{Job, JobState};
use super::queue::put_back;
use crate::kernel::{Actor, Clock, Timestamp};
use crate::platform::audit::{Action, Subject};
use crate::platform::store::{Dir, Filter, Query, Store, StoreError};

/// The most that [`Jobs::dead`] lists at once.
const PAGE: u32 = 200;

/// How many jobs of one kind are in one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    pub kind: String,
    pub state: JobState,
    pub jobs: u64,
}

/// Why a job can't be retried or dropped.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum TendError {
    #[error("there is no such job")]
    Unknown,
    /// Only what nobody works on can be tended to; it is in this state.
    #[error("the job is {}", .0.as_str())]
    State(JobState),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The jobs in the store, seen from outside.
pub struct Jobs {
    store: Store,
    clock: Arc<dyn Clock>,
}

impl Jobs {
    /// The jobs in `store`.
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// How many jobs of each kind are in each state, where there are any.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn counts(&self) -> Result<Vec<Count>, StoreError> {
        self.counts_in(&[JobState::Waiting, JobState::Running, JobState::Done, JobState::Dead]).await
    }

    /// The same of these states only.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn counts_in(&self, states: &[JobState]) -> Result<Vec<Count>, StoreError> {
        let mut counts = vec![];
        for &state in states {
            let of_state = Filter::eq("state", state.as_str());
            let tally = self.store.tally::<Job>("kind", of_state).await?;
            counts.extend(tally.into_iter().map(|(kind, jobs)| Count { kind, state, jobs }));
        }
        Ok(counts)
    }

    /// For how long the oldest job that is due has been: waiting for a worker, or left by one that died. Zero if none is.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn oldest_due(&self) -> Result<Duration, StoreError> {
        let oldest = self.oldest_due_by_kind().await?.into_iter().map(|(_, age)| age).max();
        Ok(oldest.unwrap_or_default())
    }

    /// The same for each kind that waits or was left.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn oldest_due_by_kind(&self) -> Result<Vec<(String, Duration)>, StoreError> {
        let now = self.clock.now();
        let waiting = Filter::eq("state", JobState::Waiting.as_str());
        let left = Filter::eq("state", JobState::Running.as_str()).and(Filter::Le("leaseUntil", now.into()));
        let mut oldest: BTreeMap<String, Timestamp> = BTreeMap::new();
        for (kind, _) in self.store.tally::<Job>("kind", waiting.clone()).await? {
            let of_kind = Query::new(waiting.clone().and(Filter::eq("kind", kind.as_str())));
            let first = self.first(of_kind.sort("runAt", Dir::Asc), |job| Some(job.run_at)).await?;
            oldest.extend(first.map(|first| (kind, first)));
        }
        for (kind, _) in self.store.tally::<Job>("kind", left.clone()).await? {
            let of_kind = Query::new(left.clone().and(Filter::eq("kind", kind.as_str())));
            let first = self.first(of_kind.sort("leaseUntil", Dir::Asc), |job| job.lease_until).await?;
            let Some(first) = first else { continue };
            oldest.entry(kind).and_modify(|known| *known = first.min(*known)).or_insert(first);
        }
        Ok(oldest.into_iter().map(|(kind, first)| (kind, now.since(first))).collect())
    }

    async fn first(
        &self,
        query: Query,
        time: impl Fn(&Job) -> Option<Timestamp>,
    ) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.store.find::<Job>(query.limit(1)).await?.first().and_then(time))
    }

    /// How long ago a job was done last; `None` if of none that is still kept (a day).
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn idle(&self) -> Result<Option<Duration>, StoreError> {
        let done = Query::new(Filter::eq("state", JobState::Done.as_str())).sort("finishedAt", Dir::Desc);
        let last = self.first(done, |job| job.finished_at).await?;
        Ok(last.map(|last| self.clock.now().since(last)))
    }

    /// Dead jobs, those that died first before the others; at most 200.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn dead(&self) -> Result<Vec<Job>, StoreError> {
        self.oldest(dead()).await
    }

    async fn oldest(&self, ended: Filter) -> Result<Vec<Job>, StoreError> {
        self.store.find(Query::new(ended).sort("finishedAt", Dir::Asc).limit(PAGE)).await
    }

    /// The job of this id.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn get(&self, id: &str) -> Result<Option<Job>, StoreError> {
        self.store.get(id).await
    }

    /// Has a dead job tried again at once, with all its attempts before it. If another of its kind and key waits,
    /// that one does it.
    ///
    /// # Errors
    /// [`TendError`] if there is no such job or it isn't dead.
    pub async fn retry(&self, actor: &Actor, id: &str) -> Result<Job, TendError> {
        let now = self.clock.now();
        self.store
            .transact(async |tx| {
                let mut job = tx.get::<Job>(id).await?.ok_or(TendError::Unknown)?;
                if job.state != JobState::Dead {
                    return Err(TendError::State(job.state));
                }
                job.revive(now);
                tx.audit(actor, Action::JobRetried, Subject::of::<Job>(id), &[], now).await?;
                tx.note(TOPIC).await;
                Ok(put_back(&tx, job, now).await?)
            })
            .await
    }

    /// The same with all jobs that are dead now. Returns how many.
    ///
    /// # Errors
    /// Whatever the store says; those before it are tried again all the same.
    pub async fn retry_all(&self, actor: &Actor) -> Result<u64, StoreError> {
        // One that dies again meanwhile has had its chance.
        let dead_now = dead().and(Filter::Le("finishedAt", self.clock.now().into()));
        let mut retried = 0;
        loop {
            let dead = self.oldest(dead_now.clone()).await?;
            if dead.is_empty() {
                return Ok(retried);
            }
            for job in dead {
                match self.retry(actor, &job.id).await {
                    Ok(_) => retried += 1,
                    // Somebody else tended to it first.
                    Err(TendError::Unknown | TendError::State(_)) => {}
                    Err(TendError::Store(error)) => return Err(error),
                }
            }
        }
    }

    /// Drops a dead or a waiting job: it will not be run, and goes with those that are done.
    ///
    /// # Errors
    /// [`TendError`] if there is no such job, or it runs or is done.
    pub async fn drop(&self, actor: &Actor, id: &str) -> Result<Job, TendError> {
        let now = self.clock.now();
        self.store
            .transact(async |tx| {
                let mut job = tx.get::<Job>(id).await?.ok_or(TendError::Unknown)?;
                if !matches!(job.state, JobState::Dead | JobState::Waiting) {
                    return Err(TendError::State(job.state));
                }
                job.discard(now);
                tx.put(&job).await?;
                tx.audit(actor, Action::JobDropped, Subject::of::<Job>(id), &[], now).await?;
                Ok(job)
            })
            .await
    }
}

fn dead() -> Filter {
    Filter::eq("state", JobState::Dead.as_str())
}
