//! The rules that every adapter keeps.

use std::sync::Arc;
use std::time::Duration;

use orientation::platform::signals::{Limit, Listener, NEWS_BYTES, News, Remaining, Signals, TooMany};
use tokio::task::JoinSet;

use super::fresh;
use crate::signals::{THREE_A_MINUTE, soon};

/// Whether the future is ready at once.
async fn at_once(event: impl Future<Output = ()>) -> bool {
    tokio::select! {
        biased;
        () = event => true,
        () = tokio::task::yield_now() => false,
    }
}

fn payload(text: &str) -> News {
    News::Payload(text.into())
}

fn remaining(taken: Result<Remaining, TooMany>) -> u32 {
    taken.expect("the limit allows it").0
}

fn retry_after(taken: Result<Remaining, TooMany>) -> Duration {
    taken.expect_err("the limit is used up").retry_after
}

#[tokio::test]
async fn wake_ups_between_two_calls_are_not_lost_and_count_as_one() {
    let [signals, _] = fresh(1.0).await;
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
async fn every_listener_is_woken_by_every_wake_up_of_either_process() {
    let both = fresh(1.0).await;
    let mut waiting = JoinSet::new();
    let (heard, mut all_heard) = tokio::sync::mpsc::channel(1);
    for n in 0..20 {
        let (mut listener, heard): (Listener, _) = (both[n % 2].listen("news"), heard.clone());
        waiting.spawn(async move {
            for _ in 0..50 {
                listener.woken().await;
                heard.send(()).await.unwrap();
            }
        });
    }
    for n in 0..50 {
        both[n % 2].wake("news");
        for _ in 0..20 {
            soon(all_heard.recv()).await.unwrap();
        }
    }
    waiting.join_all().await;
}

#[tokio::test]
async fn all_subscribers_get_news_in_order_and_those_in_the_same_process_at_once() {
    let [one, other] = fresh(1.0).await;
    let (mut here, mut there, mut elsewhere) =
        (one.subscribe("board"), other.subscribe("board"), other.subscribe("elsewhere"));
    for n in 0..100 {
        one.publish("board", &n.to_string());
    }
    for n in 0..100 {
        assert!(at_once(async { assert_eq!(here.next().await, payload(&n.to_string())) }).await);
    }
    for n in 0..100 {
        assert_eq!(soon(there.next()).await, payload(&n.to_string()));
    }
    other.publish("board", "answer: \"yes\" \u{1f600}\n");
    assert_eq!(soon(here.next()).await, payload("answer: \"yes\" \u{1f600}\n"));
    one.publish("elsewhere", "");
    assert_eq!(soon(elsewhere.next()).await, payload(""), "nothing of another topic before it");
}

#[tokio::test]
async fn slow_subscribers_and_long_payloads_cause_a_gap_and_no_growth() {
    let [one, other] = fresh(1.0).await;
    let (mut here, mut there) = (one.subscribe("board"), other.subscribe("board"));
    for n in 0..5000 {
        one.publish("board", &n.to_string());
        if n % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let mut heard = 0;
    assert_eq!(soon(here.next()).await, News::Gap);
    while soon(here.next()).await != payload("4999") {
        heard += 1;
    }
    assert!(heard < 1000, "{heard}");
    one.publish("board", &"x".repeat(NEWS_BYTES + 1));
    assert_eq!(soon(here.next()).await, News::Gap);
    one.publish("board", "last");
    assert_eq!(soon(here.next()).await, payload("last"));
    while soon(there.next()).await != payload("last") {}
}

#[tokio::test]
async fn both_processes_spend_one_quota_and_refuse_when_it_is_used_up() {
    let [one, other] = fresh(1.0).await;
    assert_eq!(remaining(one.take(THREE_A_MINUTE, "ana").await), 2);
    assert_eq!(remaining(other.take(THREE_A_MINUTE, "ana").await), 1);
    assert_eq!(remaining(one.take(THREE_A_MINUTE, "ana").await), 0);
    for signals in [&one, &other] {
        let retry_after = retry_after(signals.take(THREE_A_MINUTE, "ana").await);
        assert!((15.0..=20.0).contains(&retry_after.as_secs_f64()), "{retry_after:?}");
    }
    assert_eq!(remaining(other.take(THREE_A_MINUTE, "bo").await), 2);
    let other_limit = Limit { name: "other", ..THREE_A_MINUTE };
    assert_eq!(remaining(other.take(other_limit, "ana").await), 2);
}

#[tokio::test]
async fn a_quota_refills_one_by_one_and_never_above_its_limit() {
    let [one, other] = fresh(1.0).await;
    let limit = Limit { name: "short", quota: 2, window: Duration::from_millis(1600) };
    assert_eq!(remaining(one.take(limit, "ana").await), 1);
    assert_eq!(remaining(one.take(limit, "ana").await), 0);
    let wait = retry_after(other.take(limit, "ana").await);
    assert!(wait <= Duration::from_millis(800), "{wait:?}");
    tokio::time::sleep(wait + Duration::from_millis(20)).await;
    assert_eq!(remaining(other.take(limit, "ana").await), 0, "the returned time was right");
    assert!(retry_after(one.take(limit, "ana").await) <= Duration::from_millis(800));
    tokio::time::sleep(Duration::from_millis(2000)).await;
    assert_eq!(remaining(other.take(limit, "ana").await), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn simultaneous_requests_to_both_processes_get_exactly_the_quota() {
    let both = fresh(1.0).await;
    let limit = Limit { name: "crowd", quota: 50, window: Duration::from_hours(1) };
    let mut crowd = JoinSet::new();
    for n in 0..16 {
        let signals: Arc<dyn Signals> = both[n % 2].clone();
        crowd.spawn(async move {
            let mut granted = 0;
            for _ in 0..25 {
                granted += u32::from(signals.take(limit, "all").await.is_ok());
            }
            granted
        });
    }
    assert_eq!(crowd.join_all().await.iter().sum::<u32>(), 50);
}

#[tokio::test]
async fn the_factor_multiplies_quotas_and_zero_turns_them_off() {
    let [generous, _] = fresh(2.5).await;
    assert_eq!(remaining(generous.take(THREE_A_MINUTE, "ana").await), 7);
    assert_eq!(generous.in_force(THREE_A_MINUTE).unwrap().quota, 8);
    let [strict, _] = fresh(0.01).await;
    assert_eq!(remaining(strict.take(THREE_A_MINUTE, "ana").await), 0);
    let [off, _] = fresh(0.0).await;
    for _ in 0..100 {
        assert_eq!(off.take(THREE_A_MINUTE, "ana").await, Ok(Remaining(3)));
    }
    assert_eq!(off.in_force(THREE_A_MINUTE), None);
}
