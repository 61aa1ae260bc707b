//! SES's notifications through SNS: which ones are accepted, and their effects.

use std::sync::Arc;
use std::time::Duration;

use orientation::features::suppressions::{self, ReceiveError, RemoveError, Suppressions, old_notifications};
use orientation::kernel::{Actor, Clock, ManualClock, SystemClock, Timestamp, faults};
use orientation::platform::audit;
use orientation::platform::mail::sns::Untrusted;
use orientation::platform::mail::{self, Suppression, SuppressionCause};
use orientation::platform::store::{Access, Store};
use serde_json::Value;
use tempfile::TempDir;

use crate::base::base;
use crate::doubles::sns::{
    FORGER, SIGNER, Sns, TOPIC, bounce, complaint, notification, signed, subscription,
};

struct Desk {
    suppressions: Suppressions,
    store: Store,
    hosts: Arc<Sns>,
    clock: Arc<ManualClock>,
    now: Timestamp,
    _folder: TempDir,
}

impl Desk {
    async fn new() -> Self {
        Self::among(Sns::new()).await
    }

    async fn among(hosts: Arc<Sns>) -> Self {
        let folder = tempfile::tempdir().expect("there is room for it");
        let store = Store::sqlite(&folder.path().join("store.db"), Access::Serving).expect("it opens");
        let now = SystemClock.now();
        let clock = Arc::new(ManualClock::at(now));
        let sns = mail::sns::Sns::new(vec![TOPIC.into()], hosts.clone());
        let schemas = [mail::schemas(), audit::schemas(), suppressions::schemas()].concat();
        let base = base(store, schemas, clock.clone()).await;
        let suppressions = Suppressions::new(&base, Some(sns));
        Self { suppressions, store: base.store.clone(), hosts, clock, now, _folder: folder }
    }

    async fn receive(&self, body: &str) -> Result<(), ReceiveError> {
        self.suppressions.receive(body.as_bytes()).await
    }

    /// Why `body` is refused.
    async fn refused(&self, body: &str) -> Untrusted {
        match self.receive(body).await {
            Err(ReceiveError::Untrusted(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    /// Deletes old notifications, and returns how many there were.
    async fn sweep(&self) -> usize {
        old_notifications().run(&self.store, self.clock.now()).await.expect("readable")
    }

    async fn list(&self) -> Vec<Suppression> {
        self.suppressions.list(None, 100).await.expect("readable").items
    }

    fn bounce(&self, id: &str) -> Value {
        notification(id, &bounce("Permanent", "ana@example.org"), self.now)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn permanent_bounces_and_complaints_are_applied_with_both_signature_versions() {
    let desk = Desk::new().await;
    desk.receive(&signed(desk.bounce("m1"), 1)).await.expect("accepted");
    desk.receive(&signed(notification("m2", &complaint("Bo@Exämple.org"), desk.now), 2))
        .await
        .expect("accepted");
    let listed = desk.list().await;
    let listed: Vec<_> = listed.iter().map(|entry| (entry.address_key.as_str(), entry.cause)).collect();
    let expected = [
        ("bo@xn--exmple-cua.org", SuppressionCause::Complaint),
        ("ana@example.org", SuppressionCause::Bounce),
    ];
    assert_eq!(listed, expected, "the latest first");
    assert_eq!(desk.hosts.asked().len(), 1, "the certificate is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn delays_and_unknown_notifications_are_acknowledged_without_effect() {
    let desk = Desk::new().await;
    let reported = [
        bounce("Transient", "ana@example.org"),
        bounce("Undetermined", "ana@example.org"),
        serde_json::json!({ "notificationType": "Delivery" }),
        serde_json::json!("Successfully validated SNS topic for Amazon SES event publishing."),
        serde_json::json!({ "eventType": "Invented", "invented": {} }),
    ];
    for (n, reported) in reported.iter().enumerate() {
        desk.receive(&signed(notification(&format!("m{n}"), reported, desk.now), 2)).await.expect("accepted");
    }
    assert_eq!(desk.list().await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_notification_changes_nothing_even_after_the_entry_was_removed() {
    let desk = Desk::new().await;
    let body = signed(desk.bounce("m1"), 2);
    for _ in 0..3 {
        desk.receive(&body).await.expect("accepted");
    }
    let [entry] = &desk.list().await[..] else { panic!("one entry") };
    assert!(!entry.id.contains("ana"));
    desk.suppressions.remove(&Actor::Operator, &entry.id).await.expect("there");
    assert!(matches!(
        desk.suppressions.remove(&Actor::Operator, &entry.id).await,
        Err(RemoveError::NotFound)
    ));
    desk.receive(&body).await.expect("accepted");
    assert_eq!(desk.list().await.len(), 0);
    desk.receive(&signed(desk.bounce("m2"), 2)).await.expect("accepted");
    assert_eq!(desk.list().await.len(), 1, "another email came back");
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_are_deleted_only_when_they_are_too_old_to_be_accepted() {
    let desk = Desk::new().await;
    let body = signed(desk.bounce("m1"), 2);
    desk.receive(&body).await.expect("accepted");
    desk.clock.advance(Duration::from_secs(23 * 3600));
    assert_eq!(desk.sweep().await, 0);
    desk.receive(&body).await.expect("accepted");
    desk.clock.advance(Duration::from_secs(2 * 3600));
    assert_eq!(desk.refused(&body).await, Untrusted::Stale);
    desk.clock.advance(Duration::from_secs(3 * 24 * 3600));
    assert_eq!(desk.sweep().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_without_a_valid_signature_are_refused() {
    let desk = Desk::new().await;
    for version in [1, 2] {
        for field in ["Message", "MessageId", "Subject", "Timestamp", "SignatureVersion", "Type"] {
            let mut tampered: Value =
                serde_json::from_str(&signed(desk.bounce("m1"), version)).expect("JSON");
            tampered[field] = match field {
                "Timestamp" => desk.now.minus(Duration::from_secs(1)).rfc3339().into(),
                "SignatureVersion" => (3 - version).to_string().into(),
                "Type" => "UnsubscribeConfirmation".into(),
                _ => "something else".into(),
            };
            assert_eq!(desk.refused(&tampered.to_string()).await, Untrusted::Signature, "{field} {version}");
        }
        let mut forged = desk.bounce("m1");
        FORGER.sign(&mut forged, version);
        assert_eq!(desk.refused(&forged.to_string()).await, Untrusted::Signature);
    }
    assert_eq!(desk.list().await.len(), 0);
    // The negative control: without the check the same notification is accepted.
    let mut forged = desk.bounce("m1");
    FORGER.sign(&mut forged, 2);
    faults::without("sns-signature", desk.receive(&forged.to_string())).await.expect("not looked at");
    assert_eq!(desk.list().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_topics_times_and_certificate_urls_are_refused_without_a_request() {
    let desk = Desk::new().await;
    let with = |name: &str, value: &str| {
        let mut message = desk.bounce("m1");
        message[name] = value.into();
        signed(message, 2)
    };
    let topic = "arn:aws:sns:ca-central-1:999999999999:bounces";
    assert_eq!(desk.refused(&with("TopicArn", topic)).await, Untrusted::Topic);
    for (span, sign) in [(25 * 3600, -1), (20 * 60, 1)] {
        let at = Timestamp::from_millis(desk.now.as_millis() + sign * span * 1000);
        assert_eq!(desk.refused(&with("Timestamp", &at.rfc3339())).await, Untrusted::Stale);
    }
    for address in [
        "https://evil.example/x.pem",
        "http://sns.ca-central-1.amazonaws.com/x.pem",
        "https://sns.s3-us-west-2.amazonaws.com/x.pem",
        "https://sns.us-west-2.amazonaws.com/x.pem",
        "file:///x.pem",
    ] {
        assert_eq!(desk.refused(&with("SigningCertURL", address)).await, Untrusted::Address);
    }
    assert_eq!(desk.hosts.asked().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_or_expired_certificate_is_refused() {
    for (name, days) in
        [("sns.amazonaws.com", (-20, -10)), ("sns.amazonaws.com", (10, 20)), ("evil.example", (-9, 9))]
    {
        let desk = Desk::among(Sns::with(SIGNER.certificate(name, days))).await;
        assert_eq!(
            desk.refused(&signed(desk.bounce("m1"), 2)).await,
            Untrusted::Certificate,
            "{name} {days:?}"
        );
    }
    let desk = Desk::among(Sns::with(b"no certificate".to_vec())).await;
    assert_eq!(desk.refused(&signed(desk.bounce("m1"), 2)).await, Untrusted::Certificate);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_certificate_is_unavailable_sns_is_asked_to_retry() {
    let desk = Desk::new().await;
    let body = signed(desk.bounce("m1"), 2);
    desk.hosts.goes_away(true);
    assert!(matches!(desk.receive(&body).await, Err(ReceiveError::Unreachable(_))));
    desk.hosts.goes_away(false);
    assert!(matches!(desk.receive(&body).await, Err(ReceiveError::Unreachable(_))));
    assert_eq!(desk.hosts.asked().len(), 1, "not again at once");
    desk.clock.advance(Duration::from_secs(20));
    desk.receive(&body).await.expect("accepted");
    assert_eq!((desk.list().await.len(), desk.hosts.asked().len()), (1, 2));
}

/// The URL of a certificate that an anonymous client makes up.
fn at(name: &str) -> String {
    format!("https://sns.ca-central-1.amazonaws.com/{name}.pem")
}

#[tokio::test(flavor = "multi_thread")]
async fn anonymous_clients_that_name_other_certificates_do_not_evict_known_ones() {
    let desk = Desk::new().await;
    let from = |id: &str, address: &str| {
        let mut message = desk.bounce(id);
        message["SigningCertURL"] = address.into();
        signed(message, 2)
    };
    desk.receive(&signed(desk.bounce("m1"), 2)).await.expect("accepted");
    let (made_up, waiting) =
        (from("m2", &at("made-up")), [from("m3", &at("slow-1")), from("m4", &at("slow-2"))]);
    for _ in 0..3 {
        assert!(matches!(desk.receive(&made_up).await, Err(ReceiveError::Unreachable(_))));
    }
    assert_eq!(desk.hosts.asked().len(), 2);
    let slow = async { tokio::join!(desk.receive(&waiting[0]), desk.receive(&waiting[1])) };
    let known = async {
        while desk.hosts.asked().len() < 4 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(desk.receive(&from("m5", &at("new"))).await, Err(ReceiveError::Unreachable(_))));
        desk.receive(&signed(desk.bounce("m6"), 2)).await
    };
    tokio::select! {
        answered = slow => panic!("{answered:?}"),
        known = known => known.expect("accepted"),
    }
    assert_eq!(desk.hosts.asked().len(), 4, "no room for more at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_certificate_is_evicted_for_a_new_one() {
    let desk = Desk::new().await;
    let receive = async |name: &str| {
        desk.hosts.has(&at(name), SIGNER.certificate("sns.amazonaws.com", (-10, 10)));
        let mut message = desk.bounce("m1");
        message["SigningCertURL"] = at(name).into();
        desk.receive(&signed(message, 2)).await.expect("accepted");
        desk.hosts.asked().len()
    };
    for n in 0..17 {
        assert_eq!(receive(&n.to_string()).await, n + 1);
    }
    for n in 1..17 {
        assert_eq!(receive(&n.to_string()).await, 17, "{n} is known");
    }
    assert_eq!(receive("0").await, 18);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_to_a_listed_topic_is_confirmed_once_at_sns_s_own_url() {
    let desk = Desk::new().await;
    let body = signed(subscription("s1", desk.now), 2);
    desk.receive(&body).await.expect("confirmed");
    desk.receive(&body).await.expect("known");
    let asked =
        |desk: &Desk| desk.hosts.asked().iter().filter(|url| url.contains("ConfirmSubscription")).count();
    assert_eq!(asked(&desk), 1);
    for address in [
        "https://evil.example/?Action=ConfirmSubscription".to_owned(),
        "https://sns.ca-central-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:x:1:y"
            .to_owned(),
        format!("https://sns.ca-central-1.amazonaws.com/?Action=Unsubscribe&TopicArn={TOPIC}"),
        format!("https://sns.s3-us-west-2.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}"),
        format!("https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}"),
    ] {
        let mut message = subscription("s2", desk.now);
        message["SubscribeURL"] = address.into();
        assert_eq!(desk.refused(&signed(message, 2)).await, Untrusted::Address);
    }
    let mut foreign = subscription("s3", desk.now);
    foreign["TopicArn"] = "arn:aws:sns:ca-central-1:999999999999:bounces".into();
    assert_eq!(desk.refused(&signed(foreign, 2)).await, Untrusted::Topic);
    assert_eq!(asked(&desk), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_has_pages() {
    let desk = Desk::new().await;
    for n in 0..5 {
        let reported = bounce("Permanent", &format!("student{n}@example.org"));
        desk.receive(&signed(notification(&format!("m{n}"), &reported, desk.now), 2))
            .await
            .expect("accepted");
    }
    let first = desk.suppressions.list(None, 3).await.expect("readable");
    assert_eq!(first.items.len(), 3);
    let rest = desk.suppressions.list(first.next.as_ref(), 3).await.expect("readable");
    assert_eq!((rest.items.len(), rest.next), (2, None));
    assert_eq!(rest.items[1].address.as_str(), "student0@example.org");
}
