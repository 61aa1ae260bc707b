//! The committed document: what it says of each operation.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use reqwest::Method;
use serde_json::Value;

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
    /// The statuses that the document lists.
    pub fn statuses(&self) -> BTreeSet<u16> {
        let responses = self.value["responses"].as_object().expect("responses");
        responses.keys().map(|status| status.parse().expect("a number")).collect()
    }

    pub fn lists(&self, status: u16) -> bool {
        self.statuses().contains(&status)
    }

    /// Whether it is for those who are signed in.
    pub fn needs_session(&self) -> bool {
        self.value["security"].as_array().is_some_and(|schemes| !schemes.is_empty())
    }

    /// The word of the right that it needs: `student`, or a scope.
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

    /// Whether other machines call it by right: what they send proves itself.
    pub fn is_webhook(&self) -> bool {
        self.path.starts_with("/v1/webhooks/")
    }

    /// The example of its body; text where it takes text.
    pub fn example(&self) -> Option<Value> {
        let content = &self.value["requestBody"]["content"][self.media()];
        let reference = content["schema"]["$ref"].as_str().unwrap_or_default();
        let named = COMMITTED.pointer(reference.trim_start_matches('#')).filter(|_| !reference.is_empty());
        let examples = [&content["example"], &content["schema"]["example"]];
        let found = examples.into_iter().find(|example| !example.is_null()).cloned();
        found.or_else(|| named.map(|schema| schema["example"].clone())).filter(|example| !example.is_null())
    }

    /// Its path with `id` for whatever stands in braces.
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

/// Which statuses the operations of one service have answered with.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<BTreeSet<(String, u16)>>>);

impl Seen {
    /// Notes an answer. Fails if the document doesn't list it for that operation.
    #[track_caller]
    pub fn note(&self, method: &Method, path: &str, status: u16) {
        let Some(operation) = OPERATIONS.iter().find(|operation| operation.is_at(method, path)) else {
            return;
        };
        assert!(
            operation.lists(status),
            "{} answered {status}, which its document doesn't list",
            operation.id
        );
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((operation.id.clone(), status));
    }

    /// Pairs of an operation's id and a status.
    pub fn all(&self) -> BTreeSet<(String, u16)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
