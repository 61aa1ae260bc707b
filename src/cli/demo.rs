//! `orientation demo`: simulates students from sign-up to the ticket in the outbox.
//!
//! It uses the service as a browser does, through its URLs only, so it works with any sandbox.

pub(super) mod journey;
mod report;
pub(super) mod students;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};

use self::journey::Visitor;
use self::report::Report;
use super::{DemoOptions, Failed, admin, run};

/// How long a student waits for an email before giving up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the students and prints a report.
///
/// # Errors
/// If the service can't be started or has no sandbox, if the file can't be read, if the administrator can't sign in, or if a
/// student failed.
pub(super) async fn run(options: DemoOptions) -> Result<(), Failed> {
    let students = match &options.from {
        Some(file) => students::from_file(file, options.students)?,
        None => students::made_up(options.students.unwrap_or(students::DEFAULT)),
    };
    match &options.url {
        Some(url) => {
            let visitor = Visitor::new(url.clone())?;
            if let Some(email) = &options.administrator {
                visitor.sign_in_administrator(email, &admin::password("Administrator's password: ")?).await?;
            }
            send(students, visitor, options.at_once).await
        }
        None => {
            let own = run::start_temporary_service(options.keep, |_| Ok(())).await?;
            let sent = send(students, Visitor::new(own.url.clone())?, options.at_once).await;
            own.end().await;
            sent
        }
    }
}

async fn send(students: Vec<students::Student>, visitor: Visitor, at_once: u32) -> Result<(), Failed> {
    let visitor = Arc::new(visitor);
    visitor.requires_a_sandbox().await?;
    println!("{} students at {}", students.len(), visitor.service());
    let bar = ProgressBar::new(students.len() as u64).with_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} students, {per_sec}, {eta} left")
            .expect("the template is right"),
    );
    let began = Instant::now();
    let outcomes: Vec<_> = futures_util::stream::iter(students)
        .map(|student| {
            let (visitor, bar) = (visitor.clone(), bar.clone());
            async move {
                let outcome = visitor.walk(&student, PATIENCE).await;
                bar.inc(1);
                outcome
            }
        })
        .buffer_unordered(at_once as usize)
        .collect()
        .await;
    bar.finish_and_clear();
    let report = Report::of(outcomes, visitor.requests(), began.elapsed());
    println!("{report}");
    match report.failures() {
        0 => Ok(()),
        n => Err(Failed(format!("{n} students failed"))),
    }
}
