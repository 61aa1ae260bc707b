//! Guarantees for several workers on one store.

use std::collections::HashSet;
use std::time::Duration;

use orientation::kernel::Timestamp;
use orientation::platform::jobs::queue::{Claim, Claimed, Outcome, Room, Settlement};
use orientation::platform::jobs::{Job, JobState, LEASE, Payload};
use orientation::platform::store::StoreError;
use tokio::task::JoinSet;

use super::fresh;
use crate::jobs::bell::{Does, Ring, Tower, ring, ring_bell};

fn wanted(jobs: usize, token: &str) -> Claim {
    let room = vec![Room { kind: Ring::KIND, jobs }];
    Claim { room, crashed: true, mine: HashSet::new(), token: token.into() }
}

async fn claim(tower: &Tower, jobs: usize, token: &str) -> Claimed {
    tower.queue().claim(&wanted(jobs, token)).await.unwrap()
}

fn ids(claimed: &Claimed) -> Vec<&str> {
    claimed.jobs.iter().map(|job| job.id.as_str()).collect()
}

async fn settle(tower: &Tower, id: &str, token: &str, outcome: Outcome) -> bool {
    let ended = Settlement { job_id: id.into(), token: token.into(), outcome };
    tower.queue().settle(&[ended]).await.unwrap()[0].is_ok()
}

async fn renew(tower: &Tower, id: &str, token: &str) -> bool {
    let lease = [(id.to_owned(), token.to_owned())];
    tower.queue().renew(&lease).await.unwrap().is_empty()
}

#[tokio::test]
async fn the_oldest_jobs_are_claimed_first_and_the_next_due_time_is_returned() {
    let tower = Tower::on(fresh()).await;
    let at = |id, secs| ring(id, Does::Ring, tower.now()).at(tower.now().plus(Duration::from_secs(secs)));
    let late = ring("late", Does::Ring, tower.now().minus(Duration::from_secs(9)));
    tower.enqueue(&[at("soon", 5), at("now", 0), late, at("later", 60)]).await;
    assert_eq!(ids(&claim(&tower, 1, "a").await), ["late"]);
    let claimed = claim(&tower, 5, "b").await;
    assert_eq!(ids(&claimed), ["now"]);
    assert_eq!(claimed.next[Ring::KIND], tower.now().plus(Duration::from_secs(5)));
}

#[tokio::test]
async fn simultaneous_claims_get_each_job_once() {
    let tower = Tower::on(fresh()).await;
    let jobs: Vec<_> = (0..200).map(|n| ring(&format!("{n:03}"), Does::Ring, tower.now())).collect();
    tower.enqueue(&jobs).await;
    let queue = tower.queue();
    let mut claims = JoinSet::new();
    for claimant in 0..20 {
        let queue = queue.clone();
        claims.spawn(async move { queue.claim(&wanted(20, &claimant.to_string())).await.unwrap() });
    }
    let claims = claims.join_all().await;
    let all: Vec<_> = claims.iter().flat_map(ids).collect();
    assert_eq!((all.len(), all.iter().collect::<HashSet<_>>().len()), (200, 200));
}

#[tokio::test]
async fn an_expired_token_settles_nothing() {
    let tower = Tower::on(fresh()).await;
    tower.enqueue(&[ring("1", Does::Ring, tower.now())]).await;
    claim(&tower, 1, "old").await;
    assert!(renew(&tower, "1", "old").await);
    tower.clock.advance(LEASE);
    assert_eq!(ids(&claim(&tower, 1, "new").await), ["1"]);
    assert!(!renew(&tower, "1", "old").await);
    assert!(!settle(&tower, "1", "old", Outcome::Done).await);
    assert_eq!(tower.job("1").await.state, JobState::Running);
    assert!(settle(&tower, "1", "new", Outcome::Done).await);
    assert!(!settle(&tower, "1", "new", Outcome::HandedBack).await, "a settled job stays settled");
    let job = tower.job("1").await;
    assert_eq!((job.attempts, job.crashes, job.state), (1, 1, JobState::Done));
}

#[tokio::test]
async fn a_renewed_lease_does_not_expire_and_an_abandoned_one_does() {
    let tower = Tower::on(fresh()).await;
    tower.enqueue(&[ring("1", Does::Ring, tower.now())]).await;
    claim(&tower, 1, "a").await;
    tower.clock.advance(Duration::from_secs(4));
    assert!(renew(&tower, "1", "a").await);
    tower.clock.advance(Duration::from_secs(4));
    assert!(claim(&tower, 1, "b").await.jobs.is_empty());
    tower.clock.advance(Duration::from_secs(2));
    assert_eq!(ids(&claim(&tower, 1, "c").await), ["1"]);
}

#[tokio::test]
async fn a_worker_does_not_take_a_job_from_itself() {
    let tower = Tower::on(fresh()).await;
    tower.enqueue(&[ring("1", Does::Ring, tower.now())]).await;
    claim(&tower, 1, "a").await;
    tower.clock.advance(LEASE * 2);
    let wanted = Claim { mine: HashSet::from(["1".to_owned()]), ..wanted(1, "b") };
    let claimed = tower.queue().claim(&wanted).await.unwrap();
    assert!(claimed.jobs.is_empty());
}

#[tokio::test]
async fn a_job_that_kills_twenty_workers_is_dead() {
    let tower = Tower::on(fresh()).await;
    tower.enqueue(&[ring_bell("1", "tenor", Does::Ring, tower.now())]).await;
    for crash in 0..20 {
        assert_eq!(claim(&tower, 1, &crash.to_string()).await.jobs.len(), 1);
        tower.clock.advance(LEASE);
    }
    tower.enqueue(&[ring_bell("2", "tenor", Does::Ring, tower.now())]).await;
    let last = claim(&tower, 1, "last").await;
    assert_eq!((ids(&last), last.dead.len()), (vec!["2"], 1));
    assert_eq!(tower.job("1").await.state, JobState::Dead);
    assert_eq!(tower.job("2").await.state, JobState::Running);
}

#[tokio::test]
async fn one_job_per_key_waits_and_is_due_at_the_earlier_time() {
    let tower = Tower::on(fresh()).await;
    let (now, minute) = (tower.now(), Duration::from_secs(60));
    let at = |id: &str, time| ring_bell(id, "tenor", Does::Ring, now).at(time);
    tower.enqueue(&[at("1", now.plus(minute)), at("2", now.plus(minute * 2)), at("3", now)]).await;
    let job = tower.job("1").await;
    assert_eq!((job.run_at, job.repeats), (now, 2));
    assert!(tower.jobs.get("2").await.unwrap().is_none());
    tower.enqueue(&[ring_bell("4", "treble", Does::Ring, now)]).await;
    assert_eq!(ids(&claim(&tower, 9, "a").await), ["1", "4"]);
}

/// Two claims of one bell, the second enqueued while the first rings.
async fn ring_twice(tower: &Tower) -> (Claimed, Claimed) {
    tower.enqueue(&[ring_bell("1", "tenor", Does::Ring, tower.now())]).await;
    let first = claim(tower, 1, "a").await;
    tower.enqueue(&[ring_bell("2", "tenor", Does::Ring, tower.now())]).await;
    (first, claim(tower, 1, "b").await)
}

#[tokio::test]
async fn a_job_enqueued_while_one_of_its_key_runs_runs_afterwards() {
    let tower = Tower::on(fresh()).await;
    let (first, second) = ring_twice(&tower).await;
    assert_eq!((ids(&first), ids(&second)), (vec!["1"], vec![]));
    assert!(settle(&tower, "1", "a", Outcome::Done).await);
    assert_eq!(ids(&claim(&tower, 1, "c").await), ["2"]);
}

#[cfg(feature = "faults")]
#[tokio::test]
async fn without_the_guard_two_jobs_of_one_key_run_at_the_same_time() {
    let tower = Tower::on(fresh()).await;
    let (first, second) =
        orientation::kernel::faults::without("jobs-one-run-a-key", ring_twice(&tower)).await;
    assert_eq!((ids(&first), ids(&second)), (vec!["1"], vec!["2"]), "the negative control");
}

#[tokio::test]
async fn jobs_with_a_busy_key_do_not_hide_those_behind_them() {
    let tower = Tower::on(fresh()).await;
    let bells = ["a", "b", "c", "d", "e"];
    let all =
        |round: &str| bells.map(|bell| ring_bell(&format!("{round}{bell}"), bell, Does::Ring, tower.now()));
    tower.enqueue(&all("1")).await;
    assert_eq!(claim(&tower, 5, "a").await.jobs.len(), 5);
    tower.enqueue(&all("2")).await;
    tower.enqueue(&[ring("3", Does::Ring, tower.now())]).await;
    assert_eq!(ids(&claim(&tower, 1, "b").await), ["3"]);
}

#[tokio::test]
async fn a_failed_job_is_replaced_by_the_waiting_one_which_inherits_its_attempts() {
    let tower = Tower::on(fresh()).await;
    let failed = |now: Timestamp| Outcome::Failed { error: "broken".into(), limit: 2, retry_at: now };
    ring_twice(&tower).await;
    assert!(settle(&tower, "1", "a", failed(tower.now())).await);
    assert_eq!(tower.job("1").await.state, JobState::Done);
    assert_eq!(ids(&claim(&tower, 1, "c").await), ["2"]);
    assert!(settle(&tower, "2", "c", failed(tower.now())).await);
    assert_eq!(tower.job("2").await.state, JobState::Dead, "two attempts have failed");
}

#[tokio::test]
async fn several_jobs_are_renewed_and_settled_at_once_each_under_its_own_lease() {
    let tower = Tower::on(fresh()).await;
    let (queue, now) = (tower.queue(), tower.now());
    let bell = |id: &str, bell| ring_bell(id, bell, Does::Ring, now);
    tower.enqueue(&[bell("1", "tenor"), bell("2", "treble"), ring("3", Does::Ring, now)]).await;
    claim(&tower, 3, "a").await;
    tower.enqueue(&[bell("4", "tenor")]).await;
    let lease = |id: &str, token: &str| (id.to_owned(), token.to_owned());
    let leases = [lease("1", "a"), lease("2", "old"), lease("nobody", "a"), lease("3", "a")];
    assert_eq!(queue.renew(&leases).await.unwrap(), [lease("2", "old"), lease("nobody", "a")]);

    let failed = Outcome::Failed { error: "broken".into(), limit: 3, retry_at: now };
    let ended = [
        ("nobody", "a", Outcome::Done),
        ("3", "a", Outcome::Done),
        ("1", "a", failed.clone()),
        ("2", "old", failed),
    ];
    let ended =
        ended.map(|(id, token, outcome)| Settlement { job_id: id.into(), token: token.into(), outcome });
    let settled = queue.settle(&ended).await.unwrap();
    let states: Vec<_> = settled.iter().map(|one| one.as_ref().ok().map(|job| job.state)).collect();
    assert_eq!(states, [None, Some(JobState::Done), Some(JobState::Done), None]);
    assert_eq!(tower.job("2").await.state, JobState::Running);
    let other = tower.job("4").await;
    assert_eq!((other.state, other.attempts), (JobState::Waiting, 1), "it replaced the first");
}

#[tokio::test]
async fn a_waiting_job_can_be_withdrawn() {
    let tower = Tower::on(fresh()).await;
    tower.enqueue(&[ring_bell("1", "tenor", Does::Ring, tower.now())]).await;
    tower.store.transact(async |tx| tx.withdraw::<Ring>("tenor").await).await.unwrap();
    tower.store.transact(async |tx| tx.withdraw::<Ring>("tenor").await).await.unwrap();
    assert!(claim(&tower, 1, "a").await.jobs.is_empty());
}

#[tokio::test]
async fn a_job_is_stored_only_with_its_transaction() {
    let tower = Tower::on(fresh()).await;
    let job = ring("1", Does::Ring, tower.now());
    let refused = tower.store.transact(async |tx| {
        tx.enqueue(&job).await?;
        Err::<(), _>(StoreError::Busy)
    });
    assert_eq!(refused.await, Err(StoreError::Busy));
    assert!(tower.store.get::<Job>("1").await.unwrap().is_none());
}
