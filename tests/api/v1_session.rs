//! `/v1/session`: signing in and out.

use std::time::Duration;

use orientation::config::Config;
use serde_json::json;

use crate::support::{PASSWORD, TestApp};
use crate::v1_accounts::{credentials, sign_up_of};

#[tokio::test(flavor = "multi_thread")]
async fn the_session_cookie_is_hidden_from_scripts_and_other_sites() {
    let app = TestApp::start().await;
    let student = app.student().await;
    let mut ana = app.anonymous();
    let answer = ana.post("/v1/session", &credentials(&student.email().to_uppercase(), PASSWORD)).await;
    answer.ok(200);
    let cookie = answer.header("set-cookie").expect("a cookie");
    assert!(cookie.starts_with("orientation_session="), "{cookie}");
    assert!(cookie.ends_with("; Max-Age=2592000; Path=/; HttpOnly; SameSite=Lax"), "{cookie}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    ana.cookie = answer.cookie();
    assert_eq!(ana.get("/v1/me").await.ok(200)["id"], student.account().id);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_https_the_cookie_is_bound_to_its_host() {
    let app = TestApp::start_with(|config| {
        let env = [
            ("ORIENTATION_PUBLIC_URL", "https://orientation.example.edu"),
            ("ORIENTATION_REHEARSAL", "yes"),
            ("ORIENTATION_LIMITS", "0"),
        ];
        let env = env.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let given = Config::from_env(&env).expect("a good configuration");
        let data = std::mem::replace(config, given).data;
        config.data = data;
    });
    let app = app.await;
    let student = app.student().await;
    let answer = app.anonymous().post("/v1/session", &credentials(student.email(), PASSWORD)).await;
    answer.ok(200);
    let cookie = answer.header("set-cookie").expect("a cookie");
    assert!(cookie.starts_with("__Host-orientation_session=") && cookie.ends_with("; Secure"), "{cookie}");
    // A page on another host of the site could have set a cookie without the prefix.
    student.get("/v1/me").await.refused(401, "not-signed-in");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_an_unknown_and_an_unconfirmed_address_get_the_same_response() {
    let app = TestApp::start().await;
    let (student, anonymous) = (app.student().await, app.anonymous());
    anonymous.post("/v1/accounts", &sign_up_of("waiting@mail.example.edu")).await.ok(202);
    let sign_in = async |email: &str, password: &str| {
        let answer = anonymous.post("/v1/session", &credentials(email, password)).await;
        answer.refused(401, "wrong-credentials");
        assert_eq!(answer.cookie(), None);
        answer.comparable()
    };
    let wrong = sign_in(student.email(), "seven noisy herons at dawn").await;
    assert_eq!(sign_in("nobody@mail.example.edu", PASSWORD).await, wrong);
    assert_eq!(sign_in("waiting@mail.example.edu", PASSWORD).await, wrong);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_this_session_and_no_other() {
    let app = TestApp::start().await;
    let student = app.student().await;
    let mut phone = app.anonymous();
    phone.cookie = phone.post("/v1/session", &credentials(student.email(), PASSWORD)).await.cookie();
    let answer = student.delete("/v1/session").await;
    answer.ok(204);
    assert!(answer.header("set-cookie").expect("a cookie").contains("Max-Age=0"));
    student.get("/v1/me").await.refused(401, "not-signed-in");
    student.delete("/v1/session").await.refused(401, "not-signed-in");
    phone.get("/v1/me").await.ok(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_survive_a_restart_and_end_after_30_days() {
    let app = TestApp::start().await;
    let cookie = app.student().await.cookie;
    let app = app.restart().await;
    let mut student = app.anonymous();
    student.cookie = cookie;
    student.get("/v1/me").await.ok(200);
    app.settle().await;
    app.clock.advance(Duration::from_hours(30 * 24) + Duration::from_secs(1));
    student.get("/v1/me").await.refused(401, "not-signed-in");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_session_cookie_is_not_signed_in() {
    let app = TestApp::start().await;
    let real = app.student().await.cookie.expect("a session");
    let mut visitor = app.anonymous();
    for cookie in [
        "orientation_session=".to_owned(),
        format!("{real}A"),
        real[..real.len() - 1].to_owned(),
        real.replace("orientation_session", "__Host-orientation_session"),
        "orientation_session=../../etc/passwd".into(),
        format!("orientation_session={}", "A".repeat(4096)),
    ] {
        visitor.cookie = Some(cookie);
        visitor.get("/v1/me").await.refused(401, "not-signed-in");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_passwords_is_limited_whether_or_not_the_address_is_known() {
    let app = TestApp::start_with(|config| config.limits = 1.0).await;
    let student = app.student().await;
    let anonymous = app.anonymous();
    let guess =
        async |email: &str| anonymous.post("/v1/session", &credentials(email, "herons at dawn")).await;
    let mut last = vec![];
    for email in [student.email(), "nobody@mail.example.edu"] {
        for tried in 1..=10 {
            let answer = guess(&email.to_uppercase()).await;
            answer.refused(401, "wrong-credentials");
            let state = answer.header("ratelimit").expect("how much is left");
            assert!(state.contains(&format!("\"sign-in\";r={}", 10 - tried)), "{state}");
        }
        let answer = guess(email).await;
        let problem = answer.refused(429, "too-many-requests");
        let seconds: u64 = answer.header("retry-after").expect("when").parse().expect("seconds");
        assert!((1..=900).contains(&seconds), "{seconds}");
        assert!(problem["detail"].as_str().expect("a sentence").contains(&seconds.to_string()));
        assert!(answer.header("ratelimit").expect("a state").contains("\"sign-in\";r=0;t="));
        let policy = answer.header("ratelimit-policy").expect("a policy");
        assert!(policy.contains("\"sign-in\";q=10;w=900"), "{policy}");
        last.push(policy.to_owned());
    }
    assert_eq!(last[0], last[1]);
    // The right password is refused as well, so that guessing reveals nothing.
    let right = anonymous.post("/v1/session", &credentials(student.email(), PASSWORD)).await;
    right.refused(429, "too-many-requests");
    student.get("/v1/me").await.ok(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn emails_to_one_address_are_limited_whether_or_not_it_is_known() {
    let app = TestApp::start_with(|config| config.limits = 1.0).await;
    let student = app.student().await;
    for email in [student.email(), "nobody@mail.example.edu"] {
        let ask = async |path: &str| app.anonymous().post(path, &json!({ "email": email })).await;
        for path in ["/v1/password-resets", "/v1/accounts/confirmation"].repeat(2) {
            ask(path).await.ok(202);
        }
        app.anonymous().post("/v1/accounts", &sign_up_of(email)).await.ok(202);
        let refused = ask("/v1/password-resets").await;
        refused.refused(429, "too-many-requests");
        assert!(refused.header("retry-after").is_some());
    }
    app.settle().await;
    let emails = app.mailbox(student.email()).emails().await;
    assert_eq!(emails.len(), 3, "two links for a new password, and one notice for three sign-ups");
    app.finish().await;
}
