//! The table of all metrics. `docs/metrics.md` shows the same, and a test compares the two.

use prometheus::core::Collector;
use prometheus::{
    Counter, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

/// Upper bounds of the buckets of all durations, in seconds: from a read in memory to the longest timeout.
const BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// Name and meaning of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described {
    /// Name as Prometheus reads it.
    pub name: &'static str,
    /// Type of the metric.
    pub kind: Kind,
    /// Names of the labels. Their values come from the program, never from a request.
    pub labels: &'static [&'static str],
    /// Description, in full sentences.
    pub help: &'static str,
}

/// Type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Grows until the process ends.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations in buckets.
    Histogram,
}

impl Kind {
    /// Name of the type in Prometheus.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Described {
    Described { name, kind: Kind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Described {
    Described { name, kind: Kind::Gauge, labels, help }
}

const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Described {
    Described { name, kind: Kind::Histogram, labels, help }
}

pub(in crate::platform) const REQUESTS: Described = counter(
    "orientation_http_requests_total",
    &["operation", "status"],
    "Requests answered, by operation (`none`: pages and unknown paths) and status.",
);
pub(in crate::platform) const REQUEST_SECONDS: Described = histogram(
    "orientation_http_request_duration_seconds",
    &["operation"],
    "Time from the end of the request's headers until the response begins.",
);
pub(in crate::platform) const IN_FLIGHT: Described =
    gauge("orientation_http_requests_in_flight", &[], "Requests being answered.");
pub(in crate::platform) const CONNECTIONS: Described =
    gauge("orientation_http_connections", &[], "Open connections.");
pub(in crate::platform) const ACCEPTED: Described =
    counter("orientation_http_connections_accepted_total", &[], "Connections accepted.");
pub(in crate::platform) const REFUSED: Described = counter(
    "orientation_http_connections_refused_total",
    &[],
    "Connections refused because every slot was in use by a running request.",
);
pub(in crate::platform) const CUT_OFF: Described = counter(
    "orientation_http_connections_cut_off_total",
    &["reason"],
    "Connections closed by the service because the client sent nothing (`silent`), was too slow or idle (`slow`), or a slot was needed for another connection (`room`).",
);
pub(in crate::platform) const JOBS: Described = gauge(
    "orientation_jobs",
    &["kind", "state"],
    "Jobs in the store that are `waiting`, `running` or `dead`. Completed jobs are not counted.",
);
pub(in crate::platform) const OLDEST_DUE: Described = gauge(
    "orientation_job_oldest_due_age_seconds",
    &["kind"],
    "Time for which the oldest due job has been waiting for a worker, or has been abandoned by one that died.",
);
pub(in crate::platform) const JOB_RUNS: Described = counter(
    "orientation_job_runs_total",
    &["kind", "outcome"],
    "Job runs in this process: `done`, `failed` (retried later), `dead` (not retried), `handedBack` (released at shutdown) or `lost` (the lease expired and another worker took over).",
);
pub(in crate::platform) const JOB_SECONDS: Described =
    histogram("orientation_job_run_duration_seconds", &["kind"], "Duration of job runs.");
pub(in crate::platform) const MAILS: Described =
    gauge("orientation_mails", &["state"], "Emails in the store, by state.");
pub(in crate::platform) const SENDS: Described = counter(
    "orientation_mail_sends_total",
    &["outcome"],
    "Emails handed to the transport, by outcome: `sent`, `temporary` (retried later), `account` (the account is refused: retried later), `throttled` (too fast: retried later), `uncertain` (no answer: retried, may arrive twice) or `permanent` (refused, not retried).",
);
pub(in crate::platform) const SEND_SECONDS: Described =
    histogram("orientation_mail_send_duration_seconds", &[], "Time until the transport answers.");
pub(in crate::platform) const GATEWAY_CALLS: Described = counter(
    "orientation_gateway_calls_total",
    &["method", "outcome"],
    "Calls to the payment gateway: `done`, `unavailable` (retried later) or `refused`.",
);
pub(in crate::platform) const GATEWAY_SECONDS: Described = histogram(
    "orientation_gateway_call_duration_seconds",
    &["method"],
    "Time until the gateway answers, with retries.",
);
pub(in crate::platform) const TRANSACTIONS: Described =
    counter("orientation_store_transactions_total", &[], "Transactions that were committed durably.");
pub(in crate::platform) const COMMITS: Described = counter(
    "orientation_store_commits_total",
    &[],
    "Commits of the database. Fewer than transactions when several share a commit.",
);
pub(in crate::platform) const ROLLBACKS: Described = counter(
    "orientation_store_rollbacks_total",
    &[],
    "Transactions rolled back: refused, failed, timed out or dropped by their caller.",
);
pub(in crate::platform) const CONFLICTS: Described = counter(
    "orientation_store_conflicts_total",
    &[],
    "Transactions run again because another one wrote the same documents.",
);
pub(in crate::platform) const COMMIT_SECONDS: Described =
    counter("orientation_store_commit_seconds_total", &[], "Total time spent in commits.");
pub(in crate::platform) const QUEUE: Described =
    gauge("orientation_store_transactions_waiting", &[], "Transactions waiting to start.");
pub(in crate::platform) const STORE_UP: Described = gauge(
    "orientation_store_up",
    &[],
    "1 if the store could be read for this response. Otherwise 0, and metrics that are counted in the store are missing.",
);
pub(in crate::platform) const SIGNALS_UP: Described = gauge(
    "orientation_signals_up",
    &[],
    "1 if signals reach the other processes, or if there are none. 0 while Redis is unreachable.",
);
pub(in crate::platform) const STARTED: Described =
    gauge("process_start_time_seconds", &[], "Start time of the process, in seconds since 1970-01-01 UTC.");
pub(in crate::platform) const BUILD: Described =
    gauge("orientation_build_info", &["version"], "Always 1. The label is the running version.");

/// All metrics.
pub const ALL: &[Described] = &[
    REQUESTS,
    REQUEST_SECONDS,
    IN_FLIGHT,
    CONNECTIONS,
    ACCEPTED,
    REFUSED,
    CUT_OFF,
    JOBS,
    OLDEST_DUE,
    JOB_RUNS,
    JOB_SECONDS,
    MAILS,
    SENDS,
    SEND_SECONDS,
    GATEWAY_CALLS,
    GATEWAY_SECONDS,
    TRANSACTIONS,
    COMMITS,
    ROLLBACKS,
    CONFLICTS,
    COMMIT_SECONDS,
    QUEUE,
    STORE_UP,
    SIGNALS_UP,
    STARTED,
    BUILD,
];

impl Described {
    pub(in crate::platform) fn counter(&self, registry: &Registry) -> IntCounter {
        self.register(registry, IntCounter::with_opts(self.opts()))
    }

    /// A counter of non-integers, such as seconds.
    pub(in crate::platform) fn sum(&self, registry: &Registry) -> Counter {
        self.register(registry, Counter::with_opts(self.opts()))
    }

    pub(in crate::platform) fn counters(&self, registry: &Registry) -> IntCounterVec {
        self.register(registry, IntCounterVec::new(self.opts(), self.labels))
    }

    pub(in crate::platform) fn gauge(&self, registry: &Registry) -> IntGauge {
        self.register(registry, IntGauge::with_opts(self.opts()))
    }

    /// A gauge of non-integers, such as seconds.
    pub(in crate::platform) fn level(&self, registry: &Registry) -> Gauge {
        self.register(registry, Gauge::with_opts(self.opts()))
    }

    pub(in crate::platform) fn gauges(&self, registry: &Registry) -> IntGaugeVec {
        self.register(registry, IntGaugeVec::new(self.opts(), self.labels))
    }

    pub(in crate::platform) fn levels(&self, registry: &Registry) -> GaugeVec {
        self.register(registry, GaugeVec::new(self.opts(), self.labels))
    }

    pub(in crate::platform) fn histogram(&self, registry: &Registry) -> Histogram {
        self.register(registry, Histogram::with_opts(self.buckets()))
    }

    pub(in crate::platform) fn histograms(&self, registry: &Registry) -> HistogramVec {
        self.register(registry, HistogramVec::new(self.buckets(), self.labels))
    }

    fn opts(&self) -> Opts {
        Opts::new(self.name, self.help)
    }

    fn buckets(&self) -> HistogramOpts {
        HistogramOpts::new(self.name, self.help).buckets(BUCKETS.to_vec())
    }

    /// # Panics
    /// If two metrics share a name or a name is not valid. That is a mistake in the table above and shows at every start.
    fn register<C>(&self, registry: &Registry, made: prometheus::Result<C>) -> C
    where
        C: Collector + Clone + 'static,
    {
        let collector = made.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let registered = registry.register(Box::new(collector.clone()));
        registered.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        collector
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        for metric in ALL {
            let own = metric.name.starts_with("orientation_") || metric.name.starts_with("process_");
            assert!(own, "{}", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            let seconds = metric.name.ends_with("_seconds");
            assert!(seconds || metric.kind != Kind::Histogram, "{}", metric.name);
            assert!(metric.help.ends_with('.') && !metric.help.contains("  "), "{}", metric.name);
        }
    }
}
