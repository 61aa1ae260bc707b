//! `/v1/suppressions` and `/v1/webhooks/ses`: SES's notifications, signed like those of SNS. Their verification is
//! tested in `tests/platform/mail/notifications.rs`.

use orientation::config::{AwsCredentials, MailConfig, SenderConfig, SesConfig};
use orientation::features::suppressions::SUPPRESSION_REMOVED;
use orientation::kernel::{Actor, Clock, EmailAddress, Role, Secret, SystemClock};
use orientation::platform::audit::AuditEntry;
use orientation::platform::mail::{Mail, MailState};
use orientation::platform::store::{Filter, Query};
use reqwest::Method;
use serde_json::Value;

use crate::doubles::sns::{EXPIRED_CERTIFICATE, SIGNER, TOPIC, bounce, complaint, notification, signed};
use crate::support::{Answer, TestApp, reaches_all_of};

/// Emails are sent by an SES that is unreachable; notifications of the double's SNS topic are accepted.
pub fn by_ses() -> MailConfig {
    let key = Secret::new("key".to_owned());
    let address = EmailAddress::parse("orientation@example.edu").expect("an address");
    MailConfig::Ses(SesConfig {
        sender: SenderConfig { name: None, address: address.clone(), contact: address, rate: 50.0 },
        region: "ca-central-1".into(),
        credentials: Some(AwsCredentials { id: "id".into(), key, token: None }),
        endpoint: Some("http://127.0.0.1:1".parse().expect("an address")),
        topics: vec![TOPIC.to_owned()],
    })
}

/// The notification with this id: an email to this address bounced permanently.
pub fn about(id: &str, address: &str) -> String {
    signed(notification(id, &bounce("Permanent", address), SystemClock.now()), 2)
}

impl TestApp {
    /// Delivers a notification as SNS does.
    pub async fn notify(&self, body: &str) -> Answer {
        let sns = self.anonymous();
        let request = sns.request(Method::POST, "/v1/webhooks/ses");
        sns.send(request.header("content-type", "text/plain; charset=UTF-8").body(body.to_owned())).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_bounced_gets_no_email_until_an_administrator_removes_it() {
    let app = TestApp::start_with(|config| config.mail = by_ses()).await;
    app.notify(&about("m1", "Ana@Example.org")).await.ok(200);
    let told = signed(notification("m2", &complaint("bo@example.org"), SystemClock.now()), 1);
    app.notify(&told).await.ok(200);

    let admin = app.administrator().await;
    let list = admin.get("/v1/suppressions").await.ok(200);
    assert_eq!(
        (&list["items"][0]["address"], &list["items"][0]["cause"]),
        (&"bo@example.org".into(), &"complaint".into())
    );
    assert_eq!(
        (&list["items"][1]["address"], &list["items"][1]["cause"]),
        (&"Ana@Example.org".into(), &"bounce".into())
    );
    let first = admin.get("/v1/suppressions?limit=1").await.ok(200);
    let cursor = first["nextCursor"].as_str().expect("there is more");
    let second = admin.get(&format!("/v1/suppressions?limit=1&cursor={cursor}")).await.ok(200);
    assert_eq!((&second["items"][0], second.get("nextCursor")), (&list["items"][1], None));
    let of_orders = admin.get(&format!("/v1/orders?cursor={cursor}")).await;
    of_orders.refused(400, "bad-cursor");
    admin.get("/v1/suppressions?cursor=x").await.refused(400, "bad-cursor");

    let to = EmailAddress::parse("ana@EXAMPLE.org").expect("an address");
    let mail = Mail::new("welcome:nobody".into(), "welcome", &to, [], app.clock.now());
    app.store.transact(async |tx| tx.post(&mail).await).await.expect("new");
    app.settle().await;
    let kept: Mail = app.store.get(&mail.id).await.expect("readable").expect("there");
    assert_eq!(kept.state, MailState::Suppressed);

    let entry = format!("/v1/suppressions/{}", list["items"][1]["id"].as_str().expect("an id"));
    let reader = app.somebody("reader@mail.example.edu", Role::Leader, &["mailings:read"]).await;
    reader.get("/v1/suppressions").await.ok(200);
    reader.delete(&entry).await.refused(403, "scope-missing");
    admin.delete(&entry).await.ok(204);
    admin.delete(&entry).await.refused(404, "no-such-suppression");
    let removals = Query::new(Filter::eq("subject.collection", "suppressions")).limit(10);
    let trail: Vec<AuditEntry> = app.store.find(removals).await.expect("readable");
    let trail: Vec<_> =
        trail.into_iter().map(|entry| (entry.actor, entry.action, entry.subject.id)).collect();
    let removed = list["items"][1]["id"].as_str().map(str::to_owned);
    assert_eq!(trail, [(Actor::Account(admin.account().id.clone()), SUPPRESSION_REMOVED, removed)]);
    app.notify(&about("m1", "Ana@Example.org")).await.ok(200);
    assert_eq!(admin.get("/v1/suppressions").await.ok(200)["items"].as_array().map(Vec::len), Some(1));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_is_text_of_limited_length_from_any_origin() {
    let app = TestApp::start_with(|config| config.mail = by_ses()).await;
    let sns = app.anonymous();
    let from = |kind: &'static str, body: String| {
        let request = sns.request(Method::POST, "/v1/webhooks/ses").header("origin", "https://evil.example");
        sns.send(request.header("content-type", kind).body(body))
    };
    from("text/plain", about("m1", "ana@example.org")).await.ok(200);
    from("application/json", "{}".into()).await.refused(415, "wrong-content-type");
    from("text/plain", "x".repeat(300_000)).await.refused(413, "too-large");
    from("text/plain", "\u{0}[".repeat(1000)).await.refused(400, "notification-unreadable");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outbox_exists_only_where_no_mail_service_is_configured() {
    let app = TestApp::start_with(|config| config.mail = by_ses()).await;
    let visitor = app.anonymous();
    assert_eq!(visitor.get("/outbox").await.status, 404);
    assert_eq!(visitor.get("/outbox.json").await.status, 404);
    assert!(!visitor.get("/").await.text().contains("/outbox"));
    assert_eq!(visitor.get("/mails").await.status, 401);
    assert_eq!(app.administrator().await.get("/mails").await.status, 200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_of_the_suppression_operations_is_reached() {
    reaches_all_of("Suppressions", async |reach| {
        let by_outbox = reach.counting(TestApp::start_embedded().await);
        reach
            .example(&by_outbox.anonymous(), "receiveSesNotification")
            .await
            .refused(404, "ses-not-configured");
        by_outbox.finish().await;

        let app = reach.start_with(|config| config.mail = by_ses()).await;
        reach.example(&app.anonymous(), "receiveSesNotification").await.refused(403, "notification-topic");
        app.notify("{}").await.refused(400, "notification-unreadable");
        app.notify(&about("m1", "ana@example.org").replace("m1", "m2"))
            .await
            .refused(403, "notification-signature");
        for (property, value, kind) in [
            ("Timestamp", "2020-01-01T00:00:00.000Z", "notification-stale"),
            (
                "SigningCertURL",
                "https://sns.example.org/SimpleNotificationService-0.pem",
                "notification-address",
            ),
            ("SigningCertURL", EXPIRED_CERTIFICATE, "notification-certificate"),
        ] {
            app.notify(&with("m1", property, value)).await.refused(403, kind);
        }
        app.notify(&about("m1", "ana@example.org")).await.ok(200);

        let admin = app.administrator().await;
        let entry = admin.get("/v1/suppressions").await.ok(200)["items"][0]["id"].clone();
        let address = format!("/v1/suppressions/{}", entry.as_str().expect("an id"));
        admin.delete(&address).await.ok(204);
        admin.delete(&address).await.refused(404, "no-such-suppression");
        reach.without_a_store(&app, &admin, &[]).await;
        app.take_store_away();
        app.notify(&about("m3", "bo@example.org")).await.refused(503, "unavailable");
        app.bring_store_back().await;
        app.finish().await;
    })
    .await;
}

/// A signed notification in which a property has another value.
fn with(id: &str, property: &str, value: &str) -> String {
    let told = bounce("Permanent", "ana@example.org");
    let mut message: Value = notification(id, &told, SystemClock.now());
    message[property] = value.into();
    SIGNER.sign(&mut message, 2);
    message.to_string()
}
