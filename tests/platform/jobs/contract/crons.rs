//! Cron jobs.

use std::time::Duration;

use orientation::kernel::Timestamp;
use orientation::platform::jobs::{Cron, Crons, Job, JobState, Payload};
use orientation::platform::store::{Filter, Query};

use super::fresh;
use crate::jobs::bell::{Does, Ring, Tower};

const HOUR: Duration = Duration::from_secs(3600);

/// At 09:00 in Toronto, where it is 03:00 (-04:00) when a tower's clock starts.
fn at_nine() -> Crons {
    let morning = Cron::new("0 9 * * *", |_| Ring { bell: None, does: Does::Ring });
    Crons::new(chrono_tz::America::Toronto, [morning])
}

async fn ticks(tower: &Tower) -> Vec<Job> {
    tower.store.find::<Job>(Query::new(Filter::eq("kind", Ring::KIND))).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_processes_enqueue_one_job_per_tick() {
    let mut tower = Tower::on(fresh()).await;
    let workers: Vec<_> = (0..10).map(|_| tower.workers_with(at_nine())).collect();
    let nine = tower.now().plus(HOUR * 6);
    tower.later(HOUR * 6);
    let run = tower.heard().await;
    assert_eq!(run.job_id, format!("cron:{}:{nine}", Ring::KIND));
    tower.until(&run.job_id, JobState::Done).await;
    tower.later(HOUR);
    for running in workers {
        running.drain(Duration::from_secs(5)).await;
    }
    assert!(!tower.heard_more());
    assert_eq!(ticks(&tower).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missed_tick_runs_once_late() {
    let mut tower = Tower::on(fresh()).await;
    tower.clock.advance(HOUR * 12);
    let first = tower.workers_with(at_nine());
    tower.heard().await;
    first.drain(Duration::from_secs(5)).await;
    let second = tower.workers_with(at_nine());
    tower.later(HOUR);
    second.drain(Duration::from_secs(5)).await;
    assert!(!tower.heard_more(), "the tick is known already");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missed_tick_does_not_run_the_next_day() {
    let mut tower = Tower::on(fresh()).await;
    tower.clock.advance(HOUR * 21);
    let running = tower.workers_with(at_nine());
    let sweep = format!("cron:jobs.sweep:{}", minute_23(tower.now().minus(HOUR)));
    // It is just past midnight in Toronto: not even the sweep of 23:23 is made up for.
    tower.later(Duration::from_secs(23 * 60));
    let first = format!("cron:jobs.sweep:{}", minute_23(tower.now()));
    while tower.jobs.get(&first).await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    running.drain(Duration::from_secs(5)).await;
    assert!(tower.jobs.get(&sweep).await.unwrap().is_none());
    assert!(!tower.heard_more());
    assert!(ticks(&tower).await.is_empty());
}

fn minute_23(time: Timestamp) -> Timestamp {
    Timestamp::from_millis(time.as_millis().div_euclid(3_600_000) * 3_600_000 + 23 * 60_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn done_jobs_are_deleted_after_a_day_and_dead_jobs_are_kept() {
    let tower = Tower::on(fresh()).await;
    let jobs = [("done", Does::Ring), ("dead", Does::GiveUp)];
    tower.enqueue(&jobs.map(|(id, does)| crate::jobs::bell::ring(id, does, tower.now()))).await;
    let _running = tower.workers();
    tower.until("done", JobState::Done).await;
    tower.until("dead", JobState::Dead).await;
    tower.later(HOUR * 27);
    while tower.jobs.get("done").await.unwrap().is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(tower.job("dead").await.state, JobState::Dead);
}
