//! `/v1/api-keys`: keys of machines, and what they open.

use std::time::Duration;

use orientation::features::api_keys::{ApiKey, Key};
use orientation::kernel::{Actor, Clock, Ids, RandomIds, Timestamp};
use orientation::platform::audit::AuditEntry;
use orientation::platform::store::{Filter, Query};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, TestApp, Visitor, reaches_all_of};

const DAY: Duration = Duration::from_hours(24);

/// The body of a key with these scopes that expires after this time.
fn body(app: &TestApp, scopes: &[&str], lasts: Duration) -> Value {
    json!({ "name": "Chat bot", "scopes": scopes, "expiresAt": app.clock.now().plus(lasts).rfc3339() })
}

/// Creates a key; the key itself and its public id.
pub async fn create(app: &TestApp, admin: &Visitor, scopes: &[&str]) -> (String, String) {
    let created = admin.post("/v1/api-keys", &body(app, scopes, DAY)).await.ok(201);
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    (text(&created["key"]), text(&created["apiKey"]["id"]))
}

/// A request with a bearer key.
pub async fn with_key(visitor: &Visitor, key: &str, method: Method, path: &str) -> Answer {
    visitor.send(visitor.request(method, path).bearer_auth(key)).await
}

async fn read(visitor: &Visitor, key: &str) -> Answer {
    with_key(visitor, key, Method::GET, "/v1/suppressions").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_opens_what_its_scopes_allow_until_it_expires_or_is_revoked() {
    let app = TestApp::start().await;
    let (admin, machine) = (app.administrator().await, app.anonymous());
    let (reader, reader_id) = create(&app, &admin, &["mailings:read"]).await;
    let (scanner, _) = create(&app, &admin, &["scanner:food"]).await;
    assert!(reader.starts_with("ori_") && reader.len() == 63, "{reader}");
    read(&machine, &reader).await.ok(200);
    read(&machine, &scanner).await.refused(403, "scope-missing");
    with_key(&machine, &reader, Method::GET, "/v1/api-keys").await.refused(401, "not-signed-in");

    admin.delete(&format!("/v1/api-keys/{reader_id}")).await.ok(204);
    admin.delete(&format!("/v1/api-keys/{reader_id}")).await.ok(204);
    read(&machine, &reader).await.refused(401, "api-key-invalid");
    app.clock.advance(DAY);
    read(&machine, &scanner).await.refused(401, "api-key-invalid");
    for unknown in [Key::new(RandomIds.secret()).expose(), "ori_", "x", &scanner.replace("ori_", "ori-")] {
        read(&machine, unknown).await.refused(401, "api-key-invalid");
    }
    read(&admin, "x").await.refused(401, "api-key-invalid");

    let entries = Query::new(Filter::eq("subject.collection", "api_keys")).limit(10);
    let entries: Vec<AuditEntry> = app.store.find(entries).await.expect("readable");
    let by_admin = Actor::Account(admin.account().id.clone());
    let of_reader = entries.iter().filter(|entry| entry.subject.id.as_ref() == Some(&reader_id));
    let of_reader: Vec<_> = of_reader.map(|entry| (&entry.actor, entry.action.as_str())).collect();
    assert_eq!(of_reader, [(&by_admin, "api-key.created"), (&by_admin, "api-key.revoked")]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_never_acts_on_an_account() {
    let app = TestApp::start().await;
    let (admin, machine, leader) = (app.administrator().await, app.anonymous(), app.leader().await);
    let (key, _) = create(&app, &admin, &["mailings:read"]).await;
    for path in ["/v1/me", "/v1/registration", "/v1/orders"] {
        with_key(&machine, &key, Method::GET, path).await.refused(401, "not-signed-in");
    }
    // Beside a cookie it is ignored there, and elsewhere it counts before the cookie.
    assert_eq!(with_key(&leader, &key, Method::GET, "/v1/me").await.ok(200)["id"], leader.account().id);
    read(&leader, &key).await.ok(200);
    with_key(&admin, &key, Method::GET, "/v1/api-keys").await.ok(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_by_a_machine_is_audited_under_the_public_id_of_its_key() {
    let app = TestApp::start().await;
    let (admin, machine, leader) = (app.administrator().await, app.anonymous(), app.waiting_leader().await);
    let (key, id) = create(&app, &admin, &["accounts:edit"]).await;
    let path = format!("/v1/accounts/{}/approval", leader.account().id);
    let approve = machine.request(Method::PUT, &path).bearer_auth(key);
    let approved = machine.send(approve.json(&json!({}))).await;
    assert!(approved.status.is_success(), "{approved:?}");
    let entries = Query::new(Filter::eq("subject.id", leader.account().id.as_str())).limit(10);
    let entries: Vec<AuditEntry> = app.store.find(entries).await.expect("readable");
    let entries: Vec<_> = entries.iter().map(|entry| (&entry.actor, entry.action.as_str())).collect();
    assert_eq!(entries, [(&Actor::Machine(id), "leader.approved")]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_key_is_refused_without_the_store() {
    let app = TestApp::start().await;
    let machine = app.anonymous();
    let unknown = Key::new(RandomIds.secret());
    let mut malformed = unknown.expose().to_owned();
    malformed.replace_range(10..11, if &malformed[10..11] == "a" { "b" } else { "a" });
    app.take_store_away();
    read(&machine, &malformed).await.refused(401, "api-key-invalid");
    read(&machine, unknown.expose()).await.refused(503, "unavailable");
    app.bring_store_back().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_listed_without_their_secrets_and_with_their_last_minute() {
    let app = TestApp::start().await;
    let admin = app.administrator().await;
    let (old, old_id) = create(&app, &admin, &["mailings:read"]).await;
    let (new, new_id) = create(&app, &admin, &["scanner:food", "scanner:kits"]).await;
    let list = async || admin.get("/v1/api-keys").await;
    let items = list().await.ok(200)["items"].clone();
    assert_eq!((&items[0]["id"], &items[1]["id"]), (&json!(new_id), &json!(old_id)));
    assert_eq!(items[0]["scopes"], json!(["scanner:food", "scanner:kits"]));
    assert_eq!(items[0]["createdBy"], admin.account().id);
    assert!(new.starts_with(items[0]["start"].as_str().expect("a text")));
    assert_eq!(items[1].get("lastUsedAt"), None);

    let minute = || Timestamp::from_millis(app.clock.now().as_millis() / 60_000 * 60_000).rfc3339();
    let before = minute();
    read(&app.anonymous(), &old).await.ok(200);
    let used = list().await.ok(200)["items"][1]["lastUsedAt"].clone();
    assert!([before, minute()].contains(&used.as_str().expect("a time").to_owned()), "{used}");

    let first = admin.get("/v1/api-keys?limit=1").await.ok(200);
    let cursor = first["nextCursor"].as_str().expect("there is more");
    let second = admin.get(&format!("/v1/api-keys?limit=1&cursor={cursor}")).await.ok(200);
    assert_eq!((&second["items"][0]["id"], second.get("nextCursor")), (&json!(old_id), None));
    let stored: Vec<ApiKey> = app.store.find(Query::new(Filter::All).limit(10)).await.expect("readable");
    let stored = serde_json::to_string(&stored).expect("JSON");
    for key in [old, new] {
        assert!(!list().await.text().contains(&key) && !stored.contains(&key));
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_property_of_a_key_is_reported() {
    let app = TestApp::start().await;
    let admin = app.administrator().await;
    let errors = async |body: Value| admin.post("/v1/api-keys", &body).await.errors();
    let error = |pointer: &str, code: &str| (pointer.to_owned(), code.to_owned());
    let wrong = json!({
        "name": "", "scopes": [], "studentFields": ["dietary"], "reach": ["group:all"], "expiresAt": "tomorrow",
    });
    assert_eq!(
        errors(wrong).await,
        [error("/expiresAt", "not-a-time"), error("/name", "empty"), error("/scopes", "too-few")]
    );
    let mut wrong = body(&app, &["admin:all", "scanner:food"], 401 * DAY);
    assert_eq!(
        errors(wrong.clone()).await,
        [error("/expiresAt", "out-of-range"), error("/scopes", "not-for-machines")]
    );
    wrong["scopes"] = json!(["scanner:drinks"]);
    wrong["reach"] = json!(["group:Nowhere"]);
    wrong["expiresAt"] = app.clock.now().rfc3339().into();
    assert_eq!(
        errors(wrong).await,
        [
            error("/expiresAt", "out-of-range"),
            error("/reach/0", "not-an-option"),
            error("/scopes/0", "not-an-option")
        ]
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_keys_are_limited_by_client_and_valid_keys_still_work() {
    let app = TestApp::start_with(|config| config.limits = 0.1).await;
    let (admin, machine) = (app.administrator().await, app.anonymous());
    let (key, _) = create(&app, &admin, &["mailings:read"]).await;
    let (other, _) = create(&app, &admin, &["mailings:read"]).await;
    for _ in 0..3 {
        read(&machine, Key::new(RandomIds.secret()).expose()).await.refused(401, "api-key-invalid");
    }
    read(&machine, Key::new(RandomIds.secret()).expose()).await.refused(429, "too-many-requests");
    // Malformed keys cost nothing, so that they are not counted.
    read(&machine, "ori_x").await.refused(401, "api-key-invalid");
    let mut served = 0;
    let refused = loop {
        let answer = read(&machine, &key).await;
        if answer.status != 200 {
            break answer;
        }
        served += 1;
    };
    refused.refused(429, "too-many-requests");
    assert!(refused.header("retry-after").is_some());
    assert!((120..300).contains(&served), "{served}");
    read(&machine, &other).await.ok(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_of_the_api_key_operations_is_reached() {
    reaches_all_of("API keys", async |reach| {
        let app = reach.start().await;
        // The key of the example expires in September 2027.
        app.clock.set(Timestamp::parse("2027-06-01T14:03:00Z").expect("a time"));
        let admin = app.administrator().await;
        let created = reach.example(&admin, "createApiKey").await.ok(201);
        admin.get("/v1/api-keys").await.ok(200);
        let id = created["apiKey"]["id"].as_str().expect("an id");
        admin.delete(&format!("/v1/api-keys/{id}")).await.ok(204);
        admin
            .delete(&format!("/v1/api-keys/{}", crate::support::NO_ID))
            .await
            .refused(404, "no-such-api-key");
        reach.without_a_store(&app, &admin, &[]).await;
        app.finish().await;
    })
    .await;
}
