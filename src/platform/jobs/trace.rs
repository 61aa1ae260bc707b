//! Which request something follows from, carried into the jobs that it causes.

tokio::task_local! { static TRACE: String; }

/// Runs `work` so that the jobs it enqueues carry `trace`, such as the id of the request. The jobs that follow from
/// those carry it too.
pub async fn traced<F: Future>(trace: String, work: F) -> F::Output {
    TRACE.scope(trace, work).await
}

/// The trace that this runs under.
pub(super) fn current() -> Option<String> {
    TRACE.try_with(String::clone).ok()
}
