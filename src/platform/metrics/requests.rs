//! What is counted for each request and each connection. All handles are looked up at the start or with the first
//! of their kind; after that a request costs a look into a map that never changes and a few atomic additions.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, Registry};

use super::described;

/// The operation of whatever is none.
const NONE: &str = "none";

/// Statuses that are told apart, in order; all others are `other`.
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
    pub(super) fn registered(registry: &Registry) -> Self {
        Self {
            answered: described::REQUESTS.counters(registry),
            seconds: described::REQUEST_SECONDS.histograms(registry),
            in_flight: described::IN_FLIGHT.gauge(registry),
        }
    }

    /// For these operations; every other request counts as `none`.
    pub fn of<'a>(&self, operations: impl IntoIterator<Item = &'a str>) -> Operations {
        Operations {
            handles: operations.into_iter().map(|id| (id.to_owned(), Handles::new(id))).collect(),
            none: Handles::new(NONE),
            families: self.clone(),
        }
    }
}

impl Default for Requests {
    /// Counts for nobody.
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

/// What is counted for one operation. A series is there from its first request on.
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
    /// A request has begun. Until the guard is dropped it is in flight.
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
    /// It was answered; how long that took.
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

/// Why a connection is closed on its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutOff {
    /// It never said anything.
    Silent,
    /// It was too slow with a request or with taking an answer up, or idle.
    Slow,
    /// Others needed its place.
    Room,
}

impl Connections {
    pub(super) fn registered(registry: &Registry) -> Self {
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

    /// One got a place.
    pub fn opened(&self) {
        self.accepted.inc();
        self.open.inc();
    }

    /// One has given its place back.
    pub fn closed(&self) {
        self.open.dec();
    }

    /// One got no place.
    pub fn refused(&self) {
        self.refused.inc();
    }

    /// One is being closed on its peer.
    pub fn cut_off(&self, reason: CutOff) {
        match reason {
            CutOff::Silent => self.silent.inc(),
            CutOff::Slow => self.slow.inc(),
            CutOff::Room => self.room.inc(),
        }
    }
}

impl Default for Connections {
    /// Counts for nobody.
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
    fn requests_are_told_apart_by_operation_and_status() {
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
    fn a_stranger_makes_no_labels() {
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
    fn statuses_are_in_order_so_that_they_are_found() {
        assert!(STATUSES.is_sorted());
    }

    #[test]
    fn a_request_that_is_given_up_is_in_flight_no_more() {
        let requests = Requests::default();
        let operations = requests.of([]);
        let (kept, dropped) = (operations.begin(), operations.begin());
        assert_eq!(requests.in_flight.get(), 2);
        drop(dropped);
        kept.answered(None, 200);
        assert_eq!(requests.in_flight.get(), 0);
    }
}
