//! Subscribers, which carry out jobs, and the list of all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::model::Payload;
use super::steps::{Stepper, Steps};
use super::sweep::Sweep;
use crate::kernel::{Clock, Ids};
use crate::platform::store::{Store, StoreError};

/// Why a job was not done. The texts are logged and shown to operators: no personal data.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// A retry may succeed: retried with backoff, dead after the kind's limit.
    #[error("{0}")]
    Retry(String),
    /// A retry can't succeed: dead at once, until an operator looks at it.
    #[error("{0}")]
    Dead(String),
}

impl From<StoreError> for JobError {
    fn from(error: StoreError) -> Self {
        Self::Retry(error.to_string())
    }
}

/// One run of a job.
#[derive(Clone, Debug)]
pub struct Run {
    pub job_id: String,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// How often a run was cut off (its lease expired).
    pub crashes: u32,
}

/// Carries out the jobs of one kind. A job may run twice, so it must be idempotent.
///
/// A run may end at any `await`, when its process loses the lease or shuts down. A panic is a failure.
#[async_trait]
pub trait Subscriber: Send + Sync + 'static {
    /// The data of its jobs.
    type Payload: Payload;
    /// Maximum number of concurrent runs in one process.
    const CONCURRENCY: usize = 4;
    /// Failures after which a job is dead.
    const ATTEMPTS: u32 = 12;
    /// Maximum number of starts per second in one process, if limited.
    const PER_SECOND: Option<u32> = None;

    /// Carries out a job.
    ///
    /// # Errors
    /// [`JobError`] if it was not done.
    async fn handle(&self, payload: Self::Payload, run: Run) -> Result<(), JobError>;
}

/// All subscribers, one per kind.
#[derive(Default)]
pub struct Subscribers(pub(super) BTreeMap<&'static str, Arc<dyn Served>>);

impl Subscribers {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `subscriber`.
    ///
    /// # Panics
    /// If its kind already has one: that is a mistake of the list, which shows at the first start.
    pub fn with<S: Subscriber>(mut self, subscriber: Arc<S>) -> Self {
        self.add(S::Payload::KIND, Arc::new(Typed(subscriber)));
        self
    }

    /// Adds the handler of this sweep.
    ///
    /// # Panics
    /// If its kind already has one.
    pub fn with_sweep(mut self, sweep: Sweep, store: Store, clock: Arc<dyn Clock>) -> Self {
        self.add(sweep.kind, Arc::new(sweep.served(store, clock)));
        self
    }

    /// Adds the handler of work in steps.
    ///
    /// # Panics
    /// If its kind has one.
    pub fn with_steps<S: Steps>(
        mut self,
        steps: Arc<S>,
        store: Store,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Self {
        self.add(S::KIND, Arc::new(Stepper { steps, store, clock, ids }));
        self
    }

    /// Adds all of `others`.
    ///
    /// # Panics
    /// If both have one for a kind.
    pub fn and(mut self, others: Self) -> Self {
        others.0.into_iter().for_each(|(kind, subscriber)| self.add(kind, subscriber));
        self
    }

    /// The kinds, each with the number of failures after which a job is dead.
    pub fn kinds(&self) -> Vec<(&'static str, u32)> {
        self.0.iter().map(|(kind, served)| (*kind, served.attempts())).collect()
    }

    fn add(&mut self, kind: &'static str, subscriber: Arc<dyn Served>) {
        let before = self.0.insert(kind, subscriber);
        assert!(before.is_none(), "two subscribers are listed for jobs of the kind {kind}");
    }
}

/// A subscriber with its payload type erased.
#[async_trait]
pub(super) trait Served: Send + Sync {
    fn concurrency(&self) -> usize;
    fn attempts(&self) -> u32;
    fn per_second(&self) -> Option<u32>;
    async fn run(&self, payload: serde_json::Value, run: Run) -> Result<(), JobError>;
}

struct Typed<S>(Arc<S>);

#[async_trait]
impl<S: Subscriber> Served for Typed<S> {
    fn concurrency(&self) -> usize {
        S::CONCURRENCY.max(1)
    }

    fn attempts(&self) -> u32 {
        S::ATTEMPTS
    }

    fn per_second(&self) -> Option<u32> {
        S::PER_SECOND
    }

    async fn run(&self, payload: serde_json::Value, run: Run) -> Result<(), JobError> {
        // The parser's message may quote the payload.
        let payload = serde_json::from_value(payload)
            .map_err(|_| JobError::Dead("its payload does not match its kind".into()))?;
        self.0.handle(payload, run).await
    }
}
