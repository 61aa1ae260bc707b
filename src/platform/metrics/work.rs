//! Counters for background work: runs of jobs, emails sent, calls to the gateway.

use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounterVec, Registry};

use super::described;

/// Counts the runs of jobs.
#[derive(Clone)]
pub struct JobRuns {
    runs: IntCounterVec,
    seconds: HistogramVec,
}

impl JobRuns {
    pub(in crate::platform) fn registered(registry: &Registry) -> Self {
        let (runs, seconds) = (described::JOB_RUNS, described::JOB_SECONDS);
        Self { runs: runs.counters(registry), seconds: seconds.histograms(registry) }
    }

    /// Counts a run of this kind with its duration and outcome.
    pub fn note(&self, kind: &'static str, outcome: &'static str, took: Duration) {
        self.runs.with_label_values(&[kind, outcome]).inc();
        self.seconds.with_label_values(&[kind]).observe(took.as_secs_f64());
    }
}

impl Default for JobRuns {
    /// Counters that are not exported.
    fn default() -> Self {
        Self::registered(&Registry::new())
    }
}

/// Counts emails handed to the transport, by outcome.
#[derive(Clone)]
pub struct MailSends {
    sends: IntCounterVec,
    seconds: Histogram,
}

impl MailSends {
    pub(in crate::platform) fn registered(registry: &Registry) -> Self {
        let (sends, seconds) = (described::SENDS, described::SEND_SECONDS);
        Self { sends: sends.counters(registry), seconds: seconds.histogram(registry) }
    }

    /// Records the outcome of one email and how long the transport took.
    pub fn note(&self, outcome: &'static str, took: Duration) {
        self.sends.with_label_values(&[outcome]).inc();
        self.seconds.observe(took.as_secs_f64());
    }
}

/// Counts calls to the gateway.
#[derive(Clone)]
pub struct GatewayCalls {
    calls: IntCounterVec,
    seconds: HistogramVec,
}

impl GatewayCalls {
    pub(in crate::platform) fn registered(registry: &Registry) -> Self {
        let (calls, seconds) = (described::GATEWAY_CALLS, described::GATEWAY_SECONDS);
        Self { calls: calls.counters(registry), seconds: seconds.histograms(registry) }
    }

    /// Counts a call of this method with its outcome and duration.
    pub fn note(&self, method: &'static str, outcome: &'static str, took: Duration) {
        self.calls.with_label_values(&[method, outcome]).inc();
        self.seconds.with_label_values(&[method]).observe(took.as_secs_f64());
    }
}
