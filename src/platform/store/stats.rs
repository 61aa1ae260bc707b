//! Counters for the metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a store has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Transactions whose outcome was made durable and then told, refusals after others' writes among them.
    pub transactions: u64,
    /// Commits of the database. Fewer than transactions where several share one.
    pub commits: u64,
    /// Transactions undone: refused, failed, too slow, or left by their caller.
    pub rollbacks: u64,
    /// Times that work was run again because another transaction wrote the same documents.
    pub conflicts: u64,
    /// Transactions that wait for their turn at this moment.
    pub queue: u64,
    /// Time spent in commits, all together.
    pub committing: Duration,
}

/// A number that several threads add to.
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

/// One of those that are counted now.
pub(super) struct Held<'a>(&'a Counter);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
