//! The workers of one process.
//!
//! One task claims and settles jobs of all kinds; each run has its own task; a third task renews the leases, so that a
//! slow claim costs no lease. Processes coordinate only through the queue.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{self, AbortHandle, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::cron::{Cron, Crons};
use super::model::{Job, JobState, LEASE, Pace, RENEW_EVERY, backoff};
use super::queue::{Claim, Claimed, Outcome, Queue, Room, Settled, Settlement};
use super::subscriber::{JobError, Run, Served, Subscribers};
use super::sweep;
use super::{TOPIC, trace};
use crate::kernel::{Clock, Ids, Timestamp, faults};
use crate::platform::metrics::JobRuns;
use crate::platform::request::RequestContext;
use crate::platform::signals::{Listener, Signals, wake_after_commit};
use crate::platform::store::{Filter, Store, StoreError};
use crate::platform::traces;

/// How often the store is checked without a wake-up.
const POLL: Duration = Duration::from_secs(1);
/// Pause before a store that doesn't answer is checked again.
const STORE_PAUSE: Duration = Duration::from_millis(250);
/// Wake-ups within this time are handled together.
const GATHER: Duration = Duration::from_millis(5);
/// Jobs of one kind that are claimed at once.
const BATCH: usize = 64;
/// How often the queue is checked for unknown kinds.
const UNKNOWN_KINDS_EVERY: Duration = Duration::from_secs(60);
/// How long a run may take to stop when it is cancelled.
const STOPPING: Duration = Duration::from_secs(2);
/// How long the store may take at the end to accept the jobs that are handed back.
const PARTING: Duration = Duration::from_secs(5);

/// Workers, ready to start.
pub struct Workers {
    store: Store,
    signals: Arc<dyn Signals>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    subscribers: Subscribers,
    crons: Crons,
    runs: JobRuns,
}

impl Workers {
    /// Workers for all kinds of `subscribers`, which also record the ticks of `crons` and delete jobs that were done a
    /// day ago.
    pub fn new(
        store: Store,
        signals: Arc<dyn Signals>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        subscribers: Subscribers,
        crons: Crons,
    ) -> Self {
        let sweep = sweep::of_jobs();
        let crons = crons.with(Cron::of_sweep("23 * * * *", &sweep));
        let subscribers = subscribers.with_sweep(sweep, store.clone(), clock.clone());
        Self { store, signals, clock, ids, subscribers, crons, runs: JobRuns::default() }
    }

    /// The kinds of jobs, each with the number of failures after which a job is dead.
    pub fn kinds(&self) -> Vec<(&'static str, u32)> {
        self.subscribers.kinds()
    }

    /// Counts the runs in `runs`.
    pub fn counted_by(self, runs: JobRuns) -> Self {
        Self { runs, ..self }
    }

    /// Starts them, within a tokio runtime. Commits to this store wake them, too.
    pub fn start(self) -> Running {
        wake_after_commit(&self.store, self.signals.clone());
        let (stop, stopped) = oneshot::channel();
        let listener = self.signals.listen(TOPIC);
        let queue = Queue::new(self.store.clone(), self.clock.clone());
        let held = Held::default();
        let heart = heartbeat(queue.clone(), self.clock.clone(), held.clone());
        let worker = Worker {
            heart: AbortOnDropHandle::new(tokio::spawn(heart)),
            store: self.store,
            queue,
            clock: self.clock,
            ids: self.ids,
            crons: self.crons,
            runs: self.runs,
            lanes: self.subscribers.0.into_iter().map(|(kind, served)| (kind, Lane::new(served))).collect(),
            held,
            tasks: JoinSet::new(),
            names: HashMap::new(),
            ended: vec![],
            crashed: true,
            poll_at: Instant::now(),
            looked_at: None,
            unknown_kinds_at: Instant::now(),
            unknown_kinds: BTreeSet::new(),
            store_is_down: false,
        };
        Running { stop, worker: AbortOnDropHandle::new(tokio::spawn(worker.work(listener, stopped))) }
    }
}

/// Running workers. Dropping this ends them at once, as if the process had died.
pub struct Running {
    stop: oneshot::Sender<Duration>,
    worker: AbortOnDropHandle<()>,
}

impl Running {
    /// Claims nothing more from this call on. The future waits up to this long for running jobs and hands the rest
    /// back.
    pub fn drain(self, patience: Duration) -> impl Future<Output = ()> + Send {
        // An error means that the worker has ended, which waiting for it finds out.
        let _ = self.stop.send(patience);
        async move {
            match timeout(patience + STOPPING + PARTING, self.worker).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "the workers ended unexpectedly"),
                Err(_) => tracing::warn!("the store doesn't answer: running jobs are left to their leases"),
            }
        }
    }
}

/// The jobs that this process holds, by id.
#[derive(Clone, Default)]
struct Held(Arc<Mutex<HashMap<String, Lease>>>);

struct Lease {
    token: String,
    kind: &'static str,
    attempt: u32,
    until: Timestamp,
    lost: bool,
    begun: Instant,
    run: AbortHandle,
}

impl Held {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Lease>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Id and token of each, except for lost ones.
    fn leases(&self) -> Vec<(String, String)> {
        let held = self.lock();
        held.iter().filter(|(_, job)| !job.lost).map(|(id, job)| (id.clone(), job.token.clone())).collect()
    }

    /// Ends the runs of these jobs: another worker has them, or may have them. A job that has run loses nothing: it is no longer
    /// in the store if its outcome is recorded, and recording it checks the lease.
    fn lose(&self, lost: impl Fn(&str, &Lease) -> bool) {
        let is_lost = |id: &str, job: &Lease| !job.lost && !job.run.is_finished() && lost(id, job);
        for (id, job) in self.lock().iter_mut().filter(|(id, job)| is_lost(id, job)) {
            tracing::warn!(kind = job.kind, id, "the lease of a job was lost while it ran");
            job.lost = true;
            job.run.abort();
        }
    }
}

/// Renews the leases of all held jobs, every two seconds.
async fn heartbeat(queue: Queue, clock: Arc<dyn Clock>, held: Held) {
    let mut beat = tokio::time::interval(RENEW_EVERY);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        let (leases, now) = (held.leases(), clock.now());
        if leases.is_empty() {
            continue;
        }
        match timeout(RENEW_EVERY, queue.renew(&leases)).await {
            Ok(Ok(lost)) => {
                held.lose(|id, job| lost.iter().any(|(of, token)| of == id && *token == job.token));
                prolong(&held, &leases, now);
            }
            // A run whose lease can't be renewed must end before the lease expires.
            Ok(Err(_)) | Err(_) => held.lose(|_, job| job.until <= clock.now()),
        }
    }
}

fn prolong(held: &Held, leases: &[(String, String)], now: Timestamp) {
    let mut held = held.lock();
    for (id, token) in leases {
        if let Some(job) = held.get_mut(id).filter(|job| job.token == *token) {
            job.until = now.plus(LEASE);
        }
    }
}

/// The state of one kind.
struct Lane {
    served: Arc<dyn Served>,
    running: usize,
    pace: Option<Pace>,
    /// Something may be due.
    look: bool,
    /// The earliest due time known.
    next: Option<Timestamp>,
}

impl Lane {
    fn new(served: Arc<dyn Served>) -> Self {
        let pace = served.per_second().map(Pace::new);
        Self { served, running: 0, pace, look: true, next: None }
    }

    fn room(&self, now: Timestamp) -> usize {
        let free = self.served.concurrency().saturating_sub(self.running).min(BATCH);
        self.pace.map_or(free, |pace| free.min(pace.room(now)))
    }

    /// When to check again; `None` while there is no room.
    fn look_at(&self, now: Timestamp) -> Option<Timestamp> {
        if self.running >= self.served.concurrency() {
            return None;
        }
        let due = if self.look { Some(now) } else { self.next };
        due.map(|due| self.pace.map_or(due, |pace| due.max(pace.next())))
    }
}

type Ended = Result<(task::Id, Result<(), JobError>), JoinError>;

struct Worker {
    store: Store,
    queue: Queue,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    crons: Crons,
    runs: JobRuns,
    lanes: BTreeMap<&'static str, Lane>,
    held: Held,
    heart: AbortOnDropHandle<()>,
    tasks: JoinSet<Result<(), JobError>>,
    /// The job of each task.
    names: HashMap<task::Id, String>,
    /// Ended runs that are not recorded yet.
    ended: Vec<Settlement>,
    /// Check for jobs that dead workers left behind.
    crashed: bool,
    poll_at: Instant,
    looked_at: Option<Instant>,
    unknown_kinds_at: Instant,
    unknown_kinds: BTreeSet<String>,
    store_is_down: bool,
}

impl Worker {
    async fn work(mut self, mut listener: Listener, mut stopped: oneshot::Receiver<Duration>) {
        loop {
            if let Ok(patience) = stopped.try_recv() {
                return self.wind_down(patience).await;
            }
            let pause = match self.turn().await {
                Ok(()) => {
                    self.store_is_down = false;
                    self.pause()
                }
                Err(error) => {
                    self.complain(&error);
                    STORE_PAUSE
                }
            };
            tokio::select! {
                biased;
                patience = &mut stopped => return self.wind_down(patience.unwrap_or_default()).await,
                () = listener.woken() => self.gather().await,
                Some(ended) = self.tasks.join_next_with_id() => self.note_ended(ended),
                () = tokio::time::sleep(pause) => {}
            }
            self.look_where_due();
        }
    }

    /// One pass: ended runs, ticks of cron jobs, jobs to claim.
    async fn turn(&mut self) -> Result<(), StoreError> {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.note_ended(ended);
        }
        self.record_ticks().await?;
        self.settle_and_claim().await?;
        self.look_for_unknown_kinds().await
    }

    /// Handles many wake-ups at once.
    async fn gather(&mut self) {
        if let Some(looked_at) = self.looked_at {
            sleep_until(looked_at + GATHER).await;
        }
        self.look_everywhere();
    }

    fn look_everywhere(&mut self) {
        self.crashed = true;
        self.lanes.values_mut().for_each(|lane| lane.look = true);
    }

    fn look_where_due(&mut self) {
        let now = self.clock.now();
        if Instant::now() >= self.poll_at {
            self.look_everywhere();
        }
        for lane in self.lanes.values_mut().filter(|lane| lane.next.is_some_and(|next| next <= now)) {
            lane.look = true;
        }
    }

    /// Waits until the next pass that is known to be needed.
    fn pause(&self) -> Duration {
        let now = self.clock.now();
        let lanes = self.lanes.values().filter_map(|lane| lane.look_at(now)).min();
        let due = lanes.map_or(self.crons.next(), |lanes| lanes.min(self.crons.next()));
        due.since(now).min(self.poll_at.saturating_duration_since(Instant::now()))
    }

    fn complain(&mut self, error: &StoreError) {
        if !self.store_is_down {
            tracing::warn!(%error, "the jobs in the store are unreachable");
        }
        self.store_is_down = true;
        self.looked_at = Some(Instant::now());
    }

    async fn record_ticks(&mut self) -> Result<(), StoreError> {
        let now = self.clock.now();
        if self.crons.next() > now {
            return Ok(());
        }
        for tick in self.crons.due(now) {
            if self.queue.record_tick(&tick, now).await? {
                tracing::info!(kind = tick.kind, id = tick.id, "a cron job is due");
            }
        }
        self.crons.recorded(now);
        Ok(())
    }

    async fn settle_and_claim(&mut self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let claim = self.wanted(now);
        if claim.room.is_empty() && self.ended.is_empty() {
            self.looked(&claim, &Claimed::default());
            return Ok(());
        }
        let (settled, claimed) = self.queue.turn(&self.ended, &claim).await?;
        self.note_settled(settled);
        self.looked(&claim, &claimed);
        for job in &claimed.dead {
            tracing::error!(
                kind = job.kind,
                id = job.id,
                crashes = job.crashes,
                "a job is dead: its workers died"
            );
        }
        for job in claimed.jobs {
            self.run(job, &claim.token, now);
        }
        Ok(())
    }

    /// As many jobs as there is room for, of kinds that may be due.
    fn wanted(&self, now: Timestamp) -> Claim {
        let looked = self.lanes.iter().filter(|(_, lane)| lane.look);
        let room = looked.map(|(kind, lane)| Room { kind, jobs: lane.room(now) });
        Claim {
            room: room.filter(|room| room.jobs > 0).collect(),
            crashed: self.crashed,
            mine: self.held.lock().keys().cloned().collect(),
            token: self.ids.next(),
        }
    }

    /// Records when to check again.
    fn looked(&mut self, claim: &Claim, claimed: &Claimed) {
        self.looked_at = Some(Instant::now());
        self.crashed = false;
        if Instant::now() >= self.poll_at {
            self.poll_at = Instant::now() + POLL;
        }
        for room in &claim.room {
            if let Some(lane) = self.lanes.get_mut(room.kind) {
                lane.look = false;
                lane.next = claimed.next.get(room.kind).copied();
            }
        }
    }

    fn run(&mut self, job: Job, token: &str, now: Timestamp) {
        let Some((&kind, lane)) = self.lanes.get_key_value(job.kind.as_str()) else { return };
        let origin = trace::origin(job.trace.as_deref());
        let traced = traces::job(kind, job.attempts, origin.parent);
        let (request, trace_id) = (origin.request, traces::id(&traced));
        let span = tracing::info_span!("job", kind, id = job.id, attempt = job.attempts, request, trace_id);
        let run = Run { job_id: job.id.clone(), attempt: job.attempts, crashes: job.crashes };
        let (served, payload, key) = (lane.served.clone(), job.payload, job.key);
        let end = traced.clone();
        let work = async move {
            let ended = match faults::is_poisoned(&run.job_id, kind, key.as_deref()) {
                true => Err(JobError::Retry("poisoned".into())),
                false => served.run(payload, run).await,
            };
            traces::ended(&end, if ended.is_ok() { "done" } else { "failed" }, ended.is_ok());
            ended
        };
        let context = request.map(|id| RequestContext { id: id.to_owned(), client: None });
        let work: Pin<Box<dyn Future<Output = _> + Send>> = match context {
            Some(context) => Box::pin(context.scope(work)),
            None => Box::pin(work),
        };
        let run = self.tasks.spawn(work.instrument(traced).instrument(span));
        self.names.insert(run.id(), job.id.clone());
        let until = job.lease_until.unwrap_or(now);
        let (attempt, begun) = (job.attempts, Instant::now());
        let lease = Lease { token: token.to_owned(), kind, attempt, until, lost: false, begun, run };
        self.held.lock().insert(job.id, lease);
        if let Some(lane) = self.lanes.get_mut(kind) {
            lane.running += 1;
            if let Some(pace) = &mut lane.pace {
                pace.take(1, now);
            }
        }
    }

    /// Frees the slot of an ended run, and keeps its outcome to be recorded unless the lease was lost.
    fn note_ended(&mut self, ended: Ended) {
        let id = match &ended {
            Ok((task, _)) => *task,
            Err(error) => error.id(),
        };
        let Some(job_id) = self.names.remove(&id) else { return };
        let mut held = self.held.lock();
        let Some(lease) = held.get(&job_id) else { return };
        if let Some(lane) = self.lanes.get_mut(lease.kind) {
            lane.running = lane.running.saturating_sub(1);
            lane.look = true;
        }
        if lease.lost {
            self.runs.note(lease.kind, "lost", lease.begun.elapsed());
            held.remove(&job_id);
            return;
        }
        let attempts = self.lanes.get(lease.kind).map_or(0, |lane| lane.served.attempts());
        let outcome = outcome(ended, lease.attempt, attempts, self.clock.now(), self.ids.as_ref());
        self.runs.note(lease.kind, word(&outcome, lease.attempt), lease.begun.elapsed());
        let token = lease.token.clone();
        drop(held);
        self.ended.push(Settlement { job_id, token, outcome });
    }

    /// Releases the jobs whose outcomes are recorded.
    fn note_settled(&mut self, settled: Vec<Settled>) {
        let mut held = self.held.lock();
        for (ended, settled) in self.ended.drain(..).zip(settled) {
            held.remove(&ended.job_id);
            log(&ended, settled);
        }
    }

    /// Records ended runs without claiming anything; outcomes that can't be recorded are kept, with their jobs.
    async fn settle(&mut self) -> Result<(), StoreError> {
        if !self.ended.is_empty() {
            let settled = self.queue.settle(&self.ended).await?;
            self.note_settled(settled);
        }
        Ok(())
    }

    /// Warns once about each waiting kind that no subscriber here handles.
    async fn look_for_unknown_kinds(&mut self) -> Result<(), StoreError> {
        if Instant::now() < self.unknown_kinds_at {
            return Ok(());
        }
        self.unknown_kinds_at = Instant::now() + UNKNOWN_KINDS_EVERY;
        let waiting = Filter::eq("state", JobState::Waiting.as_str());
        for (kind, jobs) in self.store.tally::<Job>("kind", waiting).await? {
            if !self.lanes.contains_key(kind.as_str()) && self.unknown_kinds.insert(kind.clone()) {
                tracing::warn!(kind, jobs, "jobs of an unknown kind are waiting");
            }
        }
        Ok(())
    }

    async fn wind_down(mut self, patience: Duration) {
        let deadline = Instant::now() + patience;
        self.join_until(deadline).await;
        self.tasks.abort_all();
        self.join_until(Instant::now() + STOPPING).await;
        if !self.tasks.is_empty() {
            tracing::warn!(runs = self.tasks.len(), "runs that did not stop are left to their leases");
        }
        for _ in 0..3 {
            match self.settle().await {
                Ok(()) => break,
                Err(error) => self.complain(&error),
            }
            tokio::time::sleep(STORE_PAUSE).await;
        }
        self.heart.abort();
    }

    /// Records runs that end before `deadline`.
    async fn join_until(&mut self, deadline: Instant) {
        while let Ok(Some(ended)) = timeout_at(deadline, self.tasks.join_next_with_id()).await {
            self.note_ended(ended);
            if let Err(error) = self.settle().await {
                self.complain(&error);
            }
        }
    }
}

fn outcome(ended: Ended, attempt: u32, limit: u32, now: Timestamp, ids: &dyn Ids) -> Outcome {
    let error = match ended {
        Ok((_, Ok(()))) => return Outcome::Done,
        Ok((_, Err(JobError::Dead(error)))) => return Outcome::Dead { error },
        Err(error) if error.is_cancelled() => return Outcome::HandedBack,
        Ok((_, Err(JobError::Retry(error)))) => error,
        // The panic message may contain personal data.
        Err(_) => "its subscriber panicked".to_owned(),
    };
    Outcome::Failed { error, limit, retry_at: now.plus(backoff(attempt, chance(ids))) }
}

/// The outcome's label in metrics.
fn word(outcome: &Outcome, attempt: u32) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Failed { limit, .. } if attempt < *limit => "failed",
        Outcome::Failed { .. } | Outcome::Dead { .. } => "dead",
        Outcome::HandedBack => "handedBack",
    }
}

fn chance(ids: &dyn Ids) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = ids.secret();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

fn log(ended: &Settlement, settled: Settled) {
    let id = ended.job_id.as_str();
    let Ok(job) = settled else {
        return tracing::warn!(id, "a job ended after its lease was lost: its outcome is ignored");
    };
    let (kind, attempt, error) = (job.kind.as_str(), job.attempts, job.error.as_deref());
    match (&ended.outcome, job.state) {
        (Outcome::Done, _) => tracing::debug!(kind, id, attempt, "a job is done"),
        (Outcome::HandedBack, _) => tracing::info!(kind, id, "a job was handed back"),
        (_, JobState::Dead) => tracing::error!(kind, id, attempt, error, "a job is dead"),
        _ => tracing::warn!(kind, id, attempt, error, "a job failed and will be retried"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_distinguish_a_failure_from_the_last_one() {
        let failed =
            |limit| Outcome::Failed { error: "no".into(), limit, retry_at: Timestamp::from_millis(0) };
        assert_eq!(word(&failed(3), 2), "failed");
        assert_eq!(word(&failed(3), 3), "dead");
        assert_eq!(word(&Outcome::Dead { error: "never".into() }, 1), "dead");
        assert_eq!(word(&Outcome::HandedBack, 1), "handedBack");
        assert_eq!(word(&Outcome::Done, 9), "done");
    }

    #[tokio::test]
    async fn only_a_running_job_loses_its_lease() {
        let held = Held::default();
        let hold = |id: &str, run: AbortHandle| {
            let (token, until, begun) = (String::new(), Timestamp::from_millis(0), Instant::now());
            let lease = Lease { token, kind: "kind", attempt: 1, until, lost: false, begun, run };
            held.lock().insert(id.to_owned(), lease);
        };
        let (has_run, runs) = (tokio::spawn(async {}), tokio::spawn(std::future::pending::<()>()));
        hold("has run", has_run.abort_handle());
        hold("runs", runs.abort_handle());
        has_run.await.unwrap();
        held.lose(|_, _| true);
        assert_eq!(held.leases(), [("has run".to_owned(), String::new())]);
        assert!(runs.await.unwrap_err().is_cancelled(), "another worker may have it");
    }
}
