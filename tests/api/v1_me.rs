//! `/v1/me`: the caller's account.

use serde_json::{Value, json};

use crate::support::{PASSWORD, TestApp, Visitor};
use crate::v1_accounts::{OTHER_PASSWORD, credentials};

fn to_email(email: &str) -> Value {
    json!({ "currentPassword": PASSWORD, "email": email })
}

#[tokio::test(flavor = "multi_thread")]
async fn names_change_one_by_one_and_null_clears_the_optional_ones() {
    let app = TestApp::start().await;
    let student = app.student().await;
    let changed = student.patch("/v1/me", &json!({ "preferredName": "Nina 🎉" })).await.ok(200);
    assert_eq!((&changed["preferredName"], &changed["firstName"]), (&json!("Nina 🎉"), &json!("Ana")));
    student.patch("/v1/me", &json!({ "lastName": "O'Neill-Ñandú" })).await.ok(200);
    student.patch("/v1/me", &json!({ "preferredName": null })).await.ok(200);
    let me = student.get("/v1/me").await.ok(200);
    assert_eq!((&me["preferredName"], &me["lastName"]), (&Value::Null, &json!("O'Neill-Ñandú")));
    assert_eq!(student.patch("/v1/me", &json!({})).await.ok(200), me);
    for nothing in [Value::Null, json!(""), json!(" \u{200b}")] {
        student.patch("/v1/me", &json!({ "lastName": "Ñandú", "preferredName": "Nina" })).await.ok(200);
        let names = json!({ "lastName": nothing, "preferredName": nothing });
        let me = student.patch("/v1/me", &names).await.ok(200);
        assert_eq!((me.get("lastName"), me.get("preferredName")), (None, None), "{nothing}");
        let refused = student.patch("/v1/me", &json!({ "firstName": nothing })).await;
        assert_eq!(refused.errors(), [("/firstName".to_owned(), "missing".to_owned())], "{nothing}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_the_other_sessions_and_notifies_the_owner() {
    let app = TestApp::start().await;
    let student = app.student().await;
    let mut phone = app.anonymous();
    phone.cookie = phone.post("/v1/session", &credentials(student.email(), PASSWORD)).await.cookie();
    let change = |current: &str, new: &str| json!({ "currentPassword": current, "newPassword": new });

    let wrong = student.put("/v1/me/password", &change("seven noisy herons", OTHER_PASSWORD)).await;
    assert_eq!(wrong.errors(), [("/currentPassword".into(), "wrong-password".into())]);
    let weak = student.put("/v1/me/password", &change(PASSWORD, "garcia2008")).await.errors();
    assert_eq!(weak[0].0, "/newPassword");
    phone.get("/v1/me").await.ok(200);
    student.put("/v1/me/password", &change(PASSWORD, OTHER_PASSWORD)).await.ok(204);
    student.get("/v1/me").await.ok(200);
    phone.get("/v1/me").await.refused(401, "not-signed-in");
    phone.post("/v1/session", &credentials(student.email(), OTHER_PASSWORD)).await.ok(200);
    app.mailbox(student.email()).email("Your password").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_address_is_used_once_it_is_confirmed_and_the_old_one_until_then() {
    let app = TestApp::start().await;
    let (student, anonymous) = (app.student().await, app.anonymous());
    let old = student.email().to_owned();
    student.put("/v1/me/email", &to_email("new@mail.example.edu")).await.ok(202);
    assert_eq!(student.get("/v1/me").await.ok(200)["pendingEmail"], "new@mail.example.edu");
    app.mailbox(&old).email("is about to change").await;
    let token = app.mailbox("new@mail.example.edu").token("Confirm your new address").await;
    anonymous.post("/v1/session", &credentials(&old, PASSWORD)).await.ok(200);
    let early = anonymous.post("/v1/session", &credentials("new@mail.example.edu", PASSWORD)).await;
    early.refused(401, "wrong-credentials");

    let confirm = async || anonymous.post("/v1/me/email/confirm", &json!({ "token": token })).await;
    anonymous.post("/v1/accounts/confirm", &json!({ "token": token })).await.refused(404, "token-invalid");
    confirm().await.ok(204);
    confirm().await.refused(410, "token-used");
    let me = student.get("/v1/me").await.ok(200);
    assert_eq!((&me["email"], &me["pendingEmail"]), (&json!("new@mail.example.edu"), &Value::Null));
    anonymous.post("/v1/session", &credentials("NEW@mail.example.edu", PASSWORD)).await.ok(200);
    anonymous.post("/v1/session", &credentials(&old, PASSWORD)).await.refused(401, "wrong-credentials");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_address_is_neither_revealed_nor_taken_over() {
    let app = TestApp::start().await;
    let (owner, one, other) = (app.student().await, app.student().await, app.student().await);
    let taken = one.put("/v1/me/email", &to_email(owner.email())).await;
    let free = other.put("/v1/me/email", &to_email("free@mail.example.edu")).await;
    assert_eq!((taken.status.as_u16(), taken.comparable()), (202, free.comparable()));
    app.mailbox(owner.email()).email("You have an account").await;

    let token = app.mailbox("free@mail.example.edu").token("Confirm your new address").await;
    app.somebody("Free@mail.example.edu", one.account().role, &[]).await;
    let late = app.anonymous().post("/v1/me/email/confirm", &json!({ "token": token })).await;
    late.refused(409, "address-taken");
    assert_eq!(other.get("/v1/me").await.ok(200)["email"], other.email());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_the_password_in_an_open_session_is_limited() {
    let app = TestApp::start_with(|config| config.limits = 1.0).await;
    let student = app.student().await;
    let guess = async |visitor: &Visitor| {
        let body = json!({ "currentPassword": "herons at dawn", "newPassword": OTHER_PASSWORD });
        visitor.put("/v1/me/password", &body).await
    };
    for _ in 0..10 {
        assert_eq!(guess(&student).await.errors()[0].1, "wrong-password");
    }
    guess(&student).await.refused(429, "too-many-requests");
    let email = student.put("/v1/me/email", &to_email("new@mail.example.edu")).await;
    email.refused(429, "too-many-requests");
    app.finish().await;
}
