//! Traces: where the time of a request is spent, through the jobs that it causes, to the gateway and the emails.
//!
//! If a collector is configured ([`Traces::start`]), each request and each run of a job is a span, and so is each
//! call to the gateway and each email sent. A job carries its position in the trace (W3C's
//! `traceparent`, in `Job::trace`) and continues from there, in whichever process. Without a collector these spans are
//! disabled at their call sites and cost nothing.
//!
//! Only spans of the target [`SPANS`] are sent, and all of them are made in this module, so it shows everything that a
//! trace contains. Operations, statuses, kinds and outcomes are; paths, queries, bodies and people are not.

mod export;

use std::collections::HashMap;

use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::field::Empty;
use tracing::{Span, debug_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

pub use export::{Traces, TracesError};

/// The target of the spans that are sent.
pub const SPANS: &str = "orientation::spans";

/// A request. It continues from `parent` (a trusted `traceparent`) if there is one, which is evaluated only if traces are
/// on.
pub fn request<'a>(method: &'static str, parent: impl FnOnce() -> Option<&'a str>) -> Span {
    let span = debug_span!(
        target: SPANS,
        parent: None,
        "request",
        otel.kind = "server",
        http.request.method = method,
        http.response.status_code = Empty,
        otel.status_code = Empty,
    );
    if !span.is_disabled() {
        follow(&span, parent());
    }
    span
}

/// The request was answered; `route` is the operation's id or the page's pattern.
pub fn answered(request: &Span, route: &str, status: u16) {
    if request.is_disabled() {
        return;
    }
    // The layer accepts a new name only until the span has begun.
    request.context().span().update_name(route.to_owned());
    request.record("http.response.status_code", status);
    if status >= 500 {
        request.record("otel.status_code", "ERROR");
    }
}

/// A run of a job, which continues from the position in the trace where it was enqueued.
pub fn job(kind: &'static str, attempt: u32, parent: Option<&str>) -> Span {
    let span = debug_span!(
        target: SPANS,
        parent: None,
        "job",
        otel.kind = "consumer",
        otel.name = kind,
        job.attempt = attempt,
        outcome = Empty,
        otel.status_code = Empty,
    );
    follow(&span, parent);
    span
}

/// A call to another system, such as `gateway.open`.
pub fn call(name: &'static str) -> Span {
    debug_span!(
        target: SPANS,
        "call",
        otel.kind = "client",
        otel.name = name,
        outcome = Empty,
        otel.status_code = Empty,
    )
}

/// Records the outcome of a job or call.
pub fn ended(span: &Span, outcome: &str, well: bool) {
    span.record("outcome", outcome);
    if !well {
        span.record("otel.status_code", "ERROR");
    }
}

/// The trace id of this span, for the log; `None` if traces are off.
pub fn id(span: &Span) -> Option<String> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let place = context.span().span_context().clone();
    place.is_valid().then(|| place.trace_id().to_string())
}

/// The current position in the trace, as a `traceparent`; `None` if traces are off.
pub fn current() -> Option<String> {
    let context = Context::current();
    let place = context.span().span_context().clone();
    place.is_valid().then(|| traceparent(&place))
}

fn traceparent(place: &SpanContext) -> String {
    format!("00-{}-{}-{:02x}", place.trace_id(), place.span_id(), place.trace_flags().to_u8())
}

fn follow(span: &Span, parent: Option<&str>) {
    let Some(parent) = parent else { return };
    let carrier = HashMap::from([("traceparent".to_owned(), parent.to_owned())]);
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
    if context.span().span_context().is_valid() {
        // An error means that traces are off.
        let _ = span.set_parent(context);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
    use tracing_subscriber::EnvFilter;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    /// Collects the spans.
    #[derive(Clone, Debug, Default)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Kept {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().unwrap().extend(batch);
            Ok(())
        }
    }

    /// Runs `work` with traces on; returns the spans that ended in it.
    fn collect(work: impl FnOnce()) -> Vec<SpanData> {
        let exporter = Kept::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        let layer = export::layer(provider.tracer("test"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
        let spans = exporter.0.lock().unwrap();
        spans.clone()
    }

    #[test]
    fn a_job_continues_the_trace_in_which_it_was_enqueued() {
        let mut trace = None;
        let spans = collect(|| {
            let request = request("POST", || None);
            trace = id(&request);
            let parent = request.in_scope(current);
            answered(&request, "signUp", 202);
            drop(request);
            let job = job("mail.send", 1, parent.as_deref());
            job.in_scope(|| ended(&call("mail.transport"), "sent", true));
        });
        let names: Vec<_> = spans.iter().map(|span| span.name.as_ref()).collect();
        assert_eq!(names, ["signUp", "mail.transport", "mail.send"]);
        for span in &spans {
            assert_eq!(Some(span.span_context.trace_id().to_string()), trace);
        }
        assert_eq!(spans[2].parent_span_id, spans[0].span_context.span_id());
        assert_eq!(spans[1].parent_span_id, spans[2].span_context.span_id());
    }

    #[test]
    fn a_trusted_trace_is_continued_and_a_broken_one_is_not() {
        collect(|| {
            assert_eq!(id(&request("GET", || Some(PARENT))).as_deref(), Some(&PARENT[3..35]));
            let begun = id(&request("GET", || Some("00-nonsense-01"))).expect("a new trace");
            assert_eq!(begun.len(), 32);
        });
    }

    #[test]
    fn spans_and_events_of_other_crates_are_not_sent() {
        let spans = collect(|| {
            let _other = tracing::info_span!("somebody", name = "Ana").entered();
            let span = request("GET", || None);
            span.in_scope(|| tracing::error!(name = "Ana", "an event"));
        });
        assert_eq!(spans.len(), 1);
        assert!(!format!("{spans:?}").contains("Ana"), "{spans:?}");
    }

    #[test]
    fn without_a_collector_there_are_no_spans() {
        let log = tracing_subscriber::registry().with(EnvFilter::new("info"));
        tracing::subscriber::with_default(log, || {
            let span = request("GET", || Some(PARENT));
            assert!(span.is_disabled());
            assert_eq!((id(&span), span.in_scope(current)), (None, None));
        });
    }
}
