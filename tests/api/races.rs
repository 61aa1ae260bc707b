//! Concurrent requests over HTTP.
//!
//! The races are shown to be real where a guard can be switched off for a single future (cargo feature `faults`):
//! `without_the_guard_places_are_miscounted` and `without_the_guard_moves_are_miscounted` in
//! `src/features/registration/service_tests.rs`,
//! `without_the_guard_one_event_takes_effect_again_and_again` in `src/features/payments/service_tests.rs`,
//! `without_the_guard_one_code_opens_many_sessions` in `src/features/second_factor/tests.rs`,
//! `without_the_guard_each_takes_effect` in `src/platform/idempotency/tests.rs`, `without_the_guard_no_administrator_remains`
//! in `src/features/leaders/service_tests.rs` and `tests/platform/administrators.rs`, and the two in
//! `src/features/rights/service_tests.rs`. Unique keys decide the rest: one registration per account, one account per
//! student id, one open request per right.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use orientation::features::accounts::Account;
use orientation::features::groups::GroupBook;
use orientation::features::payments::Order;
use orientation::features::registration::Registration;
use orientation::platform::store::{Filter, Query};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::stripe::{self, event};
use crate::support::{Answer, PASSWORD, TestApp, Visitor, form, new_student_id};
use crate::v1_groups::{exact_sizes, group_path, to};
use crate::v1_leaders::{path_of, trail};
use crate::v1_me_totp::{code_of, turn_on};
use crate::v1_rights_requests::{ask_for, because};

async fn book(app: &TestApp) -> GroupBook {
    app.store.get(GroupBook::ID).await.expect("readable").expect("somebody registered")
}

/// Number of responses by status.
fn counted(answers: impl IntoIterator<Item = u16>) -> BTreeMap<u16, usize> {
    let mut counts = BTreeMap::new();
    for status in answers {
        *counts.entry(status).or_insert(0) += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_register_at_once_and_are_counted_exactly() {
    let app = TestApp::start().await;
    let students = join_all((0..200).map(|_| app.student())).await;
    let disciplines = &app.config.event.disciplines;
    let registered = join_all(students.iter().enumerate().map(async |(n, student)| {
        let mut form = form(&new_student_id());
        form["discipline"] = disciplines[n % disciplines.len()].clone().into();
        student.post("/v1/registration", &form).await.ok(201)
    }))
    .await;
    let mut members = BTreeMap::new();
    for answer in &registered {
        let group = answer["registration"]["group"]["name"].as_str().expect("a name").to_owned();
        *members.entry(group).or_insert(0) += 1;
    }
    let counted: BTreeMap<_, _> =
        book(&app).await.groups.into_iter().map(|tally| (tally.name, tally.members)).collect();
    assert_eq!(counted, members);
    assert_eq!((members.values().min(), members.values().max()), (Some(&10), Some(&10)));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn students_who_register_while_others_are_moved_are_counted_exactly() {
    let app = TestApp::start().await;
    let admin = app.administrator().await;
    // Few, because each move sends an email, and SES accepts some per second.
    let placed = join_all((0..12).map(|_| app.submitted())).await;
    let others = join_all((0..40).map(|_| app.student())).await;
    let forms: Vec<_> = others.iter().map(|_| form(&new_student_id())).collect();
    // Each of them twice, to two groups: the second move finds what the first has done.
    let moves = placed.iter().flat_map(|(student, _)| [(student, "Alpha"), (student, "Beta")]);
    let moves = moves.map(async |(student, group)| admin.put(&group_path(student), &to(group)).await.ok(204));
    let registered = others.iter().zip(&forms).map(|(student, form)| student.post("/v1/registration", form));
    let (_, registered) = tokio::join!(join_all(moves), join_all(registered));
    registered.iter().for_each(|answer| drop(answer.ok(201)));
    let sizes = exact_sizes(&app).await;
    assert_eq!(sizes.values().sum::<u32>(), 52);
    let of = |group| sizes.get(group).copied().unwrap_or(0);
    assert!(of("Alpha") + of("Beta") >= 12, "{sizes:?}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_deliveries_of_one_event_at_once_have_one_effect() {
    let app = stripe::app_with_secret().await;
    let (ana, order) = app.submitted().await;
    let paid = event("evt_1", "completed", &order, "paid");
    let answers = join_all((0..50).map(|_| app.deliver(&paid))).await;
    assert_eq!(counted(answers.iter().map(|answer| answer.status.as_u16())), BTreeMap::from([(200, 50)]));
    app.settle().await;
    let kept: Order =
        app.store.get(order["id"].as_str().expect("an id")).await.expect("readable").expect("there");
    let registered: u32 = book(&app).await.groups.iter().map(|tally| tally.registered).sum();
    let emails = app.mailbox(ana.email()).emails().await.len();
    assert_eq!((kept.payments.len(), registered, emails), (1, 1, 1));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_presses_under_one_key_register_once_and_get_one_answer() {
    let app = TestApp::start().await;
    let (ana, form) = (app.student().await, form(&new_student_id()));
    let press = async || {
        let request = ana.request(Method::POST, "/v1/registration").header("Idempotency-Key", "pressed");
        ana.send(request.json(&form)).await.ok(201)["order"]["id"].clone()
    };
    let orders = join_all((0..20).map(|_| press())).await;
    assert!(orders.iter().all(|order| *order == orders[0]), "{orders:?}");
    let members: u32 = book(&app).await.groups.iter().map(|tally| tally.members).sum();
    assert_eq!((members, app.store.count::<Order>(Filter::All).await.expect("readable")), (1, 1));
    app.finish().await;
}

/// Registers twenty times at once, alternating between `accounts` accounts; returns the sorted problem types of the
/// responses.
async fn twenty_at_once(app: &TestApp, accounts: usize) -> Vec<Value> {
    let students = join_all((0..accounts).map(|_| app.student())).await;
    let form = form(&new_student_id());
    let tries = (0..20).map(|n| students[n % accounts].post("/v1/registration", &form));
    let answers = join_all(tries).await;
    let mut kinds: Vec<_> = answers.iter().map(|answer| answer.json()["type"].clone()).collect();
    kinds.sort_by_key(Value::to_string);
    let members: u32 = book(app).await.groups.iter().map(|tally| tally.members).sum();
    let kept = app.store.count::<Registration>(Filter::All).await.expect("countable");
    let orders = app.store.find::<Order>(Query::new(Filter::All)).await.expect("readable").len();
    assert_eq!((members, kept, orders), (1, 1, 1));
    kinds
}

/// One response without a problem, the others with this one.
fn one_and_nineteen(kind: &str) -> Vec<Value> {
    let mut kinds = vec![json!(format!("/problems/{kind}")); 19];
    kinds.push(Value::Null);
    kinds
}

#[tokio::test(flavor = "multi_thread")]
async fn one_account_that_registers_twenty_times_at_once_is_registered_once() {
    let app = TestApp::start().await;
    assert_eq!(twenty_at_once(&app, 1).await, one_and_nineteen("already-registered"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_accounts_with_one_student_id_get_one_registration() {
    let app = TestApp::start().await;
    assert_eq!(twenty_at_once(&app, 20).await, one_and_nineteen("student-id-taken"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_simultaneous_presses_of_pay_pay_once() {
    let app = TestApp::start().await;
    let (ana, order) = app.submitted().await;
    let page = order["checkoutUrl"].as_str().expect("a checkout");
    let presses = join_all((0..20).map(|_| ana.submit(page, &[("press", "pay")]))).await;
    let statuses = counted(presses.iter().map(|answer| answer.status.as_u16()));
    assert_eq!(statuses, BTreeMap::from([(303, 20)]), "each shows the result of the first");
    app.settle().await;
    assert_eq!(app.mailbox(ana.email()).emails().await.len(), 1);
    assert_eq!(ana.order(&order).await["state"], "paid");
    app.finish().await;
}

/// Whether the visitor is an administrator.
async fn is_administrator(app: &TestApp, visitor: &Visitor) -> bool {
    let id = &visitor.account().id;
    app.store.get::<Account>(id).await.expect("readable").expect("there").is_administrator()
}

/// Ends an administrator in one of the three ways.
async fn demote(by: &Visitor, whom: &Visitor, way: usize) -> Answer {
    let account = path_of(whom);
    match way % 3 {
        0 => by.delete(&format!("{account}/approval")).await,
        1 => by.put(&format!("{account}/rejection"), &json!({})).await,
        _ => {
            let none = json!({ "scopes": [], "studentFields": [], "reach": [], "reason": "New tasks." });
            let request = by.request(Method::PUT, &format!("{account}/rights")).header("if-match", "*");
            by.send(request.json(&none)).await
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_administrators_who_demote_each_other_at_once_one_remains() {
    let app = TestApp::start().await;
    let mut one = app.administrator().await;
    for way in 0..12 {
        let other = app.administrator().await;
        let (first, second) = tokio::join!(demote(&one, &other, way), demote(&other, &one, way / 3));
        let done = [&first, &second].iter().filter(|answer| answer.status.is_success()).count();
        assert_eq!(done, 1, "{first:?} {second:?}");
        if !is_administrator(&app, &one).await {
            one = other;
        }
        let left = one.get("/v1/accounts?administrators=true").await.ok(200);
        assert_eq!(left["items"].as_array().map(Vec::len), Some(1), "{left}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_and_a_withdrawal_of_the_approval_at_once_leave_no_right_without_approval() {
    let app = TestApp::start().await;
    let admin = app.administrator().await;
    for _ in 0..10 {
        let leader = app.leader().await;
        let (account, request) = (path_of(&leader), ask_for(&leader, "mailings:read").await);
        let (grant, approval) = (format!("{request}/grant"), format!("{account}/approval"));
        let reason = because("Welcome.");
        let (granted, withdrawn) = tokio::join!(admin.post(&grant, &reason), admin.delete(&approval));
        withdrawn.ok(204);
        let mut expected = vec!["right.requested"];
        match granted.status.as_u16() {
            200 => expected.extend(["right.granted", "approval.withdrawn"]),
            _ => {
                granted.refused(409, "not-an-approved-leader");
                expected.push("approval.withdrawn");
            }
        }
        let actions: Vec<_> = trail(&app, &account).await.into_iter().map(|(_, action)| action).collect();
        assert_eq!(actions, expected);
        leader.get("/v1/suppressions").await.refused(403, "not-approved");
        assert_eq!(admin.get(&account).await.ok(200)["scopes"], json!([]));
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_decisions_on_one_request_at_once_one_takes_effect() {
    let app = TestApp::start().await;
    let (leader, admin) = (app.leader().await, app.administrator().await);
    let request = ask_for(&leader, "scanner:food").await;
    let reason = because("So.");
    let decisions = (0..20).map(async |n| {
        let decision = if n % 2 == 0 { "grant" } else { "decline" };
        admin.post(&format!("{request}/{decision}"), &reason).await
    });
    let answers = join_all(decisions).await;
    let statuses = counted(answers.iter().map(|answer| answer.status.as_u16()));
    assert_eq!(statuses, BTreeMap::from([(200, 1), (409, 19)]));
    app.settle().await;
    assert_eq!(app.mailbox(leader.email()).emails().await.len(), 1);
    assert_eq!(trail(&app, &path_of(&leader)).await.len(), 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_code_of_a_second_factor_that_is_used_twenty_times_at_once_opens_one_session() {
    let app = TestApp::start().await;
    let mut leader = app.leader().await;
    let (secret, recovery_codes) = turn_on(&app, &mut leader).await;
    for code in [&code_of(&app, &secret), &recovery_codes[0]] {
        let body = json!({ "email": leader.email(), "password": PASSWORD, "code": code });
        let visitors: Vec<_> = (0..20).map(|_| app.anonymous()).collect();
        let answers = join_all(visitors.iter().map(|visitor| visitor.post("/v1/session", &body))).await;
        let statuses = counted(answers.iter().map(|answer| answer.status.as_u16()));
        assert_eq!(statuses, BTreeMap::from([(200, 1), (401, 19)]), "{code}");
    }
    let sessions = leader.get("/v1/sessions").await.ok(200);
    assert_eq!(sessions["items"].as_array().map(Vec::len), Some(3), "{sessions}");
    app.finish().await;
}
