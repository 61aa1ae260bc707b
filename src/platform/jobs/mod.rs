//! Durable jobs: recorded in the transaction that causes them, carried out at least once by subscribers.

use async_trait::async_trait;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::kernel::Timestamp;
use crate::platform::store::{Document, Filter, Index, Query, StoreError, Tx};

/// What a job carries: ids only, never personal data.
pub trait Payload: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The kind's name, such as `mail.send`.
    const KIND: &'static str;

    /// Jobs of one kind and key: at most one waits, at most one runs.
    fn key(&self) -> Option<String> {
        None
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum JobState {
    Waiting,
    Running,
    Done,
    Dead,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    pub id: String,
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// `kind:key` while it waits: what makes it unique.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_key: Option<String>,
    pub payload: serde_json::Value,
    pub state: JobState,
    pub run_at: Timestamp,
    pub created_at: Timestamp,
}

impl Document for Job {
    const COLLECTION: &'static str = "jobs";
    const INDEXES: &'static [Index] =
        &[Index::on("jobs_due", &["state", "runAt"]), Index::unique("jobs_waiting", &["waitingKey"])];
    fn id(&self) -> &str {
        &self.id
    }
}

impl Job {
    /// A job that is due at once.
    pub fn new<P: Payload>(id: String, payload: &P, now: Timestamp) -> Self {
        let key = payload.key();
        Self {
            id,
            kind: P::KIND.into(),
            waiting_key: key.as_ref().map(|key| format!("{}:{key}", P::KIND)),
            key,
            payload: serde_json::to_value(payload).expect("a payload is plain data"),
            state: JobState::Waiting,
            run_at: now,
            created_at: now,
        }
    }

    /// Due at `run_at` instead.
    pub fn at(self, run_at: Timestamp) -> Self {
        Self { run_at, ..self }
    }
}

impl Tx {
    /// Records the job in this transaction. If one of the same kind and key waits already, that one stays and is
    /// due at the earlier of the two times.
    pub async fn enqueue(&self, job: &Job) -> Result<(), StoreError> {
        if let Some(key) = &job.waiting_key {
            let same = Query::new(Filter::eq("waitingKey", key.as_str())).limit(1);
            if let Some(mut waiting) = self.find::<Job>(same).await?.pop() {
                waiting.run_at = waiting.run_at.min(job.run_at);
                return self.put(&waiting).await;
            }
        }
        self.note("jobs").await;
        self.insert(job).await
    }

    /// Removes the waiting job of this kind and key, if there is one: what it was for has been done.
    pub async fn withdraw<P: Payload>(&self, key: &str) -> Result<(), StoreError> {
        let same = Query::new(Filter::eq("waitingKey", format!("{}:{key}", P::KIND))).limit(1);
        if let Some(waiting) = self.find::<Job>(same).await?.pop() {
            self.delete::<Job>(&waiting.id).await?;
        }
        Ok(())
    }
}

/// Why a job was not done.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// It may go better later: tried again with backoff, dead after the kind's limit.
    #[error("{0}")]
    Retry(String),
    /// It will never go: dead at once, for an administrator to look at.
    #[error("{0}")]
    Dead(String),
}

impl From<StoreError> for JobError {
    fn from(error: StoreError) -> Self {
        Self::Retry(error.to_string())
    }
}

/// This run of a job.
#[derive(Clone, Debug)]
pub struct Run {
    pub job_id: String,
    /// 1 at the first try.
    pub attempt: u32,
    /// How often a run of it ended without a word (its lease ran out).
    pub crashes: u32,
}

/// Carries out the jobs of one kind. A job may run twice: its effect must come once.
#[async_trait]
pub trait Subscriber: Send + Sync + 'static {
    type Payload: Payload;
    /// How many at once in one process.
    const CONCURRENCY: usize = 4;
    /// Failures until it is dead.
    const ATTEMPTS: u32 = 12;

    async fn handle(&self, payload: Self::Payload, run: Run) -> Result<(), JobError>;
}
