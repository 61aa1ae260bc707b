//! What signals promise.

use std::sync::Arc;
use std::time::Duration;

use orientation::kernel::{ManualClock, Timestamp};
use orientation::platform::signals::{InProcess, Limit, Signals, Verdict};
use tokio::task::JoinSet;

const THREE_A_MINUTE: Limit = Limit { name: "three", quota: 3, window: Duration::from_secs(60) };

fn limited(factor: f64) -> (InProcess, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_788_246_000_000)));
    (InProcess::with_clock(factor, clock.clone()), clock)
}

/// Whether something happens at once, without waiting.
async fn at_once(event: impl Future<Output = ()>) -> bool {
    tokio::select! {
        biased;
        () = event => true,
        () = tokio::task::yield_now() => false,
    }
}

#[tokio::test]
async fn a_wake_up_between_two_calls_is_not_lost_and_several_count_as_one() {
    let signals = InProcess::new(1.0);
    let (mut one, mut other) = (signals.listen("news"), signals.listen("other"));
    signals.wake("news");
    signals.wake("news");
    assert!(at_once(one.woken()).await);
    assert!(!at_once(one.woken()).await);
    assert!(!at_once(other.woken()).await);
    signals.wake("news");
    assert!(at_once(one.woken()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_who_wait_hears_each_of_many_wake_ups() {
    let signals = Arc::new(InProcess::new(1.0));
    let mut waiting = JoinSet::new();
    let (heard, mut all_heard) = tokio::sync::mpsc::channel(1);
    for _ in 0..20 {
        let (mut listener, heard) = (signals.listen("news"), heard.clone());
        waiting.spawn(async move {
            for _ in 0..50 {
                listener.woken().await;
                heard.send(()).await.unwrap();
            }
        });
    }
    for _ in 0..50 {
        signals.wake("news");
        for _ in 0..20 {
            all_heard.recv().await.unwrap();
        }
    }
    waiting.join_all().await;
}

#[tokio::test]
async fn a_quota_is_spent_refused_and_comes_back_with_time() {
    let (signals, clock) = limited(1.0);
    for remaining in [2, 1, 0] {
        assert_eq!(signals.take(THREE_A_MINUTE, "ana").await, Verdict::Granted { remaining });
    }
    let refused = signals.take(THREE_A_MINUTE, "ana").await;
    assert_eq!(refused, Verdict::Refused { retry_after: Duration::from_secs(20) });
    assert_eq!(signals.take(THREE_A_MINUTE, "bo").await, Verdict::Granted { remaining: 2 });
    let other = Limit { name: "other", ..THREE_A_MINUTE };
    assert_eq!(signals.take(other, "ana").await, Verdict::Granted { remaining: 2 });
    clock.advance(Duration::from_secs(20));
    assert_eq!(signals.take(THREE_A_MINUTE, "ana").await, Verdict::Granted { remaining: 0 });
    clock.advance(Duration::from_secs(600));
    assert_eq!(signals.take(THREE_A_MINUTE, "ana").await, Verdict::Granted { remaining: 2 });
}

#[tokio::test]
async fn the_factor_multiplies_quotas_and_nothing_turns_them_off() {
    let (generous, _) = limited(2.5);
    assert_eq!(generous.take(THREE_A_MINUTE, "ana").await, Verdict::Granted { remaining: 7 });
    assert_eq!(generous.in_force(THREE_A_MINUTE).unwrap().quota, 8);
    let (strict, _) = limited(0.01);
    assert_eq!(strict.take(THREE_A_MINUTE, "ana").await, Verdict::Granted { remaining: 0 });
    let (off, _) = limited(0.0);
    for _ in 0..100 {
        assert_eq!(off.take(THREE_A_MINUTE, "ana").await, Verdict::Granted { remaining: 3 });
    }
    assert_eq!(off.in_force(THREE_A_MINUTE), None);
}
