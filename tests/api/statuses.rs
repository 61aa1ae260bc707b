//! Every status that the document lists for an operation is reached.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::header::{CONTENT_TYPE, HOST, IF_NONE_MATCH, ORIGIN};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::contract::NO_ID;
use crate::health::FRESH;
use crate::support::document::{Operation, Seen, operation, operations};
use crate::support::stripe::{app_with_secret, event};
use crate::support::{PASSWORD, TestApp, Visitor, form, token_in};
use crate::v1_accounts::{OTHER_PASSWORD, credentials, sign_up_of};
use crate::v1_suppressions::{about, by_ses};

#[tokio::test(flavor = "multi_thread")]
async fn every_status_that_the_document_lists_is_reached() {
    let app = app_with_secret().await;
    let slow = tokio::spawn(bodies_that_do_not_come(app.config.listen.to_string(), app.seen.clone()));
    what_nearly_all_refuse(&app).await;
    accounts(&app).await;
    registration_and_payment(&app).await;
    health_and_event(&app).await;
    let by_ses = TestApp::start_with(|config| config.mail = by_ses()).await;
    let by_outbox = TestApp::start_embedded().await;
    notifications(&by_outbox, &by_ses).await;
    let limited = TestApp::start_with(|config| config.limits = 0.01).await;
    too_many(&limited).await;
    without_a_store(&app).await;
    slow.await.expect("no panic");

    let seen = [&app, &limited, &by_ses, &by_outbox].map(|app| app.seen.all());
    let reached: BTreeSet<_> = seen.into_iter().flatten().collect();
    let listed = operations().iter().flat_map(|o| o.statuses().into_iter().map(|s| (o.id.clone(), s)));
    let missing: Vec<_> = listed.filter(|pair| !reached.contains(pair)).collect();
    assert!(missing.is_empty(), "listed, but never seen: {missing:?}");
    limited.finish().await;
    by_ses.finish().await;
    by_outbox.finish().await;
    app.finish().await;
}

fn ask(visitor: &Visitor, operation: &Operation) -> RequestBuilder {
    visitor.request(operation.method.clone(), &operation.address(NO_ID))
}

fn json_body(request: RequestBuilder, body: impl Into<reqwest::Body>) -> RequestBuilder {
    request.header(CONTENT_TYPE, "application/json").body(body)
}

/// 400, 401, 403, 413, 415, 421 and 422, wherever they are shared.
async fn what_nearly_all_refuse(app: &TestApp) {
    let (stranger, student, leader) = (app.stranger(), app.student().await, app.leader().await);
    let admin = app.administrator().await;
    for operation in operations() {
        let elsewhere = ask(&student, operation).header(HOST, "evil.example");
        student.send(elsewhere).await.refused(421, "unknown-host");
        if operation.needs_session() {
            stranger.send(ask(&stranger, operation)).await.refused(401, "not-signed-in");
        }
        if operation.method != Method::GET && operation.lists(403) && !operation.is_webhook() {
            let foreign = ask(&student, operation).header(ORIGIN, "https://evil.example");
            student.send(foreign).await.refused(403, "foreign-origin");
        } else if operation.right() == Some("student") {
            leader.send(ask(&leader, operation)).await.refused(403, "students-only");
        }
        if operation.takes_body() {
            let wrong = ask(&student, operation).header(CONTENT_TYPE, "text/html").body("{}");
            student.send(wrong).await.refused(415, "wrong-content-type");
            let huge = ask(&student, operation).header(CONTENT_TYPE, operation.media());
            student.send(huge.body("x".repeat(300_000))).await.refused(413, "too-large");
        }
        if operation.takes_body() && operation.lists(422) {
            student.send(json_body(ask(&student, operation), "{")).await.refused(400, "malformed-json");
            student.send(json_body(ask(&student, operation), r#"{"x":1}"#)).await.refused(422, "invalid");
        } else if operation.path.contains('{') {
            let caller =
                if operation.right().is_some_and(|right| right != "student") { &admin } else { &student };
            let wrong = caller.request(operation.method.clone(), &operation.address("%ff"));
            caller.send(wrong).await.refused(400, "bad-parameter");
        }
    }
    student.get("/v1/orders?limit=many").await.refused(400, "bad-parameter");
    let unsigned = json_body(ask(&stranger, operation("receiveStripeEvent")), "{}");
    stranger.send(unsigned).await.refused(400, "webhook-unsigned");
    let long = ask(&stranger, operation("getEvent")).header(IF_NONE_MATCH, "x".repeat(1025));
    stranger.send(long).await.refused(400, "bad-parameter");
}

/// 408 of all operations that take a body, waited for at once.
async fn bodies_that_do_not_come(address: String, seen: Seen) {
    let stalled = operations().iter().filter(|operation| operation.takes_body()).map(|operation| {
        let address = address.clone();
        async move {
            let head = format!(
                "{} {} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{{",
                operation.method, operation.path
            );
            let mut stream = TcpStream::connect(&address).await.expect("it listens");
            stream.write_all(head.as_bytes()).await.expect("taken");
            let mut answer = vec![];
            stream.read_to_end(&mut answer).await.expect("closed");
            let answer = String::from_utf8(answer).expect("text");
            assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("/problems/too-slow"), "{answer}");
            operation
        }
    });
    for operation in futures_util::future::join_all(stalled).await {
        seen.note(&operation.method, &operation.path, 408);
    }
}

async fn accounts(app: &TestApp) {
    let (mut ana, mailbox) = (app.stranger(), app.mailbox("ana@mail.example.edu"));
    let own = credentials("ana@mail.example.edu", PASSWORD);
    ana.post("/v1/accounts", &sign_up_of("ana@mail.example.edu")).await.ok(202);
    let address = json!({ "email": "ana@mail.example.edu" });
    ana.post("/v1/accounts/confirmation", &address).await.ok(202);
    ana.post("/v1/session", &own).await.refused(401, "wrong-credentials");
    once(&ana, "/v1/accounts/confirm", &json!({ "token": mailbox.token("Confirm").await })).await;
    let signed_in = ana.post("/v1/session", &own).await;
    signed_in.ok(200);
    ana.cookie = signed_in.cookie();
    ana.get("/v1/me").await.ok(200);
    ana.patch("/v1/me", &json!({ "preferredName": "Nina" })).await.ok(200);

    let mailbox = app.mailbox("new@mail.example.edu");
    let change = json!({ "currentPassword": PASSWORD, "email": "new@mail.example.edu" });
    ana.put("/v1/me/email", &change).await.ok(202);
    once(&ana, "/v1/me/email/confirm", &json!({ "token": mailbox.token("Confirm").await })).await;
    let change = json!({ "currentPassword": PASSWORD, "email": "taken@mail.example.edu" });
    ana.put("/v1/me/email", &change).await.ok(202);
    let token = app.mailbox("taken@mail.example.edu").token("Confirm").await;
    app.somebody("taken@mail.example.edu", orientation::http::Role::Student, &[]).await;
    ana.post("/v1/me/email/confirm", &json!({ "token": token })).await.refused(409, "address-taken");

    ana.post("/v1/password-resets", &json!({ "email": "new@mail.example.edu" })).await.ok(202);
    let token = mailbox.token("Choose a new password").await;
    let body = json!({ "token": token, "password": "nine velvet tugboats hum" });
    once(&ana, "/v1/password-resets/complete", &body).await;
    let student = app.student().await;
    let body = json!({ "currentPassword": PASSWORD, "newPassword": OTHER_PASSWORD });
    student.put("/v1/me/password", &body).await.ok(204);
    student.delete("/v1/session").await.ok(204);
}

/// An email's link: it works, works no more, and what is no link never does.
async fn once(visitor: &Visitor, path: &str, body: &Value) {
    visitor.post(path, body).await.ok(204);
    visitor.post(path, body).await.refused(410, "token-used");
    let mut nonsense = body.clone();
    nonsense["token"] = "nonsense".into();
    visitor.post(path, &nonsense).await.refused(404, "token-invalid");
}

async fn registration_and_payment(app: &TestApp) {
    let student = app.student().await;
    student.get("/v1/registration").await.refused(404, "no-registration");
    student.patch("/v1/registration", &json!({ "joinsHunt": false })).await.refused(404, "no-registration");
    student.get("/v1/orders").await.ok(200);
    student.get(&format!("/v1/orders/{NO_ID}")).await.refused(404, "no-such-order");
    student.press(&format!("/v1/orders/{NO_ID}/checkout")).await.refused(404, "no-such-order");
    let order = student.post("/v1/registration", &form("ag123456")).await.ok(201)["order"].clone();
    student.post("/v1/registration", &form("ag123456")).await.refused(409, "already-registered");
    student.get("/v1/registration").await.ok(200);
    student.patch("/v1/registration", &json!({ "joinsHunt": false })).await.ok(200);
    let address = format!("/v1/orders/{}", order["id"].as_str().expect("an id"));
    student.get(&address).await.ok(200);
    student.press(&format!("{address}/checkout")).await.ok(200);
    let tickets = ["/v1/ticket", "/v1/ticket.png", "/v1/ticket.svg", "/v1/ticket.pdf"];
    for ticket in tickets {
        student.get(ticket).await.refused(404, "not-registered");
    }
    app.deliver(&event("evt_1", "completed", &order, "paid")).await.ok(200);
    student.press(&format!("{address}/checkout")).await.refused(409, "order-paid");
    for ticket in tickets {
        assert_eq!(student.get(ticket).await.status, 200, "{ticket}");
    }
}

async fn health_and_event(app: &TestApp) {
    let stranger = app.stranger();
    for path in ["/health/live", "/health/ready", "/v1/ticket-keys"] {
        stranger.get(path).await.ok(200);
    }
    let event = stranger.get("/v1/event").await;
    event.ok(200);
    let tag = event.header("etag").expect("a tag");
    let again = ask(&stranger, operation("getEvent")).header(IF_NONE_MATCH, tag);
    assert_eq!(stranger.send(again).await.status, 304);
}

/// What SES tells, of a service whose emails leave by it, and of one whose emails don't; and the list that follows.
async fn notifications(by_outbox: &TestApp, by_ses: &TestApp) {
    by_outbox.notify(&about("m0", "nobody@example.org")).await.refused(404, "ses-not-configured");
    by_ses.notify("{}").await.refused(400, "notification-unreadable");
    by_ses
        .notify(&about("m1", "ana@example.org").replace("m1", "m2"))
        .await
        .refused(403, "notification-signature");
    by_ses.notify(&about("m1", "ana@example.org")).await.ok(200);
    let admin = by_ses.administrator().await;
    let entry = admin.get("/v1/suppressions").await.ok(200)["items"][0]["id"].clone();
    let address = format!("/v1/suppressions/{}", entry.as_str().expect("an id"));
    admin.delete(&address).await.ok(204);
    admin.delete(&address).await.refused(404, "no-such-suppression");
    admin.get("/v1/suppressions?limit=many").await.refused(400, "bad-parameter");
    let student = by_ses.student().await;
    student.get("/v1/suppressions").await.refused(403, "scope-missing");
    by_ses.take_store_away();
    by_ses.notify(&about("m3", "bo@example.org")).await.refused(503, "unavailable");
    by_ses.bring_store_back().await;
}

/// 429: of a service whose limits are a hundredth, so that the second try is one too many.
async fn too_many(app: &TestApp) {
    let student = app.student().await;
    let (guess, email) = ("herons at dawn", "ana@mail.example.edu");
    let password = json!({ "currentPassword": guess, "newPassword": OTHER_PASSWORD });
    let change = json!({ "currentPassword": guess, "email": email });
    let twice: [(&str, Value, u16); 8] = [
        ("register", form("ag123456"), 201),
        ("openCheckout", Value::Null, 404),
        ("signIn", credentials(email, guess), 401),
        ("changePassword", password, 422),
        ("changeEmail", change, 429),
        ("signUp", sign_up_of(email), 202),
        ("resendConfirmation", json!({ "email": email }), 429),
        ("requestPasswordReset", json!({ "email": email }), 429),
    ];
    for (id, body, first) in &twice {
        let send = || student.send(ask(&student, operation(id)).json(body));
        assert_eq!(send().await.status, *first, "{id}");
        let refused = send().await;
        refused.refused(429, "too-many-requests");
        assert!(refused.header("retry-after").is_some(), "{id}");
    }
    let limited: BTreeSet<_> = operations().iter().filter(|o| o.lists(429)).map(|o| o.id.as_str()).collect();
    assert_eq!(limited, twice.iter().map(|(id, ..)| *id).collect());
}

/// 503 of all operations that ask the store, asked at once: a driver looks for its server for some seconds.
async fn without_a_store(app: &TestApp) {
    let student = app.student().await;
    let order = student.post("/v1/registration", &form("bg123456")).await.ok(201)["order"].clone();
    let links = Links::collect(app, &student).await;
    app.take_store_away();
    tokio::time::sleep(FRESH).await;
    let operations = operations().iter().filter(|operation| operation.lists(503));
    join_all(operations.map(async |operation| {
        let body = match operation.id.as_str() {
            "confirmAccount" => Some(json!({ "token": links.confirm })),
            "confirmEmail" => Some(json!({ "token": links.email })),
            "resetPassword" => Some(json!({ "token": links.reset, "password": OTHER_PASSWORD })),
            _ => operation.example(),
        };
        if operation.id == "receiveStripeEvent" {
            let paid = event("evt_2", "completed", &order, "paid");
            app.deliver(&paid).await.refused(503, "unavailable");
            return;
        }
        if operation.id == "receiveSesNotification" {
            return;
        }
        let request = ask(&student, operation);
        let refused = match body {
            Some(body) => student.send(request.json(&body)).await,
            None => student.send(request).await,
        };
        refused.refused(503, if operation.id == "getReadiness" { "not-ready" } else { "unavailable" });
    }))
    .await;
    app.bring_store_back().await;
    student.get("/v1/me").await.ok(200);
}

/// Tokens of links that are good.
struct Links {
    confirm: String,
    email: String,
    reset: String,
}

impl Links {
    async fn collect(app: &TestApp, student: &Visitor) -> Self {
        student.post("/v1/accounts", &sign_up_of("bo@mail.example.edu")).await.ok(202);
        let change = json!({ "currentPassword": PASSWORD, "email": "bo2@mail.example.edu" });
        student.put("/v1/me/email", &change).await.ok(202);
        student.post("/v1/password-resets", &json!({ "email": student.email() })).await.ok(202);
        Self {
            confirm: token_in(&app.mailbox("bo@mail.example.edu").email("Confirm").await),
            email: token_in(&app.mailbox("bo2@mail.example.edu").email("Confirm").await),
            reset: token_in(&app.mailbox(student.email()).email("Choose").await),
        }
    }
}
