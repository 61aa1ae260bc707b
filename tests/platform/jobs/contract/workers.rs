//! Workers, alone and several on one store.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use orientation::platform::jobs::{JobState, LEASE, TOPIC};
use orientation::platform::request::RequestContext;
use orientation::platform::signals::Signals;

use super::fresh;
use crate::jobs::bell::{Does, Tower, ring, ring_bell};

const WORKERS: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn several_workers_on_one_store_run_each_job_once() {
    let mut tower = Tower::on(fresh()).await;
    let workers: Vec<_> = (0..WORKERS).map(|_| tower.workers()).collect();
    for hundred in 0..3 {
        let now = tower.now();
        let jobs: Vec<_> = (0..100).map(|n| ring(&format!("{hundred}-{n}"), Does::Ring, now)).collect();
        tower.enqueue(&jobs).await;
    }
    let mut heard = HashSet::new();
    for _ in 0..300 {
        let run = tower.heard().await;
        assert_eq!((run.attempt, run.crashes), (1, 0));
        assert!(heard.insert(run.job_id));
    }
    for running in workers {
        running.drain(Duration::from_secs(5)).await;
    }
    assert!(!tower.heard_more());
    assert_eq!(tower.count(JobState::Done).await, 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_wakes_the_workers_at_once() {
    let mut tower = Tower::on(fresh()).await;
    let _running = tower.workers();
    tower.enqueue(&[ring("first", Does::Ring, tower.now())]).await;
    tower.heard().await;
    let begun = Instant::now();
    for n in 0..10 {
        tower.enqueue(&[ring(&n.to_string(), Does::Ring, tower.now())]).await;
        tower.heard().await;
    }
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "ten polls would take ten seconds: {:?}",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_job_of_a_killed_worker_runs_again_when_its_lease_expires() {
    let mut tower = Tower::on(fresh()).await;
    let killed = tower.workers();
    tower.enqueue(&[ring_bell("1", "tenor", Does::Wait, tower.now())]).await;
    assert_eq!(tower.heard().await.crashes, 0);
    drop(killed);
    let survivor = tower.workers();
    tower.later(LEASE - Duration::from_millis(1));
    tower.enqueue(&[ring("2", Does::Ring, tower.now())]).await;
    assert_eq!(tower.heard().await.job_id, "2", "the lease has not expired");
    tower.later(Duration::from_millis(1));
    let again = tower.heard().await;
    assert_eq!((again.job_id.as_str(), again.attempt, again.crashes), ("1", 1, 1));
    tower.ringer.gate.add_permits(1);
    tower.until("1", JobState::Done).await;
    survivor.drain(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_living_worker_keeps_its_job_for_longer_than_a_lease() {
    let mut tower = Tower::on(fresh()).await;
    let _running = [tower.workers(), tower.workers()];
    tower.enqueue(&[ring("1", Does::Wait, tower.now())]).await;
    tower.heard().await;
    for _ in 0..2 {
        let until = tower.job("1").await.lease_until;
        tower.clock.advance(Duration::from_secs(4));
        while tower.job("1").await.lease_until == until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    tower.ringer.gate.add_permits(1);
    assert_eq!(tower.until("1", JobState::Done).await.crashes, 0);
    assert!(!tower.heard_more());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_jobs_of_one_key_never_run_at_the_same_time() {
    let tower = Tower::on(fresh()).await;
    let workers: Vec<_> = (0..WORKERS).map(|_| tower.workers()).collect();
    for n in 0..200 {
        let bell = format!("bell {}", n % 3);
        tower.enqueue(&[ring_bell(&n.to_string(), &bell, Does::Ring, tower.now())]).await;
    }
    while tower.count(JobState::Waiting).await + tower.count(JobState::Running).await > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(tower.ringer.overlaps.load(Ordering::SeqCst), 0);
    assert_eq!(tower.count(JobState::Dead).await, 0);
    drop(workers);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_is_retried_later_and_is_dead_after_the_limit_of_its_kind() {
    let mut tower = Tower::on(fresh()).await;
    let _running = tower.workers();
    let jobs = [("fails", Does::Fail), ("panics", Does::Panic)].map(|(id, does)| ring(id, does, tower.now()));
    tower.enqueue(&jobs).await;
    let mut attempts = vec![];
    while attempts.len() < 6 {
        attempts.push(tower.heard().await.attempt);
        if attempts.len() % 2 == 0 && attempts.len() < 6 {
            tower.until("fails", JobState::Waiting).await;
            tower.until("panics", JobState::Waiting).await;
            tower.later(Duration::from_secs(3600));
        }
    }
    assert_eq!(attempts, [1, 1, 2, 2, 3, 3]);
    assert_eq!(tower.until("fails", JobState::Dead).await.error.as_deref(), Some("the rope broke"));
    let panicked = tower.until("panics", JobState::Dead).await;
    assert_eq!(
        panicked.error.as_deref(),
        Some("its subscriber panicked"),
        "the panic message may be personal"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_can_not_succeed_or_be_parsed_are_dead_at_once() {
    let mut tower = Tower::on(fresh()).await;
    let _running = tower.workers();
    let mut unreadable = ring("unreadable", Does::Ring, tower.now());
    unreadable.payload = serde_json::json!({ "bell": "ana@example.org" });
    tower.enqueue(&[ring("never", Does::GiveUp, tower.now()), unreadable]).await;
    assert_eq!(tower.heard().await.job_id, "never");
    assert_eq!(tower.until("never", JobState::Dead).await.attempts, 1);
    let unreadable = tower.until("unreadable", JobState::Dead).await;
    assert!(!unreadable.error.unwrap().contains("ana@example.org"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_an_unknown_kind_is_kept_and_blocks_nothing() {
    let mut tower = Tower::on(fresh()).await;
    let mut strange = ring("strange", Does::Ring, tower.now());
    strange.kind = "gong.strike".into();
    tower.enqueue(&[strange, ring("known", Does::Ring, tower.now())]).await;
    let running = tower.workers();
    assert_eq!(tower.heard().await.job_id, "known");
    running.drain(Duration::from_secs(5)).await;
    assert_eq!(tower.job("strange").await.state, JobState::Waiting);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_job_runs_when_it_is_due() {
    let mut tower = Tower::on(fresh()).await;
    let _running = tower.workers();
    let later = tower.now().plus(Duration::from_secs(60));
    tower.enqueue(&[ring("later", Does::Ring, tower.now()).at(later)]).await;
    tower.later(Duration::from_secs(59));
    tower.enqueue(&[ring("between", Does::Ring, tower.now())]).await;
    assert_eq!(tower.heard().await.job_id, "between");
    tower.later(Duration::from_secs(1));
    assert_eq!(tower.heard().await.job_id, "later");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_finishes_running_jobs_in_time_and_hands_the_rest_back() {
    let mut tower = Tower::on(fresh()).await;
    let running = tower.workers();
    let jobs = ["1", "2"].map(|id| ring_bell(id, id, Does::Wait, tower.now()));
    tower.enqueue(&jobs).await;
    tower.heard().await;
    tower.heard().await;
    tower.ringer.gate.add_permits(1);
    running.drain(Duration::from_millis(200)).await;
    assert_eq!((tower.count(JobState::Done).await, tower.count(JobState::Waiting).await), (1, 1));
    tower.ringer.gate.add_permits(1);
    let next = tower.workers();
    let again = tower.heard().await;
    assert_eq!((again.attempt, again.crashes), (1, 0), "a job that is handed back has not used an attempt");
    tower.until(&again.job_id, JobState::Done).await;
    next.drain(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_claimed_after_a_shutdown_has_begun() {
    let mut tower = Tower::on(fresh()).await;
    let running = tower.workers();
    tower.enqueue(&[ring("1", Does::Wait, tower.now())]).await;
    tower.heard().await;
    let draining = tokio::spawn(running.drain(Duration::from_secs(20)));
    tower.enqueue(&[ring("2", Does::Ring, tower.now())]).await;
    tower.signals.wake(TOPIC);
    tower.until("2", JobState::Waiting).await;
    tower.ringer.gate.add_permits(1);
    draining.await.unwrap();
    assert_eq!(tower.job("1").await.state, JobState::Done);
    assert!(!tower.heard_more());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_of_ten_thousand_jobs_is_done() {
    let mut tower = Tower::on(fresh()).await;
    for thousand in 0..10 {
        let now = tower.now();
        let jobs: Vec<_> = (0..1000).map(|n| ring(&format!("{thousand}-{n}"), Does::Ring, now)).collect();
        tower.enqueue(&jobs).await;
    }
    let begun = Instant::now();
    let running = tower.workers();
    for _ in 0..10_000 {
        tower.heard().await;
    }
    running.drain(Duration::from_secs(5)).await;
    assert_eq!(tower.count(JobState::Done).await, 10_000);
    println!("10,000 jobs, eight at a time, in {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_carries_the_id_of_the_request_that_caused_it() {
    let mut tower = Tower::on(fresh()).await;
    let client = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let request = RequestContext { id: "request 7".into(), client };
    request.scope(tower.enqueue(&[ring("1", Does::Ring, tower.now())])).await;
    assert_eq!(tower.job("1").await.trace.as_deref(), Some("request 7"));
    let _workers = tower.workers();
    tower.heard().await;
    let cause = RequestContext { id: "request 7".into(), client: None };
    assert_eq!(*tower.ringer.causes.lock().unwrap(), [Some(cause)], "a job stores no address");
}
