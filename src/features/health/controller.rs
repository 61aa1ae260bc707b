//! Operations of health.

use std::sync::Arc;
use std::time::Duration;

use poem_openapi::payload::Json;
use poem_openapi::{Enum, Object, OpenApi, Tags};

use super::service::{Health, NotReady, Work};
use crate::http::rights::Anybody;
use crate::http::{By, Examples, Failure, Kind, Problem, Refusal};
use crate::platform::signals::SignalsState;

#[derive(Tags)]
enum Tag {
    /// Liveness and readiness, for monitoring.
    Health,
}

/// The process is running.
#[derive(Debug, Object)]
#[oai(example)]
struct Liveness {
    /// Always `live`.
    status: Live,
}

#[derive(Debug, Enum)]
#[oai(rename_all = "camelCase")]
enum Live {
    Live,
}

impl poem_openapi::types::Example for Liveness {
    fn example() -> Self {
        Self { status: Live::Live }
    }
}

/// The service is ready.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", example)]
struct Readiness {
    /// Always `ready`. If the service is not ready, the response is 503.
    status: Ready,
    /// Whether jobs are running. A service whose jobs are `stuck` is still ready.
    jobs: JobsProgress,
    /// Time for which the oldest due job has been due, in seconds; 0 if no job is due.
    oldest_due_job_seconds: u64,
    /// Whether processes can signal each other. A service whose signals are `unreachable` is still ready.
    signals: SignalsReach,
}

#[derive(Debug, Enum)]
#[oai(rename_all = "camelCase")]
enum JobsProgress {
    /// Jobs are running, or none is due.
    Running,
    /// Jobs have been due for 15 minutes, and none has finished in that time.
    Stuck,
}

impl From<Work> for JobsProgress {
    fn from(work: Work) -> Self {
        match work {
            Work::Running => Self::Running,
            Work::Stuck => Self::Stuck,
        }
    }
}

#[derive(Debug, Enum)]
#[oai(rename_all = "camelCase")]
enum SignalsReach {
    /// Signals stay within this process: no Redis is configured.
    WithinProcess,
    /// Processes wake each other at once and share rate limits.
    Connected,
    /// Redis is unreachable: jobs start within a second or two, and each process applies the rate limits separately.
    Unreachable,
}

impl From<SignalsState> for SignalsReach {
    fn from(state: SignalsState) -> Self {
        match state {
            SignalsState::WithinProcess => Self::WithinProcess,
            SignalsState::Connected => Self::Connected,
            SignalsState::Unreachable { .. } => Self::Unreachable,
        }
    }
}

#[derive(Debug, Enum)]
#[oai(rename_all = "camelCase")]
enum Ready {
    Ready,
}

impl poem_openapi::types::Example for Readiness {
    fn example() -> Self {
        Self {
            status: Ready::Ready,
            jobs: JobsProgress::Running,
            oldest_due_job_seconds: 0,
            signals: SignalsReach::Connected,
        }
    }
}

const NOT_READY: Kind = Kind::new(503, "not-ready", "Not ready");

/// Time to wait before retrying after the store has failed.
const STORE_IS_BACK: Duration = Duration::from_secs(5);

impl Refusal for NotReady {
    fn examples() -> Examples<Self> {
        Examples::of([Self::StoreSlow])
    }

    fn problem(self) -> Problem {
        let detail = match self {
            Self::Store(_) => "The store can't be read.",
            Self::Write(_) => "The store can't be written. Its disk may be full.",
            Self::StoreSlow => "The store does not respond in time.",
        };
        NOT_READY.says(detail).retry_after(STORE_IS_BACK)
    }
}

/// The operations of health.
pub struct HealthController {
    health: Arc<Health>,
}

impl HealthController {
    /// The operations over `health`.
    pub fn new(health: Arc<Health>) -> Self {
        Self { health }
    }
}

#[OpenApi(tag = "Tag::Health")]
impl HealthController {
    /// Check that the process is running
    ///
    /// The response is 200 as long as the process can respond, even if the store is unavailable.
    #[oai(path = "/health/live", method = "get", operation_id = "getHealth")]
    async fn live(&self, _anybody: By<Anybody>) -> Json<Liveness> {
        Json(Liveness { status: Live::Live })
    }

    /// Check that the service is ready
    ///
    /// Reads from the store at most once a second, and writes to it at most every five seconds. The response also shows
    /// whether jobs are running, for how long the oldest one has been due, and whether processes can signal each other. None
    /// of these makes the service unready.
    #[oai(path = "/health/ready", method = "get", operation_id = "getReadiness")]
    async fn ready(&self, _anybody: By<Anybody>) -> Result<Json<Readiness>, Failure<NotReady>> {
        let seen = self.health.readiness().await?;
        Ok(Json(Readiness {
            status: Ready::Ready,
            jobs: seen.work.into(),
            oldest_due_job_seconds: seen.oldest_due.as_secs(),
            signals: seen.signals.into(),
        }))
    }
}
