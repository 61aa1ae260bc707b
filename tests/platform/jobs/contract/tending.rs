//! Looking after jobs from outside.

use std::time::Duration;

use orientation::platform::jobs::{Count, JobState, Payload, TendError};

use super::fresh;
use crate::jobs::bell::{Does, Ring, Tower, ring, ring_bell};

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_job_is_listed_and_can_be_tried_again_with_all_its_attempts() {
    let mut tower = Tower::on(fresh()).await;
    let _running = tower.workers();
    tower.enqueue(&[ring("1", Does::GiveUp, tower.now())]).await;
    tower.heard().await;
    tower.until("1", JobState::Dead).await;
    tower.later(Duration::from_secs(1));
    tower.enqueue(&[ring("2", Does::GiveUp, tower.now())]).await;
    tower.heard().await;
    tower.until("2", JobState::Dead).await;
    let dead = tower.jobs.dead(None).await.unwrap();
    assert_eq!(dead.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), ["2", "1"]);
    let rest = tower.jobs.dead(dead.first()).await.unwrap();
    assert_eq!(rest.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), ["1"]);
    tower.jobs.retry("1").await.unwrap();
    let again = tower.heard().await;
    assert_eq!((again.job_id.as_str(), again.attempt), ("1", 1));
}

#[tokio::test]
async fn only_what_nobody_works_on_can_be_tended_to() {
    let tower = Tower::on(fresh()).await;
    tower.enqueue(&[ring_bell("1", "tenor", Does::Ring, tower.now())]).await;
    assert_eq!(tower.jobs.retry("1").await.unwrap_err(), TendError::State(JobState::Waiting));
    assert_eq!(tower.jobs.retry("0").await.unwrap_err(), TendError::Unknown);
    assert_eq!(tower.jobs.drop("1").await.unwrap().state, JobState::Done);
    assert_eq!(tower.jobs.drop("1").await.unwrap_err(), TendError::State(JobState::Done));
    tower.enqueue(&[ring_bell("2", "tenor", Does::Ring, tower.now())]).await;
    assert_eq!(tower.job("2").await.state, JobState::Waiting, "what was dropped is in nobody's way");
}

#[tokio::test]
async fn counts_and_the_age_of_the_oldest_are_known() {
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
