//! Counters for the metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters of a store since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Transactions whose outcome was made durable and then returned, including refusals based on others' writes.
    pub transactions: u64,
    /// Commits of the database: fewer than transactions where several share one.
    pub commits: u64,
    /// Transactions undone: refused, failed, too slow, or abandoned by their caller.
    pub rollbacks: u64,
    /// How often work was run again because another transaction wrote the same documents.
    pub conflicts: u64,
    /// Transactions that are waiting for their turn now.
    pub queue: u64,
    /// Total time spent in commits.
    pub committing: Duration,
}

/// A counter that several threads increment.
#[derive(Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts one more until the guard is dropped.
    pub fn hold(&self) -> Held<'_> {
        self.add(1);
        Held(self)
    }
}

/// Counts one until it is dropped.
pub(super) struct Held<'a>(&'a Counter);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
