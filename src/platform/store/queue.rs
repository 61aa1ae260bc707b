//! In-process queues for documents that many transactions write at once.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as Queue, OwnedMutexGuard};
use tokio::time::{Instant, timeout_at};

use super::StoreError;
use super::error::Result;
use super::stats::Counter;

/// A fair queue for each guard in use.
#[derive(Default)]
pub(super) struct KeyedQueue {
    by_guard: Mutex<HashMap<String, Weak<Queue<()>>>>,
    pub waiting: Counter,
}

impl KeyedQueue {
    /// Waits for the turn at each guard, one after the other in the order of their names. The turns end when the
    /// returned locks are dropped. [`StoreError::Busy`] if they haven't all come by `give_up`.
    pub async fn turns(&self, guards: &[&str], give_up: Instant) -> Result<Vec<OwnedMutexGuard<()>>> {
        let guards: BTreeSet<_> = guards.iter().copied().collect();
        let _waiting = self.waiting.hold();
        let mut turns = Vec::with_capacity(guards.len());
        for guard in guards {
            let turn = timeout_at(give_up, self.queue(guard).lock_owned()).await;
            turns.push(turn.map_err(|_elapsed| StoreError::Busy)?);
        }
        Ok(turns)
    }

    /// The queue of the guard. Unused queues are removed first, so that the number of requests limits their number.
    fn queue(&self, guard: &str) -> Arc<Queue<()>> {
        let mut by_guard = self.by_guard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = by_guard.get(guard).and_then(Weak::upgrade) {
            return queue;
        }
        by_guard.retain(|_, queue| queue.strong_count() > 0);
        let queue = Arc::new(Queue::new(()));
        by_guard.insert(guard.to_owned(), Arc::downgrade(&queue));
        queue
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
    async fn a_turn_that_does_not_come_in_time_is_busy_and_other_guards_are_free() {
        let queues = KeyedQueue::default();
        let first = queues.turns(&["places"], after(0)).await.unwrap();
        assert_eq!(queues.turns(&["places"], after(20)).await.unwrap_err(), StoreError::Busy);
        queues.turns(&["other places"], after(20)).await.unwrap();
        drop(first);
        queues.turns(&["places"], after(20)).await.unwrap();
        assert_eq!(queues.waiting.get(), 0);
    }

    #[tokio::test]
    async fn a_guard_that_is_named_twice_is_taken_once() {
        let queues = KeyedQueue::default();
        assert_eq!(queues.turns(&["a", "b", "a"], after(20)).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn two_that_name_their_guards_in_opposite_order_do_not_wait_for_each_other() {
        let queues = Arc::new(KeyedQueue::default());
        // By hand, in the order in which they are named: each holds what the other waits for.
        let (a, b) = (queues.turns(&["a"], after(0)).await, queues.turns(&["b"], after(0)).await);
        assert!(
            queues.turns(&["b"], after(20)).await.is_err() && queues.turns(&["a"], after(20)).await.is_err()
        );
        drop(b);

        // While one waits for `a` it does not hold `b`, although it names `b` first.
        let queue = queues.clone();
        let both = tokio::spawn(async move { queue.turns(&["b", "a"], after(5_000)).await });
        while queues.waiting.get() == 0 {
            tokio::task::yield_now().await;
        }
        drop(queues.turns(&["b"], after(20)).await.unwrap());
        drop(a);
        assert_eq!(both.await.unwrap().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn unused_queues_are_removed() {
        let queues = KeyedQueue::default();
        for guard in 0..100 {
            queues.turns(&[&guard.to_string()], after(20)).await.unwrap();
        }
        assert_eq!(queues.by_guard.lock().unwrap().len(), 1);
    }
}
