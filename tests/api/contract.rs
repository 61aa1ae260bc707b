//! The document: it is what is served, its examples work, and nobody does what is not theirs.

use std::collections::BTreeSet;

use orientation::config::MailConfig;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::document::{Operation, operation, operations};
use crate::support::{Answer, TestApp, Visitor};
use crate::v1_accounts::credentials;

/// An id of the right shape that nothing has.
pub const NO_ID: &str = "0199a0b1-3c4d-7e5f-8a6b-9c0d1e2f3a4b";

/// Sends the operation the example of its body.
async fn try_out(visitor: &Visitor, operation: &Operation) -> Answer {
    let request = visitor.request(operation.method.clone(), &operation.address(NO_ID));
    match operation.example() {
        Some(Value::String(text)) => {
            visitor.send(request.header("content-type", "text/plain").body(text)).await
        }
        Some(body) => visitor.send(request.json(&body)).await,
        None => visitor.send(request).await,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_committed_document_is_what_is_served_byte_for_byte() {
    let app = TestApp::start().await;
    let answer = app.stranger().get("/openapi.json").await;
    assert_eq!(answer.status, 200);
    let committed = include_str!("../../openapi/orientation.json");
    assert!(answer.text() == committed, "run `just generate` and commit what it changes in openapi/");
    let other = TestApp::start_with(|config| {
        config.event.name = "Another faculty's week".into();
        config.event.disciplines = vec!["Law".into(), "Music".into()];
        config.rehearsal = true;
    })
    .await;
    assert!(other.stranger().get("/openapi.json").await.text() == committed, "it is the same everywhere");
    other.finish().await;
    app.finish().await;
}

#[test]
fn the_list_of_operations_is_that_of_the_document() {
    let listed = |line: &str| line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>();
    let lines: BTreeSet<_> = include_str!("../../openapi/operations.txt").lines().map(listed).collect();
    let known = operations().iter().map(|o| vec![o.id.clone(), o.method.to_string(), o.path.clone()]);
    assert_eq!(lines, known.collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_refuses_those_whom_it_is_not_for() {
    let app = TestApp::start().await;
    for operation in operations() {
        let stranger = try_out(&app.stranger(), operation).await;
        let (student, leader) = (app.student().await, app.leader().await);
        let (by_student, by_leader) = (try_out(&student, operation).await, try_out(&leader, operation).await);
        for answer in [&stranger, &by_student, &by_leader] {
            assert!(!answer.status.is_server_error(), "{}: {answer:?}", operation.id);
        }
        if operation.needs_session() {
            stranger.refused(401, "not-signed-in");
            assert_ne!(by_student.status, StatusCode::UNAUTHORIZED, "{}", operation.id);
        } else {
            assert_eq!(operation.right(), None);
        }
        match operation.right() {
            // It refuses with this status what is not signed.
            None if operation.is_webhook() => {}
            None => {
                assert_ne!(by_student.status, StatusCode::FORBIDDEN, "{}", operation.id);
                assert_ne!(by_leader.status, StatusCode::FORBIDDEN, "{}", operation.id);
            }
            Some("student") => {
                by_leader.refused(403, "students-only");
                assert_ne!(by_student.status, StatusCode::FORBIDDEN, "{}", operation.id);
            }
            Some(_scope) => {
                by_leader.refused(403, "scope-missing");
                by_student.refused(403, "scope-missing");
            }
        }
    }
    app.finish().await;
}

#[test]
fn what_reads_or_changes_somebodys_data_wants_a_session() {
    let public: BTreeSet<_> =
        operations().iter().filter(|operation| !operation.needs_session()).map(|o| o.id.as_str()).collect();
    let expected = [
        "confirmAccount",
        "confirmEmail",
        "getEvent",
        "getHealth",
        "getReadiness",
        "getTicketKeys",
        "receiveSesNotification",
        "receiveStripeEvent",
        "requestPasswordReset",
        "resendConfirmation",
        "resetPassword",
        "signIn",
        "signUp",
    ];
    assert_eq!(public, expected.into());
}

/// What the example of each body is answered with, sent in this order by one person who confirms the address and
/// signs in as the first page says. Values that are born at run time get the documented refusal.
const EXAMPLES: [(&str, u16); 14] = [
    ("signUp", 202),
    ("resendConfirmation", 202),
    ("confirmAccount", 404),
    ("signIn", 200),
    ("updateMe", 200),
    ("register", 201),
    ("updateRegistration", 200),
    ("requestPasswordReset", 202),
    ("resetPassword", 404),
    ("changeEmail", 202),
    ("confirmEmail", 404),
    ("changePassword", 204),
    ("receiveStripeEvent", 400),
    // 403 where emails leave by SES.
    ("receiveSesNotification", 404),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_of_the_document_are_taken_as_they_stand() {
    let with_body = operations().iter().filter(|o| o.takes_body()).map(|o| o.id.as_str());
    assert_eq!(EXAMPLES.iter().map(|(id, _)| *id).collect::<BTreeSet<_>>(), with_body.collect());
    let app = TestApp::start_with(|config| config.limits = 1.0).await;
    let mut alex = app.stranger();
    for (id, status) in EXAMPLES {
        if id == "signIn" {
            let email = operation("signUp").example().expect("an example")["email"].clone();
            let mailbox = app.mailbox(email.as_str().expect("an address"));
            let token = mailbox.token("Confirm").await;
            alex.post("/v1/accounts/confirm", &json!({ "token": token })).await.ok(204);
        }
        let operation = operation(id);
        assert!(operation.example().is_some(), "{id} has an example");
        let answer = try_out(&alex, operation).await;
        let by_ses = matches!(app.config.mail, MailConfig::Ses(_));
        let status = if id == "receiveSesNotification" && by_ses { 403 } else { status };
        assert_eq!(answer.status, status, "{id}: {answer:?}");
        alex.cookie = answer.cookie().or(alex.cookie);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_are_told_which_ones_there_are() {
    let app = TestApp::start().await;
    let visitor = app.stranger();
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
async fn an_unknown_property_is_refused_at_every_level() {
    let app = TestApp::start().await;
    let student = app.student().await;
    let bodies = operations().iter().filter(|o| o.takes_body() && !o.is_webhook());
    for operation in bodies {
        let example = operation.example().expect("an example");
        for pointer in objects(&example, "") {
            let mut body = example.clone();
            body.pointer_mut(&pointer).expect("an object")["isAdmin"] = true.into();
            let request = student.request(operation.method.clone(), &operation.address(NO_ID));
            let faults = student.send(request.json(&body)).await.faults();
            let expected = (format!("{pointer}/isAdmin"), "unknown-property".to_owned());
            assert_eq!(faults, [expected], "{}", operation.id);
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
    let mut elsewhere = other.stranger();
    elsewhere.cookie = student.cookie.clone();
    elsewhere.get("/v1/me").await.refused(401, "not-signed-in");
    let sign_in = credentials(student.email(), crate::support::PASSWORD);
    elsewhere.post("/v1/session", &sign_in).await.refused(401, "wrong-credentials");
    one.finish().await;
    other.finish().await;
}
