//! When the next email may leave: slots in time, which all processes claim through the store.
//!
//! One document holds when the next free slot is. Who has emails to send claims the slots of the next tenth of a
//! second in one transaction, waits for each outside of it, and lets an email go at its slot or not at all: a slot
//! that is missed is lost, never caught up, and so is one whose process dies. Slots are spaced evenly and a little
//! further apart than the rate says, so that emails which are held up on their way for as long as [`LATE`] and a
//! bad network take together are never too many in any second at the server.
//!
//! Assumed: the clocks of the processes agree within some milliseconds, as those of servers do. Each reckons from its
//! own clock; where clocks differ by more, the slots that two processes have claimed one after the other overlap by
//! the difference, so for so long the rate may be that of both. On average it is kept whatever the clocks say, and a
//! time that is further ahead than any line of emails is long ([`AHEAD`]) is taken for a wrong clock's.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use crate::kernel::{Clock, Timestamp, faults};
use crate::platform::store::{Document, Store, StoreError};

/// How much further apart slots are than the rate says: emails of a second may arrive within 900 ms.
const SLACK: f64 = 1.1;
/// Slots are claimed for so long at once; one if they are further apart.
const BATCH: Duration = Duration::from_millis(100);
/// A slot that is missed by more than this is lost.
const LATE: Duration = Duration::from_millis(50);
/// An email is told of its slot this long before, so that it can be taken up.
const EARLY: Duration = Duration::from_millis(100);
/// Slots are never further ahead than this, or than a hundred emails take.
const AHEAD: Duration = Duration::from_secs(60);
/// How long nobody sends after the transport has said that it was too fast.
const REST: Duration = Duration::from_secs(1);
/// The longest time that a claim is expected to take.
const SLOWEST_CLAIM: Duration = Duration::from_secs(5);

/// When the next email may leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MailRate {
    /// There is one: [`MailRate::ID`].
    pub id: String,
    /// The first slot that nobody has claimed.
    pub next_at: Timestamp,
}

impl Document for MailRate {
    const COLLECTION: &'static str = "mail_rate";
    fn id(&self) -> &str {
        &self.id
    }
}

impl MailRate {
    /// Of all emails, whoever sends them.
    pub const ID: &'static str = "all";

    fn new(now: Timestamp) -> Self {
        Self { id: Self::ID.into(), next_at: now }
    }

    /// Claims `count` slots that are `interval` apart, none before `from`: the first of them.
    fn claim(&mut self, count: u32, interval: Duration, from: Timestamp) -> Timestamp {
        let ahead = AHEAD.max(interval.saturating_mul(100));
        let first =
            if faults::guarded("mail-rate") { self.next_at.max(from).min(from.plus(ahead)) } else { from };
        // In whole milliseconds, rounded up: what is too little is too fast.
        let taken = interval.saturating_mul(count).saturating_add(Duration::from_micros(999));
        self.next_at = first.plus(taken);
        first
    }

    /// Nobody sends until `until`.
    fn rest(&mut self, until: Timestamp) {
        self.next_at = self.next_at.max(until);
    }
}

/// Lets the emails of this process go at their slots.
pub(super) struct Pace {
    store: Store,
    clock: Arc<dyn Clock>,
    interval: Duration,
    /// Emails of this process that want a slot.
    waiting: AtomicUsize,
    line: Mutex<Line>,
}

/// The slots that this process has claimed, in their order. Who holds it is the next in line.
struct Line {
    slots: VecDeque<Instant>,
    /// How long the last claim took.
    claiming: Duration,
}

/// The slot of one email.
pub(super) struct Turn(Instant);

impl Turn {
    /// Waits for the slot; whether it was met.
    pub(super) async fn come(self) -> bool {
        sleep_until(self.0).await;
        Instant::now() <= self.0 + LATE
    }
}

impl Pace {
    /// At most `per_second` emails a second from all processes on this store.
    pub(super) fn new(store: Store, clock: Arc<dyn Clock>, per_second: f64) -> Self {
        let line = Line { slots: VecDeque::new(), claiming: Duration::ZERO };
        let interval = Duration::from_secs_f64(SLACK / per_second.max(0.001));
        Self { store, clock, interval, waiting: AtomicUsize::new(0), line: Mutex::new(line) }
    }

    /// Waits in line until shortly before the slot that is then the caller's.
    pub(super) async fn turn(&self) -> Result<Turn, StoreError> {
        let _waiting = Waiting::among(&self.waiting);
        let mut line = self.line.lock().await;
        loop {
            match line.slots.pop_front() {
                Some(slot) if slot + LATE < Instant::now() => {}
                Some(slot) => {
                    sleep_until(slot - EARLY).await;
                    return Ok(Turn(slot));
                }
                None => self.claim(&mut line).await?,
            }
        }
    }

    /// Claims slots for the emails that wait here, not before the claim is likely to be done.
    async fn claim(&self, line: &mut Line) -> Result<(), StoreError> {
        let (begun, now) = (Instant::now(), self.clock.now());
        let (count, interval) = (self.count(), self.interval);
        let from = now.plus((line.claiming * 2).min(SLOWEST_CLAIM));
        let claimed: Result<Timestamp, StoreError> = self
            .store
            .transact_at(MailRate::COLLECTION, async |tx| {
                let rate = tx.get::<MailRate>(MailRate::ID).await?;
                let mut rate = rate.unwrap_or_else(|| MailRate::new(now));
                let first = rate.claim(count, interval, from);
                tx.put(&rate).await?;
                Ok(first)
            })
            .await;
        let first = begun + claimed?.since(now);
        line.claiming = begun.elapsed();
        line.slots.extend((0..count).map(|n| first + interval * n));
        Ok(())
    }

    fn count(&self) -> u32 {
        let of_a_batch = BATCH.div_duration_f64(self.interval).ceil();
        let waiting = self.waiting.load(Ordering::Relaxed);
        // Both are small: a rate has at most four digits.
        u32::try_from(waiting).unwrap_or(u32::MAX).min(of_a_batch as u32).max(1)
    }

    /// The transport was too fast for its server: everybody rests for a moment, but for the few slots that are claimed.
    pub(super) async fn rest(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.store
            .transact_at(MailRate::COLLECTION, async |tx| {
                let rate = tx.get::<MailRate>(MailRate::ID).await?;
                let mut rate = rate.unwrap_or_else(|| MailRate::new(now));
                rate.rest(now.plus(REST));
                tx.put(&rate).await
            })
            .await
    }
}

/// Counts one that waits, for as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn among(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::SystemClock;
    use crate::platform::store::schema;
    use crate::platform::store::testing::TestStore;

    fn time(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    const INTERVAL: Duration = Duration::from_micros(21_700);

    #[test]
    fn slots_follow_each_other_and_never_begin_in_the_past() {
        let mut rate = MailRate::new(time(0));
        assert_eq!(rate.claim(2, INTERVAL, time(1000)), time(1000));
        assert_eq!(rate.next_at, time(1044), "43.4 ms, rounded up");
        assert_eq!(rate.claim(1, INTERVAL, time(1010)), time(1044));
        assert_eq!(rate.claim(1, INTERVAL, time(9000)), time(9000));
    }

    #[test]
    fn a_time_that_only_a_wrong_clock_can_have_written_is_not_waited_for() {
        let mut rate = MailRate { next_at: time(3_600_000), ..MailRate::new(time(0)) };
        assert_eq!(rate.claim(1, INTERVAL, time(1000)), time(61_000));
        let mut slow = MailRate { next_at: time(900_000), ..MailRate::new(time(0)) };
        assert_eq!(slow.claim(1, Duration::from_secs(10), time(0)), time(900_000));
    }

    #[test]
    fn a_rest_is_had_once_however_many_ask_for_it() {
        let mut rate = MailRate::new(time(0));
        rate.rest(time(1000));
        rate.rest(time(1000));
        assert_eq!(rate.claim(1, INTERVAL, time(0)), time(1000));
    }

    proptest! {
        #[test]
        fn no_two_claims_overlap(claims in prop::collection::vec((1..40u32, -500..2000i64), 1..60)) {
            let (mut rate, mut clock, mut end) = (MailRate::new(time(0)), 0, time(0));
            for (count, later) in claims {
                clock += later;
                let first = rate.claim(count, INTERVAL, time(clock));
                prop_assert!(first >= end);
                end = first.plus(INTERVAL * count);
            }
        }
    }

    /// When emails went that were let go by several processes on one store, as fast as they may.
    async fn emails(processes: usize, of_each: usize, per_second: f64) -> Vec<Instant> {
        let store = TestStore::with(&[schema::<MailRate>()]).await;
        let mut emails = tokio::task::JoinSet::new();
        for _ in 0..processes {
            let pace = Arc::new(Pace::new(store.clone(), Arc::new(SystemClock), per_second));
            for _ in 0..of_each {
                let pace = pace.clone();
                emails.spawn(async move {
                    while !pace.turn().await.unwrap().come().await {}
                    Instant::now()
                });
            }
        }
        let mut went = emails.join_all().await;
        went.sort();
        went
    }

    /// The most in any second.
    fn most_in_a_second(went: &[Instant]) -> usize {
        let within = |from: Instant| from..from + Duration::from_secs(1);
        went.iter().map(|from| went.iter().filter(|at| within(*from).contains(at)).count()).max().unwrap_or(0)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn several_processes_together_stay_below_the_rate_and_come_near_it() {
        let went = emails(3, 40, 50.0).await;
        let took = went[went.len() - 1] - went[0];
        assert!(most_in_a_second(&went) <= 50, "{}", most_in_a_second(&went));
        assert!(took < Duration::from_secs(6), "{took:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_email_that_comes_alone_does_not_wait() {
        let begun = Instant::now();
        assert_eq!(emails(1, 1, 0.1).await.len(), 1);
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
