//! The OpenAPI document: it is served as committed, every tag has a test that reaches all of its outcomes, and every
//! operation refuses callers without the right.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::support::document::{Operation, operations};
use crate::support::{NO_ID, TestApp, ask, try_out};
use crate::v1_accounts::credentials;

#[tokio::test(flavor = "multi_thread")]
async fn the_served_document_equals_the_committed_one() {
    let app = TestApp::start().await;
    let answer = app.anonymous().get("/openapi.json").await;
    assert_eq!(answer.status, 200);
    let committed = include_str!("../../openapi/orientation.json");
    assert!(answer.text() == committed, "run `just generate` and commit its changes in openapi/");
    let other = TestApp::start_with(|config| {
        config.event.name = "Another faculty's week".into();
        config.event.disciplines = vec!["Law".into(), "Music".into()];
        config.rehearsal = true;
    })
    .await;
    assert!(
        other.anonymous().get("/openapi.json").await.text() == committed,
        "it does not depend on the configuration"
    );
    other.finish().await;
    app.finish().await;
}

#[test]
fn operations_txt_lists_the_operations_of_the_document() {
    // A tag can have several words.
    let listed = |line: &str| {
        let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        words[words.len() - 3..].to_vec()
    };
    let lines: BTreeSet<_> = include_str!("../../openapi/operations.txt").lines().map(listed).collect();
    let known = operations().iter().map(|o| vec![o.id.clone(), o.method.to_string(), o.path.clone()]);
    assert_eq!(lines, known.collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_refuses_callers_without_the_right() {
    let app = TestApp::start().await;
    for operation in operations() {
        let anonymous = try_out(&app.anonymous(), operation).await;
        let (student, leader) = (app.student().await, app.leader().await);
        let (by_student, by_leader) = (try_out(&student, operation).await, try_out(&leader, operation).await);
        for answer in [&anonymous, &by_student, &by_leader] {
            assert!(!answer.status.is_server_error(), "{}: {answer:?}", operation.id);
        }
        if operation.needs_session() {
            anonymous.refused(401, "not-signed-in");
            assert_ne!(by_student.status, StatusCode::UNAUTHORIZED, "{}", operation.id);
        } else {
            assert!(matches!(operation.right(), Some("anybody" | "visitor")), "{}", operation.id);
        }
        match operation.right() {
            // It refuses unsigned messages with 403.
            Some("anybody") if operation.is_webhook() => {}
            Some("anybody" | "visitor" | "session" | "account") => {
                assert_ne!(by_student.status, StatusCode::FORBIDDEN, "{}", operation.id);
                assert_ne!(by_leader.status, StatusCode::FORBIDDEN, "{}", operation.id);
            }
            Some("student") => {
                by_leader.refused(403, "students-only");
                assert_ne!(by_student.status, StatusCode::FORBIDDEN, "{}", operation.id);
            }
            Some("leader" | "leader-or-key" | "leader-session") => {
                by_student.refused(403, "leaders-only");
                assert_ne!(by_leader.status, StatusCode::FORBIDDEN, "{}", operation.id);
            }
            Some(_scope) => {
                by_leader.refused(403, "scope-missing");
                by_student.refused(403, "scope-missing");
            }
            None => panic!("{} does not say who may call it", operation.id),
        }
    }
    app.finish().await;
}

#[test]
fn only_these_operations_are_for_anybody() {
    let public: BTreeSet<_> =
        operations().iter().filter(|operation| !operation.needs_session()).map(|o| o.id.as_str()).collect();
    let expected = [
        "askQuestion",
        "confirmAccount",
        "confirmEmail",
        "getEvent",
        "getHealth",
        "getProduct",
        "getReadiness",
        "getScheduleCalendar",
        "getScheduleNow",
        "getTicketKeys",
        "listFaq",
        "listFaqCategories",
        "listProducts",
        "listSchedule",
        "receiveSesNotification",
        "receiveStripeEvent",
        "requestPasswordReset",
        "resendConfirmation",
        "resetPassword",
        "searchFaq",
        "signIn",
        "signUp",
    ];
    assert_eq!(public, expected.into());
}

#[test]
fn every_tag_has_a_test_that_reaches_all_of_it() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api");
    let files = std::fs::read_dir(folder).expect("readable").flatten().map(|entry| entry.path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let sources: Vec<_> = files.map(|path| std::fs::read_to_string(path).expect("readable")).collect();
    let reached: BTreeSet<_> =
        sources.iter().flat_map(|text| text.split("reaches_all_of(\"").skip(1)).filter_map(name).collect();
    assert_eq!(reached, operations().iter().map(Operation::tag).collect());
}

/// The content of the string literal that begins here.
fn name(text: &str) -> Option<&str> {
    text.split('"').next()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_method_gets_405_with_the_right_ones() {
    let app = TestApp::start().await;
    let visitor = app.anonymous();
    for operation in operations() {
        let at_path = |method: &Method| {
            operations().iter().any(|other| other.path == operation.path && other.method == *method)
        };
        let others = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        for method in others.into_iter().filter(|method| !at_path(method)) {
            let answer = visitor.send(visitor.request(method, &operation.address(NO_ID))).await;
            answer.refused(405, "method-not-allowed");
            assert!(answer.header("allow").is_some_and(|allow| allow.contains(operation.method.as_str())));
        }
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_property_is_rejected_at_every_level() {
    let app = TestApp::start().await;
    let (student, admin) = (app.student().await, app.administrator().await);
    let bodies = operations().iter().filter(|o| o.takes_body() && !o.is_webhook());
    for operation in bodies {
        let example = operation.example().expect("an example");
        for pointer in objects(&example, "") {
            let mut body = example.clone();
            body.pointer_mut(&pointer).expect("an object")["isAdmin"] = true.into();
            let caller = if operation.lists("students-only") { &student } else { &admin };
            let errors = caller.send(ask(caller, operation).json(&body)).await.errors();
            let expected = (format!("{pointer}/isAdmin"), "unknown-property".to_owned());
            assert_eq!(errors, [expected], "{}", operation.id);
        }
    }
    app.finish().await;
}

/// Pointers to all objects in a value.
fn objects(value: &Value, at: &str) -> Vec<String> {
    let inside: Vec<_> = match value {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(elements) => elements.iter().enumerate().map(|(i, v)| (i.to_string(), v)).collect(),
        _ => vec![],
    };
    let own = value.is_object().then(|| at.to_owned()).into_iter();
    own.chain(inside.into_iter().flat_map(|(name, value)| objects(value, &format!("{at}/{name}")))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_services_share_nothing() {
    let (one, other) = (TestApp::start().await, TestApp::start().await);
    let student = one.student().await;
    let mut elsewhere = other.anonymous();
    elsewhere.cookie = student.cookie.clone();
    elsewhere.get("/v1/me").await.refused(401, "not-signed-in");
    let sign_in = credentials(student.email(), crate::support::PASSWORD);
    elsewhere.post("/v1/session", &sign_in).await.refused(401, "wrong-credentials");
    one.finish().await;
    other.finish().await;
}
