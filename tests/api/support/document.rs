//! The operations of the committed OpenAPI document.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use reqwest::Method;
use serde_json::{Map, Value};

/// `openapi/orientation.json` as it is committed.
pub static COMMITTED: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../openapi/orientation.json")).expect("the document is JSON")
});

static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(read_operations);

/// One operation of the document.
#[derive(Debug)]
pub struct Operation {
    pub id: String,
    pub method: Method,
    pub path: String,
    value: Value,
}

/// All operations.
pub fn operations() -> &'static [Operation] {
    &OPERATIONS
}

/// The operation of this id.
pub fn operation(id: &str) -> &'static Operation {
    OPERATIONS.iter().find(|operation| operation.id == id).unwrap_or_else(|| panic!("{id} is an operation"))
}

fn read_operations() -> Vec<Operation> {
    let paths = COMMITTED["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().expect("methods by name");
        methods.iter().map(|(method, value)| Operation {
            id: value["operationId"].as_str().expect("an id").to_owned(),
            method: method.to_uppercase().parse().expect("a method"),
            path: path.clone(),
            value: value.clone(),
        })
    });
    operations.collect()
}

impl Operation {
    /// The outcomes that the document lists.
    pub fn outcomes(&self) -> BTreeSet<Outcome> {
        let responses = self.value["responses"].as_object().expect("responses");
        responses.iter().flat_map(|(status, response)| outcomes(status, response)).collect()
    }

    /// Whether it lists this kind of problem.
    pub fn lists(&self, kind: &str) -> bool {
        self.outcomes().contains(&Outcome::Problem(kind.to_owned()))
    }

    /// Its tag.
    pub fn tag(&self) -> &str {
        self.value["tags"][0].as_str().expect("a tag")
    }

    /// Where its parameters are (`path`, `query`, `header`), with their names.
    pub fn parameters(&self) -> Vec<(&str, &str)> {
        let text = |value: &'static Value| value.as_str().expect("a text");
        let parameters = operation(&self.id).value["parameters"].as_array().into_iter().flatten();
        parameters.map(|parameter| (text(&parameter["in"]), text(&parameter["name"]))).collect()
    }

    /// Whether it needs a session: an empty scheme means that none is needed.
    pub fn needs_session(&self) -> bool {
        let is_none = |scheme: &Value| scheme.as_object().is_some_and(Map::is_empty);
        self.value["security"].as_array().is_some_and(|all| !all.is_empty() && !all.iter().any(is_none))
    }

    /// The right that it needs: `student`, or a scope.
    pub fn right(&self) -> Option<&str> {
        self.value["x-right"].as_str()
    }

    pub fn takes_body(&self) -> bool {
        self.value["requestBody"].is_object()
    }

    /// The content type of its body.
    pub fn media(&self) -> &str {
        let content = self.value["requestBody"]["content"].as_object();
        content.and_then(|content| content.keys().next()).map_or("application/json", String::as_str)
    }

    /// Whether it receives signed messages of another service.
    pub fn is_webhook(&self) -> bool {
        self.value["x-webhook"].is_u64()
    }

    /// The schema of its body.
    pub fn body_schema(&self) -> &Value {
        let schema = &self.value["requestBody"]["content"][self.media()]["schema"];
        match schema["$ref"].as_str() {
            Some(reference) => COMMITTED.pointer(reference.trim_start_matches('#')).expect("a component"),
            None => schema,
        }
    }

    /// The example of its body; a string if the body is text.
    pub fn example(&self) -> Option<Value> {
        let content = &self.value["requestBody"]["content"][self.media()];
        let examples = [&content["example"], &self.body_schema()["example"]];
        examples.into_iter().find(|example| !example.is_null()).cloned()
    }

    /// Its path, with `id` for each parameter.
    pub fn address(&self, id: &str) -> String {
        let part = |part: &str| if part.starts_with('{') { id.to_owned() } else { part.to_owned() };
        self.path.split('/').map(part).collect::<Vec<_>>().join("/")
    }

    fn is_at(&self, method: &Method, path: &str) -> bool {
        let (own, asked) = (self.path.split('/'), path.split('/'));
        self.method == method
            && own.clone().count() == asked.clone().count()
            && own.zip(asked).all(|(own, asked)| own.starts_with('{') || own == asked)
    }
}

/// The outcomes that the document lists for a response.
fn outcomes(status: &str, response: &Value) -> Vec<Outcome> {
    let reference = response["$ref"].as_str().map(|reference| reference.trim_start_matches('#'));
    let response = reference.map_or(response, |pointer| COMMITTED.pointer(pointer).expect("a component"));
    let schema = &response["content"]["application/problem+json"]["schema"];
    match schema["allOf"][1]["properties"]["type"]["enum"].as_array() {
        Some(types) => types.iter().filter_map(Value::as_str).map(Outcome::problem).collect(),
        None => vec![Outcome::Success(status.parse().expect("a number"))],
    }
}

/// The result of an operation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// With this status.
    Success(u16),
    /// With a problem of this kind.
    Problem(String),
}

impl Outcome {
    /// The outcome for a problem's type, `/problems/…`.
    pub fn problem(kind: &str) -> Self {
        Self::Problem(kind.trim_start_matches("/problems/").to_owned())
    }
}

/// The outcomes seen so far, by operation id.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<BTreeSet<(String, Outcome)>>>);

impl Seen {
    /// Records a response. Fails if the document doesn't list it for that operation.
    #[track_caller]
    pub fn record(&self, method: &Method, path: &str, outcome: Outcome) {
        // As the router does: a path without parameters takes precedence.
        let exact = OPERATIONS.iter().any(|operation| operation.path == path);
        let mut at_path = OPERATIONS.iter().filter(|operation| !exact || operation.path == path);
        let Some(operation) = at_path.find(|operation| operation.is_at(method, path)) else { return };
        // The router doesn't accept every text as a parameter. Then no operation responds.
        if outcome == Outcome::problem("not-found") {
            return;
        }
        let listed = operation.outcomes().contains(&outcome);
        assert!(listed, "{}: the document does not list {outcome:?}", operation.id);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((operation.id.clone(), outcome));
    }

    /// Whether the operation of this id had this outcome.
    pub fn contains(&self, id: &str, outcome: &Outcome) -> bool {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.contains(&(id.to_owned(), outcome.clone()))
    }
}
