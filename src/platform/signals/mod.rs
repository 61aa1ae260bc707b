//! Signals for data that may be lost: wake-ups between processes, live fan-out, rate limits of requests.
//!
//! [`Signals`] is the port. Its adapter [`InProcess`] serves one process, [`Redis`] any number of them. A message is
//! only a hint and may get lost with the connection, so listeners also poll the store. An adapter that can't reach its
//! server falls back to what this process knows, because a limit protects and never decides.
//!
//! To invalidate a cache, let it listen to its own topic. The topic is woken by the code that changes the cached
//! data, and by the adapter whenever a wake-up may have been missed.

mod hub;
mod in_process;
mod redis;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{broadcast, watch};

use crate::platform::store::Store;

pub use self::redis::{Redis, RedisError};
pub use in_process::InProcess;

/// Maximum length of a payload in bytes; a longer one is a gap to subscribers.
pub const NEWS_BYTES: usize = 8 * 1024;

/// A rate limit for one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limit {
    /// Names it in keys and in `RateLimit-Policy`, such as `sign-in-address`.
    pub name: &'static str,
    /// This many times …
    pub quota: u32,
    /// … in this period.
    pub window: Duration,
}

/// How many more times the limit allows now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining(pub u32);

/// The limit is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many tries; the next is possible in {retry_after:?}")]
pub struct TooMany {
    /// Time until the next try can succeed.
    pub retry_after: Duration,
}

/// The port for signals.
#[async_trait]
pub trait Signals: Send + Sync + 'static {
    /// Wakes the listeners of `topic`, in every process.
    fn wake(&self, topic: &'static str);

    /// Listens to `topic` from now on.
    fn listen(&self, topic: &'static str) -> Listener;

    /// Sends `payload` to the subscribers of `topic`, in every process including this one. It has at most
    /// [`NEWS_BYTES`] and contains ids, never personal data: it passes through a server and its logs.
    fn publish(&self, topic: &'static str, payload: &str);

    /// Subscribes to `topic` from now on.
    fn subscribe(&self, topic: &'static str) -> Feed;

    /// Takes one from the quota of `limit` under `key`.
    ///
    /// # Errors
    /// [`TooMany`] if the quota is used up.
    async fn take(&self, limit: Limit, key: &str) -> Result<Remaining, TooMany>;

    /// The limit as it is applied here, for `RateLimit-Policy`; `None` where limits are off.
    fn in_force(&self, limit: Limit) -> Option<Limit>;

    /// Whether signals reach other processes now.
    fn state(&self) -> SignalsState;
}

/// Whether signals reach other processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalsState {
    /// There are no other processes.
    WithinProcess,
    /// Other processes are reachable.
    Connected,
    /// Other processes have been unreachable for this long; the connection is retried.
    Unreachable { lasting: Duration },
}

/// A message of a [`Feed`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A published payload.
    Payload(Arc<str>),
    /// Messages may have been lost: read the store.
    Gap,
}

/// The messages published on one topic since the feed was created.
pub struct Feed(broadcast::Receiver<News>);

impl Feed {
    /// Waits for the next message. A slow subscriber gets a gap, and then the messages still queued.
    pub async fn next(&mut self) -> News {
        match self.0.recv().await {
            Ok(news) => news,
            Err(broadcast::error::RecvError::Lagged(_)) => News::Gap,
            // There is no publisher any more.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// The wake-ups of one topic since the listener was created.
pub struct Listener(watch::Receiver<u64>);

impl Listener {
    /// For adapters: is woken by each change of the counter behind `receiver`.
    pub fn new(receiver: watch::Receiver<u64>) -> Self {
        Self(receiver)
    }

    /// Waits until the topic is woken. A wake-up since the last call is not lost: then this returns at once.
    /// Several of them count as one.
    pub async fn woken(&mut self) {
        if self.0.changed().await.is_err() {
            // Nothing can wake it any more; the waiting task also has another reason to continue.
            std::future::pending().await
        }
    }

    /// Whether the topic was woken since the last call of this or [`woken`](Self::woken).
    pub fn was_woken(&mut self) -> bool {
        let woken = self.0.has_changed().unwrap_or(false);
        self.0.mark_unchanged();
        woken
    }
}

/// Lets the words that transactions note ([`Tx::note`](crate::platform::store::Tx::note)) wake the topics of
/// the same names after the commit.
pub fn wake_after_commit(store: &Store, signals: Arc<dyn Signals>) {
    store.after_commit(move |words| words.iter().for_each(|word| signals.wake(word)));
}
