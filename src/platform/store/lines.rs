//! Lines before documents that many want to write at once, within this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as Line, OwnedMutexGuard};
use tokio::time::{Instant, timeout_at};

use super::StoreError;
use super::error::Result;
use super::stats::Counter;

/// A fair line for each guard that somebody stands at.
#[derive(Default)]
pub(super) struct Lines {
    by_guard: Mutex<HashMap<String, Weak<Line<()>>>>,
    pub waiting: Counter,
}

impl Lines {
    /// Stands in line at `guard`; the turn lasts until what is returned is dropped. [`StoreError::Busy`] if it
    /// hasn't come by `give_up`.
    pub async fn turn(&self, guard: &str, give_up: Instant) -> Result<OwnedMutexGuard<()>> {
        let line = self.line(guard);
        let _in_line = self.waiting.hold();
        timeout_at(give_up, line.lock_owned()).await.map_err(|_elapsed| StoreError::Busy)
    }

    /// The line at the guard. Those that nobody stands in are cleared away meanwhile, so that their number is
    /// bounded by that of the requests.
    fn line(&self, guard: &str) -> Arc<Line<()>> {
        let mut by_guard = self.by_guard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = by_guard.get(guard).and_then(Weak::upgrade) {
            return line;
        }
        by_guard.retain(|_, line| line.strong_count() > 0);
        let line = Arc::new(Line::new(()));
        by_guard.insert(guard.to_owned(), Arc::downgrade(&line));
        line
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn after(millis: u64) -> Instant {
        Instant::now() + Duration::from_millis(millis)
    }

    #[tokio::test]
    async fn whoever_waits_too_long_is_told_so_and_other_guards_are_free() {
        let lines = Lines::default();
        let first = lines.turn("places", after(0)).await.unwrap();
        assert_eq!(lines.turn("places", after(20)).await.unwrap_err(), StoreError::Busy);
        lines.turn("other places", after(20)).await.unwrap();
        drop(first);
        lines.turn("places", after(20)).await.unwrap();
        assert_eq!(lines.waiting.get(), 0);
    }

    #[tokio::test]
    async fn lines_that_nobody_stands_in_are_cleared_away() {
        let lines = Lines::default();
        for guard in 0..100 {
            lines.turn(&guard.to_string(), after(20)).await.unwrap();
        }
        assert_eq!(lines.by_guard.lock().unwrap().len(), 1);
    }
}
