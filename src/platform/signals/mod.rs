//! What may be lost: wake-ups between processes, live fan-out, rate limits of requests.
//!
//! [`Signals`] is the port. Its adapter [`InProcess`] serves one process. To write another: everything sent is a
//! hint that may get lost with the connection, so whoever listens also looks into the store from time to time;
//! an adapter that can't reach its server grants what it is asked for, because a limit protects and never decides.

mod in_process;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::platform::store::Store;

pub use in_process::InProcess;

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

/// What [`Signals::take`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be done, and so many times more at once.
    Granted { remaining: u32 },
    /// Not before this time has passed.
    Refused { retry_after: Duration },
}

/// Port of what may be lost.
#[async_trait]
pub trait Signals: Send + Sync + 'static {
    /// Wakes everybody who listens to `topic`, in every process.
    fn wake(&self, topic: &'static str);

    /// Listens to `topic` from now on.
    fn listen(&self, topic: &'static str) -> Listener;

    /// Takes one from the quota of `limit` under `key`.
    async fn take(&self, limit: Limit, key: &str) -> Verdict;

    /// The limit as it is applied here, for `RateLimit-Policy`; `None` where limits are off.
    fn in_force(&self, limit: Limit) -> Option<Limit>;
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
}

/// From now on the words that transactions note ([`Tx::note`](crate::platform::store::Tx::note)) wake the topics of
/// the same names after their commit.
pub fn wake_after_commit(store: &Store, signals: Arc<dyn Signals>) {
    store.after_commit(move |words| words.iter().for_each(|word| signals.wake(word)));
}
