//! The origin of a job: the id of the request that caused it, which the log shows, and its position in the trace, if
//! traces are on.

use crate::platform::request::RequestContext;
use crate::platform::traces;

/// Separates the two in [`Job::trace`](super::Job::trace). Request ids don't contain it.
const AND: char = ';';

/// The trace text of jobs that are enqueued here.
pub(super) fn current() -> Option<String> {
    let request = RequestContext::current().map(|request| request.id);
    match traces::current() {
        Some(parent) => Some(format!("{}{AND}{parent}", request.unwrap_or_default())),
        None => request,
    }
}

/// The origin of a job.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Origin<'a> {
    /// The id of the request.
    pub request: Option<&'a str>,
    /// The position in its trace, as a `traceparent`.
    pub parent: Option<&'a str>,
}

/// Parses the trace text of a job.
pub(super) fn origin(trace: Option<&str>) -> Origin<'_> {
    let Some(trace) = trace else { return Origin::default() };
    match trace.split_once(AND) {
        Some((request, parent)) => {
            Origin { request: Some(request).filter(|id| !id.is_empty()), parent: Some(parent) }
        }
        None => Origin { request: Some(trace), parent: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_traces_a_job_carries_the_request() {
        assert_eq!(current(), None);
        let request = RequestContext { id: "7".into(), client: None };
        assert_eq!(request.scope(async { current() }).await.as_deref(), Some("7"));
    }

    #[test]
    fn the_origin_is_parsed_back() {
        assert_eq!(origin(None), Origin::default());
        assert_eq!(origin(Some("7")), Origin { request: Some("7"), parent: None });
        assert_eq!(origin(Some("7;00-a-b-01")), Origin { request: Some("7"), parent: Some("00-a-b-01") });
        assert_eq!(origin(Some(";00-a-b-01")), Origin { request: None, parent: Some("00-a-b-01") });
    }
}
