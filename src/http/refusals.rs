//! The refusals in the OpenAPI document: the possible types for each operation and status, with an example of each.
//!
//! Those of the use case come from the error type of the operation ([`Failure`](super::Failure)), those of what happens
//! around it from what the document says about it: whether it takes a body, needs a session, and so on.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::message::WEBHOOK;
use super::problem::{PROBLEM_JSON, PROBLEMS, Problem, Refusal};
use super::security::API_KEY;
use super::spec::{JSON, RIGHT, SCHEMAS, object};
use super::{kinds, limits};
use crate::kernel::{Invalid, Scope};
use crate::platform::signals::TooMany;

const RESPONSES: &str = "#/components/responses/";

/// Lists the refusals of every operation. Responses that several operations share become components. Idempotent.
pub(super) fn list(document: &mut Value) {
    let known = document["components"]["responses"].take();
    let mut components = Map::new();
    for (_, item) in object(&mut document["paths"]) {
        for (method, operation) in object(item) {
            let refusals = refusals(method, operation, &known);
            write(operation, refusals, &mut components);
        }
    }
    components.sort_keys();
    document["components"]["responses"] = components.into();
}

/// The refusals with one status.
#[derive(Default)]
struct Refusals {
    /// Examples, one for each type.
    problems: Vec<Value>,
    /// Whether the response has `Retry-After`.
    retry_after: bool,
}

impl Refusals {
    fn add(&mut self, problem: Value) {
        if !self.problems.iter().any(|known| known["type"] == problem["type"]) {
            self.problems.push(problem);
        }
    }

    /// Whether all kinds are shared ones.
    fn are_shared(&self) -> bool {
        self.problems.iter().all(|problem| kinds::SHARED.iter().any(|kind| kind.slug == slug(problem)))
    }
}

/// All refusals of an operation, by status.
fn refusals(method: &str, operation: &Value, known: &Value) -> BTreeMap<u16, Refusals> {
    let mut refusals = BTreeMap::<u16, Refusals>::new();
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let reference = response["$ref"].as_str().and_then(|target| target.strip_prefix(RESPONSES));
        let response = reference.map_or(response, |name| &known[name]);
        let Some(problems) = problems(&response["content"][PROBLEM_JSON]) else { continue };
        let listed = refusals.entry(status.parse().expect("a status is a number")).or_default();
        listed.retry_after = !response["headers"]["Retry-After"].is_null();
        problems.into_iter().for_each(|problem| listed.add(problem));
    }
    for problem in around(method, operation) {
        let listed = refusals.entry(problem.kind().status).or_default();
        listed.retry_after |= problem.can_be_retried();
        listed.add(problem.body());
    }
    refusals
}

/// The examples of a response, as written by [`Failure`](super::Failure) or by this module.
fn problems(content: &Value) -> Option<Vec<Value>> {
    if content["schema"]["title"] == PROBLEMS {
        return content["schema"]["example"].as_array().cloned();
    }
    Some(content["examples"].as_object()?.values().map(|example| example["value"].clone()).collect())
}

/// The refusals of what happens around a use case.
fn around(method: &str, operation: &Value) -> Vec<Problem> {
    let content = &operation["requestBody"]["content"];
    let right = operation[RIGHT].as_str();
    let mut problems = vec![kinds::misdirected()];
    // Every `If-None-Match` is good: tags that nothing has get the response.
    if parameters(operation).any(|parameter| parameter["name"] != "If-None-Match") {
        problems.push(kinds::bad_parameter("limit"));
    }
    if parameters(operation).any(|parameter| parameter["name"] == "If-Match" && parameter["required"] == true)
    {
        problems.push(kinds::if_match_missing());
    }
    if content.is_object() {
        problems.extend([
            kinds::broken_body(),
            kinds::body_too_slow(),
            kinds::too_large(limits::BODY),
            kinds::wrong_content_type(),
        ]);
    }
    // A body with a named schema is validated.
    if content[JSON]["schema"]["$ref"].is_string() {
        problems.push(kinds::malformed_json("It is malformed at line 1, column 8."));
        problems.extend(Invalid::examples().problems());
    }
    if accepts(operation, API_KEY) {
        problems.extend([
            kinds::api_key_invalid(),
            kinds::too_many(TooMany { retry_after: Duration::from_secs(30) }),
        ]);
    }
    if let Some(schemes) = operation["security"].as_array().filter(|schemes| !schemes.is_empty()) {
        let is_optional = schemes.iter().any(|scheme| scheme.as_object().is_some_and(Map::is_empty));
        problems.extend((!is_optional).then(kinds::not_signed_in));
        problems.push(kinds::busy(Duration::from_secs(5)));
    }
    match right {
        Some("anybody" | "visitor" | "session") | None => {}
        Some("leader-session") => problems.push(kinds::leaders_only()),
        Some("account") => problems.push(kinds::must_enrol()),
        Some("student") => problems.push(kinds::students_only()),
        Some("leader" | "leader-or-key") => {
            problems.extend([kinds::leaders_only(), kinds::not_approved(), kinds::must_enrol()]);
        }
        Some(_) => problems.extend([
            kinds::scope_missing(Scope::AccountsEdit),
            kinds::not_approved(),
            kinds::must_enrol(),
        ]),
    }
    if method != "get" && operation[WEBHOOK].is_null() {
        problems.push(kinds::foreign_origin());
    }
    problems
}

/// Whether the operation accepts this security scheme.
fn accepts(operation: &Value, scheme: &str) -> bool {
    operation["security"].as_array().into_iter().flatten().any(|accepted| accepted.get(scheme).is_some())
}

fn parameters(operation: &Value) -> impl Iterator<Item = &Value> {
    operation["parameters"].as_array().into_iter().flatten()
}

/// Writes the responses, sorted by status.
fn write(operation: &mut Value, refusals: BTreeMap<u16, Refusals>, components: &mut Map<String, Value>) {
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    for (status, mut listed) in refusals {
        let response = if listed.are_shared() {
            listed.problems.sort_by_key(|problem| slug(problem).to_owned());
            let name = name(&listed.problems);
            let reference = json!({ "$ref": format!("{RESPONSES}{name}") });
            components.entry(name).or_insert_with(|| response(&listed));
            reference
        } else {
            response(&listed)
        };
        responses.insert(status.to_string(), response);
    }
    responses.sort_keys();
}

/// `NotSignedIn`, or `BadParameterOrMalformedJson`.
fn name(problems: &[Value]) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + rest
    };
    let name = |problem: &Value| slug(problem).split('-').map(word).collect::<String>();
    problems.iter().map(name).collect::<Vec<_>>().join("Or")
}

fn response(refusals: &Refusals) -> Value {
    let title = |problem: &Value| problem["title"].as_str().unwrap_or_default().to_owned();
    let line = |problem: &Value| format!("{} (`{}`).", title(problem), slug(problem));
    let description = match refusals.problems.as_slice() {
        [one] => line(one),
        several => {
            several.iter().map(|problem| format!("- {}", line(problem))).collect::<Vec<_>>().join("\n")
        }
    };
    let example =
        |problem: &Value| (slug(problem).to_owned(), json!({ "summary": title(problem), "value": problem }));
    let examples: Map<_, _> = refusals.problems.iter().map(example).collect();
    let content = json!({ PROBLEM_JSON: { "schema": schema(&refusals.problems), "examples": examples } });
    let mut response = json!({ "description": description, "content": content });
    if refusals.retry_after {
        let schema = json!({ "type": "integer", "format": "int64", "minimum": 0 });
        let description = "Seconds to wait before retrying.";
        response["headers"] = json!({ "Retry-After": { "description": description, "schema": schema } });
    }
    response
}

/// Schema of a problem with one of these types, which clients can switch on.
fn schema(problems: &[Value]) -> Value {
    let types: Vec<_> = problems.iter().map(|problem| &problem["type"]).collect();
    let mut properties = json!({
        "type": { "type": "string", "enum": types },
        "status": { "type": "integer", "format": "int32", "enum": [problems[0]["status"]] },
    });
    let mut required = vec!["type", "status"];
    if problems.iter().all(|problem| problem["errors"].is_array()) {
        required.push("errors");
        let items = json!({ "$ref": format!("{SCHEMAS}FieldError") });
        properties["errors"] = json!({ "type": "array", "items": items });
    }
    let exact = json!({ "type": "object", "required": required, "properties": properties });
    json!({ "allOf": [{ "$ref": format!("{SCHEMAS}Problem") }, exact] })
}

fn slug(problem: &Value) -> &str {
    problem["type"].as_str().and_then(|kind| kind.strip_prefix("/problems/")).expect("problems have a type")
}
