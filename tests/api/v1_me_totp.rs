//! `/v1/me/totp`, `/v1/me/recovery-codes` and `/v1/accounts/{accountId}/totp`: the second factor of leaders.

use std::time::Duration;

use orientation::config::Config;
use orientation::features::second_factor::SecondFactor;
use orientation::kernel::Clock;
use serde_json::{Value, json};

use crate::support::{PASSWORD, TestApp, Visitor, reaches_all_of};
use crate::v1_accounts::credentials;

/// The code that an app with this secret in base32 shows now.
pub fn code_of(app: &TestApp, secret: &str) -> String {
    let bytes = data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).expect("base32");
    let bytes: [u8; 20] = bytes.try_into().expect("20 bytes");
    let totp = totp_rs::Builder::new().with_secret(bytes).build().expect("the usual parameters");
    totp.generate(app.clock.now().as_secs().unsigned_abs()).to_string()
}

/// Turns on a visitor's second factor. Returns the secret and the recovery codes, and lets the code's step pass. The
/// session goes on under a new id.
pub async fn turn_on(app: &TestApp, visitor: &mut Visitor) -> (String, Vec<String>) {
    let enrolled = visitor.post("/v1/me/totp", &json!({ "currentPassword": PASSWORD })).await.ok(200);
    let secret = enrolled["secret"].as_str().expect("a secret").to_owned();
    let confirmed =
        visitor.post("/v1/me/totp/confirm", &json!({ "code": code_of(app, &secret) })).await.ok(200);
    visitor.cookie = visitor.get("/v1/me").await.cookie();
    assert!(visitor.cookie.is_some(), "the session gets a new id, because the rights may have grown");
    app.clock.advance(Duration::from_secs(60));
    let codes = confirmed["recoveryCodes"].as_array().expect("a list").iter();
    (secret, codes.map(|code| code.as_str().expect("a text").to_owned()).collect())
}

fn with_code(email: &str, code: &str) -> Value {
    let mut body = credentials(email, PASSWORD);
    body["code"] = code.into();
    body
}

fn disable(code: &str) -> Value {
    json!({ "currentPassword": PASSWORD, "code": code })
}

fn demands_it(config: &mut Config) {
    config.event.sign_in.administrators_need_second_factor = true;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_sets_up_an_app_and_emails_report_every_change() {
    let app = TestApp::start().await;
    let (mut leader, anonymous) = (app.leader().await, app.anonymous());
    let enrolled = leader.post("/v1/me/totp", &json!({ "currentPassword": PASSWORD })).await;
    assert_eq!(enrolled.header("cache-control"), Some("no-store"));
    let (secret, uri) = (enrolled.ok(200)["secret"].clone(), enrolled.ok(200)["uri"].clone());
    assert!(uri.as_str().expect("a URI").contains(secret.as_str().expect("a secret")), "{uri}");
    let picture = enrolled.ok(200)["qrCode"].as_str().expect("a data URI").to_owned();
    assert!(picture.starts_with("data:image/svg+xml;base64,PHN2Zy"), "{picture}");
    anonymous.post("/v1/session", &credentials(leader.email(), PASSWORD)).await.ok(200);

    let (_, codes) = turn_on(&app, &mut leader).await;
    anonymous
        .post("/v1/session", &credentials(leader.email(), PASSWORD))
        .await
        .refused(401, "second-factor-code-missing");
    for _ in 0..2 {
        let wrong = anonymous.post("/v1/session", &with_code(leader.email(), "not a code")).await;
        wrong.refused(401, "second-factor-code-wrong");
    }
    anonymous.post("/v1/session", &with_code(leader.email(), &codes[0])).await.ok(200);
    app.settle().await;
    let mailbox = app.mailbox(leader.email());
    let said = async |subject: &str, text: &str| {
        mailbox.email(subject).await["text"].as_str().expect("a text").contains(text)
    };
    assert!(said("now has a second factor", "authenticator app").await);
    assert!(said("wrong code", "The password was right").await);
    assert!(said("recovery code", "Recovery codes that are left: 9.").await);

    leader.post("/v1/me/totp/disable", &disable(&codes[1])).await.ok(204);
    anonymous.post("/v1/session", &credentials(leader.email(), PASSWORD)).await.ok(200);
    assert!(said("is off", "your password only").await);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_whose_event_demands_it_can_do_nothing_but_enrol() {
    let app = TestApp::start_with(demands_it).await;
    let mut admin = app.administrator().await;
    admin.get("/v1/suppressions").await.refused(403, "second-factor-required");
    let (secret, codes) = turn_on(&app, &mut admin).await;
    admin.get("/v1/suppressions").await.ok(200);
    let kept = admin.post("/v1/me/totp/disable", &disable(&code_of(&app, &secret))).await;
    kept.refused(409, "second-factor-demanded");

    let mut second = app.administrator().await;
    turn_on(&app, &mut second).await;
    second.delete(&format!("/v1/accounts/{}/totp", admin.account().id)).await.ok(204);
    admin.get("/v1/suppressions").await.refused(403, "second-factor-required");
    admin.post("/v1/me/totp/disable", &disable(&codes[0])).await.refused(409, "second-factor-off");
    turn_on(&app, &mut admin).await;
    app.settle().await;
    app.mailbox(admin.email()).email("An administrator reset").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_of_the_second_factor_operations_is_reached() {
    reaches_all_of("Second factor", async |reach| {
        let limited = reach.start_with(|config| config.limits = 0.01).await;
        for (id, body, first) in [
            ("enrolTotp", json!({ "currentPassword": PASSWORD }), 200),
            ("confirmTotp", json!({ "code": "287082" }), 409),
            ("disableTotp", disable("287082"), 409),
            ("renewRecoveryCodes", json!({ "code": "287082" }), 409),
        ] {
            reach.too_many(&limited.leader().await, &[(id, body, first)]).await;
        }
        limited.finish().await;

        let app = reach.start_with(demands_it).await;
        let (mut leader, mut admin) = (app.leader().await, app.administrator().await);
        reach.example(&leader, "enrolTotp").await.refused(422, "invalid");
        reach.example(&leader, "confirmTotp").await.refused(409, "totp-not-enrolled");
        reach.example(&leader, "disableTotp").await.refused(422, "invalid");
        reach.example(&leader, "renewRecoveryCodes").await.refused(409, "second-factor-off");
        leader.post("/v1/me/totp/disable", &disable("287082")).await.refused(409, "second-factor-off");
        let (secret, codes) = turn_on(&app, &mut leader).await;
        let again = leader.post("/v1/me/totp", &json!({ "currentPassword": PASSWORD })).await;
        again.refused(409, "second-factor-on");
        let again = leader.post("/v1/me/totp/confirm", &json!({ "code": "287082" })).await;
        again.refused(409, "second-factor-on");
        let renew = json!({ "code": code_of(&app, &secret) });
        let renewed = leader.post("/v1/me/recovery-codes", &renew).await.ok(200);
        assert_eq!(renewed["recoveryCodes"].as_array().map(Vec::len), Some(10));
        let wrong = leader.post("/v1/me/recovery-codes", &renew).await;
        assert_eq!(wrong.errors(), [("/code".to_owned(), "wrong-code".to_owned())]);
        let wrong = leader.post("/v1/me/totp/disable", &disable(&codes[0])).await;
        assert_eq!(wrong.errors(), [("/code".to_owned(), "wrong-code".to_owned())]);
        let renewed = renewed["recoveryCodes"][0].as_str().expect("a code");
        leader.post("/v1/me/totp/disable", &disable(renewed)).await.ok(204);
        assert_eq!(app.store.get::<SecondFactor>(&leader.account().id).await, Ok(None));

        let (secret, _) = turn_on(&app, &mut admin).await;
        let kept = admin.post("/v1/me/totp/disable", &disable(&code_of(&app, &secret))).await;
        kept.refused(409, "second-factor-demanded");
        let totp = |id: &str| format!("/v1/accounts/{id}/totp");
        admin.delete(&totp(crate::support::NO_ID)).await.refused(404, "no-such-account");
        admin.delete(&totp(&admin.account().id)).await.refused(409, "own-second-factor");
        admin.delete(&totp(&leader.account().id)).await.refused(409, "second-factor-off");
        turn_on(&app, &mut leader).await;
        admin.delete(&totp(&leader.account().id)).await.ok(204);
        reach.without_a_store(&app, &admin, &[]).await;
        app.finish().await;
    })
    .await;
}
