//! What may be lost: wake-ups between processes, live fan-out, rate limits of requests.
//!
//! [`Signals`] is the port. Its adapter [`InProcess`] serves one process, [`Redis`] any number of them. Everything
//! sent is a hint that may get lost with the connection, so whoever listens also looks into the store from time to
//! time; an adapter that can't reach its server goes on with what this process knows by itself, because a limit
//! protects and never decides.
//!
//! A cache is dropped by a wake-up: it listens to a topic of its own, which is woken by whoever changes what it
//! holds, and by the adapter itself whenever a wake-up may have been missed.

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

/// Bytes of a payload at most; a longer one is a gap to those who subscribe.
pub const NEWS_BYTES: usize = 8 * 1024;

/// How often something may be done under one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limit {
    /// Names it in keys and in `RateLimit-Policy`, such as `sign-in-address`.
    pub name: &'static str,
    /// So many …
    pub quota: u32,
    /// … in this time.
    pub window: Duration,
}

/// How often a limit still allows it at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining(pub u32);

/// The limit is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many tries; the next is possible in {retry_after:?}")]
pub struct TooMany {
    /// Time until the next try can succeed.
    pub retry_after: Duration,
}

/// Port of what may be lost.
#[async_trait]
pub trait Signals: Send + Sync + 'static {
    /// Wakes everybody who listens to `topic`, in every process.
    fn wake(&self, topic: &'static str);

    /// Listens to `topic` from now on.
    fn listen(&self, topic: &'static str) -> Listener;

    /// Tells everybody who subscribes to `topic`, in every process, this one too. The payload has at most
    /// [`NEWS_BYTES`] and holds ids, never personal data: it passes through a server and its logs.
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

/// How far signals reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalsState {
    /// There is no other process to reach.
    WithinProcess,
    /// Other processes are reached.
    Connected,
    /// Other processes have not been reached for so long; it is tried again and again.
    Away { lasting: Duration },
}

/// What a [`Feed`] hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// What somebody published.
    Payload(Arc<str>),
    /// Something may have been published that will never come: the store knows.
    Gap,
}

/// Hears what is published on one topic since it was made.
pub struct Feed(broadcast::Receiver<News>);

impl Feed {
    /// Waits for what comes next. Who is slow hears of a gap, and then what is still there.
    pub async fn next(&mut self) -> News {
        match self.0.recv().await {
            Ok(news) => news,
            Err(broadcast::error::RecvError::Lagged(_)) => News::Gap,
            // Nobody is left who could publish.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Hears the wake-ups of one topic since it was made.
pub struct Listener(watch::Receiver<u64>);

impl Listener {
    /// For adapters: hears each change of the counter behind `receiver`.
    pub fn new(receiver: watch::Receiver<u64>) -> Self {
        Self(receiver)
    }

    /// Waits until the topic is woken. A wake-up since the last call is not lost: then this returns at once.
    /// Several of them count as one.
    pub async fn woken(&mut self) {
        if self.0.changed().await.is_err() {
            // Nobody is left who could wake: what waits here also has another reason to go on.
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

/// From now on the words that transactions note ([`Tx::note`](crate::platform::store::Tx::note)) wake the topics of
/// the same names after their commit.
pub fn wake_after_commit(store: &Store, signals: Arc<dyn Signals>) {
    store.after_commit(move |words| words.iter().for_each(|word| signals.wake(word)));
}
