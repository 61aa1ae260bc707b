//! `/v1/accounts`: signing up, and confirming the address.

use std::time::Duration;

use orientation::kernel::Role;
use orientation::platform::mail::Mail;
use orientation::platform::store::Filter;
use serde_json::{Value, json};

use crate::support::document::operation;
use crate::support::{Answer, PASSWORD, Reach, TestApp, Visitor, reaches_all_of, token_in};

/// The new password when a test changes [`PASSWORD`].
pub const OTHER_PASSWORD: &str = "eight copper kites rise";

pub fn sign_up_of(email: &str) -> Value {
    json!({ "email": email, "password": PASSWORD, "firstName": "Ana", "lastName": "García" })
}

pub fn credentials(email: &str, password: &str) -> Value {
    json!({ "email": email, "password": password })
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_signs_in_before_the_address_is_confirmed() {
    let app = TestApp::start().await;
    let (ana, mailbox) = (app.anonymous(), app.mailbox("ana@mail.example.edu"));
    let answer = ana.post("/v1/accounts", &sign_up_of("ana@mail.example.edu")).await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (202, ""));
    let credentials = credentials("ana@mail.example.edu", PASSWORD);
    ana.post("/v1/session", &credentials).await.refused(401, "wrong-credentials");
    let token = mailbox.token("Confirm").await;
    ana.post("/v1/accounts/confirm", &json!({ "token": token })).await.ok(204);
    let account = ana.post("/v1/session", &credentials).await.ok(200);
    assert_eq!((&account["email"], &account["role"]), (&json!("ana@mail.example.edu"), &json!("student")));
    mailbox.email("Welcome").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_up_for_a_known_address_gets_the_same_response_and_its_owner_an_email() {
    let app = TestApp::start().await;
    let owner = app.student().await;
    let anonymous = app.anonymous();
    let known = anonymous.post("/v1/accounts", &sign_up_of(&owner.email().to_uppercase())).await;
    let unknown = anonymous.post("/v1/accounts", &sign_up_of("nobody@mail.example.edu")).await;
    assert_eq!(known.comparable(), unknown.comparable());
    assert_eq!(known.status, 202);
    app.settle().await;
    let emails = app.mailbox(owner.email()).emails().await;
    assert_eq!(emails.len(), 1, "{emails:?}");
    let email = app.mailbox(owner.email()).email("You have an account").await;
    assert!(!email["text"].as_str().expect("a text").contains("token="));
    owner.get("/v1/me").await.ok(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_that_is_used_decides_and_deletes_the_other_sign_ups() {
    let app = TestApp::start().await;
    let (mallory, ana, mailbox) = (app.anonymous(), app.anonymous(), app.mailbox("ana@mail.example.edu"));
    let mut prepared = sign_up_of("ana@mail.example.edu");
    prepared["password"] = OTHER_PASSWORD.into();
    prepared["firstName"] = "Mallory".into();
    mallory.post("/v1/accounts", &prepared).await.ok(202);
    app.settle().await;
    ana.post("/v1/accounts", &sign_up_of("Ana@mail.example.edu")).await.ok(202);
    app.settle().await;
    let emails = mailbox.emails().await;
    let (own, prepared) = (token_in(&emails[0]), token_in(&emails[1]));

    ana.post("/v1/accounts/confirm", &json!({ "token": own })).await.ok(204);
    let late = ana.post("/v1/accounts/confirm", &json!({ "token": prepared })).await;
    late.refused(410, "token-used");
    let address = "ana@mail.example.edu";
    mallory
        .post("/v1/session", &credentials(address, OTHER_PASSWORD))
        .await
        .refused(401, "wrong-credentials");
    let account = ana.post("/v1/session", &credentials(address, PASSWORD)).await.ok(200);
    assert_eq!(account["firstName"], "Ana");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_can_be_requested_again_and_the_response_is_the_same_for_all() {
    let app = TestApp::start().await;
    let (owner, ana, mailbox) = (app.student().await, app.anonymous(), app.mailbox("ana@mail.example.edu"));
    ana.post("/v1/accounts", &sign_up_of("ana@mail.example.edu")).await.ok(202);
    app.settle().await;
    let ask = async |email: &str| ana.post("/v1/accounts/confirmation", &json!({ "email": email })).await;
    let waiting = ask("ANA@mail.example.edu").await;
    assert_eq!(waiting.comparable(), ask("nobody@mail.example.edu").await.comparable());
    assert_eq!(waiting.comparable(), ask(owner.email()).await.comparable());
    app.settle().await;
    assert!(app.mailbox("nobody@mail.example.edu").emails().await.is_empty());
    let emails = mailbox.emails().await;
    assert_eq!(emails.len(), 2);
    ana.post("/v1/accounts/confirm", &json!({ "token": token_in(&emails[0]) })).await.ok(204);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_works_once_within_a_day_and_for_nothing_else() {
    let app = TestApp::start().await;
    let ana = app.anonymous();
    let confirm = async |token: &str| ana.post("/v1/accounts/confirm", &json!({ "token": token })).await;
    for (email, name) in [("ana@mail.example.edu", "Ana"), ("late@mail.example.edu", "Late")] {
        let mut body = sign_up_of(email);
        body["firstName"] = name.into();
        ana.post("/v1/accounts", &body).await.ok(202);
    }
    let token = app.mailbox("ana@mail.example.edu").token("Confirm").await;
    let late = app.mailbox("late@mail.example.edu").token("Confirm").await;
    for path in ["/v1/me/email/confirm", "/v1/password-resets/complete"] {
        let body = match path {
            "/v1/me/email/confirm" => json!({ "token": token }),
            _ => json!({ "token": token, "password": OTHER_PASSWORD }),
        };
        ana.post(path, &body).await.refused(404, "token-invalid");
    }
    for broken in [&token[..token.len() - 1], "", "k1.", "🎉", &"x".repeat(512)] {
        confirm(broken).await.refused(404, "token-invalid");
    }
    confirm(&token).await.ok(204);
    confirm(&token).await.refused(410, "token-used");
    app.settle().await;
    app.clock.advance(Duration::from_hours(24) + Duration::from_secs(1));
    confirm(&late).await.refused(410, "token-expired");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_uses_of_one_token_create_one_account() {
    let app = TestApp::start().await;
    let ana = app.anonymous();
    ana.post("/v1/accounts", &sign_up_of("ana@mail.example.edu")).await.ok(202);
    let body = json!({ "token": app.mailbox("ana@mail.example.edu").token("Confirm").await });
    let tries = (0..8).map(|_| ana.post("/v1/accounts/confirm", &body));
    let mut statuses: Vec<_> =
        futures_util::future::join_all(tries).await.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 410, 410, 410, 410, 410, 410, 410]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_leader_is_not_approved_and_has_no_scopes() {
    let app = TestApp::start().await;
    let (leo, mailbox) = (app.anonymous(), app.mailbox("leo@mail.example.edu"));
    let mut body = sign_up_of("leo@mail.example.edu");
    body["role"] = "leader".into();
    leo.post("/v1/accounts", &body).await.ok(202);
    let token = mailbox.token("Confirm").await;
    leo.post("/v1/accounts/confirm", &json!({ "token": token })).await.ok(204);
    let account = leo.post("/v1/session", &credentials("leo@mail.example.edu", PASSWORD)).await.ok(200);
    assert_eq!(account["role"], "leader");
    assert_eq!((&account["approved"], &account["scopes"]), (&json!(false), &json!([])));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_errors_of_a_sign_up_are_reported_together_and_no_email_is_sent() {
    let app = TestApp::start().await;
    let body = json!({
        "email": "ana", "password": "short", "lastName": 5, "role": "admin", "scopes": ["admin:all"],
    });
    let errors = app.anonymous().post("/v1/accounts", &body).await.errors();
    let pointers: Vec<_> = errors.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(pointers, ["/email", "/firstName", "/lastName", "/password", "/role", "/scopes"]);
    let mut body = sign_up_of("ana at home");
    body["password"] = "password1".into();
    let errors = app.anonymous().post("/v1/accounts", &body).await.errors();
    let pointers: Vec<_> = errors.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(pointers, ["/email", "/password"]);
    app.settle().await;
    assert_eq!(app.store.count::<Mail>(Filter::All).await.expect("countable"), 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_of_the_accounts_operations_is_reached() {
    reaches_all_of("Accounts", async |reach| {
        the_examples_as_they_are(reach).await;
        links(reach).await;
        limits(reach).await;
        without_a_store(reach).await;
    })
    .await;
}

/// Sends the examples as one person who confirms the address and signs in.
async fn the_examples_as_they_are(reach: &Reach) {
    let app = reach.start_with(|config| config.limits = 1.0).await;
    let mut alex = app.anonymous();
    reach.example(&alex, "signUp").await.ok(202);
    reach.example(&alex, "resendConfirmation").await.ok(202);
    reach.example(&alex, "confirmAccount").await.refused(404, "token-invalid");
    let email = operation("signUp").example().expect("an example")["email"].clone();
    let token = app.mailbox(email.as_str().expect("an address")).token("Confirm").await;
    alex.post("/v1/accounts/confirm", &json!({ "token": token })).await.ok(204);
    let credentials = operation("signIn").example().expect("an example");
    alex.cookie = alex.post("/v1/session", &credentials).await.cookie();
    reach.example(&alex, "updateMe").await.ok(200);
    reach.example(&alex, "requestPasswordReset").await.ok(202);
    reach.example(&alex, "resetPassword").await.refused(404, "token-invalid");
    reach.example(&alex, "changeEmail").await.ok(202);
    reach.example(&alex, "confirmEmail").await.refused(404, "token-invalid");
    reach.example(&alex, "changePassword").await.ok(204);
    app.finish().await;
}

async fn links(reach: &Reach) {
    let app = reach.start().await;
    let (student, other) = (app.student().await, app.student().await);
    student.get("/v1/me").await.ok(200);

    let expired = Links::request(&app, &student, "late").await;
    app.settle().await;
    app.clock.advance(Duration::from_hours(25));
    expired.follow(&student, async |answer| drop(answer.refused(410, "token-expired"))).await;
    let links = Links::request(&app, &other, "now").await;
    links.follow(&other, async |answer| drop(answer.ok(204))).await;
    links.follow(&other, async |answer| drop(answer.refused(410, "token-used"))).await;

    let change = json!({ "currentPassword": PASSWORD, "email": "taken@mail.example.edu" });
    student.put("/v1/me/email", &change).await.ok(202);
    let token = app.mailbox("taken@mail.example.edu").token("Confirm").await;
    app.somebody("taken@mail.example.edu", Role::Student, &[]).await;
    let body = json!({ "token": token });
    student.post("/v1/me/email/confirm", &body).await.refused(409, "address-taken");
    app.finish().await;
}

/// Links of all three kinds.
struct Links {
    confirm: String,
    email: String,
    reset: String,
}

impl Links {
    /// Links for a sign-up, a new address of `student`, and a new password of another student. `name` makes the
    /// addresses unique.
    async fn request(app: &TestApp, student: &Visitor, name: &str) -> Self {
        let (new, address) = (format!("{name}@mail.example.edu"), format!("{name}2@mail.example.edu"));
        student.post("/v1/accounts", &sign_up_of(&new)).await.ok(202);
        let change = json!({ "currentPassword": PASSWORD, "email": address });
        student.put("/v1/me/email", &change).await.ok(202);
        let forgetful = app.student().await;
        student.post("/v1/password-resets", &json!({ "email": forgetful.email() })).await.ok(202);
        Self {
            confirm: app.mailbox(&new).token("Confirm").await,
            email: app.mailbox(&address).token("Confirm").await,
            reset: app.mailbox(forgetful.email()).token("Choose").await,
        }
    }

    /// Uses each of them.
    async fn follow(&self, visitor: &Visitor, check: impl AsyncFn(Answer)) {
        for (id, body) in self.bodies() {
            let operation = operation(id);
            let request = visitor.request(operation.method.clone(), &operation.path).json(&body);
            check(visitor.send(request).await).await;
        }
    }

    fn bodies(&self) -> [(&'static str, Value); 3] {
        [
            ("confirmAccount", json!({ "token": self.confirm })),
            ("confirmEmail", json!({ "token": self.email })),
            ("resetPassword", json!({ "token": self.reset, "password": OTHER_PASSWORD })),
        ]
    }
}

/// With a hundredth of the usual limits, the second request is one too many.
async fn limits(reach: &Reach) {
    let app = reach.start_with(|config| config.limits = 0.01).await;
    let (guess, email) = ("herons at dawn", "ana@mail.example.edu");
    let password = json!({ "currentPassword": guess, "newPassword": OTHER_PASSWORD });
    let change = json!({ "currentPassword": guess, "email": email });
    let twice = [
        ("changePassword", password, 422),
        ("changeEmail", change, 429),
        ("signUp", sign_up_of(email), 202),
        ("resendConfirmation", json!({ "email": email }), 429),
        ("requestPasswordReset", json!({ "email": email }), 429),
    ];
    reach.too_many(&app.student().await, &twice).await;
    app.finish().await;
}

async fn without_a_store(reach: &Reach) {
    let app = reach.start().await;
    let student = app.student().await;
    let links = Links::request(&app, &student, "bo").await;
    reach.without_a_store(&app, &student, &links.bodies()).await;
    student.get("/v1/me").await.ok(200);
    app.finish().await;
}
