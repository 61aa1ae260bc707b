//! `orientation demo`: students on the whole way, from signing up to the ticket in the outbox.
//!
//! It knows the service as a browser does, by its addresses alone, so that it can be sent against any sandbox.

mod journey;
mod report;
mod students;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use url::Url;

use self::journey::Visitor;
use self::report::Report;
use super::{DemoOptions, Failed, run};

/// How long a student waits for a letter before giving up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends the students and prints what happened.
///
/// # Errors
/// If the service can't be started or is no sandbox, if the file can't be read, or if somebody didn't get through.
pub(super) async fn run(options: DemoOptions) -> Result<(), Failed> {
    let students = match &options.from {
        Some(file) => students::from_file(file, options.students)?,
        None => students::made_up(options.students.unwrap_or(students::DEFAULT)),
    };
    match &options.url {
        Some(url) => send(students, url.clone(), options.at_once).await,
        None => {
            let own = run::start_temporary_service(options.keep).await?;
            let sent = send(students, own.url.clone(), options.at_once).await;
            own.end().await;
            sent
        }
    }
}

async fn send(students: Vec<students::Student>, url: Url, at_once: u32) -> Result<(), Failed> {
    let visitor = Arc::new(Visitor::new(url.clone())?);
    visitor.is_at_a_sandbox().await?;
    println!("{} students on their way at {url}", students.len());
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
        n => Err(Failed(format!("{n} students did not get through"))),
    }
}
