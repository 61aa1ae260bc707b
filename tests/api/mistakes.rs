//! Mistakes of the reference implementation, by their number in its list, that this service must not repeat.

use std::time::Duration;

use serde_json::json;

use crate::support::stripe::{app_with_secret, event};
use crate::support::{PASSWORD, TestApp, form};
use crate::v1_accounts::{OTHER_PASSWORD, credentials, sign_up_of};

#[tokio::test(flavor = "multi_thread")]
async fn mistake_1_protected_properties_of_an_account_cannot_be_written() {
    let app = TestApp::start().await;
    for visitor in [app.student().await, app.leader().await] {
        let before = visitor.get("/v1/me").await.ok(200);
        let protected =
            ["approved", "createdAt", "email", "id", "passwordHash", "password_hash", "role", "scopes"];
        for property in protected {
            let answer = visitor.patch("/v1/me", &json!({ property: ["admin:all"], "firstName": "X" })).await;
            assert_eq!(answer.errors(), [(format!("/{property}"), "unknown-property".into())]);
        }
        assert_eq!(visitor.get("/v1/me").await.ok(200), before);
    }
    let mut body = sign_up_of("ana@mail.example.edu");
    body["scopes"] = json!(["admin:all"]);
    let errors = app.anonymous().post("/v1/accounts", &body).await.errors();
    assert_eq!(errors, [("/scopes".into(), "unknown-property".into())]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mistake_2_a_session_changes_its_own_account_only() {
    let app = TestApp::start().await;
    let (victim, mallory, anonymous) = (app.student().await, app.student().await, app.anonymous());
    let names = json!({ "firstName": "Mallory" });
    anonymous.patch("/v1/me", &names).await.refused(401, "not-signed-in");
    let password = json!({ "currentPassword": PASSWORD, "newPassword": OTHER_PASSWORD });
    anonymous.put("/v1/me/password", &password).await.refused(401, "not-signed-in");
    let email = json!({ "currentPassword": PASSWORD, "email": "new@mail.example.edu" });
    anonymous.put("/v1/me/email", &email).await.refused(401, "not-signed-in");
    for property in ["id", "email", "accountId"] {
        let value = if property == "email" { victim.email() } else { &victim.account().id };
        let body = json!({ "firstName": "Mallory", property: value });
        assert_eq!(mallory.patch("/v1/me", &body).await.errors()[0].1, "unknown-property");
    }
    mallory.patch("/v1/me", &names).await.ok(200);
    assert_eq!(victim.get("/v1/me").await.ok(200)["firstName"], "Ana");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mistake_5_confirmations_expire_and_resets_succeed() {
    let app = TestApp::start().await;
    let (ana, mailbox) = (app.anonymous(), app.mailbox("ana@mail.example.edu"));
    ana.post("/v1/accounts", &sign_up_of("ana@mail.example.edu")).await.ok(202);
    let token = mailbox.token("Confirm").await;
    app.settle().await;
    app.clock.advance(Duration::from_hours(25));
    ana.post("/v1/accounts/confirm", &json!({ "token": token })).await.refused(410, "token-expired");

    let student = app.student().await;
    ana.post("/v1/password-resets", &json!({ "email": student.email() })).await.ok(202);
    let token = app.mailbox(student.email()).token("Choose a new password").await;
    let body = json!({ "token": token, "password": OTHER_PASSWORD });
    ana.post("/v1/password-resets/complete", &body).await.ok(204);
    ana.post("/v1/session", &credentials(student.email(), OTHER_PASSWORD)).await.ok(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mistake_6_a_repeated_event_changes_nothing() {
    let app = app_with_secret().await;
    let student = app.student().await;
    let order = student.post("/v1/registration", &form("ag123456")).await.ok(201)["order"].clone();
    let event = event("evt_paid", "completed", &order, "paid");
    app.deliver(&event).await.ok(200);
    let paid = student.get("/v1/orders").await.ok(200);
    assert_eq!(paid["items"][0]["state"], "paid");
    for _ in 0..3 {
        app.deliver(&event).await.ok(200);
    }
    let at_once = futures_util::future::join_all((0..8).map(|_| app.deliver(&event))).await;
    assert!(at_once.iter().all(|answer| answer.status == 200));
    assert_eq!(student.get("/v1/orders").await.ok(200), paid);
    app.settle().await;
    let emails = app.mailbox(student.email()).emails().await;
    assert_eq!(emails.len(), 1, "one email with the ticket");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mistake_7_no_ticket_is_sent_before_the_payment() {
    let app = app_with_secret().await;
    let student = app.student().await;
    let order = student.post("/v1/registration", &form("ag123456")).await.ok(201)["order"].clone();
    app.deliver(&event("evt_1", "completed", &order, "unpaid")).await.ok(200);
    app.settle().await;
    assert_eq!(student.get("/v1/registration").await.ok(200)["state"], "submitted");
    student.get("/v1/ticket.pdf").await.refused(404, "not-registered");
    assert!(app.mailbox(student.email()).emails().await.is_empty());
    app.deliver(&event("evt_2", "async_payment_succeeded", &order, "paid")).await.ok(200);
    app.mailbox(student.email()).email("your ticket").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mistake_12_an_empty_list_is_a_list_and_a_malformed_request_affects_nobody_else() {
    let app = TestApp::start().await;
    let student = app.student().await;
    assert_eq!(student.get("/v1/orders").await.ok(200), json!({ "items": [] }));
    assert!(app.mailbox(student.email()).emails().await.is_empty());
    for path in ["/v1/orders?limit=-1", "/v1/orders?limit=%00", "/v1/orders/%ff"] {
        let answer = student.get(path).await;
        assert!(answer.status.is_client_error(), "{path}: {answer:?}");
        student.get("/v1/me").await.ok(200);
    }
    app.finish().await;
}
