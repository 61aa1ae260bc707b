//! The commands for operators.

use std::time::Duration;

use orientation::kernel::Actor;
use orientation::platform::jobs::{ChangeError, Count, JobState, Payload};
use orientation::platform::store::StoreError;

use super::fresh;
use crate::jobs::bell::{Does, Ring, Tower, ring, ring_bell};

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_job_is_listed_and_can_be_retried_with_all_its_attempts() {
    let mut tower = Tower::on(fresh()).await;
    let _running = tower.workers();
    tower.enqueue(&[ring("1", Does::GiveUp, tower.now())]).await;
    tower.heard().await;
    tower.until("1", JobState::Dead).await;
    tower.later(Duration::from_secs(1));
    tower.enqueue(&[ring("2", Does::GiveUp, tower.now())]).await;
    tower.heard().await;
    tower.until("2", JobState::Dead).await;
    let dead = tower.jobs.dead().await.unwrap();
    assert_eq!(dead.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    tower.jobs.retry(&Actor::Operator, "1").await.unwrap();
    let again = tower.heard().await;
    assert_eq!((again.job_id.as_str(), again.attempt), ("1", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_dead_jobs_are_retried_once_and_those_of_one_key_become_one() {
    let mut tower = Tower::on(fresh()).await;
    let mut dead = vec![
        ring_bell("1", "tenor", Does::Ring, tower.now()),
        ring_bell("2", "tenor", Does::Ring, tower.now()),
        ring("3", Does::GiveUp, tower.now()),
    ];
    for job in &mut dead {
        (job.state, job.finished_at, job.waiting_key) = (JobState::Dead, Some(tower.now()), None);
    }
    for job in &dead {
        let put: Result<(), StoreError> = tower.store.transact(async |tx| tx.put(job).await).await;
        put.unwrap();
    }
    assert_eq!(tower.jobs.retry_all(&Actor::Operator).await.unwrap(), 3);
    assert_eq!(tower.job("2").await.state, JobState::Done, "the first one covers it");
    tower.clock.advance(Duration::from_secs(1));
    let _running = tower.workers();
    let heard = [tower.heard().await.job_id, tower.heard().await.job_id];
    assert!(heard.contains(&"1".to_owned()) && heard.contains(&"3".to_owned()), "{heard:?}");
    tower.until("1", JobState::Done).await;
    tower.until("3", JobState::Dead).await;
    assert_eq!(tower.jobs.dead().await.unwrap().len(), 1);
}

#[tokio::test]
async fn running_and_done_jobs_can_not_be_retried_or_dropped() {
    let tower = Tower::on(fresh()).await;
    tower.enqueue(&[ring_bell("1", "tenor", Does::Ring, tower.now())]).await;
    assert_eq!(
        tower.jobs.retry(&Actor::Operator, "1").await.unwrap_err(),
        ChangeError::State(JobState::Waiting)
    );
    assert_eq!(tower.jobs.retry(&Actor::Operator, "0").await.unwrap_err(), ChangeError::Unknown);
    assert_eq!(tower.jobs.drop(&Actor::Operator, "1").await.unwrap().state, JobState::Done);
    assert_eq!(tower.jobs.drop(&Actor::Operator, "1").await.unwrap_err(), ChangeError::State(JobState::Done));
    tower.enqueue(&[ring_bell("2", "tenor", Does::Ring, tower.now())]).await;
    assert_eq!(tower.job("2").await.state, JobState::Waiting, "a dropped job doesn't block another");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_since_the_last_done_job_is_known() {
    let mut tower = Tower::on(fresh()).await;
    assert_eq!(tower.jobs.idle().await.unwrap(), None);
    let _running = tower.workers();
    for id in ["1", "2"] {
        tower.enqueue(&[ring(id, Does::Ring, tower.now())]).await;
        tower.heard().await;
        tower.until(id, JobState::Done).await;
        assert_eq!(tower.jobs.idle().await.unwrap(), Some(Duration::ZERO));
        tower.clock.advance(Duration::from_secs(9));
    }
    tower.enqueue(&[ring("3", Does::GiveUp, tower.now())]).await;
    tower.until("3", JobState::Dead).await;
    assert_eq!(tower.jobs.idle().await.unwrap(), Some(Duration::from_secs(9)), "a dead job was not done");
}

#[tokio::test]
async fn counts_and_the_age_of_the_oldest_job_are_known() {
    let tower = Tower::on(fresh()).await;
    assert_eq!(tower.jobs.oldest_due().await.unwrap(), Duration::ZERO);
    let tomorrow = tower.now().plus(Duration::from_secs(86_400));
    let jobs = [ring("now", Does::Ring, tower.now()), ring("tomorrow", Does::Ring, tower.now()).at(tomorrow)];
    tower.enqueue(&jobs).await;
    tower.clock.advance(Duration::from_secs(7));
    assert_eq!(tower.jobs.oldest_due().await.unwrap(), Duration::from_secs(7));
    let waiting = Count { kind: Ring::KIND.into(), state: JobState::Waiting, jobs: 2 };
    assert_eq!(tower.jobs.counts().await.unwrap(), [waiting]);
}
