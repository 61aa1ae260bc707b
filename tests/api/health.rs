//! `/health`: is it alive, and can it do its work?

use std::time::Duration;

use serde_json::json;

use crate::support::{TestApp, reaches_all_of};

/// A little longer than an observation is reported again.
const FRESH: Duration = Duration::from_millis(1100);

#[tokio::test(flavor = "multi_thread")]
async fn a_service_without_its_store_is_alive_but_not_ready_and_comes_back_by_itself() {
    let app = TestApp::start().await;
    let (stranger, student) = (app.stranger(), app.student().await);
    assert_eq!(stranger.get("/health/live").await.ok(200), json!({ "status": "live" }));
    let ready = stranger.get("/health/ready").await.ok(200);
    assert_eq!((&ready["status"], &ready["jobs"]), (&json!("ready"), &json!("running")));
    assert!(
        ["withinProcess", "connected"].contains(&ready["signals"].as_str().unwrap_or_default()),
        "{ready}"
    );
    app.take_store_away();
    stranger.get("/health/live").await.ok(200);
    tokio::time::sleep(FRESH).await;
    let not_ready = stranger.get("/health/ready").await;
    not_ready.refused(503, "not-ready");
    assert!(!not_ready.text().contains("table"), "what the store said is for the log");
    let refused = student.get("/v1/me").await;
    refused.refused(503, "unavailable");
    assert_eq!((not_ready.header("retry-after"), refused.header("retry-after")), (Some("5"), Some("5")));
    stranger.get("/v1/event").await.ok(200);
    app.bring_store_back().await;
    student.get("/v1/me").await.ok(200);
    tokio::time::sleep(FRESH).await;
    let ready = stranger.get("/health/ready").await;
    ready.ok(200);
    assert_eq!(ready.header("cache-control"), Some("no-store"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_of_the_health_operations_is_reached() {
    reaches_all_of("Health", async |reach| {
        let app = reach.start().await;
        let stranger = app.stranger();
        for path in ["/health/live", "/health/ready"] {
            stranger.get(path).await.ok(200);
        }
        app.take_store_away();
        tokio::time::sleep(FRESH).await;
        stranger.get("/health/ready").await.refused(503, "not-ready");
        app.bring_store_back().await;
        app.finish().await;
    })
    .await;
}
