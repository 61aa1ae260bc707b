//! `/v1/password-resets`: a new password by a link in an email.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{PASSWORD, TestApp};
use crate::v1_accounts::{OTHER_PASSWORD, credentials, sign_up_of};

fn reset(token: &str) -> Value {
    json!({ "token": token, "password": OTHER_PASSWORD })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_gets_the_same_response_whether_or_not_the_address_is_known() {
    let app = TestApp::start().await;
    let (student, anonymous) = (app.student().await, app.anonymous());
    let ask = async |email: &str| anonymous.post("/v1/password-resets", &json!({ "email": email })).await;
    let known = ask(student.email()).await;
    assert_eq!(known.status, 202);
    assert_eq!(known.comparable(), ask("nobody@mail.example.edu").await.comparable());
    app.settle().await;
    assert!(app.mailbox("nobody@mail.example.edu").emails().await.is_empty());
    assert_eq!(app.mailbox(student.email()).emails().await.len(), 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_works_once_ends_all_sessions_and_notifies_the_owner() {
    let app = TestApp::start().await;
    let (student, anonymous) = (app.student().await, app.anonymous());
    let body = json!({ "email": student.email().to_uppercase() });
    anonymous.post("/v1/password-resets", &body).await.ok(202);
    let token = app.mailbox(student.email()).token("Choose a new password").await;
    student.get("/v1/me").await.ok(200);

    let mut weak = reset(&token);
    weak["password"] = "password1".into();
    let errors = anonymous.post("/v1/password-resets/complete", &weak).await.errors();
    assert_eq!(errors[0].0, "/password");
    anonymous.post("/v1/password-resets/complete", &reset(&token)).await.ok(204);
    anonymous.post("/v1/password-resets/complete", &reset(&token)).await.refused(410, "token-used");
    student.get("/v1/me").await.refused(401, "not-signed-in");
    let old = anonymous.post("/v1/session", &credentials(student.email(), PASSWORD)).await;
    old.refused(401, "wrong-credentials");
    anonymous.post("/v1/session", &credentials(student.email(), OTHER_PASSWORD)).await.ok(200);
    app.mailbox(student.email()).email("Your password").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_expires_after_an_hour_or_with_a_new_password() {
    let app = TestApp::start().await;
    let (late, changed, anonymous) = (app.student().await, app.student().await, app.anonymous());
    let mut tokens = vec![];
    for student in [&late, &changed] {
        anonymous.post("/v1/password-resets", &json!({ "email": student.email() })).await.ok(202);
        tokens.push(app.mailbox(student.email()).token("Choose a new password").await);
    }
    let body = json!({ "currentPassword": PASSWORD, "newPassword": "nine velvet tugboats hum" });
    changed.put("/v1/me/password", &body).await.ok(204);
    let replaced = anonymous.post("/v1/password-resets/complete", &reset(&tokens[1])).await;
    replaced.refused(410, "token-used");
    app.settle().await;
    app.clock.advance(Duration::from_hours(1) + Duration::from_secs(1));
    let too_late = anonymous.post("/v1/password-resets/complete", &reset(&tokens[0])).await;
    too_late.refused(410, "token-expired");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_confirms_an_unconfirmed_address() {
    let app = TestApp::start().await;
    let (ana, mailbox) = (app.anonymous(), app.mailbox("ana@mail.example.edu"));
    ana.post("/v1/accounts", &sign_up_of("ana@mail.example.edu")).await.ok(202);
    ana.post("/v1/password-resets", &json!({ "email": "ana@mail.example.edu" })).await.ok(202);
    let token = mailbox.token("Choose a new password").await;
    ana.post("/v1/accounts/confirm", &json!({ "token": token })).await.refused(404, "token-invalid");
    ana.post("/v1/password-resets/complete", &reset(&token)).await.ok(204);
    ana.post("/v1/session", &credentials("ana@mail.example.edu", OTHER_PASSWORD)).await.ok(200);
    let confirmation = mailbox.token("Confirm").await;
    let late = ana.post("/v1/accounts/confirm", &json!({ "token": confirmation })).await;
    late.refused(410, "token-used");
    app.finish().await;
}
