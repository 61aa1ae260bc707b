//! `/v1/rights-requests`, `/v1/me/rights-requests` and `/v1/accounts/{accountId}/rights`: leaders ask for rights, and
//! administrators decide.

use orientation::features::accounts::Account;
use orientation::kernel::{Actor, Role};
use orientation::platform::audit::AuditEntry;
use orientation::platform::store::{Filter, Query};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, NO_ID, TestApp, Visitor, reaches_all_of};
use crate::v1_leaders::{path_of, trail};

const OWN: &str = "/v1/me/rights-requests";
const ALL: &str = "/v1/rights-requests";

pub fn asking(rights: &[(&str, &str)]) -> Value {
    let right =
        |(kind, name): &(&str, &str)| json!({ "kind": kind, "name": name, "reason": "For the desk." });
    json!({ "rights": rights.iter().map(right).collect::<Vec<_>>() })
}

/// Asks for a scope; the path of the request.
pub async fn ask_for(leader: &Visitor, scope: &str) -> String {
    let results = leader.post(OWN, &asking(&[("scope", scope)])).await.ok(200);
    format!("{ALL}/{}", results["results"][0]["request"]["id"].as_str().expect("a new request"))
}

pub fn because(reason: &str) -> Value {
    json!({ "reason": reason })
}

impl Visitor {
    /// Sets the rights of an account that was last seen with this entity tag.
    async fn set_rights(&self, account: &str, tag: Option<&str>, scopes: &[&str]) -> Answer {
        let body = json!({ "scopes": scopes, "studentFields": [], "reach": [], "reason": "New tasks." });
        let request = self.request(Method::PUT, &format!("{account}/rights")).json(&body);
        self.send(tag.into_iter().fold(request, |request, tag| request.header("if-match", tag))).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_asks_an_administrator_decides_on_each_right_and_the_leader_can_use_it_at_once() {
    let app = TestApp::start().await;
    let (leader, admin) = (app.leader().await, app.administrator().await);
    let account = path_of(&leader);
    let asked = [("scope", "mailings:read"), ("studentField", "dietary"), ("reach", "group:Alpha")];
    let results = leader.post(OWN, &asking(&asked)).await.ok(200);
    let outcomes = |results: &Value| {
        let results = results["results"].as_array().expect("a list");
        results.iter().map(|result| result["outcome"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(outcomes(&results), ["requested"; 3]);
    leader.get("/v1/suppressions").await.refused(403, "scope-missing");

    let open = admin.get(ALL).await.ok(200)["items"].clone();
    let names: Vec<_> = open.as_array().expect("a list").iter().map(|item| item["name"].clone()).collect();
    assert_eq!(names, ["mailings:read", "dietary", "group:Alpha"]);
    assert_eq!(
        (&open[0]["accountName"], &open[0]["reason"]),
        (&json!("Ana García"), &json!("For the desk."))
    );
    let path = |n: usize| format!("{ALL}/{}", open[n]["id"].as_str().expect("an id"));
    let granted = admin.post(&format!("{}/grant", path(0)), &because("Welcome.\nSee you.")).await.ok(200);
    assert_eq!(
        (&granted["state"], &granted["decisionReason"]),
        (&json!("granted"), &json!("Welcome.\nSee you."))
    );
    leader.get("/v1/suppressions").await.ok(200);
    admin.post(&format!("{}/decline", path(1)), &because("Not needed.")).await.ok(200);
    let email = app.mailbox(leader.email()).email("Granted: mailings:read").await;
    assert!(email["text"].as_str().is_some_and(|text| text.contains("Welcome.\nSee you.")), "{email}");
    app.mailbox(leader.email()).email("Declined: dietary").await;

    let results = leader.post(OWN, &asking(&asked)).await.ok(200);
    assert_eq!(outcomes(&results), ["alreadyHeld", "requested", "alreadyRequested"]);
    let own = leader.get(OWN).await.ok(200)["items"].clone();
    let states: Vec<_> = own.as_array().expect("a list").iter().map(|item| item["state"].clone()).collect();
    assert_eq!(states, ["open", "open", "declined", "granted"], "newest first");
    assert_eq!(own[2]["decisionReason"], "Not needed.");
    let granted = admin.get(&format!("{ALL}?state=granted&accountId={}", leader.account().id)).await.ok(200);
    assert_eq!(granted["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(admin.get(&format!("{ALL}?accountId={NO_ID}")).await.ok(200)["items"], json!([]));

    let me = leader.get("/v1/me").await.ok(200);
    assert_eq!((&me["scopes"], &me["studentFields"]), (&json!(["mailings:read"]), &json!([])));
    let by =
        |visitor: &Visitor, action: &str| (Actor::Account(visitor.account().id.clone()), action.to_owned());
    let asked = by(&leader, "right.requested");
    let trail = trail(&app, &account).await;
    assert_eq!(
        trail,
        [
            asked.clone(),
            asked.clone(),
            asked.clone(),
            by(&admin, "right.granted"),
            by(&admin, "right.declined"),
            asked
        ]
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_entry_names_right_request_and_reason() {
    let app = TestApp::start().await;
    let (leader, admin) = (app.leader().await, app.administrator().await);
    let request = ask_for(&leader, "scanner:kits").await;
    admin.post(&format!("{request}/grant"), &because("Welcome.")).await.ok(200);
    let granted = Query::new(Filter::eq("action", "right.granted"));
    let entry = app.store.find::<AuditEntry>(granted).await.expect("readable").remove(0);
    assert_eq!(entry.detail["right"], "scanner:kits");
    assert_eq!(format!("{ALL}/{}", entry.detail["request"]), request);
    assert_eq!(entry.reason.and_then(|reason| reason.text().map(str::to_owned)).as_deref(), Some("Welcome."));
    assert_eq!(
        (entry.subject.collection.as_str(), entry.subject.id.as_deref()),
        ("accounts", Some(leader.account().id.as_str()))
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_names_and_duplicates_are_refused_by_their_position() {
    let app = TestApp::start().await;
    let (leader, admin) = (app.leader().await, app.administrator().await);
    let asked = [
        ("scope", "admin:all"),
        ("scope", "admin:some"),
        ("reach", "group:Nowhere"),
        ("scope", "admin:all"),
        ("studentField", "password"),
    ];
    let error = |pointer: &str, code: &str| (pointer.to_owned(), code.to_owned());
    assert_eq!(
        leader.post(OWN, &asking(&asked)).await.errors(),
        [
            error("/rights/1/name", "not-an-option"),
            error("/rights/2/name", "not-an-option"),
            error("/rights/3", "repeated"),
            error("/rights/4/name", "not-an-option")
        ]
    );
    let many: Vec<_> = (0..51).map(|n| format!("hunt-team:{n}")).collect();
    let many: Vec<_> = many.iter().map(|name| ("reach", name.as_str())).collect();
    assert_eq!(leader.post(OWN, &asking(&many)).await.errors(), [error("/rights", "too-many")]);
    assert_eq!(leader.post(OWN, &asking(&[])).await.errors(), [error("/rights", "too-few")]);
    assert_eq!(leader.get(OWN).await.ok(200)["items"], json!([]));

    let body = json!({ "scopes": ["faq:edit", "all"], "studentFields": ["shirtSize", ""], "reach": ["group:all", "group:alpha"], "reason": "x" });
    let request = admin.request(Method::PUT, &format!("{}/rights", path_of(&leader))).header("if-match", "*");
    assert_eq!(
        admin.send(request.json(&body)).await.errors(),
        [
            error("/reach/1", "not-an-option"),
            error("/scopes/1", "not-an-option"),
            error("/studentFields/1", "not-an-option")
        ]
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_are_set_count_with_the_next_request_and_need_the_current_version() {
    let app = TestApp::start().await;
    let (leader, admin) = (app.leader().await, app.administrator().await);
    let account = path_of(&leader);
    let seen = admin.get(&account).await.header("etag").expect("a tag").to_owned();
    admin.set_rights(&account, None, &["mailings:read"]).await.refused(428, "if-match-missing");
    let set = admin.set_rights(&account, Some(&seen), &["mailings:read"]).await;
    assert_eq!(set.ok(200)["scopes"], json!(["mailings:read"]));
    leader.get("/v1/suppressions").await.ok(200);
    admin.set_rights(&account, Some(&seen), &[]).await.refused(412, "stale");
    let seen = set.header("etag").expect("a tag").to_owned();
    assert_eq!(admin.get(&account).await.header("etag"), Some(seen.as_str()));
    admin.set_rights(&account, Some(&seen), &[]).await.ok(200);
    leader.get("/v1/suppressions").await.refused(403, "scope-missing");
    app.mailbox(leader.email()).email("Your rights").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_who_is_granted_admin_all_can_grant() {
    let app = TestApp::start().await;
    let (leader, admin) = (app.leader().await, app.administrator().await);
    let own = ask_for(&leader, "admin:all").await;
    leader.post(&format!("{own}/grant"), &because("Me.")).await.refused(403, "scope-missing");
    admin.post(&format!("{own}/grant"), &because("Welcome.")).await.ok(200);
    let request = ask_for(&app.leader().await, "faq:edit").await;
    leader.post(&format!("{request}/grant"), &because("Welcome.")).await.ok(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_of_the_operations_on_rights_is_reached() {
    reaches_all_of("Rights", async |reach| {
        let app = reach.start().await;
        let (leader, admin) = (app.leader().await, app.administrator().await);
        let (account, student) = (path_of(&leader), path_of(&app.student().await));

        leader.get("/v1/scopes").await.ok(200);
        let results = reach.example(&leader, "requestRights").await.ok(200);
        let request =
            |n: usize| format!("{ALL}/{}", results["results"][n]["request"]["id"].as_str().expect("an id"));
        leader.get(OWN).await.ok(200);
        admin.get(ALL).await.ok(200);
        reach.example(&admin, "grantRight").await.refused(404, "no-such-rights-request");
        reach.example(&admin, "declineRight").await.refused(404, "no-such-rights-request");
        let decide =
            async |n: usize, what: &str| admin.post(&format!("{}/{what}", request(n)), &because("So.")).await;
        decide(0, "grant").await.ok(200);
        decide(0, "grant").await.refused(409, "rights-request-decided");
        decide(0, "decline").await.refused(409, "rights-request-decided");
        admin.delete(&format!("{account}/approval")).await.ok(204);
        decide(1, "grant").await.refused(409, "not-an-approved-leader");
        decide(1, "decline").await.ok(200);

        reach.example(&admin, "setAccountRights").await.refused(404, "no-such-account");
        admin.set_rights(&student, Some("*"), &[]).await.refused(409, "not-an-approved-leader");
        let own = path_of(&admin);
        admin.set_rights(&own, Some("*"), &[]).await.refused(409, "last-administrator");
        admin.set_rights(&own, None, &[]).await.refused(428, "if-match-missing");
        admin.set_rights(&own, Some("\"old\""), &[]).await.refused(412, "stale");
        admin.set_rights(&own, Some("*"), &["admin:all", "faq:edit"]).await.ok(200);
        let kept: Account = app.store.get(&admin.account().id).await.expect("readable").expect("there");
        assert!(kept.is_administrator());

        let busy = app.leader().await;
        for from in [0, 50] {
            let teams: Vec<_> = (from..from + 50).map(|team| format!("hunt-team:{team}")).collect();
            let teams: Vec<_> = teams.iter().map(|team| ("reach", team.as_str())).collect();
            busy.post(OWN, &asking(&teams)).await.ok(200);
        }
        busy.post(OWN, &asking(&[("scope", "faq:edit")])).await.refused(409, "too-many-rights-requests");
        reach.without_a_store(&app, &admin, &[]).await;
        app.finish().await;

        let limited = reach.start_with(|config| config.limits = 0.01).await;
        let leader = limited.somebody("limited@mail.example.edu", Role::Leader, &[]).await;
        reach.too_many(&leader, &[("requestRights", asking(&[("scope", "faq:edit")]), 200)]).await;
        limited.finish().await;
    })
    .await;
}
