//! The OpenAPI document: derived from the controllers by the framework, then completed here.
//!
//! The derived document lacks the refusals that happen around an operation, doesn't say that objects reject unknown
//! properties, and has a few quirks. The passes of this module fix that. They are idempotent.

use std::collections::HashMap;

use poem::http::StatusCode;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use serde_json::{Map, Value, json};

use super::message::WEBHOOK;
use super::problem::ProblemBody;
use super::refusals;

const METHODS: &[&str] = &["get", "put", "post", "delete", "patch"];
pub(super) const JSON: &str = "application/json";
pub(super) const SCHEMAS: &str = "#/components/schemas/";

/// Extension that names the right that an operation needs.
pub(super) const RIGHT: &str = "x-right";

/// Lets a parameter type add the extension `name` to its operation: as the title of a parameter's schema. This module
/// replaces such parameters by the extension.
pub(super) fn marker(name: &str, value: &str) -> MetaSchemaRef {
    let title = Some(format!("{name}: {value}"));
    MetaSchemaRef::Inline(Box::new(MetaSchema { title, ..MetaSchema::new("string") }))
}

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
    /// Method in capitals.
    pub method: &'a str,
    pub path: &'a str,
}

impl Document {
    /// Completes the document that the framework derived.
    pub(super) fn new(derived: &str) -> Self {
        let mut value = serde_json::from_str(derived).expect("the framework writes JSON");
        complete(&mut value);
        let mut json = serde_json::to_string_pretty(&value).expect("a value can be written");
        json.push('\n');
        Self { value, json }
    }

    /// Formatted JSON with a line break at the end. The bytes are the same on every run.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The document as a JSON value.
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

    /// Paths of webhooks, with the maximum size of a message in bytes.
    pub(super) fn webhooks(&self) -> HashMap<String, usize> {
        let limit = |item: &Value| {
            let mut operations = item.as_object()?.values();
            operations.find_map(|operation| usize::try_from(operation[WEBHOOK].as_u64()?).ok())
        };
        let paths = self.value["paths"].as_object().into_iter().flatten();
        paths.filter_map(|(path, item)| Some((path.clone(), limit(item)?))).collect()
    }

    /// The content of `operations.txt`: one line per operation with tag, id, method and path.
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
    fix(document);
    close_requests(document);
    let_patches_clear(document);
    for (_, item) in object(&mut document["paths"]) {
        for (_, operation) in object(item) {
            replace_markers(operation);
        }
    }
    refusals::list(document);
    for (_, item) in object(&mut document["paths"]) {
        for (_, operation) in object(item) {
            complete_operation(operation);
        }
    }
}

/// The members of an object. Other values have none.
pub(super) fn object(value: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    value.as_object_mut().into_iter().flatten()
}

/// Adds the schema of a problem, which every operation can return.
fn add_problem_schema(document: &mut Value) {
    let mut registry = Registry::new();
    ProblemBody::register(&mut registry);
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

fn fix(value: &mut Value) {
    match value {
        Value::Object(members) => {
            fix_object(members);
            members.values_mut().for_each(fix);
        }
        Value::Array(elements) => elements.iter_mut().for_each(fix),
        _ => {}
    }
}

fn fix_object(members: &mut Map<String, Value>) {
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
        Some("integer") => fix_integer(members),
        Some("array") => {
            for (wrong, right) in [("minLength", "minItems"), ("maxLength", "maxItems")] {
                members.remove(wrong).map(|length| members.insert(right.into(), length));
            }
        }
        _ => {}
    }
}

/// Replaces formats such as `uint16`, which OpenAPI doesn't define.
fn fix_integer(members: &mut Map<String, Value>) {
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

/// The framework derives a reference with a description as `allOf` of the reference and the description again.
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

/// `Set-Cookie` for `SET-COOKIE`.
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

// ---- request objects reject unknown properties ----

/// Sets `additionalProperties: false` on every object that a request can contain.
fn close_requests(document: &mut Value) {
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

/// Closes the objects in `schema` and adds its references to `refers_to`.
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

/// In the body of a `PATCH`, null clears an optional property (RFC 7396).
fn let_patches_clear(document: &mut Value) {
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
            if let Some(values) = schema.get_mut("additionalProperties").filter(|values| values.is_object()) {
                make_nullable(values, &types);
            }
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

/// `nullable` needs a `type` beside it, and a reference allows nothing beside it. Of alternatives, one is enough.
fn make_nullable(schema: &mut Value, types: &HashMap<String, Value>) {
    if let Some(first) = schema.pointer_mut("/anyOf/0") {
        return make_nullable(first, types);
    }
    if schema["$ref"].is_string() {
        *schema = json!({ "allOf": [schema.take()] });
    }
    if schema["type"].is_null() {
        let referred = schema["allOf"][0]["$ref"].as_str().and_then(|reference| types.get(reference));
        schema["type"] = referred.cloned().unwrap_or_else(|| "object".into());
    }
    schema["nullable"] = true.into();
}

// ---- operations ----

/// Replaces the parameters of [`marker`] by extensions of the operation.
fn replace_markers(operation: &mut Value) {
    let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) else { return };
    let extension = |parameter: &Value| {
        let (name, value) = parameter["schema"]["title"].as_str()?.split_once(": ")?;
        let value = value.parse::<u64>().map_or_else(|_| value.into(), Value::from);
        name.starts_with("x-").then(|| (name.to_owned(), value))
    };
    let extensions: Vec<_> = parameters.iter().filter_map(extension).collect();
    parameters.retain(|parameter| extension(parameter).is_none());
    if let (true, Some(operation)) = (parameters.is_empty(), operation.as_object_mut()) {
        operation.remove("parameters");
    }
    for (name, value) in extensions {
        operation[name] = value;
    }
}

fn complete_operation(operation: &mut Value) {
    if operation["security"].is_null() {
        operation["security"] = json!([]);
    }
    for (status, response) in object(&mut operation["responses"]) {
        if response.get("description").and_then(Value::as_str).is_some_and(str::is_empty) {
            response["description"] = reason(status).into();
        }
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
