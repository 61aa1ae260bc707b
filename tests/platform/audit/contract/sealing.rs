//! Entries are added to the chain once, in their order.

use std::time::Duration;

use orientation::kernel::{Actor, Clock, SystemClock};
use orientation::platform::audit::{self, AuditEntry, AuditLink, SETTLED_AFTER, Subject};
use orientation::platform::store::StoreError;

use super::fresh;
use crate::audit::log::{DONE, Log, later};

#[tokio::test]
async fn entries_are_sealed_in_their_order_once_they_are_settled() {
    let log = fresh().await;
    let entries = log.write(3).await;
    assert_eq!(audit::seal(&log.store, SystemClock.now()).await, Ok(0), "an earlier one could still appear");
    let just_settled = SystemClock.now().plus(SETTLED_AFTER).plus(Duration::from_millis(1));
    assert_eq!(audit::seal(&log.store, just_settled).await, Ok(3));
    assert_eq!(log.seal().await, 0);
    log.write_one("next").await;
    assert_eq!(log.seal().await, 1);
    let links: Vec<AuditLink> = log.all().await;
    assert_eq!(links.iter().map(AuditLink::number).collect::<Vec<_>>(), [Some(1), Some(2), Some(3), Some(4)]);
    let sealed: Vec<_> = links.iter().take(3).map(|link| link.entry.clone()).collect();
    assert_eq!(sealed, entries.iter().map(|entry| entry.id.clone()).collect::<Vec<_>>());
    assert_eq!(log.entries().await[..3], entries, "sealing rewrites no entry");
}

#[tokio::test]
async fn entries_of_earlier_versions_are_sealed() {
    let log = fresh().await;
    let entry: AuditEntry = serde_json::from_value(serde_json::json!({
        "id": "019f0000-0000-7000-8000-000000000001", "at": "2026-09-01T07:00:00.000Z",
        "actor": { "kind": "operator" }, "action": "job.dropped", "subject": { "collection": "jobs", "id": "j" },
    }))
    .unwrap();
    log.put(&[entry]).await;
    log.write_one("new").await;
    assert_eq!(log.seal().await, 2);
    assert_eq!(log.verify().await.unwrap().head.number, 2);
}

#[tokio::test]
async fn an_entry_follows_the_chain_although_the_clock_was_set_back() {
    let log = fresh().await;
    let first = log.write(1).await.remove(0);
    let tomorrow = format!("{}ffff{}", &first.id[..4], &first.id[8..]);
    log.put(&[AuditEntry { id: tomorrow.clone(), ..first }]).await;
    let in_a_year = later().plus(Duration::from_hours(365 * 24));
    assert_eq!(audit::seal(&log.store, in_a_year).await, Ok(2));
    log.write_one("after the clock was set back").await;
    assert!(log.entries().await[2].id > tomorrow);
    assert_eq!(audit::seal(&log.store, in_a_year).await, Ok(1));
    assert_eq!(log.verify().await.unwrap().head.number, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_can_be_verified_while_it_is_written_and_sealed() {
    let log = fresh().await;
    let write = async {
        for number in 0..60 {
            let now = SystemClock.now();
            let about = || Subject::of::<AuditEntry>(&number.to_string());
            let written: Result<(), StoreError> = log
                .other
                .transact(async |tx| tx.audit(&Actor::Operator, DONE, about(), &[], now).await)
                .await;
            written.unwrap();
            if number % 3 == 0 {
                audit::seal(&log.other, later()).await.unwrap();
            }
        }
    };
    let verify = async {
        let mut last = 0;
        while last < 58 {
            let intact = log.verify().await.unwrap();
            assert!(intact.head.number >= last);
            last = intact.head.number;
        }
    };
    tokio::join!(write, verify);
}

/// Two processes seal the same entries at once, ten times. The number of entries that each round sealed, or the error.
async fn two_sealers(log: &Log) -> Vec<Result<u64, StoreError>> {
    log.write_one("first").await;
    log.seal().await;
    let mut rounds = vec![];
    for _ in 0..10 {
        log.write(12).await;
        let now = later();
        let (one, other) = tokio::join!(audit::seal(&log.store, now), audit::seal(&log.other, now));
        rounds.push(one.and_then(|one| Ok(one + other?)));
    }
    rounds
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_seal_at_once_add_each_entry_once() {
    let log = fresh().await;
    assert_eq!(two_sealers(&log).await, vec![Ok(12); 10]);
    assert_eq!(log.verify().await.unwrap().head.number, 121);
}

#[cfg(feature = "faults")]
#[tokio::test(flavor = "multi_thread")]
async fn without_the_head_in_their_transactions_two_sealers_collide() {
    let log = fresh().await;
    let rounds = orientation::kernel::faults::without("audit-head", two_sealers(&log)).await;
    assert!(rounds.iter().any(Result::is_err), "the test above proves nothing: {rounds:?}");
}
