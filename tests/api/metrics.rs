//! The metrics, as Prometheus reads them.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use orientation::kernel::Clock;
use orientation::platform::jobs::Job;
use orientation::platform::mail::SendMail;
use orientation::platform::metrics::ALL;
use orientation::platform::store::StoreError;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::{PASSWORD, TestApp, Visitor, form};

/// An unused port of this machine.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

/// A service that publishes metrics, and a client that reads them.
async fn measured() -> (TestApp, Visitor) {
    let address = free_address();
    let app = TestApp::start_with(|config| config.metrics_listen = Some(address)).await;
    (app, Visitor::new(&format!("http://{address}")))
}

async fn text(reader: &Visitor) -> String {
    let answer = reader.get("/metrics").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    answer.text()
}

/// The value of one series, if it is there.
fn value(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map(|value| value.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_by_operation_and_status() {
    let (app, reader) = measured().await;
    let anonymous = app.anonymous();
    let wrong = json!({ "email": "nobody@mail.example.edu", "password": "hairy wombats at dusk" });
    for _ in 0..2 {
        anonymous.post("/v1/session", &wrong).await.refused(401, "wrong-credentials");
    }
    anonymous.get("/health/live").await.ok(200);
    let text = text(&reader).await;
    let requests = |operation, status| {
        value(
            &text,
            &format!("orientation_http_requests_total{{operation=\"{operation}\",status=\"{status}\"}}"),
        )
    };
    assert_eq!(requests("signIn", 401), Some(2.0), "{text}");
    assert_eq!(requests("signIn", 200), None);
    assert_eq!(requests("getHealth", 200), Some(1.0));
    let timed = "orientation_http_request_duration_seconds_count{operation=\"signIn\"}";
    assert_eq!(value(&text, timed), Some(2.0));
    assert_eq!(value(&text, "orientation_http_requests_in_flight"), Some(0.0));
    assert!(value(&text, "orientation_http_connections").is_some_and(|open| open >= 1.0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anonymous_client_adds_no_labels() {
    let (app, reader) = measured().await;
    let anonymous = app.anonymous();
    for i in 0..50 {
        anonymous.get(&format!("/v1/wombats/{i}?token=wombat")).await;
        anonymous.get(&format!("/wombat-{i}")).await;
        anonymous.get(&format!("/v1/orders/wombat-{i}")).await;
        let method = Method::from_bytes(format!("WOMBAT{i}").as_bytes()).expect("a method");
        anonymous.send(anonymous.request(method, "/v1/session")).await;
    }
    let text = text(&reader).await;
    assert!(!text.to_lowercase().contains("wombat"), "{text}");
    assert_eq!(
        value(&text, "orientation_http_requests_total{operation=\"none\",status=\"404\"}"),
        Some(100.0)
    );
    let series = text.lines().filter(|line| line.starts_with("orientation_http_requests_total{"));
    assert!(series.count() <= 5, "{text}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_listener_serves_nothing_else_and_the_service_no_metrics() {
    let (app, reader) = measured().await;
    for path in ["/", "/docs", "/metrics/", "/metrics/jobs", "/openapi.json"] {
        assert_eq!(reader.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(reader.press("/metrics").await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(app.anonymous().get("/metrics").await.status, StatusCode::NOT_FOUND);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_published_without_personal_data() {
    let (app, reader) = measured().await;
    let (mut way, email) = (app.anonymous(), "Pangolin.Aardvark@mail.example.edu");
    let mailbox = app.mailbox(email);
    let sign_up = json!({ "email": email, "password": PASSWORD, "firstName": "Pangolina",
        "lastName": "Aardvarkova" });
    way.post("/v1/accounts", &sign_up).await.ok(202);
    let token = mailbox.token("Confirm").await;
    way.get(&format!("/confirm?token={token}")).await;
    way.post("/v1/accounts/confirm", &json!({ "token": token })).await;
    let signed_in = way.post("/v1/session", &json!({ "email": email, "password": PASSWORD })).await;
    way.cookie = signed_in.cookie();
    let order = way.post("/v1/registration", &form("pangol1n9")).await.ok(201)["order"].clone();
    way.order(&order).await;
    way.press_button(&order, "pay").await;
    app.settle().await;
    let later = app.clock.now().plus(Duration::from_secs(3600));
    let job = Job::new("pangolin:1".into(), &SendMail { mail: "pangolin".into() }, later);
    let waits: Result<(), StoreError> = app.store.transact(async |tx| tx.enqueue(&job).await).await;
    waits.expect("written");

    let text = text(&reader).await;
    for metric in ALL {
        let typed = format!("# TYPE {} {}", metric.name, metric.kind.as_str());
        assert!(text.lines().any(|line| line == typed), "{typed}\n{text}");
    }
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().expect("a name");
        assert!(ALL.iter().any(|metric| metric.name == name), "{name} is not documented");
    }
    assert_eq!(value(&text, "orientation_gateway_calls_total{method=\"open\",outcome=\"done\"}"), Some(1.0));
    assert!(value(&text, "orientation_mail_sends_total{outcome=\"sent\"}").is_some_and(|taken| taken >= 2.0));
    let (order, account) = (order["id"].as_str().expect("an id"), way.cookie.clone().expect("signed in"));
    let personal =
        ["pangol", "aardvark", "garc", "5062345678", "example", "/v1/", "?", "@", &token, order, &account];
    let values =
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_lowercase).collect::<Vec<_>>();
    for word in personal.map(str::to_lowercase) {
        assert!(!values.iter().any(|line| line.contains(word.as_str())), "{word}\n{text}");
    }
    app.finish().await;
}
