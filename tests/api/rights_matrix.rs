//! Who may call what: every operation of the document by every kind of caller.
//!
//! `x-right` of an operation decides about each caller. The table in `rights_matrix.txt` is what the service answered, so
//! that a change of rights shows in its diff; an operation that is not in it fails the test.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use futures_util::future::join_all;
use orientation::config::Config;
use orientation::features::accounts::{Account, Approval};
use orientation::kernel::{Clock, EmailAddress, Ids, RandomIds, Right, Scope};
use orientation::platform::mail::{Suppression, SuppressionCause};
use serde_json::{Value, json};

use crate::support::document::{COMMITTED, Operation, operations};
use crate::support::{Answer, NO_ID, PASSWORD, TestApp, Visitor, try_out};
use crate::v1_accounts::{credentials, sign_up_of};
use crate::v1_api_keys::create;
use crate::v1_rights_requests::ask_for;
use crate::v1_schedule::an_entry;

/// A kind of caller: a column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Anonymous,
    /// Signed up, and didn't confirm the address.
    Unconfirmed,
    EndedSession,
    Student,
    WaitingLeader,
    RejectedLeader,
    /// An approved leader with every scope but the one that the operation needs, and without `admin:all`.
    LeaderWithout,
    /// A leader with this scope only.
    LeaderWith,
    Administrator,
    /// An administrator without the second factor that the event demands.
    AdministratorWithoutFactor,
    /// An API key with every scope but the one that the operation needs.
    KeyWithout,
    /// An API key with this scope only. No key can have `admin:all`.
    KeyWith,
    /// An API key with this scope that has expired.
    ExpiredKey,
}

const CALLERS: [(Who, &str); 13] = [
    (Who::Anonymous, "anonymous"),
    (Who::Unconfirmed, "unconfirmed"),
    (Who::EndedSession, "ended session"),
    (Who::Student, "student"),
    (Who::WaitingLeader, "waiting leader"),
    (Who::RejectedLeader, "rejected leader"),
    (Who::LeaderWithout, "leader without the scope"),
    (Who::LeaderWith, "leader with the scope"),
    (Who::Administrator, "administrator"),
    (Who::AdministratorWithoutFactor, "administrator without a factor"),
    (Who::KeyWithout, "API key without the scope"),
    (Who::KeyWith, "API key with the scope"),
    (Who::ExpiredKey, "expired API key"),
];

const DAY: Duration = Duration::from_hours(24);

/// How an operation answers a caller, as far as rights decide.
const ADMITTED: &str = "yes";

/// The refusals that are about rights.
const REFUSALS: [&str; 7] = [
    "not-signed-in",
    "api-key-invalid",
    "scope-missing",
    "not-approved",
    "second-factor-required",
    "leaders-only",
    "students-only",
];

/// What `x-right` says about a caller. `keys`: whether the operation accepts API keys.
fn expected(right: &str, keys: bool, who: Who) -> &'static str {
    use Who::*;
    match (right, who) {
        ("anybody" | "visitor", _) => ADMITTED,
        (_, Anonymous | Unconfirmed | EndedSession) => "not-signed-in",
        // A key acts as an approved leader.
        ("leader", KeyWithout | KeyWith) if keys => ADMITTED,
        ("leader", ExpiredKey) if keys => "api-key-invalid",
        (
            "session" | "leader-session" | "account" | "student" | "leader" | "admin:all",
            KeyWithout | KeyWith | ExpiredKey,
        ) => "not-signed-in",
        ("session", _) => ADMITTED,
        ("leader-session", Student) => "leaders-only",
        ("leader-session", _) => ADMITTED,
        ("account", AdministratorWithoutFactor) => "second-factor-required",
        ("account", _) => ADMITTED,
        ("student", Student) => ADMITTED,
        ("student", _) => "students-only",
        (_, AdministratorWithoutFactor) => "second-factor-required",
        (_, WaitingLeader | RejectedLeader) => "not-approved",
        ("leader" | "leader-or-key", Student) => "leaders-only",
        ("leader" | "leader-or-key", LeaderWithout | LeaderWith | Administrator) => ADMITTED,
        ("leader-or-key", KeyWithout | KeyWith) => ADMITTED,
        ("leader-or-key", ExpiredKey) => "api-key-invalid",
        (scope, _) => {
            assert!(Scope::parse(scope).is_ok(), "`x-right: {scope}` is unknown: say here whom it admits");
            match who {
                ExpiredKey => "api-key-invalid",
                LeaderWith | Administrator | KeyWith => ADMITTED,
                _ => "scope-missing",
            }
        }
    }
}

/// What the answer says about the caller's rights.
fn observed(answer: &Answer) -> String {
    let kind = match answer.header("content-type") {
        Some("application/problem+json") => answer.json()["type"].as_str().expect("a type").to_owned(),
        _ => return ADMITTED.into(),
    };
    let kind = kind.trim_start_matches("/problems/");
    if REFUSALS.contains(&kind) { kind.into() } else { ADMITTED.into() }
}

/// The services that callers are made on: one that demands a second factor of administrators, and one that doesn't.
struct Services {
    plain: TestApp,
    strict: TestApp,
}

impl Services {
    async fn start() -> Self {
        let demand = |config: &mut Config| config.event.sign_in.administrators_need_second_factor = true;
        Self { plain: TestApp::start().await, strict: TestApp::start_with(demand).await }
    }

    /// A new caller of this kind for an operation that needs `right`.
    async fn caller(&self, who: Who, right: &str) -> Visitor {
        let app = &self.plain;
        match who {
            Who::Anonymous => app.anonymous(),
            Who::Unconfirmed => unconfirmed(app).await,
            Who::EndedSession => {
                let student = app.student().await;
                student.delete("/v1/session").await.ok(204);
                student
            }
            Who::Student => app.student().await,
            Who::WaitingLeader => app.waiting_leader().await,
            Who::RejectedLeader => with(app, |account| account.decide(Approval::Rejected)).await,
            Who::LeaderWithout => {
                let others: Vec<_> = others(right).map(Right::Scope).collect();
                with(app, |account| account.set_rights(others.clone())).await
            }
            Who::LeaderWith => match Scope::parse(right) {
                Ok(scope) => with(app, |account| account.grant(Right::Scope(scope))).await,
                Err(_) => app.leader().await,
            },
            Who::Administrator => app.administrator().await,
            Who::AdministratorWithoutFactor => self.strict.administrator().await,
            Who::KeyWithout => app.machine(others(right), app.clock.now().plus(DAY)).await,
            Who::KeyWith => app.machine(for_machines(right), app.clock.now().plus(DAY)).await,
            Who::ExpiredKey => app.machine(for_machines(right), app.clock.now()).await,
        }
    }

    async fn finish(self) {
        self.plain.finish().await;
        self.strict.finish().await;
    }
}

/// Every scope but `right` and `admin:all`.
fn others(right: &str) -> impl Iterator<Item = Scope> {
    Scope::all().filter(move |scope| scope.as_str() != right && *scope != Scope::AdminAll)
}

/// The scope `right`, if a key can have it.
fn for_machines(right: &str) -> impl Iterator<Item = Scope> {
    Scope::parse(right).ok().filter(|scope| *scope != Scope::AdminAll).into_iter()
}

/// Somebody who has signed up, and whom sign-in refuses.
async fn unconfirmed(app: &TestApp) -> Visitor {
    let (visitor, email) = (app.anonymous(), "unconfirmed@mail.example.edu");
    visitor.post("/v1/accounts", &sign_up_of(email)).await.ok(202);
    visitor.post("/v1/session", &credentials(email, PASSWORD)).await.refused(401, "wrong-credentials");
    visitor
}

/// A leader whose account was changed like this.
async fn with(app: &TestApp, change: impl Fn(&mut Account) + Send + Sync) -> Visitor {
    let leader = app.leader().await;
    app.change(&leader, change).await;
    leader
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_answers_every_kind_of_caller_as_its_right_says() {
    let services = Services::start().await;
    let mut table = String::new();
    for operation in operations() {
        let right = operation.right().unwrap_or_else(|| panic!("{} has no `x-right`", operation.id));
        writeln!(table, "{} ({right})", operation.id).expect("text");
        let answers = join_all(CALLERS.map(async |(who, _)| {
            let caller = services.caller(who, right).await;
            try_out(&caller, operation).await
        }));
        for ((who, name), answer) in CALLERS.into_iter().zip(answers.await) {
            assert!(!answer.status.is_server_error(), "{}: {answer:?}", operation.id);
            let expected = expected(right, operation.lists("api-key-invalid"), who);
            assert_eq!(observed(&answer), expected, "{} by {who:?}: {answer:?}", operation.id);
            writeln!(table, "    {name}: {}", observed(&answer)).expect("text");
        }
    }
    services.finish().await;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/rights_matrix.txt");
    if std::env::var_os("ORIENTATION_WRITE_MATRIX").is_some() {
        std::fs::write(file, &table).expect("written");
    }
    let committed = std::fs::read_to_string(file).unwrap_or_default();
    assert!(table == committed, "read the change: ORIENTATION_WRITE_MATRIX=1 writes it to {file}\n{table}");
}

/// The id of something that exists and is somebody else's, by the name of the parameter.
async fn somebody_elses(app: &TestApp, parameter: &str) -> Option<String> {
    match parameter {
        "productId" => Some("retreat".into()),
        "sessionId" => {
            let sessions = app.student().await.get("/v1/sessions").await.ok(200);
            sessions["items"][0]["id"].as_str().map(str::to_owned)
        }
        "announcementId" => {
            let for_leaders = json!({ "title": "x", "text": "x", "audience": { "for": "leaders" } });
            let written = app.administrator().await.post("/v1/announcements", &for_leaders).await.ok(201);
            written["id"].as_str().map(str::to_owned)
        }
        "mailingId" => {
            let draft = json!({ "subject": "x", "text": "x", "audience": { "for": "everyone" } });
            let made = app.administrator().await.post("/v1/mailings", &draft).await.ok(201);
            made["id"].as_str().map(str::to_owned)
        }
        "mailId" => Some(format!("welcome:{NO_ID}")),
        "orderId" => app.submitted().await.1["id"].as_str().map(str::to_owned),
        "accountId" => Some(app.leader().await.account().id.clone()),
        "apiKeyId" => Some(create(app, &app.administrator().await, &["faq:edit"]).await.1),
        "questionId" => {
            let asked = json!({ "question": "May I bring my dog?" });
            let asked = app.anonymous().post("/v1/faq/questions", &asked).await.ok(202);
            asked["id"].as_str().map(str::to_owned)
        }
        "requestId" => {
            let request = ask_for(&app.leader().await, "faq:edit").await;
            request.rsplit('/').next().map(str::to_owned)
        }
        "suppressionId" => {
            let (id, now) = (RandomIds.next(), app.clock.now());
            let address = EmailAddress::parse(&format!("{id}@mail.example.edu")).expect("an address");
            let entry = Suppression::new(id, &address, SuppressionCause::Bounce, now);
            app.store.insert(&entry).await.expect("a new address");
            Some(entry.id)
        }
        "entryId" => Some(an_entry(app).await),
        "jobId" => Some(app.job("bell.ring", json!({}), Duration::from_secs(3600)).await.id),
        "groupName" => Some("Omega".into()),
        "planId" => {
            let plan = app.administrator().await.press("/v1/group-plans").await.ok(201);
            plan["id"].as_str().map(str::to_owned)
        }
        "studentId" => Some(app.registered().await.0.account().id.clone()),
        _ => None,
    }
}

/// The operations on what people own.
fn on_own_data() -> impl Iterator<Item = &'static Operation> {
    let own = |operation: &&Operation| {
        let right = operation.right().unwrap_or_default();
        ["session", "account", "student", "leader", "leader-or-key", "leader-session"].contains(&right)
            && operation.path.contains('{')
    };
    operations().iter().filter(own)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_somebody_else_is_answered_like_what_does_not_exist() {
    let app = TestApp::start().await;
    for operation in on_own_data() {
        for (_, parameter) in operation.parameters().into_iter().filter(|(place, _)| *place == "path") {
            let theirs = somebody_elses(&app, parameter).await;
            let theirs = theirs.unwrap_or_else(|| panic!("say how to make somebody else's {parameter}"));
            let stranger = match operation.right() {
                Some("leader" | "leader-or-key") => app.leader().await,
                _ => app.student().await,
            };
            let ask = async |id: &str| {
                let request = stranger.request(operation.method.clone(), &operation.address(id));
                match operation.example() {
                    Some(body) => stranger.send(request.json(&body)).await,
                    None => stranger.send(request).await,
                }
            };
            let (private, unknown) = (ask(&theirs).await, ask(NO_ID).await);
            assert_eq!(private.comparable(), unknown.comparable(), "{}", operation.id);
            assert_eq!(private.status, 404, "{}", operation.id);
        }
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_scope_nobody_learns_whether_something_exists() {
    let app = TestApp::start().await;
    let leader = app.leader().await;
    let scoped = |operation: &&Operation| operation.right().is_some_and(|right| Scope::parse(right).is_ok());
    for operation in operations().iter().filter(scoped) {
        for (_, parameter) in operation.parameters().into_iter().filter(|(place, _)| *place == "path") {
            let existing = somebody_elses(&app, parameter).await;
            let existing = existing.unwrap_or_else(|| panic!("say how to make a {parameter}"));
            let ask = async |id: &str| {
                leader.send(leader.request(operation.method.clone(), &operation.address(id))).await
            };
            let (exists, unknown) = (ask(&existing).await, ask(NO_ID).await);
            exists.refused(403, "scope-missing");
            assert_eq!(exists.comparable(), unknown.comparable(), "{}", operation.id);
        }
    }
    app.finish().await;
}

/// Every name of a property anywhere in the document.
fn property_names() -> BTreeSet<String> {
    fn collect(value: &Value, names: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) => {
                if let Some(properties) = object.get("properties").and_then(Value::as_object) {
                    names.extend(properties.keys().cloned());
                }
                object.values().for_each(|value| collect(value, names));
            }
            Value::Array(items) => items.iter().for_each(|value| collect(value, names)),
            _ => {}
        }
    }
    let mut names = BTreeSet::new();
    collect(&COMMITTED, &mut names);
    names
}

/// The properties of an operation's body.
fn own_properties(operation: &Operation) -> BTreeSet<String> {
    let body = operation.body_schema();
    body["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_body_accepts_a_property_that_is_not_its_own() {
    let app = TestApp::start().await;
    let (student, admin) = (app.student().await, app.administrator().await);
    let names = property_names();
    assert!(names.len() > 100 && names.contains("scopes"));
    for operation in operations().iter().filter(|operation| operation.takes_body() && !operation.is_webhook())
    {
        let own = own_properties(operation);
        let caller = match operation.right() {
            Some("anybody" | "session" | "account" | "student") => &student,
            _ => &admin,
        };
        for name in names.iter().filter(|name| !own.contains(*name)) {
            let mut body = operation.example().expect("an example");
            body[name] = json!("admin:all");
            let request = caller.request(operation.method.clone(), &operation.address(NO_ID)).json(&body);
            let errors = caller.send(request.header("if-match", "*")).await.errors();
            let expected = (format!("/{name}"), "unknown-property".to_owned());
            assert!(errors.contains(&expected), "{} accepts {name}: {errors:?}", operation.id);
        }
    }
    app.finish().await;
}
