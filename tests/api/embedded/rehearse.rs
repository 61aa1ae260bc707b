//! `orientation rehearse` against a service that runs already.

use std::process::{Output, Stdio};

use orientation::features::payments::Stock;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::support::{PASSWORD, TestApp};

async fn rehearse(app: &TestApp, administrator: &str, options: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_orientation"))
        .args(["rehearse", "--url", &app.url, "--administrator", administrator, "--within", "0"])
        .args(options)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the program is built");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(format!("{PASSWORD}\n").as_bytes()).await.expect("it reads the password");
    drop(input);
    child.wait_with_output().await.expect("it ends")
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
