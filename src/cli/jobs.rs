//! `orientation jobs`: dead jobs, for operators.

use std::sync::Arc;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};

use super::{Failed, run};
use crate::kernel::{Actor, SystemClock};
use crate::platform::jobs::{ChangeError, Job, JobState, Jobs};
use crate::platform::mail::DroppedEmails;
use crate::platform::store::{Access, StoreError};

/// Prints the dead jobs. The service may be running.
///
/// # Errors
/// If the store can't be opened or read.
pub(super) async fn list() -> Result<(), Failed> {
    println!("{}", report(&jobs().await?).await.map_err(Failed::because)?);
    Ok(())
}

/// Retries these jobs, and prints each.
///
/// # Errors
/// If the store can't be opened, or a job can't be retried. The others are retried all the same.
pub(super) async fn retry(ids: &[String]) -> Result<(), Failed> {
    let (jobs, mut report) = (jobs().await?, Report::default());
    for id in ids {
        report.note(id, jobs.retry(&Actor::Operator, id).await);
    }
    report.end()
}

/// Retries all dead jobs, and prints their number.
///
/// # Errors
/// If the store can't be opened or fails.
pub(super) async fn retry_all() -> Result<(), Failed> {
    println!(
        "Jobs to be retried: {}.",
        jobs().await?.retry_all(&Actor::Operator).await.map_err(Failed::because)?
    );
    Ok(())
}

/// Deletes these jobs, and prints each.
///
/// # Errors
/// If the store can't be opened, or a job can't be dropped. The others are dropped all the same.
pub(super) async fn drop(ids: &[String]) -> Result<(), Failed> {
    let (jobs, mut report) = (jobs().await?, Report::default());
    for id in ids {
        report.note(id, jobs.drop(&Actor::Operator, id).await);
    }
    report.end()
}

/// The jobs of the configured store. Running workers find retried jobs within a second.
async fn jobs() -> Result<Jobs, Failed> {
    let app = run::assemble(run::configuration()?, Access::Beside).await?;
    Ok(Jobs::new(app.store, Arc::new(SystemClock)).calling(Arc::new(DroppedEmails)))
}

async fn report(jobs: &Jobs) -> Result<String, StoreError> {
    let dead = jobs.dead().await?;
    let all: u64 = jobs.counts_in(&[JobState::Dead]).await?.iter().map(|count| count.jobs).sum();
    Ok(match dead.len() {
        0 => "There are no dead jobs.".to_owned(),
        shown if (shown as u64) < all => {
            format!("{}\nDead jobs: {all}; the oldest {shown} are shown.", table(&dead))
        }
        shown => format!("{}\nDead jobs: {shown}.", table(&dead)),
    })
}

fn table(dead: &[Job]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["id", "kind", "died", "attempts", "last error"]);
    for job in dead {
        let died = job.finished_at.map(|time| time.rfc3339()).unwrap_or_default();
        // The text may come from another server. Control characters could move the cursor.
        let error = job.error.as_deref().unwrap_or_default().replace(char::is_control, " ");
        table.add_row([&job.id, &job.kind, &died, &job.attempts.to_string(), &error]);
    }
    // People copy ids, so an id is not wrapped.
    if let Some(ids) = table.column_mut(0) {
        ids.set_constraint(ColumnConstraint::ContentWidth);
    }
    table
}

/// Collects the errors of several jobs, so that one does not stop the others.
#[derive(Default)]
struct Report {
    failed: Vec<String>,
}

impl Report {
    fn note(&mut self, id: &str, report: Result<Job, ChangeError>) {
        match report {
            Ok(job) => println!("{id}: {}", in_words(&job)),
            Err(error) => self.failed.push(format!("{id}: {error}")),
        }
    }

    fn end(self) -> Result<(), Failed> {
        if self.failed.is_empty() { Ok(()) } else { Err(Failed(self.failed.join("; "))) }
    }
}

fn in_words(job: &Job) -> &str {
    match (job.state, job.error.as_deref()) {
        (JobState::Done, Some(why)) => why,
        _ => "will be retried",
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::kernel::Timestamp;
    use crate::platform::audit;
    use crate::platform::jobs::{self, JOB_DROPPED, JOB_RETRIED, Payload};
    use crate::platform::store::testing::TestStore;

    #[derive(Serialize, Deserialize)]
    struct Ring {}

    impl Payload for Ring {
        const KIND: &'static str = "bell.ring";
    }

    fn dead(number: usize) -> Job {
        let died = Timestamp::from_millis(1_788_246_000_000 + 1000 * number as i64);
        Job {
            state: JobState::Dead,
            attempts: 12,
            finished_at: Some(died),
            error: Some("no\u{1b}[2Jbell".into()),
            ..Job::new(format!("ring:{number:03}"), &Ring {}, died)
        }
    }

    async fn with(dead: &[Job]) -> (TestStore, Jobs) {
        let store = TestStore::with(&[jobs::schemas(), audit::schemas()].concat()).await;
        let put: Result<(), StoreError> = store
            .transact(async |tx| {
                for job in dead {
                    tx.put(job).await?;
                }
                Ok(())
            })
            .await;
        put.unwrap();
        let jobs = Jobs::new(store.clone(), Arc::new(SystemClock));
        (store, jobs)
    }

    #[tokio::test]
    async fn dead_jobs_are_listed_with_kind_time_attempts_and_error() {
        let (_store, jobs) = with(&[dead(0)]).await;
        let said = report(&jobs).await.unwrap();
        for word in ["ring:000", "bell.ring", "2026-09-01T07:00:00.000Z", "12", "no [2Jbell"] {
            assert!(said.contains(word), "{word} in {said}");
        }
        assert!(said.ends_with("\nDead jobs: 1."), "{said}");
        jobs.retry(&Actor::Operator, "ring:000").await.unwrap();
        assert_eq!(report(&jobs).await.unwrap(), "There are no dead jobs.");
    }

    #[tokio::test]
    async fn each_change_names_the_operator_in_the_audit_trail() {
        let (store, jobs) = with(&[dead(1), dead(2), dead(3)]).await;
        jobs.retry(&Actor::Operator, "ring:001").await.unwrap();
        jobs.drop(&Actor::Operator, "ring:002").await.unwrap();
        assert_eq!(jobs.retry_all(&Actor::Operator).await.unwrap(), 1);
        jobs.drop(&Actor::Operator, "ring:002").await.unwrap_err();
        jobs.retry(&Actor::Operator, "ring:000").await.unwrap_err();
        let entry = |action, id: &str| (Actor::Operator, action, Some(id.to_owned()));
        assert_eq!(
            audit::testing::trail(&store).await,
            [entry(JOB_RETRIED, "ring:001"), entry(JOB_DROPPED, "ring:002"), entry(JOB_RETRIED, "ring:003"),]
        );
    }

    #[tokio::test]
    async fn a_long_list_shows_the_oldest_and_the_total() {
        let all: Vec<_> = (0..203).map(dead).collect();
        let (_store, jobs) = with(&all).await;
        let said = report(&jobs).await.unwrap();
        assert!(said.ends_with("\nDead jobs: 203; the oldest 200 are shown."), "{said}");
        assert!(said.contains("ring:199") && !said.contains("ring:200"), "{said}");
        assert_eq!(jobs.retry_all(&Actor::Operator).await.unwrap(), 203);
    }

    #[tokio::test]
    async fn a_job_that_fails_is_reported_at_the_end_and_stops_no_other() {
        let (_store, jobs) = with(&[dead(1), dead(2)]).await;
        let mut report = Report::default();
        for id in ["ring:001", "ring:000", "ring:002"] {
            report.note(id, jobs.retry(&Actor::Operator, id).await);
        }
        report.note("ring:002", jobs.retry(&Actor::Operator, "ring:002").await);
        let said = report.end().unwrap_err().to_string();
        assert_eq!(said, "ring:000: there is no such job; ring:002: the job is waiting");
        let dropped = jobs.drop(&Actor::Operator, "ring:002").await.unwrap();
        assert_eq!(in_words(&dropped), "dropped by an administrator");
        assert_eq!(in_words(&jobs.get("ring:001").await.unwrap().unwrap()), "will be retried");
    }
}
