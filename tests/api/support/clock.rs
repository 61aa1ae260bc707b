//! The machine's clock, which tests can advance.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use orientation::kernel::{Clock, SystemClock, Timestamp};

/// The machine's clock plus an offset: a test that needs tomorrow advances it by a day, and everything that waits
/// (jobs, leases, sessions) continues from there.
#[derive(Default)]
pub struct ShiftedClock(AtomicI64);

impl ShiftedClock {
    /// A clock that shows `now`.
    pub fn at(now: Timestamp) -> Self {
        let clock = Self::default();
        clock.set(now);
        clock
    }

    /// Sets it to `now`. A service whose sessions and jobs are to survive needs [`advance`](Self::advance).
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_millis() - SystemClock.now().as_millis(), Ordering::SeqCst);
    }

    /// Advances by `span`.
    pub fn advance(&self, span: Duration) {
        self.0.fetch_add(span.as_millis() as i64, Ordering::SeqCst);
    }
}

impl Clock for ShiftedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(SystemClock.now().as_millis() + self.0.load(Ordering::SeqCst))
    }
}
