//! Sends spans to a collector, in batches and in the background: spans that can't be sent are dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, SpanData, SpanExporter};
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;
use url::Url;

use super::SPANS;

/// A collector that doesn't accept a batch within this time doesn't get it.
const EXPORT_PATIENCE: Duration = Duration::from_secs(5);

/// How long sending the last batches may take when the process ends.
const PARTING: Duration = Duration::from_secs(3);

/// Traces can't be sent.
#[derive(Debug, thiserror::Error)]
#[error("OTEL_EXPORTER_OTLP_ENDPOINT: {0}")]
pub struct TracesError(String);

/// A running export of traces.
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Starts sending to the collector at `address` (OTLP over HTTP). The SDK's own variables, such as
    /// `OTEL_TRACES_SAMPLER` and `OTEL_EXPORTER_OTLP_HEADERS`, apply.
    ///
    /// # Errors
    /// If the address is not valid; an unreachable collector is not an error.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(address: &Url) -> Result<Self, TracesError> {
        let failed = |error: &dyn std::fmt::Display| TracesError(error.to_string());
        let endpoint = address.join("v1/traces").map_err(|error| failed(&error))?;
        let collector = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint)
            .with_timeout(EXPORT_PATIENCE)
            .build()
            .map_err(|error| failed(&error))?;
        let exporter = OnTheSide {
            collector: Arc::new(collector),
            runtime: Handle::current(),
            failing: AtomicBool::new(false),
        };
        let resource = Resource::builder()
            .with_service_name("orientation")
            .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            .with_batch_exporter(exporter)
            .build();
        Ok(Self { provider })
    }

    /// The layer that records the spans, to be added beside the log.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + 'static
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        layer(self.provider.tracer("orientation"))
    }

    /// Sends the remaining spans, within three seconds.
    pub async fn finish(self) {
        let sending = tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(PARTING));
        if !matches!(tokio::time::timeout(PARTING, sending).await, Ok(Ok(Ok(())))) {
            tracing::warn!("the last traces were not sent");
        }
    }
}

/// The layer over a tracer. It gets only spans of the target [`SPANS`] and no events: other crates may log data that
/// must not leave the machine.
pub(super) fn layer<S>(tracer: SdkTracer) -> impl Layer<S> + Send + Sync + 'static
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    let ours = filter_fn(|metadata| metadata.is_span() && metadata.target() == SPANS);
    tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_level(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(ours.with_max_level_hint(LevelFilter::DEBUG))
}

/// The SDK calls from its own thread, and the HTTP client needs the runtime.
#[derive(Debug)]
struct OnTheSide {
    collector: Arc<opentelemetry_otlp::SpanExporter>,
    runtime: Handle,
    failing: AtomicBool,
}

impl SpanExporter for OnTheSide {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let (spans, collector) = (batch.len(), self.collector.clone());
        let sending = self.runtime.spawn(async move { collector.export(batch).await });
        let sent =
            sending.await.unwrap_or_else(|error| Err(OTelSdkError::InternalFailure(error.to_string())));
        self.tell(&sent, spans);
        sent
    }

    fn set_resource(&mut self, resource: &Resource) {
        // The provider sets it before anything is sent, while the exporter is not shared.
        if let Some(collector) = Arc::get_mut(&mut self.collector) {
            collector.set_resource(resource);
        }
    }
}

impl OnTheSide {
    /// Logs once when sending begins to fail, and once when it works again.
    fn tell(&self, sent: &OTelSdkResult, spans: usize) {
        let failed_before = self.failing.swap(sent.is_err(), Ordering::Relaxed);
        match sent {
            Err(error) if !failed_before => {
                tracing::warn!(%error, spans, "traces can't be sent and are dropped")
            }
            Ok(()) if failed_before => tracing::info!("traces are sent again"),
            _ => {}
        }
    }
}
