//! The machine's clock, moved on by tests.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use orientation::kernel::{Clock, SystemClock, Timestamp};

/// Goes as the machine's clock does, some time ahead of it: a test that wants tomorrow moves on by a day, and
/// everything that waits (jobs, leases, sessions) goes on from there.
#[derive(Default)]
pub struct ShiftedClock(AtomicI64);

impl ShiftedClock {
    /// Moves on by `span`.
    pub fn advance(&self, span: Duration) {
        self.0.fetch_add(span.as_millis() as i64, Ordering::SeqCst);
    }
}

impl Clock for ShiftedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(SystemClock.now().as_millis() + self.0.load(Ordering::SeqCst))
    }
}
