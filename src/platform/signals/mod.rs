//! What may be lost: wake-ups between processes, live fan-out, rate limits of requests.

use std::time::Duration;

use async_trait::async_trait;

/// How often something may be done under one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    Granted { remaining: u32 },
    Refused { retry_after: Duration },
}

/// Port of what may be lost.
#[async_trait]
pub trait Signals: Send + Sync + 'static {
    /// Wakes whoever waits for `topic`, in every process.
    fn wake(&self, topic: &'static str);
    /// Waits until `topic` is woken; a wake-up between two calls isn't lost.
    async fn woken(&self, topic: &'static str);
    /// Takes one from the quota of `limit` under `key`.
    async fn take(&self, limit: Limit, key: &str) -> Verdict;
}
