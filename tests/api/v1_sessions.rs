//! `/v1/sessions`: the browsers in which somebody is signed in.

use std::time::Duration;

use orientation::features::accounts::Session;
use orientation::kernel::{Right, Role, Scope};
use orientation::platform::store::Filter;
use serde_json::{Value, json};

use crate::support::document::operation;
use crate::support::{NO_ID, PASSWORD, Reach, TestApp, Visitor, reaches_all_of};
use crate::v1_accounts::{credentials, sign_up_of};
use crate::v1_me_totp::{code_of, turn_on};

/// Another browser in which the visitor's account is signed in.
async fn another_browser(app: &TestApp, visitor: &Visitor) -> Visitor {
    let mut other = app.anonymous();
    other.cookie = other.post("/v1/session", &credentials(visitor.email(), PASSWORD)).await.cookie();
    other
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_and_end_their_sessions_and_nobody_elses() {
    let app = TestApp::start().await;
    let (here, stranger) = (app.student().await, app.student().await);
    app.clock.advance(Duration::from_secs(1));
    let there = another_browser(&app, &here).await;
    let listed = here.get("/v1/sessions").await.ok(200);
    let [newest, own] = listed["items"].as_array().expect("a list").as_slice() else { panic!("{listed}") };
    assert_eq!((&newest["current"], &own["current"]), (&json!(false), &json!(true)));
    assert_eq!((&newest["device"], &newest["network"]), (&json!("Another program"), &json!("127.0.0.0/24")));
    let path = format!("/v1/sessions/{}", newest["id"].as_str().expect("an id"));
    let (theirs, unknown) =
        (stranger.delete(&path).await, stranger.delete(&format!("/v1/sessions/{NO_ID}")).await);
    assert_eq!(theirs.comparable(), unknown.comparable());
    theirs.refused(404, "no-such-session");
    here.delete(&path).await.ok(204);
    there.get("/v1/me").await.refused(401, "not-signed-in");
    let again = another_browser(&app, &here).await;
    here.delete("/v1/sessions").await.ok(204);
    again.get("/v1/me").await.refused(401, "not-signed-in");
    here.get("/v1/me").await.ok(200);
    stranger.get("/v1/me").await.ok(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_sets_the_new_cookie_when_rights_have_grown_even_a_refusal() {
    let app = TestApp::start().await;
    let mut leader = app.leader().await;
    app.change(&leader, |account| account.grant(Right::Scope(Scope::MailingsRead))).await;
    let refused = leader.get("/v1/registration").await;
    refused.refused(403, "students-only");
    let renewed = refused.cookie().expect("a new cookie");
    assert_ne!(Some(&renewed), leader.cookie.as_ref());
    let late = leader.get("/v1/suppressions").await;
    late.ok(200);
    assert_eq!(late.cookie(), None, "a request that was sent before");
    app.settle().await;
    app.clock.advance(Duration::from_mins(1));
    leader.get("/v1/me").await.refused(401, "not-signed-in");
    leader.cookie = Some(renewed);
    let sessions = leader.get("/v1/sessions").await.ok(200);
    assert_eq!(sessions["items"].as_array().map(Vec::len), Some(1), "{sessions}");
    let out = leader.delete("/v1/session").await;
    assert!(out.header("set-cookie").expect("a cookie").contains("Max-Age=0"));
    assert_eq!(
        app.store.count::<Session>(Filter::eq("accountId", leader.account().id.as_str())).await,
        Ok(0)
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unused_session_ends() {
    let app = TestApp::start_with(|config| config.event.sign_in.idle = Duration::from_hours(2 * 24)).await;
    let student = app.student().await;
    app.settle().await;
    app.clock.advance(Duration::from_hours(47));
    student.get("/v1/me").await.ok(200);
    app.settle().await;
    app.clock.advance(Duration::from_hours(50));
    student.get("/v1/me").await.refused(401, "not-signed-in");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_learns_of_a_sign_in_on_a_new_device_and_a_student_does_not() {
    let app = TestApp::start().await;
    for (visitor, announced) in [(app.leader().await, true), (app.student().await, false)] {
        let signed_in = app.anonymous().post("/v1/session", &credentials(visitor.email(), PASSWORD)).await;
        let device = signed_in.headers.get_all("set-cookie").iter().nth(1).expect("a second cookie");
        let device = device.to_str().expect("text").split(';').next().expect("a pair").to_owned();
        assert!(device.starts_with("orientation_device="), "{device}");
        let mut known = app.anonymous();
        known.cookie = Some(device);
        known.post("/v1/session", &credentials(visitor.email(), PASSWORD)).await.ok(200);
        app.settle().await;
        let emails = app.mailbox(visitor.email()).emails().await;
        assert_eq!(emails.len(), usize::from(announced), "{emails:?}");
    }
    app.finish().await;
}

fn with_code(email: &str, code: &str) -> Value {
    json!({ "email": email, "password": PASSWORD, "code": code })
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_second_factor_a_session_needs_a_code_and_each_code_opens_one() {
    let app = TestApp::start().await;
    let mut leader = app.leader().await;
    let (secret, recovery_codes) = turn_on(&app, &mut leader).await;
    let sign_in = async |body: Value| app.anonymous().post("/v1/session", &body).await;
    let missing = sign_in(credentials(leader.email(), PASSWORD)).await;
    missing.refused(401, "second-factor-code-missing");
    assert_eq!(missing.cookie(), None);
    // Without the right password, a code changes nothing.
    let mut guess = with_code(leader.email(), "000000");
    guess["password"] = "seven noisy herons at dawn".into();
    sign_in(guess).await.refused(401, "wrong-credentials");
    sign_in(with_code(leader.email(), "000000")).await.refused(401, "second-factor-code-wrong");
    let code = code_of(&app, &secret);
    for code in [&code, &recovery_codes[3]] {
        sign_in(with_code(leader.email(), code)).await.ok(200);
        let again = sign_in(with_code(leader.email(), code)).await;
        again.refused(401, "second-factor-code-wrong");
        assert_eq!(again.cookie(), None);
    }
    // A code sent without need is ignored.
    sign_in(with_code(app.student().await.email(), "000000")).await.ok(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_of_the_session_operations_is_reached() {
    reaches_all_of("Sessions", async |reach| {
        the_example_as_it_is(reach).await;
        let app = reach.start().await;
        let student = app.student().await;
        let wrong = credentials(student.email(), "seven noisy herons at dawn");
        student.post("/v1/session", &wrong).await.refused(401, "wrong-credentials");
        let mut leader = app.leader().await;
        turn_on(&app, &mut leader).await;
        let without = credentials(leader.email(), PASSWORD);
        student.post("/v1/session", &without).await.refused(401, "second-factor-code-missing");
        let wrong = with_code(leader.email(), "000000");
        student.post("/v1/session", &wrong).await.refused(401, "second-factor-code-wrong");
        student.get("/v1/sessions").await.ok(200);
        student.delete(&format!("/v1/sessions/{NO_ID}")).await.refused(404, "no-such-session");
        student.delete("/v1/sessions").await.ok(204);
        let own = student.get("/v1/sessions").await.ok(200)["items"][0]["id"].clone();
        student.delete(&format!("/v1/sessions/{}", own.as_str().expect("an id"))).await.ok(204);
        let student = app.student().await;
        reach.without_a_store(&app, &student, &[]).await;
        student.delete("/v1/session").await.ok(204);
        app.finish().await;
        let app = reach.start_with(|config| config.limits = 0.01).await;
        let guess = credentials("ana@mail.example.edu", "herons at dawn");
        reach.too_many(&app.student().await, &[("signIn", guess, 401)]).await;
        app.finish().await;
    })
    .await;
}

/// Signs in with the example of the document.
async fn the_example_as_it_is(reach: &Reach) {
    let app = reach.start().await;
    let example: Value = operation("signIn").example().expect("an example");
    let email = example["email"].as_str().expect("an address");
    let mut sign_up = sign_up_of(email);
    sign_up["password"] = example["password"].clone();
    app.anonymous().post("/v1/accounts", &sign_up).await.ok(202);
    let token = app.mailbox(email).token("Confirm").await;
    app.anonymous().post("/v1/accounts/confirm", &json!({ "token": token })).await.ok(204);
    let account = reach.example(&app.anonymous(), "signIn").await.ok(200);
    assert_eq!(account["role"], json!(Role::Student));
    app.finish().await;
}
