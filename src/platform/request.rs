//! The request that is being handled: its id and its client. `http` sets it; jobs and audit entries record it.

use std::net::IpAddr;

tokio::task_local! { static CURRENT: RequestContext; }

/// The request that causes what happens now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestContext {
    /// The id in the log and in `X-Request-Id`.
    pub id: String,
    /// The client's network address. Absent in jobs: they carry the id of the request that caused them, and nothing else.
    pub client: Option<IpAddr>,
}

impl RequestContext {
    /// Runs `work` as caused by this request. The jobs that it enqueues carry the id, and so do the jobs that those
    /// enqueue.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }

    /// The request that causes what happens now; none at the command line and in cron jobs.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }
}
