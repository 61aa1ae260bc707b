//! `/v1/accounts` as the committee uses it: the list of accounts, and the approval of leaders.

use orientation::features::accounts::Account;
use orientation::kernel::{Actor, Role};
use orientation::platform::audit::AuditEntry;
use orientation::platform::store::{Filter, Query};
use serde_json::{Value, json};

use crate::support::{NO_ID, PASSWORD, TestApp, Visitor, reaches_all_of};
use crate::v1_accounts::{credentials, sign_up_of};

/// A leader who has signed up, confirmed the address and signed in, and the path of the account.
pub async fn waiting_leader(app: &TestApp, email: &str) -> (Visitor, String) {
    let mut leader = app.anonymous();
    let mut sign_up = sign_up_of(email);
    sign_up["role"] = "leader".into();
    leader.post("/v1/accounts", &sign_up).await.ok(202);
    let token = app.mailbox(email).token("Confirm").await;
    leader.post("/v1/accounts/confirm", &json!({ "token": token })).await.ok(204);
    leader.cookie = sign_in(app, email).await.cookie;
    let me = leader.get("/v1/me").await.ok(200);
    (leader, format!("/v1/accounts/{}", me["id"].as_str().expect("an id")))
}

/// Another session of the account.
async fn sign_in(app: &TestApp, email: &str) -> Visitor {
    let mut visitor = app.anonymous();
    visitor.cookie = visitor.post("/v1/session", &credentials(email, PASSWORD)).await.cookie();
    visitor
}

/// Path of the account that was made for this visitor.
pub fn path_of(visitor: &Visitor) -> String {
    format!("/v1/accounts/{}", visitor.account().id)
}

/// Who did what to an account: actors and actions.
pub async fn trail(app: &TestApp, account: &str) -> Vec<(Actor, String)> {
    let id = account.trim_start_matches("/v1/accounts/");
    let about = Filter::eq("subject.collection", "accounts").and(Filter::eq("subject.id", id));
    let entries: Vec<AuditEntry> = app.store.find(Query::new(about)).await.expect("readable");
    entries.into_iter().map(|entry| (entry.actor, entry.action.as_str().to_owned())).collect()
}

/// Ids of the items of a list.
fn ids(list: &Value) -> Vec<&str> {
    list["items"].as_array().expect("a list").iter().filter_map(|item| item["id"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_waits_for_approval_and_loses_it_in_every_session_when_it_is_withdrawn() {
    let app = TestApp::start().await;
    let (leader, account) = waiting_leader(&app, "luz@mail.example.edu").await;
    let phone = sign_in(&app, "luz@mail.example.edu").await;
    let own = "/v1/me/rights-requests";
    leader.get(own).await.refused(403, "not-approved");

    let editor =
        app.somebody("editor@mail.example.edu", Role::Leader, &["accounts:edit", "accounts:read"]).await;
    let waiting = "/v1/accounts?role=leader&approval=waiting";
    let list = editor.get(waiting).await.ok(200);
    assert_eq!(ids(&list), [account.trim_start_matches("/v1/accounts/")]);
    assert_eq!(
        (&list["items"][0]["email"], &list["items"][0]["approval"]),
        (&json!("luz@mail.example.edu"), &json!("waiting"))
    );
    for _ in 0..2 {
        editor.put_empty(&format!("{account}/approval")).await.ok(204);
    }
    assert_eq!(ids(&editor.get(waiting).await.ok(200)), [""; 0]);
    leader.get(own).await.ok(200);
    phone.get(own).await.ok(200);
    app.mailbox("luz@mail.example.edu").email("You are approved").await;

    for _ in 0..2 {
        editor.delete(&format!("{account}/approval")).await.ok(204);
    }
    leader.get(own).await.refused(403, "not-approved");
    phone.get(own).await.refused(403, "not-approved");
    assert_eq!(leader.get("/v1/me").await.ok(200)["approved"], false);
    app.mailbox("luz@mail.example.edu").email("no longer a leader").await;
    let by = Actor::Account(editor.account().id.clone());
    let entry = |action: &str| (by.clone(), action.to_owned());
    assert_eq!(trail(&app, &account).await, [entry("leader.approved"), entry("approval.withdrawn")]);
    app.settle().await;
    let subjects = app.mailbox("luz@mail.example.edu").emails().await;
    let about = |text: &str| {
        subjects.iter().filter(|email| email["subject"].as_str().is_some_and(|s| s.contains(text))).count()
    };
    assert_eq!((about("You are approved"), about("no longer")), (1, 1), "one email per decision");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_leader_reads_the_reason_and_can_be_approved_later() {
    let app = TestApp::start().await;
    let editor = app.somebody("editor@mail.example.edu", Role::Leader, &["accounts:edit"]).await;
    let (leader, account) = waiting_leader(&app, "luz@mail.example.edu").await;
    let reason = json!({ "reason": " We don't know you.\nWho are you? " });
    editor.put(&format!("{account}/rejection"), &reason).await.ok(204);
    let email = app.mailbox("luz@mail.example.edu").email("You are not a leader").await;
    assert!(email["text"].as_str().is_some_and(|text| text.contains("We don't know you.\nWho are you?\n")));
    leader.get("/v1/me/rights-requests").await.refused(403, "not-approved");
    editor.put(&format!("{account}/rejection"), &json!({})).await.ok(204);
    editor.put_empty(&format!("{account}/approval")).await.ok(204);
    leader.get("/v1/me/rights-requests").await.ok(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_shown_without_secrets_and_with_its_entity_tag() {
    let app = TestApp::start().await;
    let reader = app.somebody("reader@mail.example.edu", Role::Leader, &["accounts:read"]).await;
    let scanner = app.somebody("scanner@mail.example.edu", Role::Leader, &["scanner:food"]).await;
    let answer = reader.get(&path_of(&scanner)).await;
    assert!(answer.header("etag").is_some_and(|tag| tag.starts_with('"')));
    assert_eq!(
        answer.ok(200),
        json!({
            "id": scanner.account().id, "email": "scanner@mail.example.edu", "firstName": "Ana", "lastName": "García",
            "role": "leader", "approval": "approved", "scopes": ["scanner:food"], "studentFields": [], "reach": [],
            "secondFactor": false, "createdAt": scanner.account().created_at.rfc3339(),
        })
    );
    reader.put_empty(&format!("{}/approval", path_of(&scanner))).await.refused(403, "scope-missing");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_searched_by_name_and_address_and_listed_in_pages() {
    let app = TestApp::start().await;
    let admin = app.administrator().await;
    let names = [
        ("ana@mail.example.edu", "Zoë", "Quill"),
        ("bo@mail.example.edu", "Bo", "Zimmer"),
        ("zoë@mail.example.edu", "Cy", "Li"),
    ];
    for (email, first, last) in names {
        let somebody = app.somebody(email, Role::Student, &[]).await;
        somebody.patch("/v1/me", &json!({ "firstName": first, "lastName": last })).await.ok(200);
    }
    let found = async |query: &str| {
        let list = admin.get(&format!("/v1/accounts?{query}")).await.ok(200);
        let emails = list["items"].as_array().expect("a list").iter().map(|item| item["email"].clone());
        (emails.collect::<Vec<_>>(), list["nextCursor"].as_str().map(str::to_owned))
    };
    assert_eq!(found("search=ZO%C3%8B").await.0, ["zoë@mail.example.edu", "ana@mail.example.edu"]);
    assert_eq!(found("search=%20quill%20zo%C3%AB").await.0, ["ana@mail.example.edu"]);
    assert_eq!(found("search=mail.example.edu&role=leader").await.0, [admin.email()]);
    assert_eq!(found("administrators=true").await.0, [admin.email()]);
    assert_eq!(found("administrators=false&role=student").await.0.len(), 3);
    let (first, cursor) = found("role=student&limit=2").await;
    let (second, end) =
        found(&format!("role=student&limit=2&cursor={}", cursor.expect("there is more"))).await;
    assert_eq!(
        (first, second, end),
        (
            vec![json!("zoë@mail.example.edu"), json!("bo@mail.example.edu")],
            vec![json!("ana@mail.example.edu")],
            None
        )
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_of_the_operations_on_leaders_is_reached() {
    reaches_all_of("Leaders", async |reach| {
        let app = reach.start().await;
        let admin = app.administrator().await;
        let editor = app.somebody("editor@mail.example.edu", Role::Leader, &["accounts:edit"]).await;
        let (leader, student) = (path_of(&app.leader().await), path_of(&app.student().await));
        let missing = format!("/v1/accounts/{NO_ID}");

        admin.get("/v1/accounts").await.ok(200);
        admin.get(&leader).await.ok(200);
        admin.get(&missing).await.refused(404, "no-such-account");

        let approval = |account: &str| format!("{account}/approval");
        admin.put_empty(&approval(&leader)).await.ok(204);
        admin.put_empty(&approval(&missing)).await.refused(404, "no-such-account");
        admin.put_empty(&approval(&student)).await.refused(409, "not-a-leader");
        admin.delete(&approval(&leader)).await.ok(204);
        admin.delete(&approval(&missing)).await.refused(404, "no-such-account");
        admin.delete(&approval(&student)).await.refused(409, "not-a-leader");
        editor.delete(&approval(&path_of(&admin))).await.refused(403, "scope-missing");
        admin.delete(&approval(&path_of(&admin))).await.refused(409, "last-administrator");

        reach.example(&admin, "rejectLeader").await.refused(404, "no-such-account");
        let reject = async |by: &Visitor, account: &str| {
            by.put(&format!("{account}/rejection"), &json!({ "reason": "No." })).await
        };
        reject(&admin, &leader).await.ok(204);
        reject(&admin, &student).await.refused(409, "not-a-leader");
        reject(&editor, &path_of(&admin)).await.refused(403, "scope-missing");
        reject(&admin, &path_of(&admin)).await.refused(409, "last-administrator");
        let kept: Account = app.store.get(&admin.account().id).await.expect("readable").expect("there");
        assert!(kept.is_administrator());

        reach.without_a_store(&app, &admin, &[]).await;
        app.finish().await;
    })
    .await;
}
