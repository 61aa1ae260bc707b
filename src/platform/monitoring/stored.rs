//! Counts of stored documents, taken when metrics are read, at most every few seconds.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{Counter, GaugeVec, IntCounter, IntGauge, IntGaugeVec, Registry};
use tokio::time::{Instant, timeout};

use crate::kernel::Clock;
use crate::platform::jobs::{Count, JobState, Jobs};
use crate::platform::mail::Mail;
use crate::platform::metrics::described;
use crate::platform::store::{Filter, Stats, Store, StoreError};

/// How long counts are reused, so that frequent reading costs the store nothing.
const FRESH: Duration = Duration::from_secs(5);

/// If counting takes longer, the store is reported as unreachable.
const PATIENCE: Duration = Duration::from_secs(2);

/// Done jobs are deleted after a day: counting them would be expensive and say nothing.
const COUNTED: [JobState; 3] = [JobState::Waiting, JobState::Running, JobState::Dead];

/// Counts stored documents.
pub(super) struct Stored {
    store: Store,
    jobs: Jobs,
    looked_at: Option<Instant>,
    by_kind: IntGaugeVec,
    oldest_due: GaugeVec,
    mails: IntGaugeVec,
    up: IntGauge,
    counters: Counters,
}

/// The result of one count.
struct Seen {
    jobs: Vec<Count>,
    oldest_due: Vec<(String, Duration)>,
    mails: Vec<(String, u64)>,
}

impl Stored {
    pub fn registered(registry: &Registry, store: Store, clock: Arc<dyn Clock>) -> Self {
        Self {
            jobs: Jobs::new(store.clone(), clock),
            store,
            looked_at: None,
            by_kind: described::JOBS.gauges(registry),
            oldest_due: described::OLDEST_DUE.levels(registry),
            mails: described::MAILS.gauges(registry),
            up: described::STORE_UP.gauge(registry),
            counters: Counters::registered(registry),
        }
    }

    /// Updates all counts.
    pub async fn refresh(&mut self) {
        self.counters.catch_up(self.store.stats());
        if self.looked_at.is_some_and(|at| at.elapsed() < FRESH) {
            return;
        }
        let seen = timeout(PATIENCE, self.look()).await;
        self.looked_at = Some(Instant::now());
        self.forget();
        if let Ok(Ok(seen)) = seen {
            self.show(&seen);
        }
    }

    async fn look(&self) -> Result<Seen, StoreError> {
        Ok(Seen {
            jobs: self.jobs.counts_in(&COUNTED).await?,
            oldest_due: self.jobs.oldest_due_by_kind().await?,
            mails: self.store.tally::<Mail>("state", Filter::All).await?,
        })
    }

    fn forget(&self) {
        self.up.set(0);
        self.by_kind.reset();
        self.oldest_due.reset();
        self.mails.reset();
    }

    fn show(&self, seen: &Seen) {
        self.up.set(1);
        for Count { kind, state, jobs } in &seen.jobs {
            self.by_kind.with_label_values(&[kind, state.as_str()]).set(whole(*jobs));
            // So that an alert sees a kind return to zero.
            self.oldest_due.with_label_values(&[kind]).set(0.0);
        }
        for (kind, age) in &seen.oldest_due {
            self.oldest_due.with_label_values(&[kind]).set(age.as_secs_f64());
        }
        for (state, mails) in &seen.mails {
            self.mails.with_label_values(&[state]).set(whole(*mails));
        }
    }
}

/// The store's own counters.
struct Counters {
    transactions: IntCounter,
    commits: IntCounter,
    rollbacks: IntCounter,
    conflicts: IntCounter,
    committing: Counter,
    queue: IntGauge,
}

impl Counters {
    fn registered(registry: &Registry) -> Self {
        Self {
            transactions: described::TRANSACTIONS.counter(registry),
            commits: described::COMMITS.counter(registry),
            rollbacks: described::ROLLBACKS.counter(registry),
            conflicts: described::CONFLICTS.counter(registry),
            committing: described::COMMIT_SECONDS.sum(registry),
            queue: described::QUEUE.gauge(registry),
        }
    }

    fn catch_up(&self, stats: Stats) {
        advance(&self.transactions, stats.transactions);
        advance(&self.commits, stats.commits);
        advance(&self.rollbacks, stats.rollbacks);
        advance(&self.conflicts, stats.conflicts);
        self.committing.inc_by((stats.committing.as_secs_f64() - self.committing.get()).max(0.0));
        self.queue.set(whole(stats.queue));
    }
}

/// Advances a counter to a total that is counted elsewhere.
fn advance(counter: &IntCounter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::kernel::{EmailAddress, ManualClock, Timestamp};
    use crate::platform::jobs::{Job, Payload};
    use crate::platform::store::testing::TestStore;

    #[derive(Serialize, Deserialize)]
    struct Ring {}

    impl Payload for Ring {
        const KIND: &'static str = "bell.ring";
    }

    async fn tower() -> (TestStore, Arc<ManualClock>, Registry, Stored) {
        let schemas = [crate::platform::mail::schemas(), crate::platform::jobs::schemas()].concat();
        let store = TestStore::with(&schemas).await;
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_788_246_000_000)));
        let registry = Registry::new();
        let stored = Stored::registered(&registry, store.clone(), clock.clone());
        (store, clock, registry, stored)
    }

    fn value(registry: &Registry, series: &str) -> Option<f64> {
        let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let line =
            text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')).map(str::to_owned);
        line.map(|value| value.parse().unwrap())
    }

    #[tokio::test]
    async fn jobs_and_emails_are_counted_and_the_age_of_the_oldest_is_reported() {
        let (store, clock, registry, mut stored) = tower().await;
        let now = clock.now();
        let late = Job::new("1".into(), &Ring {}, now.plus(Duration::from_secs(60)));
        let due = Job::new("2".into(), &Ring {}, now);
        let to = EmailAddress::parse("ana@example.org").unwrap();
        let mail = Mail::new("hello:1".into(), "hello", &to, [], now);
        let written: Result<(), StoreError> = store
            .transact(async |tx| {
                tx.enqueue(&late).await?;
                tx.enqueue(&due).await?;
                tx.post(&mail).await
            })
            .await;
        written.unwrap();
        clock.advance(Duration::from_secs(7));
        stored.refresh().await;
        let of = |series: &str| value(&registry, series);
        assert_eq!(of("orientation_jobs{kind=\"bell.ring\",state=\"waiting\"}"), Some(2.0));
        assert_eq!(of("orientation_job_oldest_due_age_seconds{kind=\"bell.ring\"}"), Some(7.0));
        assert_eq!(of("orientation_mails{state=\"queued\"}"), Some(1.0));
        assert_eq!(of("orientation_store_up"), Some(1.0));
        assert_eq!(of("orientation_store_transactions_total"), Some(1.0));
    }

    #[tokio::test]
    async fn counts_are_reused_for_a_while() {
        let (store, clock, registry, mut stored) = tower().await;
        stored.refresh().await;
        let job = Job::new("1".into(), &Ring {}, clock.now());
        let written: Result<(), StoreError> = store.transact(async |tx| tx.enqueue(&job).await).await;
        written.unwrap();
        let series = "orientation_jobs{kind=\"bell.ring\",state=\"waiting\"}";
        stored.refresh().await;
        assert_eq!(value(&registry, series), None);
        stored.looked_at = stored.looked_at.and_then(|at| at.checked_sub(FRESH));
        stored.refresh().await;
        assert_eq!(value(&registry, series), Some(1.0));
    }

    #[tokio::test]
    async fn an_unreadable_store_is_reported_without_old_counts() {
        let (store, clock, registry, mut stored) = tower().await;
        let job = Job::new("1".into(), &Ring {}, clock.now());
        let written: Result<(), StoreError> = store.transact(async |tx| tx.enqueue(&job).await).await;
        written.unwrap();
        stored.refresh().await;
        let empty = TestStore::with(&[]).await;
        stored.jobs = Jobs::new(empty.clone(), clock);
        stored.looked_at = None;
        stored.refresh().await;
        assert_eq!(value(&registry, "orientation_store_up"), Some(0.0));
        assert_eq!(value(&registry, "orientation_jobs{kind=\"bell.ring\",state=\"waiting\"}"), None);
    }
}
