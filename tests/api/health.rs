//! `/health`: liveness and readiness.

use std::time::Duration;

use serde_json::json;

use crate::support::{TestApp, reaches_all_of};

/// A little longer than a measurement is reused.
const FRESH: Duration = Duration::from_millis(1100);

#[tokio::test(flavor = "multi_thread")]
async fn without_its_store_the_service_is_live_but_not_ready_until_the_store_is_back() {
    let app = TestApp::start().await;
    let (anonymous, student) = (app.anonymous(), app.student().await);
    assert_eq!(anonymous.get("/health/live").await.ok(200), json!({ "status": "live" }));
    let ready = anonymous.get("/health/ready").await.ok(200);
    assert_eq!((&ready["status"], &ready["jobs"]), (&json!("ready"), &json!("running")));
    assert!(
        ["withinProcess", "connected"].contains(&ready["signals"].as_str().unwrap_or_default()),
        "{ready}"
    );
    app.take_store_away();
    anonymous.get("/health/live").await.ok(200);
    tokio::time::sleep(FRESH).await;
    let not_ready = anonymous.get("/health/ready").await;
    not_ready.refused(503, "not-ready");
    assert!(!not_ready.text().contains("table"), "the store's error is for the log only");
    let refused = student.get("/v1/me").await;
    refused.refused(503, "unavailable");
    assert_eq!((not_ready.header("retry-after"), refused.header("retry-after")), (Some("5"), Some("5")));
    anonymous.get("/v1/event").await.ok(200);
    app.bring_store_back().await;
    student.get("/v1/me").await.ok(200);
    tokio::time::sleep(FRESH).await;
    let ready = anonymous.get("/health/ready").await;
    ready.ok(200);
    assert_eq!(ready.header("cache-control"), Some("no-store"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_of_the_health_operations_is_reached() {
    reaches_all_of("Health", async |reach| {
        let app = reach.start().await;
        let anonymous = app.anonymous();
        for path in ["/health/live", "/health/ready"] {
            anonymous.get(path).await.ok(200);
        }
        app.take_store_away();
        tokio::time::sleep(FRESH).await;
        anonymous.get("/health/ready").await.refused(503, "not-ready");
        app.bring_store_back().await;
        app.finish().await;
    })
    .await;
}
