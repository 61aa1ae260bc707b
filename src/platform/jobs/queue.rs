//! Operations on jobs in the store. Workers of several processes coordinate only here: every change is a
//! transaction, and changes to a running job require the token of its lease.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::model::{Job, JobState, LeaseLost, Payload};
use super::{TOPIC, trace};
use crate::kernel::{Clock, Timestamp, faults};
use crate::platform::store::{Dir, Filter, Query, Store, StoreError, Tx, Value};

pub use super::model::Outcome;

impl Tx {
    /// Records the job in this transaction; the workers are woken after its commit. If a job of the same kind and key
    /// already waits, it is kept and due at the earlier of the two times: the two must ask for the same work.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] if there is another job with this id, and other store errors.
    pub async fn enqueue(&self, job: &Job) -> Result<(), StoreError> {
        // A job that is due later is found in time by polling.
        if job.run_at <= job.created_at {
            self.note(TOPIC).await;
        }
        if let Some(mut waiting) = waiting_like(self, job).await? {
            waiting.repeat(job.run_at);
            return self.put(&waiting).await;
        }
        match trace::current() {
            Some(trace) if job.trace.is_none() => {
                self.insert(&Job { trace: Some(trace), ..job.clone() }).await
            }
            _ => self.insert(job).await,
        }
    }

    /// Records several new jobs in one call to the store. Unlike [`enqueue`](Self::enqueue), it doesn't look for waiting
    /// jobs of the same kind and key: the caller knows that there are none.
    ///
    /// # Errors
    /// Store errors.
    pub async fn enqueue_all(&self, mut jobs: Vec<Job>) -> Result<(), StoreError> {
        if jobs.iter().any(|job| job.run_at <= job.created_at) {
            self.note(TOPIC).await;
        }
        if let Some(trace) = trace::current() {
            jobs.iter_mut().for_each(|job| job.trace = Some(trace.clone()));
        }
        self.put_all(&jobs.iter().collect::<Vec<_>>()).await
    }

    /// Removes the waiting job of this kind and key, if there is one, because its work has been done.
    ///
    /// # Errors
    /// Store errors.
    pub async fn withdraw<P: Payload>(&self, key: &str) -> Result<(), StoreError> {
        if let Some(waiting) = find_waiting(self, &format!("{}:{key}", P::KIND)).await? {
            self.delete::<Job>(&waiting.id).await?;
        }
        Ok(())
    }
}

async fn find_waiting(tx: &Tx, unique_key: &str) -> Result<Option<Job>, StoreError> {
    Ok(tx.find::<Job>(Query::new(Filter::eq("waitingKey", unique_key)).limit(1)).await?.pop())
}

/// Another waiting job of the same kind and key.
async fn waiting_like(tx: &Tx, job: &Job) -> Result<Option<Job>, StoreError> {
    match job.unique_key() {
        Some(key) => Ok(find_waiting(tx, &key).await?.filter(|waiting| waiting.id != job.id)),
        None => Ok(None),
    }
}

/// Stores a job that may have begun to wait. If another one of its kind and key waits, that one replaces it.
pub(super) async fn put_back(tx: &Tx, mut job: Job, now: Timestamp) -> Result<Job, StoreError> {
    if job.state == JobState::Waiting
        && let Some(mut waiting) = waiting_like(tx, &job).await?
    {
        job.make_way_for(&mut waiting, now);
        tx.put(&waiting).await?;
    }
    tx.put(&job).await?;
    Ok(job)
}

/// The number of jobs of one kind that a worker can take.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    pub kind: &'static str,
    pub jobs: usize,
}

/// A worker's request for jobs.
#[derive(Clone, Debug, Default)]
pub struct Claim {
    /// At most this many jobs per kind, the oldest first.
    pub room: Vec<Room>,
    /// Also jobs whose lease has expired …
    pub crashed: bool,
    /// … except for these, which the worker itself holds.
    pub mine: HashSet<String>,
    /// The token of the leases: a new one for each claim.
    pub token: String,
}

/// The result of a claim.
#[derive(Debug, Default)]
pub struct Claimed {
    /// To be run.
    pub jobs: Vec<Job>,
    /// Not to be run again: their workers died too often.
    pub dead: Vec<Job>,
    /// When the next job of a kind is due; no entry if none waits.
    pub next: BTreeMap<&'static str, Timestamp>,
}

/// How a run that was claimed under `token` ended.
#[derive(Clone, Debug)]
pub struct Settlement {
    pub job_id: String,
    pub token: String,
    pub outcome: Outcome,
}

/// A job after its run, unless its lease was lost.
pub type Settled = Result<Job, LeaseLost>;

/// Claims, renews and settles.
#[derive(Clone)]
pub struct Queue {
    store: Store,
    clock: Arc<dyn Clock>,
}

impl Queue {
    /// The jobs in `store`. A lease is counted from the last run of its claiming transaction: counted from the first run it
    /// could have expired before a worker has it.
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// Leases the claimed jobs that are due; never two of the same kind and key at a time.
    ///
    /// # Errors
    /// Store errors; then nothing is leased.
    pub async fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError> {
        Ok(self.turn(&[], claim).await?.1)
    }

    /// Records how runs ended. Returns the jobs as they are now, or [`LeaseLost`] where another worker holds
    /// the job and its outcome counts.
    ///
    /// # Errors
    /// Store errors; then nothing is written.
    pub async fn settle(&self, ended: &[Settlement]) -> Result<Vec<Settled>, StoreError> {
        Ok(self.turn(ended, &Claim::default()).await?.0)
    }

    /// [`settle`](Self::settle) and then [`claim`](Self::claim) in one commit.
    ///
    /// # Errors
    /// Store errors; then neither has happened.
    pub async fn turn(
        &self,
        ended: &[Settlement],
        claim: &Claim,
    ) -> Result<(Vec<Settled>, Claimed), StoreError> {
        self.store
            .transact(async |tx| {
                let now = self.clock.now();
                let settled = settle_all(&tx, ended, now).await?;
                Ok((settled, claim_all(&tx, claim, now).await?))
            })
            .await
    }

    /// Renews the leases of these jobs (id and token), and returns the jobs whose lease was lost.
    ///
    /// # Errors
    /// Store errors; then nothing is renewed.
    pub async fn renew(&self, leases: &[(String, String)]) -> Result<Vec<(String, String)>, StoreError> {
        self.store
            .transact(async |tx| {
                let now = self.clock.now();
                let mut jobs = by_id(&tx, leases.iter().map(|(id, _)| &**id)).await?;
                let (mut renewed, mut lost) = (vec![], vec![]);
                for (id, token) in leases {
                    match jobs.remove(id).map(|mut job| job.renew(token, now).map(|()| job)) {
                        Some(Ok(job)) => renewed.push(job),
                        Some(Err(LeaseLost)) | None => lost.push((id.clone(), token.clone())),
                    }
                }
                tx.put_all(&Vec::from_iter(&renewed)).await?;
                Ok(lost)
            })
            .await
    }

    /// Records the tick of a cron job, unless it exists. If another job of its kind and key waits, that one covers both.
    ///
    /// # Errors
    /// Store errors.
    pub async fn record_tick(&self, tick: &Job, now: Timestamp) -> Result<bool, StoreError> {
        let recorded = self
            .store
            .transact(async |tx| {
                if tx.get::<Job>(&tick.id).await?.is_some() {
                    return Ok(false);
                }
                tx.note(TOPIC).await;
                let mut tick = tick.clone();
                if let Some(mut waiting) = waiting_like(&tx, &tick).await? {
                    tick.make_way_for(&mut waiting, now);
                    tx.put(&waiting).await?;
                }
                tx.insert(&tick).await?;
                Ok(true)
            })
            .await;
        match recorded {
            Err(StoreError::Duplicate { .. }) => Ok(false),
            other => other,
        }
    }
}

async fn by_id(tx: &Tx, ids: impl IntoIterator<Item = &str>) -> Result<HashMap<String, Job>, StoreError> {
    let jobs = tx.get_all::<Job>(ids).await?;
    Ok(jobs.into_iter().map(|job| (job.id.clone(), job)).collect())
}

/// Settles in the order of `ended`. The number of calls doesn't grow with the number of jobs, as each may be a network
/// round trip.
async fn settle_all(tx: &Tx, ended: &[Settlement], now: Timestamp) -> Result<Vec<Settled>, StoreError> {
    let mut jobs = by_id(tx, ended.iter().map(|one| &*one.job_id)).await?;
    let mut settled: Vec<_> = ended.iter().map(|one| settle(jobs.remove(&one.job_id), one, now)).collect();
    let mut others = waiting_by_key(tx, settled.iter().flatten()).await?;
    for job in settled.iter_mut().flatten() {
        if let Some(other) = job.waiting_key.as_ref().and_then(|key| others.get_mut(key)) {
            job.make_way_for(other, now);
        }
    }
    let handed_back = |(one, settled): (&Settlement, &Settled)| {
        settled.is_ok() && matches!(one.outcome, Outcome::HandedBack)
    };
    if ended.iter().zip(&settled).any(handed_back) {
        tx.note(TOPIC).await;
    }
    tx.put_all(&Vec::from_iter(settled.iter().flatten().chain(others.values()))).await?;
    Ok(settled)
}

fn settle(job: Option<Job>, one: &Settlement, now: Timestamp) -> Settled {
    let mut job = job.ok_or(LeaseLost)?;
    job.settle(&one.token, &one.outcome, now)?;
    Ok(job)
}

/// The waiting jobs in the store with the keys under which these jobs will wait.
async fn waiting_by_key(
    tx: &Tx,
    jobs: impl Iterator<Item = &Job>,
) -> Result<HashMap<String, Job>, StoreError> {
    let keys: Vec<Value> = jobs.filter_map(|job| job.waiting_key.clone()).map(Value::Text).collect();
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let limit = small(keys.len());
    let waiting = tx.find::<Job>(Query::new(Filter::In("waitingKey".into(), keys)).limit(limit)).await?;
    Ok(waiting.into_iter().filter_map(|job| Some((job.waiting_key.clone()?, job))).collect())
}

async fn claim_all(tx: &Tx, claim: &Claim, now: Timestamp) -> Result<Claimed, StoreError> {
    let (mut claimed, mut room) = (Claimed::default(), claim.room.clone());
    if claim.crashed {
        take_over_crashed(tx, claim, &mut room, now, &mut claimed).await?;
    }
    for room in room {
        claim_due(tx, room, &claim.token, now, &mut claimed).await?;
    }
    tx.put_all(&Vec::from_iter(&claimed.jobs)).await?;
    Ok(claimed)
}

async fn take_over_crashed(
    tx: &Tx,
    claim: &Claim,
    room: &mut [Room],
    now: Timestamp,
    claimed: &mut Claimed,
) -> Result<(), StoreError> {
    // As many as may precede those that are wanted.
    let limit = claim.mine.len() + room.iter().map(|room| room.jobs).sum::<usize>();
    let kinds = room.iter().map(|room| room.kind.into()).collect();
    let expired = Filter::eq("state", JobState::Running.as_str())
        .and(Filter::Le("leaseUntil".into(), now.into()))
        .and(Filter::In("kind".into(), kinds));
    for mut job in tx.find::<Job>(Query::new(expired).limit(small(limit))).await? {
        let Some(room) = room.iter_mut().find(|room| room.kind == job.kind && room.jobs > 0) else {
            continue;
        };
        if claim.mine.contains(&job.id) {
            continue;
        }
        job.take_over(&claim.token, now);
        if job.state == JobState::Running {
            room.jobs -= 1;
            claimed.jobs.push(job);
        } else {
            claimed.dead.push(job);
        }
    }
    // At once: a job that waits under the key of one of these may be claimed now.
    tx.put_all(&Vec::from_iter(&claimed.dead)).await
}

async fn claim_due(
    tx: &Tx,
    room: Room,
    token: &str,
    now: Timestamp,
    claimed: &mut Claimed,
) -> Result<(), StoreError> {
    // One more than there is room for shows when to check again.
    let limit = small(room.jobs + 1);
    let waiting = Filter::eq("state", JobState::Waiting.as_str()).and(Filter::eq("kind", room.kind));
    let first = Query::new(waiting).sort("runAt", Dir::Asc).limit(limit);
    let (mut query, mut left) = (first.clone(), room.jobs);
    loop {
        let page = tx.find::<Job>(query).await?;
        let last = page.last().map(|job| vec![Value::Time(job.run_at), Value::Text(job.id.clone())]);
        let full = page.len() == limit as usize;
        let busy = busy_keys(tx, &page).await?;
        for mut job in page {
            if job.run_at > now || left == 0 {
                claimed.next.insert(room.kind, job.run_at);
                return Ok(());
            }
            if job.unique_key().is_some_and(|key| busy.contains(&key)) {
                continue;
            }
            job.claim(token, now);
            claimed.jobs.push(job);
            left -= 1;
        }
        // A page of jobs whose keys are busy must not hide the jobs behind it.
        match last {
            Some(last) if full => query = first.clone().after(last),
            _ => return Ok(()),
        }
    }
}

/// The keys of these jobs under which another job is running.
async fn busy_keys(tx: &Tx, jobs: &[Job]) -> Result<HashSet<String>, StoreError> {
    let keys: Vec<Value> = jobs.iter().filter_map(Job::unique_key).map(Value::Text).collect();
    if keys.is_empty() || !faults::guarded("jobs-one-run-a-key") {
        return Ok(HashSet::new());
    }
    let limit = small(keys.len());
    let running = tx.find::<Job>(Query::new(Filter::In("runningKey".into(), keys)).limit(limit)).await?;
    Ok(running.into_iter().filter_map(|job| job.running_key).collect())
}

fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
