//! The OpenAPI document: what the framework derives from the controllers, made whole.
//!
//! The derived document says nothing of what happens around an operation, leaves objects open that refuse what they
//! don't know, and has a few quirks. All of that is mended here, once, in passes that change nothing when run again.

use std::collections::HashMap;

use poem::http::StatusCode;
use poem_openapi::registry::Registry;
use poem_openapi::types::Type;
use serde_json::{Map, Value, json};

use super::limits::LIMITED_OPERATIONS;
use super::origin;
use super::problem::Problem;

const METHODS: &[&str] = &["get", "put", "post", "delete", "patch"];
const JSON: &str = "application/json";
const SCHEMAS: &str = "#/components/schemas/";
const PROBLEM_JSON: &str = "application/problem+json";

/// Operations that answer from memory and so are never unavailable.
const FROM_MEMORY: &[&str] = &["getHealth", "getEvent", "getTicketKeys"];

/// How the marker begins that a right leaves among the parameters of its operation.
pub(super) const RIGHT: &str = "x-right: ";

/// The OpenAPI document, as it is served and committed.
#[derive(Clone, Debug)]
pub struct Document {
    value: Value,
    json: String,
}

/// One operation of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation<'a> {
    pub tag: &'a str,
    pub id: &'a str,
    /// In capitals.
    pub method: &'a str,
    pub path: &'a str,
}

impl Document {
    /// The document made of what the framework derived.
    pub(super) fn new(derived: &str) -> Self {
        let mut value = serde_json::from_str(derived).expect("the framework writes JSON");
        complete(&mut value);
        let mut json = serde_json::to_string_pretty(&value).expect("a value can be written");
        json.push('\n');
        Self { value, json }
    }

    /// Pretty JSON that ends with a line break: byte for byte the same on every run.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The document as a value, for those who read it.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// All operations, sorted by tag, path and method.
    pub fn operations(&self) -> Vec<Operation<'_>> {
        let mut operations = Vec::new();
        for (path, item) in self.value["paths"].as_object().into_iter().flatten() {
            for (method, operation) in METHODS.iter().filter_map(|m| Some((*m, item.get(m)?))) {
                let tag = operation["tags"][0].as_str().unwrap_or("-");
                let id = operation["operationId"].as_str().unwrap_or("-");
                operations.push(Operation { tag, id, method: capitals(method), path });
            }
        }
        operations.sort_by_key(|operation| (operation.tag, operation.path, operation.method));
        operations
    }

    /// `operations.txt`: an operation a line (tag, id, method, path), for people who want to see all at once.
    pub fn operations_text(&self) -> String {
        let operations = self.operations();
        let tags = operations.iter().map(|o| o.tag.len()).max().unwrap_or(0);
        let ids = operations.iter().map(|o| o.id.len()).max().unwrap_or(0);
        let line = |o: &Operation| format!("{:tags$}  {:ids$}  {:6}  {}\n", o.tag, o.id, o.method, o.path);
        operations.iter().map(line).collect()
    }
}

fn capitals(method: &str) -> &'static str {
    match method {
        "get" => "GET",
        "put" => "PUT",
        "post" => "POST",
        "delete" => "DELETE",
        _ => "PATCH",
    }
}

fn complete(document: &mut Value) {
    add_problem_schema(document);
    document["openapi"] = "3.0.3".into();
    mend(document);
    close_what_is_sent(document);
    let_patches_take_away(document);
    for (path, item) in object(&mut document["paths"]) {
        for (method, operation) in object(item) {
            complete_operation(path, method, operation);
        }
    }
    document["components"]["responses"] = shared_responses();
    drop_unused_responses(document);
}

/// The members of an object; none of anything else.
fn object(value: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    value.as_object_mut().into_iter().flatten()
}

/// Every operation can be refused, so the document always has the problem's schema.
fn add_problem_schema(document: &mut Value) {
    let mut registry = Registry::new();
    Problem::register(&mut registry);
    let schemas = serde_json::to_value(&registry.schemas).expect("a schema can be written");
    if document["components"]["schemas"].is_null() {
        document["components"]["schemas"] = json!({});
    }
    for (name, schema) in schemas.as_object().into_iter().flatten() {
        let known = &mut document["components"]["schemas"][name.as_str()];
        if known.is_null() {
            *known = schema.clone();
        }
    }
}

// ---- quirks of the framework, at every level ----

fn mend(value: &mut Value) {
    match value {
        Value::Object(members) => {
            mend_object(members);
            members.values_mut().for_each(mend);
        }
        Value::Array(elements) => elements.iter_mut().for_each(mend),
        _ => {}
    }
}

fn mend_object(members: &mut Map<String, Value>) {
    if let Some(Value::Object(content)) = members.get_mut("content") {
        *content = std::mem::take(content).into_iter().map(|(kind, v)| (without_charset(&kind), v)).collect();
    }
    if let Some(Value::Object(headers)) = members.get_mut("headers") {
        *headers = std::mem::take(headers).into_iter().map(|(name, v)| (header_case(&name), v)).collect();
    }
    if members.get("in").is_some_and(|place| place == "header") {
        let name = members.get("name").and_then(Value::as_str).map(header_case);
        members.extend(name.map(|name| ("name".to_owned(), name.into())));
    }
    if members.contains_key("in") {
        members.retain(|name, value| !(name == "deprecated" && *value == false) && name != "explode");
    }
    if members.get("deprecated").is_some_and(|deprecated| *deprecated == false) {
        members.remove("deprecated");
    }
    for bound in ["minimum", "maximum", "multipleOf"] {
        let whole = members.get(bound).and_then(Value::as_f64).filter(|number| number.fract() == 0.0);
        members.extend(whole.map(|number| (bound.to_owned(), json!(number as i64))));
    }
    drop_repetitions(members);
    if members.contains_key("oneOf") || members.contains_key("anyOf") {
        members.remove("type");
    }
    match members.get("type").and_then(Value::as_str) {
        Some("integer") => mend_integer(members),
        Some("array") => {
            for (wrong, right) in [("minLength", "minItems"), ("maxLength", "maxItems")] {
                members.remove(wrong).map(|length| members.insert(right.into(), length));
            }
        }
        _ => {}
    }
}

/// `uint16` and the like are no formats that anybody else knows.
fn mend_integer(members: &mut Map<String, Value>) {
    let format = match members.get("format").and_then(Value::as_str) {
        Some("uint8" | "uint16" | "int8" | "int16") => "int32",
        Some("uint32" | "uint64") => "int64",
        _ => return,
    };
    let unsigned = members.get("format").and_then(Value::as_str).is_some_and(|f| f.starts_with('u'));
    members.insert("format".into(), format.into());
    if unsigned {
        members.entry("minimum").or_insert(json!(0));
    }
}

/// A described reference is derived as `allOf` of the reference and, once more, the description.
fn drop_repetitions(members: &mut Map<String, Value>) {
    let Some(Value::Array(mut parts)) = members.remove("allOf") else { return };
    let repeated =
        |part: &Map<String, Value>| part.iter().all(|(name, value)| members.get(name) == Some(value));
    parts.retain(|part| !part.as_object().is_some_and(repeated));
    members.insert("allOf".into(), parts.into());
}

fn without_charset(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_owned()
}

/// `SET-COOKIE` as people write it.
fn header_case(name: &str) -> String {
    let known = ["ETag", "RateLimit", "RateLimit-Policy"];
    if let Some(known) = known.iter().find(|known| known.eq_ignore_ascii_case(name)) {
        return (*known).to_owned();
    }
    let word = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + &rest.to_ascii_lowercase()
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

// ---- objects that people send are closed ----

/// Says of each object that a request can hold, at every level, that it takes no other properties.
fn close_what_is_sent(document: &mut Value) {
    let (mut names, mut open) = (Vec::new(), Vec::new());
    for (_, item) in object(&mut document["paths"]) {
        for (_, operation) in object(item) {
            if let Some(body) = operation.get_mut("requestBody") {
                close(body, &mut open);
            }
        }
    }
    while let Some(name) = open.pop() {
        if !names.contains(&name) {
            close(&mut document["components"]["schemas"][name.as_str()], &mut open);
            names.push(name);
        }
    }
}

/// Closes what is inside `schema` and notes what it refers to.
fn close(schema: &mut Value, refers_to: &mut Vec<String>) {
    match schema {
        Value::Object(members) => {
            let target = members.get("$ref").and_then(Value::as_str);
            refers_to.extend(target.and_then(|t| t.strip_prefix(SCHEMAS)).map(str::to_owned));
            let described = members.get("type").is_some_and(|kind| kind == "object");
            if described && members.contains_key("properties") {
                members.entry("additionalProperties").or_insert(Value::Bool(false));
            }
            members.values_mut().for_each(|value| close(value, refers_to));
        }
        Value::Array(elements) => elements.iter_mut().for_each(|value| close(value, refers_to)),
        _ => {}
    }
}

/// In the body of a `PATCH` null takes away what may be missing (RFC 7396).
fn let_patches_take_away(document: &mut Value) {
    let bodies = document["paths"].as_object().into_iter().flat_map(Map::values);
    let reference = |item: &Value| {
        let schema = item.pointer("/patch/requestBody/content/application~1json/schema/$ref")?;
        schema.as_str()?.strip_prefix(SCHEMAS).map(str::to_owned)
    };
    let names: Vec<String> = bodies.filter_map(reference).collect();
    for name in names {
        let required = document["components"]["schemas"][&name]["required"].clone();
        let required =
            |property: &str| required.as_array().is_some_and(|names| names.contains(&json!(property)));
        let types = types(&document["components"]["schemas"]);
        for (property, schema) in object(&mut document["components"]["schemas"][&name]["properties"]) {
            if !required(property) {
                make_nullable(schema, &types);
            }
        }
    }
}

/// The type of each schema.
fn types(schemas: &Value) -> HashMap<String, Value> {
    let schemas = schemas.as_object().into_iter().flatten();
    schemas.map(|(name, schema)| (format!("{SCHEMAS}{name}"), schema["type"].clone())).collect()
}

/// `nullable` counts only beside a type, and nothing counts beside a reference.
fn make_nullable(schema: &mut Value, types: &HashMap<String, Value>) {
    if schema["$ref"].is_string() {
        *schema = json!({ "allOf": [schema.take()] });
    }
    if schema["type"].is_null() {
        let referred = schema["allOf"][0]["$ref"].as_str().and_then(|reference| types.get(reference));
        schema["type"] = referred.cloned().unwrap_or_else(|| "object".into());
    }
    schema["nullable"] = true.into();
}

// ---- what happens around an operation ----

fn complete_operation(path: &str, method: &str, operation: &mut Value) {
    take_out_rights(operation);
    if operation["security"].is_null() {
        operation["security"] = json!([]);
    }
    for status in shared_statuses(path, method, operation) {
        add_shared_response(status, operation);
    }
    for (status, response) in object(&mut operation["responses"]) {
        if response.get("description").and_then(Value::as_str).is_some_and(str::is_empty) {
            response["description"] = reason(status).into();
        }
    }
}

/// A right stands in the document as `x-right` and as the refusal that it brings; see [`RIGHT`].
fn take_out_rights(operation: &mut Value) {
    let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) else { return };
    let title = |parameter: &Value| parameter["schema"]["title"].as_str().map(str::to_owned);
    let right = parameters.iter().filter_map(title).find_map(|t| Some(t.strip_prefix(RIGHT)?.to_owned()));
    parameters.retain(|parameter| !title(parameter).is_some_and(|title| title.starts_with(RIGHT)));
    if parameters.is_empty() {
        operation.as_object_mut().map(|operation| operation.remove("parameters"));
    }
    if let Some(right) = right {
        operation["x-right"] = right.into();
    }
}

/// The refusals that are not the operation's own, each only where it can occur.
fn shared_statuses(path: &str, method: &str, operation: &Value) -> Vec<u16> {
    let id = operation["operationId"].as_str().unwrap_or_default();
    let content = &operation["requestBody"]["content"];
    // A body without a schema of its own is taken as it comes: its operation makes something of it.
    let (body, json_body) = (content.is_object(), content[JSON]["schema"]["$ref"].is_string());
    let session = operation["security"].as_array().is_some_and(|schemes| !schemes.is_empty());
    let changes = method != "get" && !origin::exempt(path);
    let right = operation["x-right"].is_string();
    let parameters = operation["parameters"].is_array();
    let statuses = [
        (400, body || parameters),
        (401, session),
        (403, changes || right),
        (408, body),
        (413, body),
        (415, body),
        (421, true),
        (422, json_body),
        (429, LIMITED_OPERATIONS.contains(&id)),
        (503, !FROM_MEMORY.contains(&id)),
    ];
    statuses.into_iter().filter_map(|(status, occurs)| occurs.then_some(status)).collect()
}

fn add_shared_response(status: u16, operation: &mut Value) {
    let shared = shared(status);
    let own = &mut operation["responses"][status.to_string()];
    if own.is_null() {
        *own = json!({ "$ref": format!("#/components/responses/{}", shared.name) });
        return;
    }
    let Some(description) = own["description"].as_str().filter(|text| !text.contains(shared.description))
    else {
        return;
    };
    own["description"] = format!("{description}\n\nOr: {}", shared.description).trim_start().into();
}

struct Shared {
    status: u16,
    name: &'static str,
    description: &'static str,
}

const SHARED: [Shared; 10] = [
    Shared {
        status: 400,
        name: "NotUnderstood",
        description: "The body is not JSON, broke off, or is nested too deeply; or a parameter does not have its form.",
    },
    Shared {
        status: 401,
        name: "NotSignedIn",
        description: "Nobody is signed in: there is no session, or it has ended.",
    },
    Shared {
        status: 403,
        name: "Forbidden",
        description: "The caller may not do this, or a page of another site tried to do it with the caller's session.",
    },
    Shared { status: 408, name: "TooSlow", description: "The body did not arrive in time." },
    Shared { status: 413, name: "TooLarge", description: "The body is too large." },
    Shared {
        status: 415,
        name: "WrongContentType",
        description: "The body is of another content type than the operation takes, or names none.",
    },
    Shared {
        status: 421,
        name: "UnknownHost",
        description: "A service that is for its own machine only was asked for under a name that is not this machine's.",
    },
    Shared {
        status: 422,
        name: "Invalid",
        description: "The body can be read, but something in it is wrong: `errors` lists every fault at once.",
    },
    Shared {
        status: 429,
        name: "TooManyRequests",
        description: "Too many tries: `Retry-After` says when to come back.",
    },
    Shared {
        status: 503,
        name: "Unavailable",
        description: "Not available now: it could not be done, or not be confirmed. Try again in a moment.",
    },
];

fn shared(status: u16) -> &'static Shared {
    SHARED.iter().find(|shared| shared.status == status).expect("one of the shared statuses")
}

fn shared_responses() -> Value {
    let response = |shared: &Shared| {
        let problem = json!({ "schema": { "$ref": "#/components/schemas/Problem" } });
        let mut response = json!({ "description": shared.description, "content": { PROBLEM_JSON: problem } });
        if matches!(shared.status, 429 | 503) {
            let schema = json!({ "type": "integer", "format": "int64", "minimum": 0 });
            let description = "In so many seconds.";
            response["headers"] = json!({ "Retry-After": { "description": description, "schema": schema } });
        }
        (shared.name.to_owned(), response)
    };
    Value::Object(SHARED.iter().map(response).collect())
}

/// A small service doesn't need all of them, and an unused one is a fault to linters.
fn drop_unused_responses(document: &mut Value) {
    let paths = document["paths"].to_string();
    if let Some(responses) = document["components"]["responses"].as_object_mut() {
        responses.retain(|name, _| paths.contains(&format!("\"#/components/responses/{name}\"")));
    }
}

fn reason(status: &str) -> &'static str {
    let status = status.parse::<u16>().ok().and_then(|status| StatusCode::from_u16(status).ok());
    match status {
        Some(StatusCode::OK) => "Done.",
        Some(status) => status.canonical_reason().unwrap_or("An answer."),
        None => "An answer.",
    }
}
