//! A value that is read from the store once and shared until somebody changes it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::signals::{Listener, Signals};

/// Time after which a cached value is read again. Changes of other processes wake the cache only while Redis is reachable;
/// without it, this limits how long they stay unseen.
pub const MAX_AGE: Duration = Duration::from_secs(5);

/// Keeps a value until its topic is woken, in whichever process the change was made, for at most [`MAX_AGE`].
pub struct Cached<T>(Mutex<Kept<T>>);

struct Kept<T> {
    changes: Listener,
    value: Option<(Arc<T>, Instant)>,
}

impl<T> Cached<T> {
    /// An empty cache. Transactions that change what the value shows note `topic`
    /// ([`Tx::note`](super::store::Tx::note)).
    pub fn new(signals: &dyn Signals, topic: &'static str) -> Self {
        Self(Mutex::new(Kept { changes: signals.listen(topic), value: None }))
    }

    /// The value: the result of `read` if the topic was woken since the last time or the value is too old. Calls that
    /// arrive meanwhile wait for it.
    ///
    /// # Errors
    /// Those of `read`; the next call tries again.
    pub async fn get<E>(&self, read: impl AsyncFnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        let mut kept = self.0.lock().await;
        // Before the read: a change during the read drops its result.
        if kept.changes.was_woken() {
            kept.value = None;
        }
        if let Some((value, read_at)) = &kept.value
            && read_at.elapsed() < MAX_AGE
        {
            return Ok(value.clone());
        }
        // Before the read, so that the age counts from the state that it sees.
        let read_at = Instant::now();
        let value = Arc::new(read().await?);
        kept.value = Some((value.clone(), read_at));
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::signals::InProcess;

    #[tokio::test]
    async fn a_value_is_kept_until_its_topic_is_woken_or_it_is_too_old() {
        let signals = InProcess::new(0.0);
        let cache = Cached::new(&signals, "news");
        let read = async |text: &'static str| cache.get(async || Ok::<_, ()>(text)).await.map(|text| *text);
        assert_eq!(read("one").await, Ok("one"));
        assert_eq!(read("two").await, Ok("one"));
        signals.wake("other");
        assert_eq!(read("two").await, Ok("one"));
        signals.wake("news");
        assert_eq!(read("two").await, Ok("two"));
        cache.0.lock().await.value.as_mut().unwrap().1 -= MAX_AGE;
        assert_eq!(read("three").await, Ok("three"), "a change that no signal announced is seen");
    }

    #[tokio::test]
    async fn a_change_during_the_read_drops_what_was_read() {
        let signals = InProcess::new(0.0);
        let cache = Cached::new(&signals, "news");
        let changed = async || {
            signals.wake("news");
            Ok::<_, ()>("old")
        };
        assert_eq!(*cache.get(changed).await.unwrap(), "old");
        assert_eq!(*cache.get(async || Ok::<_, ()>("new")).await.unwrap(), "new");
    }

    #[tokio::test]
    async fn a_read_that_fails_is_tried_again() {
        let signals = InProcess::new(0.0);
        let cache = Cached::<u8>::new(&signals, "news");
        assert!(cache.get(async || Err("unavailable")).await.is_err());
        assert!(cache.get(async || Ok::<_, &str>(1)).await.is_ok());
    }
}
