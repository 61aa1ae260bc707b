//! Inspecting and repairing jobs: for operators, metrics and tests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::TOPIC;
use super::model::{JOB_DROPPED, JOB_RETRIED, Job, JobState};
use super::queue::put_back;
use crate::kernel::{Actor, Clock, Timestamp};
use crate::platform::audit::Subject;
use crate::platform::store::{Cursor, Dir, Filter, Page, PageError, Query, Store, StoreError, Tx};

/// Maximum length of the list of [`Jobs::dead`].
const PAGE: u32 = 200;

/// The number of jobs of one kind in one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    pub kind: String,
    pub state: JobState,
    pub jobs: u64,
}

/// Why a job can't be retried or dropped.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum ChangeError {
    #[error("there is no such job")]
    Unknown,
    /// Running and done jobs can't be changed; this one is in this state.
    #[error("the job is {}", .0.as_str())]
    State(JobState),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Jobs of each kind from which [`Jobs::stats`] takes the times: the last of those that are kept for a day.
const RECENT: u32 = 200;

/// Figures of the jobs of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KindStats {
    pub kind: String,
    pub waiting: u64,
    pub running: u64,
    pub dead: u64,
    /// How long the oldest due job has been due, if one is due.
    pub oldest_due: Option<Duration>,
    /// Number of the recent jobs that the times are taken from.
    pub recent: u64,
    /// From due to the start of the last attempt.
    pub latency: Option<Percentiles>,
    /// From the start of the last attempt to the end.
    pub run_time: Option<Percentiles>,
}

/// Two percentiles of some times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percentiles {
    /// The median.
    pub p50: Duration,
    /// The 95th percentile.
    pub p95: Duration,
}

impl Percentiles {
    /// Of these times; `None` if there are none.
    fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        // The smallest time that at least this part of all times does not exceed.
        let at = |percent: usize| times.get((times.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        Some(Self { p50: at(50)?, p95: at(95)? })
    }
}

/// What else changes when a job is dropped: what it would have done is not done.
#[async_trait]
pub trait Dropped: Send + Sync + 'static {
    /// Called in the transaction that drops the job, for jobs of every kind.
    ///
    /// # Errors
    /// Those of the store. The job is not dropped then.
    async fn dropped(&self, tx: &Tx, job: &Job, now: Timestamp) -> Result<(), StoreError>;
}

/// The jobs in the store, for operators.
pub struct Jobs {
    store: Store,
    clock: Arc<dyn Clock>,
    dropped: Option<Arc<dyn Dropped>>,
}

impl Jobs {
    /// The jobs in `store`.
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, dropped: None }
    }

    /// The same, which calls `dropped` for each job that is dropped.
    pub fn calling(self, dropped: Arc<dyn Dropped>) -> Self {
        Self { dropped: Some(dropped), ..self }
    }

    /// The number of jobs by kind and state, without zeros.
    ///
    /// # Errors
    /// Store errors.
    pub async fn counts(&self) -> Result<Vec<Count>, StoreError> {
        self.counts_in(&[JobState::Waiting, JobState::Running, JobState::Done, JobState::Dead]).await
    }

    /// [`counts`](Self::counts) of these states only.
    ///
    /// # Errors
    /// Store errors.
    pub async fn counts_in(&self, states: &[JobState]) -> Result<Vec<Count>, StoreError> {
        let mut counts = vec![];
        for &state in states {
            let of_state = Filter::eq("state", state.as_str());
            let tally = self.store.tally::<Job>("kind", of_state).await?;
            counts.extend(tally.into_iter().map(|(kind, jobs)| Count { kind, state, jobs }));
        }
        Ok(counts)
    }

    /// How long the oldest due job has been due: waiting for a worker, or left by one that died. Zero if there is none.
    ///
    /// # Errors
    /// Store errors.
    pub async fn oldest_due(&self) -> Result<Duration, StoreError> {
        let oldest = self.oldest_due_by_kind().await?.into_iter().map(|(_, age)| age).max();
        Ok(oldest.unwrap_or_default())
    }

    /// [`oldest_due`](Self::oldest_due) for each kind with due jobs.
    ///
    /// # Errors
    /// Store errors.
    pub async fn oldest_due_by_kind(&self) -> Result<Vec<(String, Duration)>, StoreError> {
        let now = self.clock.now();
        let waiting = Filter::eq("state", JobState::Waiting.as_str());
        let left =
            Filter::eq("state", JobState::Running.as_str()).and(Filter::Le("leaseUntil".into(), now.into()));
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

    /// How long ago the last job was done; `None` if no done job is still kept (a day).
    ///
    /// # Errors
    /// Store errors.
    pub async fn idle(&self) -> Result<Option<Duration>, StoreError> {
        let done = Query::new(Filter::eq("state", JobState::Done.as_str())).sort("finishedAt", Dir::Desc);
        let last = self.first(done, |job| job.finished_at).await?;
        Ok(last.map(|last| self.clock.now().since(last)))
    }

    /// Dead jobs, earliest death first; at most 200.
    ///
    /// # Errors
    /// Store errors.
    pub async fn dead(&self) -> Result<Vec<Job>, StoreError> {
        self.oldest(dead()).await
    }

    /// The page of the jobs in a state, first due first, that begins at `after`; at most `limit`, and only those of `kind`
    /// if it is given.
    ///
    /// # Errors
    /// [`PageError`].
    pub async fn list(
        &self,
        state: JobState,
        kind: Option<&str>,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<Job>, PageError> {
        let first_due = Query::new(in_state(state, kind)).sort("runAt", Dir::Asc).limit(limit);
        self.store.page(first_due, after).await
    }

    /// The number of jobs in a state, and of `kind` if it is given.
    ///
    /// # Errors
    /// Store errors.
    pub async fn count(&self, state: JobState, kind: Option<&str>) -> Result<u64, StoreError> {
        self.store.count::<Job>(in_state(state, kind)).await
    }

    /// Figures of each kind that has jobs, by name. The times come from the last 200 jobs of each kind at most.
    ///
    /// # Errors
    /// Store errors.
    pub async fn stats(&self) -> Result<Vec<KindStats>, StoreError> {
        let mut stats: BTreeMap<String, KindStats> = BTreeMap::new();
        for count in self.counts().await? {
            let of_kind = stats.entry(count.kind).or_default();
            match count.state {
                JobState::Waiting => of_kind.waiting = count.jobs,
                JobState::Running => of_kind.running = count.jobs,
                JobState::Dead => of_kind.dead = count.jobs,
                JobState::Done => {}
            }
        }
        for (kind, age) in self.oldest_due_by_kind().await? {
            stats.entry(kind).or_default().oldest_due = Some(age).filter(|age| !age.is_zero());
        }
        for (kind, of_kind) in &mut stats {
            of_kind.kind.clone_from(kind);
            let done = in_state(JobState::Done, Some(kind));
            let recent = Query::new(done).sort("finishedAt", Dir::Desc).limit(RECENT);
            // A dropped job has an error, and so has one that another job of its key has covered.
            let ran = |job: Job| {
                job.started_at
                    .zip(job.finished_at)
                    .filter(|_| job.error.is_none())
                    .map(|run| (job.run_at, run))
            };
            let ran: Vec<_> = self.store.find::<Job>(recent).await?.into_iter().filter_map(ran).collect();
            of_kind.recent = ran.len() as u64;
            of_kind.latency =
                Percentiles::of(ran.iter().map(|(due, (start, _))| start.since(*due)).collect());
            of_kind.run_time =
                Percentiles::of(ran.iter().map(|(_, (start, end))| end.since(*start)).collect());
        }
        Ok(stats.into_values().collect())
    }

    async fn oldest(&self, ended: Filter) -> Result<Vec<Job>, StoreError> {
        self.store.find(Query::new(ended).sort("finishedAt", Dir::Asc).limit(PAGE)).await
    }

    /// The job with this id.
    ///
    /// # Errors
    /// Store errors.
    pub async fn get(&self, id: &str) -> Result<Option<Job>, StoreError> {
        self.store.get(id).await
    }

    /// Retries a dead job at once, with all its attempts. If another job of its kind and key waits, that one covers
    /// it.
    ///
    /// # Errors
    /// [`ChangeError`] if there is no such job or it isn't dead.
    pub async fn retry(&self, actor: &Actor, id: &str) -> Result<Job, ChangeError> {
        let now = self.clock.now();
        self.store
            .transact(async |tx| {
                let mut job = tx.get::<Job>(id).await?.ok_or(ChangeError::Unknown)?;
                if job.state != JobState::Dead {
                    return Err(ChangeError::State(job.state));
                }
                job.revive(now);
                tx.audit(actor, JOB_RETRIED, Subject::of::<Job>(id), &[], now).await?;
                tx.note(TOPIC).await;
                Ok(put_back(&tx, job, now).await?)
            })
            .await
    }

    /// Retries all jobs that are dead now. Returns their number.
    ///
    /// # Errors
    /// Store errors; the jobs before the error are retried all the same.
    pub async fn retry_all(&self, actor: &Actor) -> Result<u64, StoreError> {
        // A job that dies again meanwhile is not retried twice.
        let dead_now = dead().and(Filter::Le("finishedAt".into(), self.clock.now().into()));
        let mut retried = 0;
        loop {
            let dead = self.oldest(dead_now.clone()).await?;
            if dead.is_empty() {
                return Ok(retried);
            }
            retried += self.retry_each(actor, dead).await?;
        }
    }

    /// Retries at most this many dead jobs, those that died first before the others, and only those of `kind` if it is
    /// given. Returns their number.
    ///
    /// # Errors
    /// Store errors; the jobs before the error are retried all the same.
    pub async fn retry_some(
        &self,
        actor: &Actor,
        kind: Option<&str>,
        at_most: u32,
    ) -> Result<u64, StoreError> {
        let first = Query::new(in_state(JobState::Dead, kind)).sort("finishedAt", Dir::Asc);
        self.retry_each(actor, self.store.find(first.limit(at_most)).await?).await
    }

    async fn retry_each(&self, actor: &Actor, dead: Vec<Job>) -> Result<u64, StoreError> {
        let mut retried = 0;
        for job in dead {
            match self.retry(actor, &job.id).await {
                Ok(_) => retried += 1,
                // Another operator was faster.
                Err(ChangeError::Unknown | ChangeError::State(_)) => {}
                Err(ChangeError::Store(error)) => return Err(error),
            }
        }
        Ok(retried)
    }

    /// Drops a dead or waiting job: it will not run, and is deleted with the done jobs.
    ///
    /// # Errors
    /// [`ChangeError`] if there is no such job, or it is running or done.
    pub async fn drop(&self, actor: &Actor, id: &str) -> Result<Job, ChangeError> {
        let now = self.clock.now();
        self.store
            .transact(async |tx| {
                let mut job = tx.get::<Job>(id).await?.ok_or(ChangeError::Unknown)?;
                if !matches!(job.state, JobState::Dead | JobState::Waiting) {
                    return Err(ChangeError::State(job.state));
                }
                job.discard(now);
                tx.put(&job).await?;
                if let Some(dropped) = &self.dropped {
                    dropped.dropped(&tx, &job, now).await?;
                }
                tx.audit(actor, JOB_DROPPED, Subject::of::<Job>(id), &[], now).await?;
                Ok(job)
            })
            .await
    }
}

fn dead() -> Filter {
    in_state(JobState::Dead, None)
}

fn in_state(state: JobState, kind: Option<&str>) -> Filter {
    let in_state = Filter::eq("state", state.as_str());
    kind.into_iter().fold(in_state, |filter, kind| filter.and(Filter::eq("kind", kind)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_occurred() {
        let of = |millis: &[u64]| {
            let times = millis.iter().copied().map(Duration::from_millis).collect();
            Percentiles::of(times).map(|times| (times.p50.as_millis(), times.p95.as_millis()))
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[7]), Some((7, 7)));
        assert_eq!(of(&[30, 10, 20]), Some((20, 30)));
        assert_eq!(of(&(1..=200).rev().collect::<Vec<_>>()), Some((100, 190)));
    }
}
