//! `/v1/reports/daily`: the report, and the email with it.

use std::sync::Arc;
use std::time::Duration;

use orientation::app::App;
use orientation::features::reports::DailyReport;
use orientation::kernel::{Clock, EmailAddress, Ids, RandomIds, Right, Scope, Timestamp};
use orientation::platform::jobs::TOPIC;
use orientation::platform::store::{Access, Filter, Query, StoreError};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::support::{PATIENCE, TestApp, on_real_parts, reaches_all_of};

const DAY: Duration = Duration::from_secs(24 * 3600);

impl TestApp {
    async fn reports(&self) -> Vec<DailyReport> {
        self.store.find(Query::new(Filter::All)).await.expect("readable")
    }

    /// Lets the workers look at the clock.
    async fn wake(&self) {
        let woken: Result<(), StoreError> = self
            .store
            .transact(async |tx| {
                tx.note(TOPIC).await;
                Ok(())
            })
            .await;
        woken.expect("the store works");
    }

    /// Waits for reports, and until they are sent.
    async fn reported(&self, are_there: impl Fn(&[DailyReport]) -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !are_there(&self.reports().await) {
            assert!(tokio::time::Instant::now() < deadline, "no report");
            // The service's workers make it: there is no event to wait for from outside.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.settle().await;
    }

    /// Lets a day pass, and waits for its report.
    async fn next_report(&self) -> String {
        let count = self.reports().await.len();
        self.clock.advance(DAY);
        self.wake().await;
        self.reported(|reports| reports.len() > count).await;
        self.reports().await.pop().expect("just made").id
    }
}

/// Moves to the next day, an hour or two after 09:00 in Toronto, and waits for that day's report. It needs an account that
/// is older.
async fn at_ten(app: &TestApp) -> String {
    app.leader().await;
    let tomorrow = app.clock.now().plus(DAY).to_utc().date_naive().to_string();
    app.clock.set(Timestamp::parse(&format!("{tomorrow}T15:00:00Z")).expect("a time"));
    app.wake().await;
    app.reported(|reports| reports.iter().any(|report| report.id == tomorrow)).await;
    tomorrow
}

async fn committee(recipients: &[&str]) -> (TestApp, String) {
    let recipients = recipients.iter().map(|to| EmailAddress::parse(to).expect("an address")).collect();
    let app = TestApp::start_with(|config| config.event.report_recipients = recipients).await;
    let first = at_ten(&app).await;
    (app, first)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_counts_students_and_money_and_shows_what_has_changed() {
    let to = [format!("a{}@example.org", RandomIds.next()), format!("b{}@example.org", RandomIds.next())];
    let (app, first) = committee(&[&to[0], &to[1]]).await;
    app.registered().await;
    let second = app.next_report().await;
    let reader = app.leader_with([Right::Scope(Scope::AccountsRead)]).await;
    let report = reader.get("/v1/reports/daily").await.ok(200);
    assert_eq!((&report["date"], &report["comparedWith"]), (&json!(second), &json!(first)));
    let total = &report["total"];
    assert_eq!(
        *total,
        json!({ "students": { "count": 1, "change": 1 }, "registered": { "count": 1, "change": 1 } })
    );
    let ticket = &report["products"][0];
    assert_eq!((&ticket["product"], &ticket["sold"]["count"]), (&json!("orientation"), &json!(1)));
    assert_eq!(ticket["paid"]["amount"], json!({ "amount": 13_000, "currency": "CAD" }));

    let (student, _) = app.submitted().await;
    let third = app.next_report().await;
    let report = reader.get(&format!("/v1/reports/daily?date={third}")).await.ok(200);
    assert_eq!((&report["date"], &report["comparedWith"]), (&json!(third), &json!(second)));
    assert_eq!(report["total"]["students"], json!({ "count": 2, "change": 1 }));
    assert_eq!(report["total"]["registered"], json!({ "count": 1, "change": 0 }));
    for list in ["pronouns", "disciplines"] {
        let answers = report[list].as_array().expect("a list");
        let sum: u64 =
            answers.iter().map(|answer| answer["students"]["count"].as_u64().expect("a count")).sum();
        assert_eq!(sum, 2, "{list}");
    }
    assert!(
        !report.to_string().contains(student.email()) && !report.to_string().contains("García"),
        "{report}"
    );
    assert_eq!(reader.get("/v1/reports/daily").await.ok(200), report);

    for to in &to {
        let emails = app.mailbox(to).emails().await;
        assert_eq!(emails.len(), app.reports().await.len(), "{to}");
        let text = emails[0]["text"].as_str().expect("a text");
        assert!(text.contains("Students") && text.contains("+1"), "{text}");
        let [chart] = &emails[0]["attachments"].as_array().expect("a list")[..] else { panic!("one file") };
        assert_eq!((&chart["name"], &chart["type"]), (&json!("chart.png"), &json!("image/png")));
        assert!(app.mailbox(to).file(chart).await.starts_with(&[0x89, b'P', b'N', b'G']));
        // The double of SES puts images into the HTML.
        let html = emails[0]["html"].as_str().expect("HTML");
        assert!(
            ["cid:chart", "data:image/png;base64,"].iter().any(|src| html.contains(&format!("src=\"{src}")))
        );
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_processes_make_one_report_a_day() {
    let to = format!("{}@example.org", RandomIds.next());
    let (app, _) = committee(&[&to]).await;
    let mut others = vec![];
    // One process has the embedded store.
    for _ in 0..if on_real_parts() { 2 } else { 0 } {
        let clock: Arc<dyn Clock> = app.clock.clone();
        let other = App::assemble(app.config.clone(), Access::Serving, clock, Arc::new(RandomIds)).await;
        let other = other.expect("it starts");
        let (stop, stopped) = oneshot::channel::<()>();
        let working = tokio::spawn(other.work(async move { stopped.await.unwrap_or_default() }));
        others.push((stop, working));
    }
    let before = app.reports().await.len();
    for day in 1..=3 {
        app.next_report().await;
        assert_eq!(app.reports().await.len(), before + day);
    }
    for (stop, working) in others {
        let _ = stop.send(());
        working.await.expect("it ends without a panic");
    }
    assert_eq!(app.mailbox(&to).emails().await.len(), app.reports().await.len());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_of_the_report_operation_is_reached() {
    reaches_all_of("Reports", async |reach| {
        let app = reach.start().await;
        let date = at_ten(&app).await;
        let admin = app.administrator().await;
        let report: Value = admin.get("/v1/reports/daily").await.ok(200);
        assert_eq!(report["date"], date);
        admin.get("/v1/reports/daily?date=2020-01-01").await.refused(404, "no-such-report");
        for date in ["yesterday", "2026-02-30", "20260201", ""] {
            admin.get(&format!("/v1/reports/daily?date={date}")).await.refused(400, "bad-parameter");
        }
        reach.without_a_store(&app, &admin, &[]).await;
        app.finish().await;
    })
    .await;
}
