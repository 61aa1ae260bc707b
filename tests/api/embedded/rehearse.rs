//! `orientation rehearse`, against a service that runs already and on a temporary one.

use std::process::Output;

use orientation::features::payments::Stock;

use super::run_program;
use crate::support::{PASSWORD, TestApp};

async fn rehearse(app: &TestApp, administrator: &str, options: &[&str]) -> Output {
    let service = ["rehearse", "--url", &app.url, "--administrator", administrator, "--within", "0"];
    run_program(&[&service, options].concat(), PASSWORD).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_sells_every_place_once() {
    let app = TestApp::start_with(|config| config.rehearsal = true).await;
    let administrator = app.administrator().await;
    let output =
        rehearse(&app, administrator.email(), &["--buyers", "12", "--places", "4", "--seed", "3"]).await;
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(report.matches("✓ ").count(), 7, "{report}");
    let stock: Stock = app.store.get("retreat").await.expect("readable").expect("it has been sold");
    assert_eq!(stock.capacity, 4, "{report}");
    assert!(stock.sold > 0 && stock.held + stock.sold <= 4, "{stock:?} {report}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_is_not_sold_is_named() {
    let app = TestApp::start_with(|config| config.rehearsal = true).await;
    let administrator = app.administrator().await;
    let output = rehearse(&app, administrator.email(), &["--product", "shirt"]).await;
    let reason = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && reason.contains("no product with this id"), "{output:?}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_without_a_url_starts_a_service() {
    let output = run_program(&["rehearse", "--buyers", "6", "--places", "2", "--within", "0"], "").await;
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(report.contains("6 buyers of 2 places") && report.matches("✓ ").count() == 7, "{report}");
}
