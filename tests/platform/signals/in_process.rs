//! Signals within one process.

#[path = "contract.rs"]
mod contract;

use std::sync::Arc;
use std::time::Duration;

use orientation::kernel::{ManualClock, Timestamp};
use orientation::platform::signals::{InProcess, Remaining, Signals, SignalsState, TooMany};

use crate::signals::THREE_A_MINUTE;

/// There is one process, so both are the same.
async fn fresh(factor: f64) -> [Arc<dyn Signals>; 2] {
    let signals = Arc::new(InProcess::new(factor));
    [signals.clone(), signals]
}

#[tokio::test]
async fn a_quota_refills_by_the_given_clock() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_788_246_000_000)));
    let signals = InProcess::with_clock(1.0, clock.clone());
    for remaining in [2, 1, 0] {
        assert_eq!(signals.take(THREE_A_MINUTE, "ana").await, Ok(Remaining(remaining)));
    }
    let refused = signals.take(THREE_A_MINUTE, "ana").await;
    assert_eq!(refused, Err(TooMany { retry_after: Duration::from_secs(20) }));
    clock.advance(Duration::from_secs(20));
    assert_eq!(signals.take(THREE_A_MINUTE, "ana").await, Ok(Remaining(0)));
    clock.advance(Duration::from_secs(600));
    assert_eq!(signals.take(THREE_A_MINUTE, "ana").await, Ok(Remaining(2)));
}

#[test]
fn there_are_no_other_processes() {
    assert_eq!(InProcess::new(1.0).state(), SignalsState::WithinProcess);
}
