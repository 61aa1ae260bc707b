//! A kind of job for tests: it rings a bell and reports each run to the test.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use orientation::kernel::{Clock, Ids, ManualClock, RandomIds, Timestamp};
use orientation::platform::audit;
use orientation::platform::jobs::queue::Queue;
use orientation::platform::jobs::{
    Crons, Job, JobError, JobState, Jobs, Payload, Run, Running, Subscriber, Subscribers, TOPIC, Workers,
    schemas,
};
use orientation::platform::request::RequestContext;
use orientation::platform::signals::{InProcess, Signals};
use orientation::platform::store::{Store, StoreError};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc};

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Does {
    Ring,
    Fail,
    GiveUp,
    Panic,
    /// Rings until the gate is opened.
    Wait,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ring {
    pub bell: Option<String>,
    pub does: Does,
}

impl Payload for Ring {
    const KIND: &'static str = "bell.ring";
    fn key(&self) -> Option<String> {
        self.bell.clone()
    }
}

/// A job without a particular bell.
pub fn ring(id: &str, does: Does, now: Timestamp) -> Job {
    Job::new(id.into(), &Ring { bell: None, does }, now)
}

/// A job that rings the bell of this name.
pub fn ring_bell(id: &str, bell: &str, does: Does, now: Timestamp) -> Job {
    Job::new(id.into(), &Ring { bell: Some(bell.into()), does }, now)
}

/// The subscriber: reports every run, and counts overlapping runs of one bell.
pub struct Ringer {
    heard: mpsc::UnboundedSender<Run>,
    pub gate: Semaphore,
    swinging: Mutex<HashSet<String>>,
    pub overlaps: AtomicUsize,
    /// The requests that caused the runs.
    pub causes: Mutex<Vec<Option<RequestContext>>>,
}

#[async_trait]
impl Subscriber for Ringer {
    type Payload = Ring;
    const CONCURRENCY: usize = 8;
    const ATTEMPTS: u32 = 3;

    async fn handle(&self, ring: Ring, run: Run) -> Result<(), JobError> {
        let _swing = Swing::begin(self, ring.bell);
        self.causes.lock().unwrap().push(RequestContext::current());
        // The test may have stopped listening.
        let _ = self.heard.send(run);
        match ring.does {
            Does::Ring => {
                tokio::task::yield_now().await;
                Ok(())
            }
            Does::Fail => Err(JobError::Retry("the rope broke".into())),
            Does::GiveUp => Err(JobError::Dead("there is no bell".into())),
            Does::Panic => panic!("the bell fell down"),
            Does::Wait => {
                self.gate.acquire().await.unwrap().forget();
                Ok(())
            }
        }
    }
}

/// One run of a bell; ends when it is dropped, also by an abort.
struct Swing<'a>(&'a Ringer, Option<String>);

impl<'a> Swing<'a> {
    fn begin(ringer: &'a Ringer, bell: Option<String>) -> Self {
        if let Some(bell) = &bell
            && !ringer.swinging.lock().unwrap().insert(bell.clone())
        {
            ringer.overlaps.fetch_add(1, Ordering::SeqCst);
        }
        Self(ringer, bell)
    }
}

impl Drop for Swing<'_> {
    fn drop(&mut self) {
        if let Some(bell) = &self.1 {
            self.0.swinging.lock().unwrap().remove(bell);
        }
    }
}

/// A store with bells, a clock that the test moves, and any number of workers.
pub struct Tower {
    pub store: Store,
    /// Dropped at the end of the test: a folder, a database.
    _place: Box<dyn Send>,
    pub clock: Arc<ManualClock>,
    pub signals: Arc<InProcess>,
    pub ringer: Arc<Ringer>,
    pub jobs: Jobs,
    heard: mpsc::UnboundedReceiver<Run>,
}

impl Tower {
    /// On this store, together with the folder or database that it needs.
    pub async fn on<P: Send + 'static>(store: impl Future<Output = (Store, P)>) -> Self {
        let (store, place) = store.await;
        store.prepare(&[schemas(), audit::schemas()].concat()).await.unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_788_246_000_000)));
        let (tell, heard) = mpsc::unbounded_channel();
        let ringer = Ringer {
            heard: tell,
            gate: Semaphore::new(0),
            swinging: Mutex::default(),
            overlaps: AtomicUsize::new(0),
            causes: Mutex::default(),
        };
        Self {
            jobs: Jobs::new(store.clone(), clock.clone()),
            store,
            _place: Box::new(place),
            clock,
            signals: Arc::new(InProcess::new(0.0)),
            ringer: Arc::new(ringer),
            heard,
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The workers of one more simulated process.
    pub fn workers(&self) -> Running {
        self.workers_with(Crons::new(chrono_tz::UTC, []))
    }

    pub fn workers_with(&self, crons: Crons) -> Running {
        let subscribers = Subscribers::new().with(self.ringer.clone());
        let (signals, clock): (Arc<dyn Signals>, Arc<dyn Clock>) = (self.signals.clone(), self.clock.clone());
        let ids: Arc<dyn Ids> = Arc::new(RandomIds);
        Workers::new(self.store.clone(), signals, clock, ids, subscribers, crons).start()
    }

    pub fn queue(&self) -> Queue {
        Queue::new(self.store.clone(), self.clock.clone())
    }

    pub async fn enqueue(&self, jobs: &[Job]) {
        let all = async |tx: orientation::platform::store::Tx| {
            for job in jobs {
                tx.enqueue(job).await?;
            }
            Ok::<_, StoreError>(())
        };
        self.store.transact(all).await.unwrap();
    }

    /// Advances the clock and wakes the workers.
    pub fn later(&self, span: Duration) {
        self.clock.advance(span);
        self.signals.wake(TOPIC);
    }

    /// Waits for the next run to begin.
    pub async fn heard(&mut self) -> Run {
        let heard = tokio::time::timeout(Duration::from_secs(20), self.heard.recv());
        heard.await.expect("a bell should have rung by now").unwrap()
    }

    /// Whether a run has begun that the test hasn't received yet.
    pub fn heard_more(&mut self) -> bool {
        self.heard.try_recv().is_ok()
    }

    pub async fn job(&self, id: &str) -> Job {
        self.jobs.get(id).await.unwrap().unwrap_or_else(|| panic!("no job {id}"))
    }

    /// Waits until the job is in this state: a worker records it soon after the run has ended.
    pub async fn until(&self, id: &str, state: JobState) -> Job {
        for _ in 0..4000 {
            let job = self.job(id).await;
            if job.state == state {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{id} should be {state:?} by now: {:?}", self.job(id).await)
    }

    /// The number of jobs in this state.
    pub async fn count(&self, state: JobState) -> u64 {
        let counts = self.jobs.counts().await.unwrap();
        counts
            .iter()
            .filter(|count| count.kind == Ring::KIND && count.state == state)
            .map(|count| count.jobs)
            .sum()
    }
}
