//! All metrics there are: `docs/metrics.md` shows the same table, and a test compares the two.

use prometheus::core::Collector;
use prometheus::{
    Counter, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

/// Upper bounds of the buckets of all durations, in seconds: from a read in memory to what is given up.
const BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// What a metric is called and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described {
    /// As it is served.
    pub name: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// By what it is told apart. Values come from the program, never from a request.
    pub labels: &'static [&'static str],
    /// A sentence for whoever reads the page.
    pub help: &'static str,
}

/// How a metric moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the process ends.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations, counted in buckets.
    Histogram,
}

impl Kind {
    /// As Prometheus writes it.
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

pub(super) const REQUESTS: Described = counter(
    "orientation_http_requests_total",
    &["operation", "status"],
    "Requests that were answered, by the operation of the interface (`none`: pages and unknown addresses) and status.",
);
pub(super) const REQUEST_SECONDS: Described = histogram(
    "orientation_http_request_duration_seconds",
    &["operation"],
    "From the head of a request until its answer is begun.",
);
pub(super) const IN_FLIGHT: Described =
    gauge("orientation_http_requests_in_flight", &[], "Requests that are being answered at this moment.");
pub(super) const CONNECTIONS: Described =
    gauge("orientation_http_connections", &[], "Connections that are open at this moment.");
pub(super) const ACCEPTED: Described =
    counter("orientation_http_connections_accepted_total", &[], "Connections that got a place.");
pub(super) const REFUSED: Described = counter(
    "orientation_http_connections_refused_total",
    &[],
    "Connections that found every place taken by a request that runs.",
);
pub(super) const CUT_OFF: Described = counter(
    "orientation_http_connections_cut_off_total",
    &["reason"],
    "Connections that were closed on their peer: it said nothing (`silent`), was too slow with a request or its \
     answer, or idle (`slow`), or had to make room (`room`).",
);
pub(super) const JOBS: Described = gauge(
    "orientation_jobs",
    &["kind", "state"],
    "Jobs in the store that are `waiting`, `running` or `dead`. What is done is not counted.",
);
pub(super) const OLDEST_DUE: Described = gauge(
    "orientation_job_oldest_due_age_seconds",
    &["kind"],
    "For how long the oldest job that is due has been waiting for a worker, or has been left by one that died.",
);
pub(super) const JOB_RUNS: Described = counter(
    "orientation_job_runs_total",
    &["kind", "outcome"],
    "Runs of jobs in this process: `done`, `failed` (comes back), `dead` (does not), `handedBack` (at shutdown), \
     `lost` (its lease ran out: another worker has it).",
);
pub(super) const JOB_SECONDS: Described =
    histogram("orientation_job_run_duration_seconds", &["kind"], "How long runs of jobs took.");
pub(super) const MAILS: Described = gauge("orientation_mails", &["state"], "Emails in the store, by state.");
pub(super) const SENDS: Described = counter(
    "orientation_mail_sends_total",
    &["outcome"],
    "Emails handed to the transport, by outcome: `sent`, `temporary` (retried later), `throttled` (too fast: retried \
     later), `uncertain` (no answer: retried, may arrive twice) or `permanent` (refused for good).",
);
pub(super) const SEND_SECONDS: Described =
    histogram("orientation_mail_send_duration_seconds", &[], "How long the transport took to answer.");
pub(super) const GATEWAY_CALLS: Described = counter(
    "orientation_gateway_calls_total",
    &["method", "outcome"],
    "Calls to the payment gateway: `done`, `unavailable` (comes back) or `refused`.",
);
pub(super) const GATEWAY_SECONDS: Described = histogram(
    "orientation_gateway_call_duration_seconds",
    &["method"],
    "How long the gateway took, its retries included.",
);
pub(super) const TRANSACTIONS: Described = counter(
    "orientation_store_transactions_total",
    &[],
    "Transactions whose outcome was made durable and told.",
);
pub(super) const COMMITS: Described = counter(
    "orientation_store_commits_total",
    &[],
    "Commits of the database; fewer than transactions where several share one.",
);
pub(super) const ROLLBACKS: Described = counter(
    "orientation_store_rollbacks_total",
    &[],
    "Transactions that were undone: refused, failed, too slow, or left by their caller.",
);
pub(super) const CONFLICTS: Described = counter(
    "orientation_store_conflicts_total",
    &[],
    "Times that a transaction was run again because another wrote the same documents.",
);
pub(super) const COMMIT_SECONDS: Described =
    counter("orientation_store_commit_seconds_total", &[], "Time spent in commits, all together.");
pub(super) const QUEUE: Described = gauge(
    "orientation_store_transactions_waiting",
    &[],
    "Transactions that wait for their turn at this moment.",
);
pub(super) const STORE_UP: Described = gauge(
    "orientation_store_up",
    &[],
    "1 if the store could be read for this page; else 0, and what is counted in the store is left out.",
);
pub(super) const SIGNALS_UP: Described = gauge(
    "orientation_signals_up",
    &[],
    "1 if signals reach the other processes, or there are none to reach; 0 while Redis is away.",
);
pub(super) const STARTED: Described =
    gauge("process_start_time_seconds", &[], "When the process started, in seconds since 1970-01-01 UTC.");
pub(super) const BUILD: Described =
    gauge("orientation_build_info", &["version"], "Always 1; its label says which version runs.");

/// Every metric that is served.
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
    pub(super) fn counter(&self, registry: &Registry) -> IntCounter {
        self.register(registry, IntCounter::with_opts(self.opts()))
    }

    /// A counter of fractions, such as seconds.
    pub(super) fn sum(&self, registry: &Registry) -> Counter {
        self.register(registry, Counter::with_opts(self.opts()))
    }

    pub(super) fn counters(&self, registry: &Registry) -> IntCounterVec {
        self.register(registry, IntCounterVec::new(self.opts(), self.labels))
    }

    pub(super) fn gauge(&self, registry: &Registry) -> IntGauge {
        self.register(registry, IntGauge::with_opts(self.opts()))
    }

    /// A gauge of fractions, such as seconds.
    pub(super) fn level(&self, registry: &Registry) -> Gauge {
        self.register(registry, Gauge::with_opts(self.opts()))
    }

    pub(super) fn gauges(&self, registry: &Registry) -> IntGaugeVec {
        self.register(registry, IntGaugeVec::new(self.opts(), self.labels))
    }

    pub(super) fn levels(&self, registry: &Registry) -> GaugeVec {
        self.register(registry, GaugeVec::new(self.opts(), self.labels))
    }

    pub(super) fn histogram(&self, registry: &Registry) -> Histogram {
        self.register(registry, Histogram::with_opts(self.buckets()))
    }

    pub(super) fn histograms(&self, registry: &Registry) -> HistogramVec {
        self.register(registry, HistogramVec::new(self.buckets(), self.labels))
    }

    fn opts(&self) -> Opts {
        Opts::new(self.name, self.help)
    }

    fn buckets(&self) -> HistogramOpts {
        HistogramOpts::new(self.name, self.help).buckets(BUCKETS.to_vec())
    }

    /// # Panics
    /// If two metrics share a name or a name is none: a fault of the table above, which shows at the first start.
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
