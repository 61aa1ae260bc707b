//! Connections that are kept for the next email.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The most connections that are kept: as many as emails are sent at once.
const MOST: usize = 32;
/// How long a connection is kept. Routers and firewalls forget idle connections without a word, some after two minutes.
const LONGEST: Duration = Duration::from_secs(60);

/// Idle connections, and since when they are; the last one is the most recent.
pub(super) struct Idle<C> {
    kept: Mutex<Vec<(Instant, C)>>,
}

impl<C> Idle<C> {
    /// None yet.
    pub(super) fn new() -> Self {
        Self { kept: Mutex::new(vec![]) }
    }

    /// The most recent connection. Those that have been idle too long are closed.
    pub(super) fn take(&self, now: Instant) -> Option<C> {
        let mut kept = self.recent(now);
        kept.pop().map(|(_, connection)| connection)
    }

    /// Keeps this connection, unless there are enough. Those that have been idle too long are closed.
    pub(super) fn keep(&self, connection: C, now: Instant) {
        let mut kept = self.recent(now);
        if kept.len() < MOST {
            kept.push((now, connection));
        }
    }

    /// Closes all.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn recent(&self, now: Instant) -> MutexGuard<'_, Vec<(Instant, C)>> {
        let mut kept = self.lock();
        kept.retain(|(since, _)| now.duration_since(*since) < LONGEST);
        kept
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Instant, C)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_was_idle_for_a_minute_is_not_used_again() {
        let (idle, begun) = (Idle::new(), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        idle.keep("first", at(0));
        idle.keep("second", at(30));
        idle.keep("third", at(40));
        assert_eq!(idle.take(at(59)), Some("third"));
        assert_eq!(idle.take(at(61)), Some("second"));
        assert_eq!(idle.take(at(61)), None);
    }

    #[test]
    fn no_more_are_kept_than_emails_are_sent_at_once() {
        let (idle, now) = (Idle::new(), Instant::now());
        (0..100).for_each(|n| idle.keep(n, now));
        assert_eq!(idle.take(now), Some(MOST - 1));
        idle.clear();
        assert_eq!(idle.take(now), None);
    }
}
