//! When the next email may be sent: slots in time that all processes claim through the store.
//!
//! One document holds the time of the next free slot. A process with emails to send claims the slots of the next tenth of
//! a second in one transaction, waits for each slot outside of it, and sends an email in its slot or not at all: a slot
//! that is missed is lost, never caught up, and so are those of a process that dies. Slots are a little further apart than
//! the rate says, so that emails which are delayed by up to [`LATE`] and by the network never exceed the rate at the
//! server.
//!
//! Direct emails come first: at most one bulk email waits for a slot among them, so a direct email waits for at most two
//! slots of bulk emails in its own process, and for a tenth of a second for each other process.
//!
//! The clocks of the machines are assumed to agree within some milliseconds. If they differ by more, the slots of two
//! processes overlap by the difference, and the rate is exceeded for that long; on average it is kept. A time further
//! ahead than [`AHEAD`] is taken for that of a wrong clock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use super::{MailClass, SendError};
use crate::kernel::{Clock, Timestamp, faults};
use crate::platform::store::{Document, Keep, Personal, Store, StoreError};

/// How much further apart slots are than the rate says: the emails of a second may arrive within 900 ms.
const SLACK: f64 = 1.1;
/// The slots of this time are claimed at once; one slot if they are further apart.
const BATCH: Duration = Duration::from_millis(100);
/// A slot that is missed by more than this is lost.
const LATE: Duration = Duration::from_millis(50);
/// A slot is handed out this long before, to leave time for recording that the email is being sent.
const EARLY: Duration = Duration::from_millis(100);
/// Slots are at most this far ahead, or as far as a hundred emails take.
const AHEAD: Duration = Duration::from_secs(60);
/// How long every process pauses after the server has throttled one, and after the first refusal of the account. After
/// each further refusal without an accepted email in between, the pause is twice as long, up to [`AHEAD`].
const REST: Duration = Duration::from_secs(1);
/// The longest time that a claim is expected to take.
const SLOWEST_CLAIM: Duration = Duration::from_secs(5);

/// When the next email may be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MailRate {
    /// There is one: [`MailRate::ID`].
    pub id: String,
    /// The first slot that is not claimed.
    pub next_at: Timestamp,
    /// Refusals of the account since the last email that was accepted.
    #[serde(default)]
    pub refusals: u32,
    /// End of the pause after the last of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest_until: Option<Timestamp>,
}

impl Document for MailRate {
    const COLLECTION: &'static str = "mail_rate";
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = Keep::with_store("the sending rate of all processes");

    fn id(&self) -> &str {
        &self.id
    }
}

impl MailRate {
    /// The rate of all emails together.
    pub const ID: &'static str = "all";

    fn new(now: Timestamp) -> Self {
        Self { id: Self::ID.into(), next_at: now, refusals: 0, rest_until: None }
    }

    /// Claims `count` slots that are `interval` apart, none before `from`; returns the first.
    fn claim(&mut self, count: u32, interval: Duration, from: Timestamp) -> Timestamp {
        let ahead = AHEAD.max(interval.saturating_mul(100));
        let first =
            if faults::guarded("mail-rate") { self.next_at.max(from).min(from.plus(ahead)) } else { from };
        // Whole milliseconds, rounded up: rounding down would exceed the rate.
        let taken = interval.saturating_mul(count).saturating_add(Duration::from_micros(999));
        self.next_at = first.plus(taken);
        first
    }

    /// Leaves no slot before `until`.
    fn rest(&mut self, until: Timestamp) {
        self.next_at = self.next_at.max(until);
    }

    /// The server refuses the account. Emails that were under way together are refused together, so a refusal during the
    /// pause doesn't count.
    fn refused(&mut self, now: Timestamp) {
        if self.rest_until.is_some_and(|until| now < until) {
            return;
        }
        let pause = REST.saturating_mul(1 << self.refusals.min(10)).min(AHEAD);
        self.refusals = self.refusals.saturating_add(1);
        self.rest_until = Some(now.plus(pause));
        self.rest(now.plus(pause));
    }

    /// The server accepts emails.
    fn accepted(&mut self) {
        (self.refusals, self.rest_until) = (0, None);
    }
}

/// Hands out the slots of this process.
pub(super) struct Pace {
    store: Store,
    clock: Arc<dyn Clock>,
    interval: Duration,
    /// Emails of this process that wait for a slot.
    waiting: AtomicUsize,
    /// Whether the last email was refused because of the account, as far as this process knows.
    refused: AtomicBool,
    /// Held by the bulk email that waits for a slot; the other bulk emails wait for it.
    bulk: Mutex<()>,
    queue: Mutex<Queue>,
}

/// The slots that this process has claimed, in their order. The holder of the lock gets the next one.
struct Queue {
    slots: VecDeque<Instant>,
    /// How long the last claim took.
    claiming: Duration,
}

/// The slot of one email.
pub(super) struct Slot(Instant);

impl Slot {
    /// Waits for the slot; `false` if it was missed.
    pub(super) async fn wait(self) -> bool {
        sleep_until(self.0).await;
        Instant::now() <= self.0 + LATE
    }
}

impl Pace {
    /// At most `per_second` emails a second from all processes on this store.
    pub(super) fn new(store: Store, clock: Arc<dyn Clock>, per_second: f64) -> Self {
        let queue = Queue { slots: VecDeque::new(), claiming: Duration::ZERO };
        let interval = Duration::from_secs_f64(SLACK / per_second.max(0.001));
        Self {
            store,
            clock,
            interval,
            waiting: AtomicUsize::new(0),
            refused: AtomicBool::new(false),
            bulk: Mutex::new(()),
            queue: Mutex::new(queue),
        }
    }

    /// Waits until shortly before the next slot for an email of this class.
    ///
    /// The queue is fair, so bulk emails enter it one at a time: all direct emails that wait by then are before the next.
    pub(super) async fn slot(&self, class: MailClass) -> Result<Slot, StoreError> {
        let _waiting = Waiting::among(&self.waiting);
        let _one_at_a_time = match class {
            MailClass::Bulk if faults::guarded("mail-direct-first") => Some(self.bulk.lock().await),
            MailClass::Bulk | MailClass::Direct => None,
        };
        let mut queue = self.queue.lock().await;
        loop {
            match queue.slots.pop_front() {
                Some(slot) if slot + LATE < Instant::now() => {}
                Some(slot) => {
                    sleep_until(slot - EARLY).await;
                    return Ok(Slot(slot));
                }
                None => self.claim(&mut queue).await?,
            }
        }
    }

    /// Claims slots for the emails that wait here, none before the claim is likely to be done.
    async fn claim(&self, queue: &mut Queue) -> Result<(), StoreError> {
        let (begun, now) = (Instant::now(), self.clock.now());
        let (count, interval) = (self.count(), self.interval);
        let from = now.plus((queue.claiming * 2).min(SLOWEST_CLAIM));
        let claimed: Result<Timestamp, StoreError> = self
            .store
            .transact_at(&[MailRate::COLLECTION], async |tx| {
                let rate = tx.get::<MailRate>(MailRate::ID).await?;
                let mut rate = rate.unwrap_or_else(|| MailRate::new(now));
                let first = rate.claim(count, interval, from);
                tx.put(&rate).await?;
                self.refused.store(rate.refusals > 0, Ordering::Relaxed);
                Ok(first)
            })
            .await;
        let first = begun + claimed?.since(now);
        queue.claiming = begun.elapsed();
        queue.slots.extend((0..count).map(|n| first + interval * n));
        Ok(())
    }

    fn count(&self) -> u32 {
        let of_a_batch = BATCH.div_duration_f64(self.interval).ceil();
        let waiting = self.waiting.load(Ordering::Relaxed);
        // Both are small: a rate has at most four digits.
        u32::try_from(waiting).unwrap_or(u32::MAX).min(of_a_batch as u32).max(1)
    }

    /// Slows all processes down if the server throttles or refuses the account, and resumes when it accepts an email. The
    /// few slots that are claimed already are still used.
    pub(super) async fn note(&self, sent: &Result<(), SendError>) -> Result<(), StoreError> {
        let now = self.clock.now();
        match sent {
            Err(SendError::Throttled(_)) => self.change(now, |rate| rate.rest(now.plus(REST))).await,
            Err(SendError::Account(_)) => {
                self.refused.store(true, Ordering::Relaxed);
                self.change(now, |rate| rate.refused(now)).await
            }
            Ok(()) if self.refused.swap(false, Ordering::Relaxed) => {
                self.change(now, MailRate::accepted).await
            }
            _ => Ok(()),
        }
    }

    async fn change(&self, now: Timestamp, change: impl Fn(&mut MailRate) + Sync) -> Result<(), StoreError> {
        self.store
            .transact_at(&[MailRate::COLLECTION], async |tx| {
                let rate = tx.get::<MailRate>(MailRate::ID).await?;
                let mut rate = rate.unwrap_or_else(|| MailRate::new(now));
                change(&mut rate);
                tx.put(&rate).await
            })
            .await
    }
}

/// Counts one waiting email until it is dropped.
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
    use futures_util::future::join_all;
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
    fn the_time_of_a_wrong_clock_is_not_waited_for() {
        let mut rate = MailRate { next_at: time(3_600_000), ..MailRate::new(time(0)) };
        assert_eq!(rate.claim(1, INTERVAL, time(1000)), time(61_000));
        let mut slow = MailRate { next_at: time(900_000), ..MailRate::new(time(0)) };
        assert_eq!(slow.claim(1, Duration::from_secs(10), time(0)), time(900_000));
    }

    #[test]
    fn pauses_do_not_add_up() {
        let mut rate = MailRate::new(time(0));
        rate.rest(time(1000));
        rate.rest(time(1000));
        assert_eq!(rate.claim(1, INTERVAL, time(0)), time(1000));
    }

    #[test]
    fn pauses_grow_while_the_account_is_refused_and_end_with_an_accepted_email() {
        let mut rate = MailRate::new(time(0));
        let mut pauses = vec![];
        let mut now = 0;
        for _ in 0..8 {
            rate.refused(time(now));
            // Another email of the same moment.
            rate.refused(time(now + 500));
            let slot = rate.clone().claim(1, INTERVAL, time(now));
            pauses.push((slot.as_millis() - now) / 1000);
            now = slot.as_millis();
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        rate.accepted();
        rate.refused(time(now));
        assert_eq!((rate.refusals, rate.claim(1, INTERVAL, time(now))), (1, time(now + 1000)));
    }

    #[test]
    fn a_rate_that_an_older_version_stored_is_read() {
        let old = serde_json::json!({ "id": "all", "nextAt": "2026-09-01T07:00:00.000Z" });
        let rate: MailRate = serde_json::from_value(old).unwrap();
        assert_eq!((rate.refusals, rate.rest_until), (0, None));
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

    /// When emails were sent by several processes on one store, as fast as the rate allows.
    async fn emails(processes: usize, of_each: usize, per_second: f64) -> Vec<Instant> {
        let store = TestStore::with(&[schema::<MailRate>()]).await;
        let mut emails = tokio::task::JoinSet::new();
        for _ in 0..processes {
            let pace = Arc::new(Pace::new(store.clone(), Arc::new(SystemClock), per_second));
            for _ in 0..of_each {
                let pace = pace.clone();
                emails.spawn(async move {
                    while !pace.slot(MailClass::Direct).await.unwrap().wait().await {}
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
    async fn a_lone_email_does_not_wait() {
        let begun = Instant::now();
        assert_eq!(emails(1, 1, 0.1).await.len(), 1);
        assert!(begun.elapsed() < Duration::from_secs(5));
    }

    /// How many of 16 waiting bulk emails get their slots before a direct email that comes after the first.
    async fn bulk_emails_before_a_direct_one() -> usize {
        let store = TestStore::with(&[schema::<MailRate>()]).await;
        let pace = Pace::new(store.clone(), Arc::new(SystemClock), 20.0);
        let (order, first) = (std::sync::Mutex::new(vec![]), tokio::sync::Notify::new());
        let slot = async |class| {
            pace.slot(class).await.unwrap();
            order.lock().unwrap().push(class);
            first.notify_one();
        };
        let direct = async {
            first.notified().await;
            slot(MailClass::Direct).await;
        };
        tokio::join!(join_all((0..16).map(|_| slot(MailClass::Bulk))), direct);
        let order = order.into_inner().unwrap();
        order.iter().position(|class| *class == MailClass::Direct).unwrap() - 1
    }

    #[tokio::test]
    async fn a_direct_email_overtakes_bulk_emails() {
        let before = bulk_emails_before_a_direct_one().await;
        assert!(before <= 2, "{before}");
    }

    #[cfg(feature = "faults")]
    #[tokio::test]
    async fn without_the_guard_a_direct_email_waits_for_all_bulk_emails() {
        assert_eq!(faults::without("mail-direct-first", bulk_emails_before_a_direct_one()).await, 15);
    }
}
