//! Every outcome that the document lists for the operations of a tag is reached, and their examples work.

use std::cell::RefCell;
use std::collections::BTreeSet;

use futures_util::future::join_all;
use orientation::config::Config;
use orientation::features::api_keys::Key;
use orientation::kernel::{Ids, RandomIds};
use reqwest::RequestBuilder;
use reqwest::header::{CONTENT_TYPE, HOST, IF_MATCH, ORIGIN};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::document::{Operation, Outcome, Seen, operation, operations};
use super::{Answer, TestApp, Visitor};

/// An id of the right shape that nothing has.
pub const NO_ID: &str = "0199a0b1-3c4d-7e5f-8a6b-9c0d1e2f3a4b";

/// Fails if the document lists an outcome for an operation of `tag` that was not reached. `own` reaches the outcomes
/// that depend on the use case. The others are tried for every operation: a missing session or right, a foreign origin
/// or host, a malformed body or parameter.
///
/// `own` also sends the [example](Reach::example) of each body and checks the response.
pub async fn reaches_all_of(tag: &'static str, own: impl AsyncFnOnce(&Reach)) {
    let reach = Reach { tag, seen: Seen::default(), examples: RefCell::default() };
    let app = reach.start().await;
    tokio::join!(around(&reach, &app), broken_bodies(&reach, &app), own(&reach));
    app.finish().await;

    let missing: Vec<_> = reach.operations().flat_map(|operation| reach.missing(operation)).collect();
    assert!(missing.is_empty(), "listed, but not reached: {missing:?}");
    let bodies = reach.operations().filter(|operation| operation.takes_body());
    let tried = reach.examples.borrow();
    let untried: Vec<_> = bodies.map(|operation| &operation.id).filter(|id| !tried.contains(*id)).collect();
    assert!(untried.is_empty(), "the examples of these were not tried: {untried:?}");
}

/// The outcomes reached so far for the operations of one tag.
pub struct Reach {
    tag: &'static str,
    seen: Seen,
    examples: RefCell<BTreeSet<String>>,
}

impl Reach {
    fn operations(&self) -> impl Iterator<Item = &'static Operation> {
        let tag = self.tag;
        operations().iter().filter(move |operation| operation.tag() == tag)
    }

    fn listing(&self, kind: &'static str) -> impl Iterator<Item = &'static Operation> {
        self.operations().filter(move |operation| operation.lists(kind))
    }

    /// The outcomes that the operation lists and that were not reached.
    fn missing(&self, operation: &'static Operation) -> impl Iterator<Item = (&'static str, Outcome)> {
        let reached = |outcome: &Outcome| self.seen.contains(&operation.id, outcome);
        operation.outcomes().into_iter().filter(move |o| !reached(o)).map(|o| (operation.id.as_str(), o))
    }

    /// A service whose responses count.
    pub async fn start(&self) -> TestApp {
        self.counting(TestApp::start().await)
    }

    /// The same with another configuration.
    pub async fn start_with(&self, change: impl FnOnce(&mut Config)) -> TestApp {
        self.counting(TestApp::start_with(change).await)
    }

    /// A service whose responses count from now on.
    pub fn counting(&self, app: TestApp) -> TestApp {
        app.recorded_in(&self.seen)
    }

    /// Sends the example of an operation's body from the document.
    pub async fn example(&self, visitor: &Visitor, id: &str) -> Answer {
        let operation = operation(id);
        assert_eq!(operation.tag(), self.tag, "{id} belongs to another tag");
        assert!(operation.example().is_some(), "{id} has an example");
        self.examples.borrow_mut().insert(id.to_owned());
        try_out(visitor, operation).await
    }

    /// Sends each request twice to a service that allows one. `first` is the status of the first try.
    pub async fn too_many(&self, visitor: &Visitor, twice: &[(&str, Value, u16)]) {
        for (id, body, first) in twice {
            let send = || visitor.send(ask(visitor, operation(id)).json(body));
            assert_eq!(send().await.status, *first, "{id}");
            let refused = send().await;
            refused.refused(429, "too-many-requests");
            assert!(refused.header("retry-after").is_some(), "{id}");
        }
    }

    /// Makes the store unavailable, calls all operations that list `unavailable` at once (a driver looks for its server
    /// for some seconds), and makes the store available again. Sends the examples, or the bodies given here; webhooks
    /// are called only with a body given here.
    pub async fn without_a_store(&self, app: &TestApp, visitor: &Visitor, bodies: &[(&str, Value)]) {
        app.take_store_away();
        join_all(self.listing("unavailable").map(async |operation| {
            let given = bodies.iter().find(|(id, _)| *id == operation.id).map(|(_, body)| body.clone());
            if operation.is_webhook() && given.is_none() {
                return;
            }
            let request = ask(visitor, operation);
            let refused = match given.or_else(|| operation.example()) {
                Some(body) => visitor.send(request.json(&body)).await,
                None => visitor.send(request).await,
            };
            refused.refused(503, "unavailable");
        }))
        .await;
        app.bring_store_back().await;
    }
}

/// Calls an operation with the example of its body.
pub async fn try_out(visitor: &Visitor, operation: &Operation) -> Answer {
    match operation.example() {
        Some(Value::String(text)) => {
            visitor.send(ask(visitor, operation).header(CONTENT_TYPE, "text/plain").body(text)).await
        }
        Some(body) => visitor.send(ask(visitor, operation).json(&body)).await,
        None => visitor.send(ask(visitor, operation)).await,
    }
}

/// A request without a body, with the header that edits need.
pub fn ask(visitor: &Visitor, operation: &Operation) -> RequestBuilder {
    // The products are configured: there is nothing in the store to look for under another id.
    let id = if operation.path.contains("{productId}") { "retreat" } else { NO_ID };
    let request = visitor.request(operation.method.clone(), &operation.address(id));
    let is_edit = operation.parameters().contains(&("header", "If-Match"));
    if is_edit { request.header(IF_MATCH, "*") } else { request }
}

/// Outcomes that don't depend on the use case.
async fn around(reach: &Reach, app: &TestApp) {
    let (anonymous, student, leader) = (app.anonymous(), app.student().await, app.leader().await);
    let (waiting, admin) = (app.waiting_leader().await, app.administrator().await);
    let strict =
        reach.start_with(|config| config.event.sign_in.administrators_need_second_factor = true).await;
    let must_enrol = strict.administrator().await;
    let few = reach.start_with(|config| config.limits = 0.01).await;
    let limited = few.anonymous();
    for operation in reach.operations() {
        let caller = match operation {
            scoped if scoped.lists("scope-missing") => &admin,
            for_leaders if for_leaders.lists("leaders-only") => &leader,
            _ => &student,
        };
        let elsewhere = ask(caller, operation).header(HOST, "evil.example");
        caller.send(elsewhere).await.refused(421, "unknown-host");
        if operation.lists("not-signed-in") {
            anonymous.send(ask(&anonymous, operation)).await.refused(401, "not-signed-in");
        }
        if operation.lists("api-key-invalid") {
            let by_key = ask(&anonymous, operation).bearer_auth("ori_");
            anonymous.send(by_key).await.refused(401, "api-key-invalid");
            // The limit is the same for all operations.
            let by_key = || async {
                let unknown = Key::new(RandomIds.secret());
                limited.send(ask(&limited, operation).bearer_auth(unknown.expose())).await
            };
            by_key().await;
            by_key().await.refused(429, "too-many-requests");
        }
        if operation.lists("foreign-origin") {
            let foreign = ask(caller, operation).header(ORIGIN, "https://evil.example");
            caller.send(foreign).await.refused(403, "foreign-origin");
        }
        for kind in ["students-only", "scope-missing"].into_iter().filter(|kind| operation.lists(kind)) {
            leader.send(ask(&leader, operation)).await.refused(403, kind);
        }
        for (refused, kind) in
            [(&student, "leaders-only"), (&waiting, "not-approved"), (&must_enrol, "second-factor-required")]
        {
            if operation.lists(kind) {
                refused.send(ask(refused, operation)).await.refused(403, kind);
            }
        }
        if operation.takes_body() {
            let wrong = ask(caller, operation).header(CONTENT_TYPE, "text/html").body("{}");
            caller.send(wrong).await.refused(415, "wrong-content-type");
            let huge = ask(caller, operation).header(CONTENT_TYPE, operation.media());
            caller.send(huge.body("x".repeat(300_000))).await.refused(413, "too-large");
        }
        if operation.lists("malformed-json") {
            caller.send(json_body(ask(caller, operation), "{")).await.refused(400, "malformed-json");
            caller.send(json_body(ask(caller, operation), r#"{"x":1}"#)).await.refused(422, "invalid");
        }
        if operation.lists("bad-cursor") {
            caller.get(&format!("{}?cursor=x", operation.address(NO_ID))).await.refused(400, "bad-cursor");
        }
        // Tags of any length are compared; unknown ones get the response.
        let parameters = operation.parameters().into_iter().filter(|(_, name)| *name != "If-None-Match");
        for (place, name) in parameters {
            caller
                .send(with_bad_parameter(caller, operation, place, name))
                .await
                .refused(400, "bad-parameter");
        }
    }
    strict.finish().await;
    few.finish().await;
}

fn json_body(request: RequestBuilder, body: &'static str) -> RequestBuilder {
    request.header(CONTENT_TYPE, "application/json").body(body)
}

/// A request with a parameter that is far too long, or with a path that is not UTF-8.
fn with_bad_parameter(caller: &Visitor, operation: &Operation, place: &str, name: &str) -> RequestBuilder {
    let request = match place {
        "path" => caller.request(operation.method.clone(), &operation.address("%ff")),
        "query" => {
            let address = format!("{}?{name}={}", operation.address(NO_ID), "x".repeat(5000));
            caller.request(operation.method.clone(), &address)
        }
        _ => {
            let request = caller.request(operation.method.clone(), &operation.address(NO_ID));
            request.header(name, "x".repeat(5000))
        }
    };
    match operation.example() {
        Some(_) => request.header(CONTENT_TYPE, operation.media()).body("{}"),
        None => request,
    }
}

/// 400 and 408 of all operations with a body, at the same time.
async fn broken_bodies(reach: &Reach, app: &TestApp) {
    let bodies = reach.operations().filter(|operation| operation.takes_body()).map(async |operation| {
        let head = |length: &str| {
            let (method, path, media) = (&operation.method, operation.address(NO_ID), operation.media());
            let host = app.config.listen;
            format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: {media}\r\n{length}\r\n\r\n")
        };
        let late = format!("{}{{", head("content-length: 50"));
        let broken = format!("{}no length\r\n", head("transfer-encoding: chunked"));
        for (request, status, kind) in [(late, 408, "too-slow"), (broken, 400, "broken-body")] {
            let answer = raw(&app.config.listen.to_string(), &request).await;
            let expected = (format!("HTTP/1.1 {status} "), format!("/problems/{kind}"));
            assert!(
                answer.starts_with(&expected.0) && answer.contains(&expected.1),
                "{}: {answer}",
                operation.id
            );
            reach.seen.record(&operation.method, &operation.path, Outcome::Problem(kind.to_owned()));
        }
    });
    join_all(bodies).await;
}

/// Reads until the connection is closed.
async fn raw(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(request.as_bytes()).await.expect("taken");
    let mut answer = vec![];
    stream.read_to_end(&mut answer).await.expect("closed");
    String::from_utf8(answer).expect("text")
}
