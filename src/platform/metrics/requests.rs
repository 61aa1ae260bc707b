//! Counters for requests and connections. All handles are looked up at the start or at their first
//! use; after that a request costs a lookup in an immutable map and a few atomic additions.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, Registry};

use super::described;

/// The label of requests without an operation.
const NONE: &str = "none";

/// Statuses with a separate label, in ascending order; all others are `other`.
const STATUSES: &[u16] = &[
    200, 201, 202, 204, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 408, 409, 410, 411, 412, 413, 415,
    421, 422, 428, 429, 431, 500, 501, 502, 503, 504,
];

/// Counts requests.
#[derive(Clone)]
pub struct Requests {
    answered: IntCounterVec,
    seconds: HistogramVec,
    in_flight: IntGauge,
}

impl Requests {
    pub(in crate::platform) fn registered(registry: &Registry) -> Self {
        Self {
            answered: described::REQUESTS.counters(registry),
            seconds: described::REQUEST_SECONDS.histograms(registry),
            in_flight: described::IN_FLIGHT.gauge(registry),
        }
    }

    /// Counters for these operations; all other requests count as `none`.
    pub fn of<'a>(&self, operations: impl IntoIterator<Item = &'a str>) -> Operations {
        Operations {
            handles: operations.into_iter().map(|id| (id.to_owned(), Handles::new(id))).collect(),
            none: Handles::new(NONE),
            families: self.clone(),
        }
    }
}

impl Default for Requests {
    /// Counters that are not exported.
    fn default() -> Self {
        Self::registered(&Registry::new())
    }
}

/// Counts the requests of an interface by operation.
pub struct Operations {
    handles: HashMap<String, Handles>,
    none: Handles,
    families: Requests,
}

/// The counters of one operation. A series exists from its first request on.
struct Handles {
    operation: String,
    answered: Vec<OnceLock<IntCounter>>,
    seconds: OnceLock<Histogram>,
}

impl Handles {
    fn new(operation: &str) -> Self {
        let answered = (0..=STATUSES.len()).map(|_| OnceLock::new()).collect();
        Self { operation: operation.to_owned(), answered, seconds: OnceLock::new() }
    }

    fn count(&self, families: &Requests, status: u16, took: Duration) {
        let place = STATUSES.binary_search(&status);
        let answered = &self.answered[place.unwrap_or(STATUSES.len())];
        let label = || if place.is_ok() { status.to_string() } else { "other".to_owned() };
        answered.get_or_init(|| families.answered.with_label_values(&[&self.operation, &label()])).inc();
        let seconds = self.seconds.get_or_init(|| families.seconds.with_label_values(&[&self.operation]));
        seconds.observe(took.as_secs_f64());
    }
}

impl Operations {
    /// Counts the start of a request, which is in flight until the guard is dropped.
    pub fn begin(&self) -> InFlight<'_> {
        self.families.in_flight.inc();
        InFlight { operations: self, begun: Instant::now() }
    }
}

/// A request that is being answered.
pub struct InFlight<'a> {
    operations: &'a Operations,
    begun: Instant,
}

impl InFlight<'_> {
    /// Counts the answer and its duration.
    pub fn answered(self, operation: Option<&str>, status: u16) -> Duration {
        let took = self.begun.elapsed();
        let handles =
            operation.and_then(|id| self.operations.handles.get(id)).unwrap_or(&self.operations.none);
        handles.count(&self.operations.families, status, took);
        took
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.operations.families.in_flight.dec();
    }
}

/// Counts connections.
#[derive(Clone)]
pub struct Connections {
    open: IntGauge,
    accepted: IntCounter,
    refused: IntCounter,
    silent: IntCounter,
    slow: IntCounter,
    room: IntCounter,
}

/// Why the service closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutOff {
    /// The client sent nothing.
    Silent,
    /// The client was too slow with sending a request or reading a response, or idle.
    Slow,
    /// Its slot was needed for another connection.
    Room,
}

impl Connections {
    pub(in crate::platform) fn registered(registry: &Registry) -> Self {
        let cut_off = described::CUT_OFF.counters(registry);
        Self {
            open: described::CONNECTIONS.gauge(registry),
            accepted: described::ACCEPTED.counter(registry),
            refused: described::REFUSED.counter(registry),
            silent: cut_off.with_label_values(&["silent"]),
            slow: cut_off.with_label_values(&["slow"]),
            room: cut_off.with_label_values(&["room"]),
        }
    }

    /// A connection got a slot.
    pub fn opened(&self) {
        self.accepted.inc();
        self.open.inc();
    }

    /// A connection released its slot.
    pub fn closed(&self) {
        self.open.dec();
    }

    /// A connection got no slot.
    pub fn refused(&self) {
        self.refused.inc();
    }

    /// The service closes a connection.
    pub fn cut_off(&self, reason: CutOff) {
        match reason {
            CutOff::Silent => self.silent.inc(),
            CutOff::Slow => self.slow.inc(),
            CutOff::Room => self.room.inc(),
        }
    }
}

impl Default for Connections {
    /// Counters that are not exported.
    fn default() -> Self {
        Self::registered(&Registry::new())
    }
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;

    use super::*;

    fn text(registry: &Registry) -> String {
        TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
    }

    #[test]
    fn requests_are_counted_by_operation_and_status() {
        let registry = Registry::new();
        let operations = Requests::registered(&registry).of(["signIn", "getMe"]);
        operations.begin().answered(Some("signIn"), 200);
        operations.begin().answered(Some("signIn"), 200);
        operations.begin().answered(Some("signIn"), 401);
        operations.begin().answered(None, 404);
        let text = text(&registry);
        let requests: Vec<_> =
            text.lines().filter(|line| line.starts_with("orientation_http_requests_total{")).collect();
        assert_eq!(
            requests,
            [
                "orientation_http_requests_total{operation=\"none\",status=\"404\"} 1",
                "orientation_http_requests_total{operation=\"signIn\",status=\"200\"} 2",
                "orientation_http_requests_total{operation=\"signIn\",status=\"401\"} 1",
            ]
        );
        assert!(
            text.contains("orientation_http_request_duration_seconds_count{operation=\"signIn\"} 3"),
            "{text}"
        );
    }

    #[test]
    fn anonymous_clients_create_no_labels() {
        let registry = Registry::new();
        let operations = Requests::registered(&registry).of(["getMe"]);
        for status in 100..1000 {
            operations.begin().answered(Some("/v1/me?token=a"), status);
        }
        let text = text(&registry);
        assert!(!text.contains("token"), "{text}");
        let series = text.lines().filter(|line| line.starts_with("orientation_http_requests_total{"));
        assert_eq!(series.count(), STATUSES.len() + 1);
    }

    #[test]
    fn statuses_are_sorted_for_binary_search() {
        assert!(STATUSES.is_sorted());
    }

    #[test]
    fn an_abandoned_request_is_no_longer_in_flight() {
        let requests = Requests::default();
        let operations = requests.of([]);
        let (kept, dropped) = (operations.begin(), operations.begin());
        assert_eq!(requests.in_flight.get(), 2);
        drop(dropped);
        kept.answered(None, 200);
        assert_eq!(requests.in_flight.get(), 0);
    }
}
