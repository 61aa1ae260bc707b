//! `orientation demo` against a service that runs already.

use std::process::Output;

use orientation::config::Event;
use orientation::features::registration::Registration;
use orientation::platform::store::{Filter, Query};

use super::run_program;
use crate::answers;
use crate::support::{PASSWORD, TestApp};

/// Simulates students, with `password` on standard input.
async fn demo(app: &TestApp, options: &[&str], password: &str) -> Output {
    run_program(&[&["demo", "--url", &app.url], options].concat(), password).await
}

fn refusal(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_reads_the_outbox_of_a_rehearsal_for_the_demo() {
    let app = TestApp::start_with(|config| config.rehearsal = true).await;
    let administrator = app.administrator().await;
    let option = ["--students", "2", "--administrator", administrator.email()];
    let output = demo(&app, &option, PASSWORD).await;
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && report.contains("2 students at"), "{output:?}");
    let nobody = refusal(&demo(&app, &[], "").await);
    assert!(nobody.contains("needs an administrator: pass --administrator EMAIL"), "{nobody}");
    let wrong = refusal(&demo(&app, &option, "not the password").await);
    assert!(wrong.contains("--administrator: ") && !wrong.contains("not the password"), "{wrong}");
    let student = app.student().await;
    let student =
        refusal(&demo(&app, &["--students", "2", "--administrator", student.email()], PASSWORD).await);
    assert!(student.contains("needs an administrator"), "{student}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn students_of_a_file_answer_the_questions_of_the_event() {
    let event = Event::parse(answers::EVENT).expect("valid");
    let app = TestApp::start_with(|config| config.event = event).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("students.jsonl");
    let rows: Vec<_> = answers::students().iter().map(ToString::to_string).collect();
    std::fs::write(&file, rows.join("\n")).expect("writable");
    let output = demo(&app, &["--students", "12", "--from", file.to_str().expect("a path")], "").await;
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && report.contains("12 students at"), "{output:?}");
    let stored: Vec<Registration> =
        app.store.find(Query::new(Filter::All).limit(100)).await.expect("readable");
    assert_eq!(stored.iter().filter(|student| student.form.answers.contains_key("arrival")).count(), 4);
    app.finish().await;
}
