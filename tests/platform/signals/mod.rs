//! The contract of signals.
//!
//! `contract.rs` is the same for every adapter: it is compiled once for each, with that adapter's `fresh()` above it,
//! which returns the signals of two processes. Tests of a single adapter are beside its `fresh()`.

mod in_process;
mod redis;

use std::time::Duration;

use orientation::platform::signals::Limit;

const THREE_A_MINUTE: Limit = Limit { name: "three", quota: 3, window: Duration::from_secs(60) };

/// Waits a limited time for an event.
async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), event).await.expect("it happens in time")
}

/// Waits until a condition is true.
async fn until(what: &str, so: impl Fn() -> bool) {
    for _ in 0..1000 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("by now {what}");
}
