//! Signals within one process.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use governor::clock::Clock as _;
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use super::hub::Hub;
use super::{Feed, Limit, Listener, Remaining, Signals, SignalsState, TooMany};
use crate::kernel::Clock;

/// Keys that one limit remembers at once: about 5 MB. Further keys share [`SHARED`] buckets.
const KEYS: usize = 100_000;
/// Buckets shared by keys that don't fit in the table.
const SHARED: u64 = 4096;
/// How often keys with a full quota are forgotten; …
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// … and how often at most while the table is full.
const SWEEP_WHEN_FULL: Duration = Duration::from_secs(1);

/// Signals for a service that runs as one process.
pub struct InProcess {
    factor: f64,
    time: Time,
    hub: Arc<Hub>,
    limiters: Mutex<HashMap<Limit, Arc<Limiter>>>,
}

impl InProcess {
    /// `factor` multiplies the quota of every limit; 0 turns limits off.
    pub fn new(factor: f64) -> Self {
        let start = Instant::now();
        Self::over(factor, Time(Arc::new(move || start.elapsed())))
    }

    /// [`new`](Self::new) with the caller's clock, for tests.
    pub fn with_clock(factor: f64, clock: Arc<dyn Clock>) -> Self {
        let millis = move || u64::try_from(clock.now().as_millis()).unwrap_or(0);
        Self::over(factor, Time(Arc::new(move || Duration::from_millis(millis()))))
    }

    fn over(factor: f64, time: Time) -> Self {
        Self { factor, time, hub: Arc::default(), limiters: Mutex::default() }
    }

    /// The listeners within this process.
    pub(super) fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    fn limiter(&self, in_force: Limit) -> Arc<Limiter> {
        let mut limiters = self.limiters.lock().unwrap_or_else(PoisonError::into_inner);
        limiters
            .entry(in_force)
            .or_insert_with(|| Arc::new(Limiter::new(in_force, self.time.clone())))
            .clone()
    }
}

#[async_trait]
impl Signals for InProcess {
    fn wake(&self, topic: &'static str) {
        self.hub.wake(topic);
    }

    fn listen(&self, topic: &'static str) -> Listener {
        self.hub.listen(topic)
    }

    fn publish(&self, topic: &'static str, payload: &str) {
        self.hub.publish(topic, payload);
    }

    fn subscribe(&self, topic: &'static str) -> Feed {
        self.hub.subscribe(topic)
    }

    async fn take(&self, limit: Limit, key: &str) -> Result<Remaining, TooMany> {
        match self.in_force(limit) {
            Some(in_force) => self.limiter(in_force).take(key),
            None => Ok(Remaining(limit.quota)),
        }
    }

    fn in_force(&self, limit: Limit) -> Option<Limit> {
        // Converting a float saturates at the integer's bounds, and a factor that is not a number turns limits off.
        let quota = (f64::from(limit.quota) * self.factor).round() as u32;
        (self.factor > 0.0).then_some(Limit { quota: quota.max(1), ..limit })
    }

    fn state(&self) -> SignalsState {
        SignalsState::WithinProcess
    }
}

/// The limiter's clock: time since a fixed point.
#[derive(Clone)]
struct Time(Arc<dyn Fn() -> Duration + Send + Sync>);

impl governor::clock::Clock for Time {
    type Instant = Duration;

    fn now(&self) -> Duration {
        (self.0)()
    }
}

type Keyed = RateLimiter<u64, DashMapStateStore<u64>, Time, StateInformationMiddleware>;

/// One limit with its state. Keys are kept as salted hashes: small, and no addresses in memory.
struct Limiter {
    keys: Keyed,
    time: Time,
    salt: RandomState,
    swept: Mutex<Duration>,
}

impl Limiter {
    fn new(limit: Limit, time: Time) -> Self {
        let burst = NonZeroU32::new(limit.quota).unwrap_or(NonZeroU32::MIN);
        let one_per = (limit.window / burst.get()).max(Duration::from_nanos(1));
        // None only for a period of zero, which the line above excludes.
        let quota = Quota::with_period(one_per).unwrap_or(Quota::per_second(burst)).allow_burst(burst);
        let keys = Keyed::new(quota, DashMapStateStore::default(), time.clone());
        let swept = Mutex::new(time.now());
        Self { keys, time, salt: RandomState::new(), swept }
    }

    fn take(&self, key: &str) -> Result<Remaining, TooMany> {
        self.sweep();
        let hash = self.salt.hash_one(key);
        let key = if self.keys.len() < KEYS { hash } else { hash % SHARED };
        match self.keys.check_key(&key) {
            Ok(state) => Ok(Remaining(state.remaining_burst_capacity())),
            Err(not_until) => Err(TooMany { retry_after: not_until.wait_time_from(self.time.now()) }),
        }
    }

    /// Forgets the keys with a full quota.
    fn sweep(&self) {
        let now = self.time.now();
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        let every = if self.keys.len() < KEYS { SWEEP_EVERY } else { SWEEP_WHEN_FULL };
        if now.saturating_sub(*swept) >= every {
            *swept = now;
            self.keys.retain_recent();
            self.keys.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{ManualClock, Timestamp};

    const THREE_A_MINUTE: Limit = Limit { name: "three", quota: 3, window: Duration::from_secs(60) };

    #[tokio::test]
    async fn a_flood_of_keys_does_not_grow_memory_and_stays_limited() {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(0)));
        let signals = InProcess::with_clock(1.0, clock.clone());
        let limiter = signals.limiter(THREE_A_MINUTE);
        let mut refused = 0;
        for n in 0..KEYS + 50_000 {
            refused += usize::from(limiter.take(&n.to_string()).is_err());
        }
        assert!(limiter.keys.len() <= KEYS + SHARED as usize, "{}", limiter.keys.len());
        assert!(refused > 30_000, "keys beyond the table share the buckets: {refused}");
        clock.advance(Duration::from_secs(120));
        limiter.take("later").unwrap();
        assert_eq!(limiter.keys.len(), 1, "keys with a full quota are forgotten");
    }
}
