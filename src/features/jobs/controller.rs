//! Operations on background jobs.

use std::sync::Arc;
use std::time::Duration;

use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi, Tags};

use super::service::{AgedJob, JobDesk, Retried};
use crate::http::rights::ManageJobs;
use crate::http::{By, Examples, Failure, JsonBody, Kind, PageBody, PageCursor, PageLimit, Problem, Refusal};
use crate::platform::jobs::{ChangeError, JobState, KindStats, Percentiles};
use crate::platform::store::{PageError, StoreError};

#[derive(Tags)]
enum Tag {
    /// Background jobs: work that is done after the request that causes it.
    Jobs,
}

/// The state of jobs in a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum)]
#[oai(rename = "UnfinishedJobState", rename_all = "camelCase")]
pub enum UnfinishedStateBody {
    /// Not due yet, or no worker is free.
    Waiting,
    /// A worker runs it, or died while it ran it.
    Running,
    /// Given up, until somebody retries or drops it.
    #[default]
    Dead,
}

impl From<UnfinishedStateBody> for JobState {
    fn from(state: UnfinishedStateBody) -> Self {
        match state {
            UnfinishedStateBody::Waiting => Self::Waiting,
            UnfinishedStateBody::Running => Self::Running,
            UnfinishedStateBody::Dead => Self::Dead,
        }
    }
}

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "JobState", rename_all = "camelCase")]
pub enum JobStateBody {
    /// Not due yet, or no worker is free.
    Waiting,
    /// A worker runs it, or died while it ran it.
    Running,
    /// Done or dropped. Kept for a day.
    Done,
    /// Given up, until somebody retries or drops it.
    Dead,
}

impl From<JobState> for JobStateBody {
    fn from(state: JobState) -> Self {
        match state {
            JobState::Waiting => Self::Waiting,
            JobState::Running => Self::Running,
            JobState::Done => Self::Done,
            JobState::Dead => Self::Dead,
        }
    }
}

/// A background job, without its data.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Job", rename_all = "camelCase", example)]
pub struct JobBody {
    /// Id of the job.
    pub id: String,
    /// Kind of work, such as `mail.send`.
    pub kind: String,
    /// State.
    pub state: JobStateBody,
    /// Number of attempts so far, without those that a crash cut short.
    pub attempts: u32,
    /// How often its worker died.
    pub crashes: u32,
    /// When it was recorded (RFC 3339, UTC).
    pub created_at: String,
    /// Time since then, in whole seconds.
    pub age: u64,
    /// When it is due, or was due last (RFC 3339, UTC).
    pub run_at: String,
    /// When the last attempt began (RFC 3339, UTC). Absent before the first.
    #[oai(skip_serializing_if_is_none)]
    pub started_at: Option<String>,
    /// When it was done or died (RFC 3339, UTC). Absent before.
    #[oai(skip_serializing_if_is_none)]
    pub finished_at: Option<String>,
    /// Why the last attempt failed. Absent if none has.
    #[oai(skip_serializing_if_is_none)]
    pub error: Option<String>,
}

impl poem_openapi::types::Example for JobBody {
    fn example() -> Self {
        Self {
            id: a_job(),
            kind: "mail.send".into(),
            state: JobStateBody::Dead,
            attempts: 12,
            crashes: 0,
            created_at: "2026-09-01T07:00:00.000Z".into(),
            age: 5400,
            run_at: "2026-09-01T08:10:00.000Z".into(),
            started_at: Some("2026-09-01T08:10:00.012Z".into()),
            finished_at: Some("2026-09-01T08:10:01.250Z".into()),
            error: Some("the mail server is unreachable".into()),
        }
    }
}

impl From<&AgedJob> for JobBody {
    fn from(AgedJob { job, age }: &AgedJob) -> Self {
        Self {
            id: job.id.clone(),
            kind: job.kind.clone(),
            state: job.state.into(),
            attempts: job.attempts,
            crashes: job.crashes,
            created_at: job.created_at.rfc3339(),
            age: age.as_secs(),
            run_at: job.run_at.rfc3339(),
            started_at: job.started_at.map(|time| time.rfc3339()),
            finished_at: job.finished_at.map(|time| time.rfc3339()),
            error: job.error.clone(),
        }
    }
}

/// Which dead jobs are retried.
#[derive(Clone, Debug, Object)]
#[oai(rename = "JobsRetry", rename_all = "camelCase", deny_unknown_fields, example)]
pub struct RetryBody {
    /// Kind of the jobs, such as `mail.send`.
    #[oai(validator(min_length = 1, max_length = 100))]
    pub kind: String,
}

impl poem_openapi::types::Example for RetryBody {
    fn example() -> Self {
        Self { kind: "mail.send".into() }
    }
}

/// What became of the dead jobs.
#[derive(Clone, Debug, Object)]
#[oai(rename = "JobsRetried", rename_all = "camelCase", example)]
pub struct RetriedBody {
    /// Number of jobs that are retried.
    pub retried: u64,
    /// Number of jobs that are dead now. Send the request again to retry them.
    pub left: u64,
}

impl poem_openapi::types::Example for RetriedBody {
    fn example() -> Self {
        Self { retried: 100, left: 42 }
    }
}

impl From<Retried> for RetriedBody {
    fn from(Retried { retried, left }: Retried) -> Self {
        Self { retried, left }
    }
}

/// How long something took, in milliseconds.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Percentiles", rename_all = "camelCase")]
pub struct PercentilesBody {
    /// Median.
    pub p50: u64,
    /// 95th percentile.
    pub p95: u64,
}

impl From<&Percentiles> for PercentilesBody {
    fn from(times: &Percentiles) -> Self {
        Self { p50: millis(times.p50), p95: millis(times.p95) }
    }
}

/// Figures of the jobs of one kind.
#[derive(Clone, Debug, Object)]
#[oai(rename = "JobKindStats", rename_all = "camelCase")]
pub struct KindStatsBody {
    /// Kind of work, such as `mail.send`.
    pub kind: String,
    /// Number of waiting jobs, due or not.
    pub waiting: u64,
    /// Number of running jobs.
    pub running: u64,
    /// Number of dead jobs.
    pub dead: u64,
    /// How long the oldest due job has been due, in whole seconds. Absent if none is due.
    #[oai(skip_serializing_if_is_none)]
    pub oldest_due: Option<u64>,
    /// Number of jobs in the two times below: at most the last 200 that were done within a day.
    pub recent: u64,
    /// Time from due to start. Absent without recent jobs.
    #[oai(skip_serializing_if_is_none)]
    pub latency: Option<PercentilesBody>,
    /// Time from start to end. Absent without recent jobs.
    #[oai(skip_serializing_if_is_none)]
    pub run_time: Option<PercentilesBody>,
}

impl From<&KindStats> for KindStatsBody {
    fn from(stats: &KindStats) -> Self {
        Self {
            kind: stats.kind.clone(),
            waiting: stats.waiting,
            running: stats.running,
            dead: stats.dead,
            oldest_due: stats.oldest_due.map(|age| age.as_secs()),
            recent: stats.recent,
            latency: stats.latency.as_ref().map(PercentilesBody::from),
            run_time: stats.run_time.as_ref().map(PercentilesBody::from),
        }
    }
}

/// Figures of all kinds that have jobs.
#[derive(Clone, Debug, Object)]
#[oai(rename = "JobStats", rename_all = "camelCase", example)]
pub struct StatsBody {
    /// The kinds that have jobs, by name.
    pub kinds: Vec<KindStatsBody>,
}

impl poem_openapi::types::Example for StatsBody {
    fn example() -> Self {
        Self {
            kinds: vec![KindStatsBody {
                kind: "mail.send".into(),
                waiting: 3,
                running: 1,
                dead: 0,
                oldest_due: Some(2),
                recent: 200,
                latency: Some(PercentilesBody { p50: 4, p95: 38 }),
                run_time: Some(PercentilesBody { p50: 61, p95: 240 }),
            }],
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The job was dropped.
#[derive(ApiResponse)]
pub enum Dropped {
    /// The job was dropped: it will not run.
    #[oai(status = 204)]
    Dropped,
}

const NO_SUCH_JOB: Kind = Kind::new(404, "no-such-job", "No such job");
const JOB_NOT_CHANGEABLE: Kind = Kind::new(409, "job-not-changeable", "Job can't be changed");

fn no_such_job() -> Problem {
    NO_SUCH_JOB.says("There is no job with this id. `listJobs` lists the jobs; those that are done are deleted after a day.")
}

impl Refusal for ChangeError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::Unknown, Self::State(JobState::Running)]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Unknown => no_such_job(),
            Self::State(state) => JOB_NOT_CHANGEABLE.says(format!(
                "The job is {}. Dead jobs can be retried; dead and waiting jobs can be dropped.",
                state.as_str()
            )),
            Self::Store(error) => error.problem(),
        }
    }
}

/// Why a job is not shown.
#[derive(Debug)]
pub enum GetJobError {
    /// There is no such job.
    Unknown,
    /// Those of the store.
    Store(StoreError),
}

impl From<StoreError> for GetJobError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Refusal for GetJobError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::Unknown]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Unknown => no_such_job(),
            Self::Store(error) => error.problem(),
        }
    }
}

/// The operations of this feature.
pub struct JobsController(Arc<JobDesk>);

impl JobsController {
    /// The operations over `jobs`.
    pub fn new(jobs: Arc<JobDesk>) -> Self {
        Self(jobs)
    }
}

#[OpenApi(tag = "Tag::Jobs")]
impl JobsController {
    /// List background jobs
    ///
    /// The jobs in one state, first due first. Jobs that are done are not listed. The data of a job are not shown.
    #[oai(path = "/v1/jobs", method = "get", operation_id = "listJobs")]
    async fn list_jobs(
        &self,
        _caller: By<ManageJobs>,
        /// State of the jobs. `dead` if absent.
        state: Query<Option<UnfinishedStateBody>>,
        /// Kind of the jobs, such as `mail.send`. All kinds if absent.
        #[oai(validator(max_length = 100))]
        kind: Query<Option<String>>,
        /// Maximum number of items per page.
        limit: Query<PageLimit>,
        /// `nextCursor` of the previous page.
        cursor: Query<PageCursor>,
    ) -> Result<Json<PageBody<JobBody>>, Failure<PageError>> {
        let state = state.0.unwrap_or_default().into();
        Ok(Json(self.0.list(state, kind.0.as_deref(), cursor.0.0.as_ref(), limit.0.0).await?.into()))
    }

    /// Get figures of background jobs
    ///
    /// Numbers, ages and times by kind, for the kinds that have jobs.
    #[oai(path = "/v1/job-stats", method = "get", operation_id = "getJobStats")]
    async fn get_job_stats(&self, _caller: By<ManageJobs>) -> Result<Json<StatsBody>, Failure<StoreError>> {
        let kinds = self.0.stats().await?.iter().map(KindStatsBody::from).collect();
        Ok(Json(StatsBody { kinds }))
    }

    /// Retry dead jobs
    ///
    /// Retries all dead jobs of a kind, with all their attempts. One request retries at most 100: send it
    /// again while `left` is not 0 and the jobs don't die again.
    #[oai(path = "/v1/jobs/retry", method = "post", operation_id = "retryJobs")]
    async fn retry_jobs(
        &self,
        caller: By<ManageJobs>,
        which: JsonBody<RetryBody>,
    ) -> Result<Json<RetriedBody>, Failure<StoreError>> {
        Ok(Json(self.0.retry_all(&caller.0.actor, &which.0.kind).await?.into()))
    }

    /// Get a background job
    ///
    /// Shows finished jobs, too, for a day.
    #[oai(path = "/v1/jobs/:jobId", method = "get", operation_id = "getJob")]
    async fn get_job(
        &self,
        _caller: By<ManageJobs>,
        /// Id of the job, from `listJobs`.
        #[oai(name = "jobId", example = "a_job")]
        job_id: Path<String>,
    ) -> Result<Json<JobBody>, Failure<GetJobError>> {
        let job = self.0.get(&job_id.0).await.map_err(GetJobError::Store)?;
        Ok(Json(JobBody::from(&job.ok_or(GetJobError::Unknown)?)))
    }

    /// Drop a background job
    ///
    /// A dead or waiting job will not run. What it would have done is not done. An email of such a job becomes `failed`.
    #[oai(path = "/v1/jobs/:jobId", method = "delete", operation_id = "dropJob")]
    async fn drop_job(
        &self,
        caller: By<ManageJobs>,
        /// Id of the job, from `listJobs`.
        #[oai(name = "jobId", example = "a_job")]
        job_id: Path<String>,
    ) -> Result<Dropped, Failure<ChangeError>> {
        self.0.discard(&caller.0.actor, &job_id.0).await?;
        Ok(Dropped::Dropped)
    }

    /// Retry a dead job
    ///
    /// The job is due at once, with all its attempts. If another job waits that does the same work, this one is `done`, and
    /// the other one does it.
    #[oai(path = "/v1/jobs/:jobId/retry", method = "post", operation_id = "retryJob")]
    async fn retry_job(
        &self,
        caller: By<ManageJobs>,
        /// Id of the job, from `listJobs`.
        #[oai(name = "jobId", example = "a_job")]
        job_id: Path<String>,
    ) -> Result<Json<JobBody>, Failure<ChangeError>> {
        Ok(Json(JobBody::from(&self.0.retry(&caller.0.actor, &job_id.0).await?)))
    }
}

/// A well-formed id of no job.
fn a_job() -> String {
    "mail:ticket:019f0000-0000-7000-8000-000000000000".into()
}
