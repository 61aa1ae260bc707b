//! All metrics of one service.
//!
//! Stored documents are counted when metrics are read, in bounded time and at most every few seconds. `http::MetricsPage`
//! serves [`Metrics::text`] on its own listener.

mod stored;

use std::sync::Arc;

use prometheus::{IntGauge, Registry, TextEncoder};
use tokio::sync::Mutex;

use crate::kernel::Clock;
use crate::platform::metrics::{Connections, GatewayCalls, JobRuns, MailSends, Requests, described};
use crate::platform::signals::{Signals, SignalsState};
use crate::platform::store::Store;
use stored::Stored;

/// The media type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics of one service.
pub struct Metrics {
    /// For requests.
    pub requests: Requests,
    /// For connections.
    pub connections: Connections,
    /// For the workers.
    pub job_runs: JobRuns,
    /// For the transport of emails.
    pub mail_sends: MailSends,
    /// For the payment gateway.
    pub gateway_calls: GatewayCalls,
    registry: Registry,
    signals: Arc<dyn Signals>,
    signals_up: IntGauge,
    stored: Mutex<Stored>,
}

impl Metrics {
    /// Metrics of a service that starts now and uses `store` and `signals`.
    pub fn new(store: Store, signals: Arc<dyn Signals>, clock: Arc<dyn Clock>) -> Self {
        let registry = Registry::new();
        let started = clock.now().as_millis() as f64 / 1000.0;
        described::STARTED.level(&registry).set(started);
        described::BUILD.gauges(&registry).with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Self {
            requests: Requests::registered(&registry),
            connections: Connections::registered(&registry),
            job_runs: JobRuns::registered(&registry),
            mail_sends: MailSends::registered(&registry),
            gateway_calls: GatewayCalls::registered(&registry),
            signals_up: described::SIGNALS_UP.gauge(&registry),
            signals,
            stored: Mutex::new(Stored::registered(&registry, store, clock)),
            registry,
        }
    }

    /// The current values.
    pub async fn text(&self) -> String {
        // Held to the end, so that the store's numbers don't change while they are written.
        let mut stored = self.stored.lock().await;
        stored.refresh().await;
        let unreachable = matches!(self.signals.state(), SignalsState::Unreachable { .. });
        self.signals_up.set(i64::from(!unreachable));
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{ManualClock, Timestamp};
    use crate::platform::metrics::{ALL, Described};
    use crate::platform::signals::InProcess;
    use crate::platform::store::testing::TestStore;

    async fn metrics() -> (TestStore, Metrics) {
        let schemas = [crate::platform::mail::schemas(), crate::platform::jobs::schemas()].concat();
        let store = TestStore::with(&schemas).await;
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_788_246_000_500)));
        let metrics = Metrics::new(store.clone(), Arc::new(InProcess::new(1.0)), clock);
        (store, metrics)
    }

    #[tokio::test]
    async fn exactly_the_metrics_of_the_table_are_registered() {
        let (_store, metrics) = metrics().await;
        for Described { name, help, .. } in ALL {
            let again = prometheus::IntCounter::new(*name, *help).unwrap();
            assert!(metrics.registry.register(Box::new(again)).is_err(), "{name} is not registered");
        }
        for family in metrics.registry.gather() {
            assert!(
                ALL.iter().any(|metric| metric.name == family.name()),
                "{} is not in the table",
                family.name()
            );
        }
    }

    #[tokio::test]
    async fn the_start_time_is_in_seconds() {
        let (_store, metrics) = metrics().await;
        let text = metrics.text().await;
        assert!(text.contains("process_start_time_seconds 1788246000.5\n"), "{text}");
        assert!(text.contains("orientation_build_info{version=\""), "{text}");
    }
}
