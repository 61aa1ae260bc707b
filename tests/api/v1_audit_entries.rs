//! `/v1/audit-entries`: who changed what. How entries are chained and verified is tested in `tests/platform/audit`.

use std::time::Duration;

use orientation::kernel::{Actor, Clock, EmailAddress, Ids, RandomIds, Role, Timestamp};
use orientation::platform::audit::{self, Action, AuditHead, SETTLED_AFTER, Subject};
use orientation::platform::mail::{Suppression, SuppressionCause};
use orientation::platform::store::StoreError;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, PATIENCE, TestApp, Visitor, reaches_all_of};

/// A new entry of the suppression list; returns its path.
async fn suppressed(app: &TestApp) -> String {
    let address = EmailAddress::parse(&format!("{}@example.org", RandomIds.next())).expect("an address");
    let entry = Suppression::new(RandomIds.next(), &address, SuppressionCause::Bounce, app.clock.now());
    app.store.insert(&entry).await.expect("new");
    format!("/v1/suppressions/{}", entry.id)
}

async fn removed(app: &TestApp, admin: &Visitor) -> (String, Answer) {
    let path = suppressed(app).await;
    let answer = admin.send(admin.request(Method::DELETE, &path)).await;
    answer.ok(204);
    (path.rsplit('/').next().expect("an id").to_owned(), answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_says_who_changed_what_from_which_request_and_gets_a_number() {
    let app = TestApp::start().await;
    let admin = app.administrator().await;
    let (id, answer) = removed(&app, &admin).await;
    let reader = app.somebody("reader@mail.example.edu", Role::Leader, &["audit:read"]).await;
    let mut entry = reader.get("/v1/audit-entries").await.ok(200)["items"][0].clone();
    let entry_id = entry["id"].as_str().expect("an id").to_owned();
    for varying in ["id", "at"] {
        entry.as_object_mut().expect("an object").remove(varying);
    }
    let expected = json!({
        "actor": { "kind": "account", "id": admin.account().id },
        "action": "suppression.removed",
        "subject": { "kind": "suppressions", "id": id },
        "detail": {},
        "requestId": answer.header("x-request-id"),
        "client": "127.0.0.1",
    });
    assert_eq!(entry, expected);

    // The entry is settled, and the cron job is due.
    app.clock.advance(SETTLED_AFTER + Duration::from_secs(60));
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while app.store.get::<AuditHead>(AuditHead::ID).await.expect("readable").is_none() {
        assert!(tokio::time::Instant::now() < deadline, "the job doesn't seal");
        // The service's workers run the job: there is no event to wait for from outside.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let sealed = reader.get("/v1/audit-entries").await.ok(200)["items"][0].clone();
    assert_eq!((&sealed["number"], &sealed["requestId"]), (&json!(1), &expected["requestId"]));
    assert_eq!(audit::verify(&app.store, None, |_| {}).await.expect("intact").head.number, 1);

    app.store.transact(async |tx| tx.erase_audit_texts(&entry_id).await).await.expect("there");
    let erased = reader.get("/v1/audit-entries").await.ok(200)["items"][0].clone();
    assert_eq!((erased.get("client"), &erased["number"]), (None, &json!(1)));
    app.finish().await;
}

/// Five entries, an hour apart.
async fn history(app: &TestApp) {
    let hour = |number: i64| Timestamp::from_millis(1_788_246_000_000 + number * 3_600_000);
    let subject = |collection: &str, id: Option<&str>| Subject {
        collection: collection.into(),
        id: id.map(str::to_owned),
    };
    for (number, actor, action, subject, reason) in [
        (0, Actor::Operator, "job.dropped", subject("jobs", Some("j")), ""),
        (1, Actor::Account("ana".into()), "order.waived", subject("orders", Some("o")), "a bursary"),
        (2, Actor::Account("bo".into()), "order.cancelled", subject("orders", Some("o")), ""),
        (3, Actor::Machine("ana".into()), "order.waived", subject("orders", Some("p")), ""),
        (4, Actor::System("orders.sweep".into()), "orders.reconciled", subject("orders", None), ""),
    ] {
        let written: Result<(), StoreError> = app
            .store
            .transact(async |tx| {
                let action = Action::new(action);
                tx.audit_with_reason(&actor, action, subject.clone(), &[("n", "1")], reason, hour(number))
                    .await
            })
            .await;
        written.expect("new");
    }
}

/// The hours of the listed entries.
fn hours(list: &Value) -> Vec<i64> {
    let at = |entry: &Value| Timestamp::parse(entry["at"].as_str().expect("a time")).expect("a time");
    let entries = list["items"].as_array().expect("a list").iter();
    entries.map(|entry| (at(entry).as_millis() - 1_788_246_000_000) / 3_600_000).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_listed_newest_first_by_page_and_by_every_filter() {
    let app = TestApp::start().await;
    history(&app).await;
    let admin = app.administrator().await;
    let listed = async |query: &str| hours(&admin.get(&format!("/v1/audit-entries{query}")).await.ok(200));
    assert_eq!(listed("").await, [4, 3, 2, 1, 0]);
    for (query, expected) in [
        ("?actorKind=operator", vec![0]),
        ("?actorKind=account", vec![2, 1]),
        ("?actorKind=machine", vec![3]),
        ("?actorKind=system", vec![4]),
        ("?actorId=ana", vec![3, 1]),
        ("?actorId=ana&actorKind=account", vec![1]),
        ("?subjectKind=orders", vec![4, 3, 2, 1]),
        ("?subjectKind=orders&subjectId=o", vec![2, 1]),
        ("?subjectId=j", vec![0]),
        ("?action=order.waived", vec![3, 1]),
        ("?from=2026-09-01T08:00:00Z", vec![4, 3, 2, 1]),
        ("?to=2026-09-01T10:00:00%2B00:00", vec![2, 1, 0]),
        ("?from=2026-09-01T08:00:00Z&to=2026-09-01T10:00:00Z&action=order.waived", vec![1]),
        ("?from=2026-09-01T10:00:00Z&to=2026-09-01T08:00:00Z", vec![]),
        ("?actorId=nobody", vec![]),
    ] {
        assert_eq!(listed(query).await, expected, "{query}");
    }
    let first = admin.get("/v1/audit-entries?subjectKind=orders&limit=3").await.ok(200);
    assert_eq!((hours(&first), &first["items"][2]["detail"]), (vec![4, 3, 2], &json!({ "n": "1" })));
    let cursor = first["nextCursor"].as_str().expect("there is more");
    let rest =
        admin.get(&format!("/v1/audit-entries?subjectKind=orders&limit=3&cursor={cursor}")).await.ok(200);
    assert_eq!((hours(&rest), rest.get("nextCursor")), (vec![1], None));
    assert_eq!(rest["items"][0]["reason"], "a bursary");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_that_is_no_filter_is_refused() {
    let app = TestApp::start().await;
    let admin = app.administrator().await;
    for query in ["actorKind=user", "from=yesterday", "from=2026-09-01", "to=2026-09-01T08:00:00", "limit=0"]
    {
        admin.get(&format!("/v1/audit-entries?{query}")).await.refused(400, "bad-parameter");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_of_the_audit_log_is_reached() {
    reaches_all_of("Audit log", async |reach| {
        let app = reach.start().await;
        let admin = app.administrator().await;
        admin.get("/v1/audit-entries").await.ok(200);
        reach.without_a_store(&app, &admin, &[]).await;
        app.finish().await;
    })
    .await;
}
