//! What people write: JSON bodies with all faults at once.
//!
//! A body is read as JSON, checked as a whole against the schema that the document shows, and only then parsed. Of
//! two properties with the same name in one object the last counts, for the check as for what is done.
//!
//! What a schema can't say (a real date, a phone number, an option of `event.toml`) the features' rules say when the
//! use case runs. A body that breaks its schema never gets there; so that its writer learns of everything at once, a
//! feature can give its rules to the interface too ([`Rule`]), which asks them about what is left of such a body.

use std::collections::HashMap;
use std::sync::Arc;

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::{Draft, ValidationError, Validator};
use poem::{FromRequest, Request, RequestBody};
use poem_openapi::payload::{ParsePayload, Payload};
use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::types::{ParseFromJSON, Type};
use serde_json::{Map, Value, json};

use super::kinds::{invalid, malformed_json};
use super::pipeline::Shared;
use super::spec::Document;
use crate::kernel::{FieldError, text};

/// So many faults are told at once; who makes more learns of the rest when these are mended.
const MOST_FAULTS: usize = 50;

/// The format of texts in which line breaks and tabs are text; see [`super::Remark`].
pub(super) const MULTILINE: &str = "multiline";

/// A text this long is a remark as well, whatever its format.
const REMARK_LENGTH: u64 = 1000;

const ONE_LINE_CHECK: &str = "one line without control characters";
const REMARK_CHECK: &str = "lines without control characters";

/// What a feature's rules say of a body that breaks its schema, judged by what is left of it: properties at fault are
/// taken out. Under the name of the body's schema.
///
/// It is asked by strangers as often as they like: nothing costly, nothing that needs the store.
pub type Rule = (&'static str, Judge);

type Judge = Box<dyn Fn(&Value) -> Vec<FieldError> + Send + Sync>;

/// A JSON body, checked as a whole against the schema that the document shows.
pub struct JsonBody<T>(pub T);

poem_openapi::impl_apirequest_for_payload!(JsonBody<T>, T: ParseFromJSON);

impl<T: Type> Payload for JsonBody<T> {
    const CONTENT_TYPE: &'static str = "application/json";

    fn check_content_type(content_type: &str) -> bool {
        let essence = content_type.split(';').next().unwrap_or_default();
        essence.trim().eq_ignore_ascii_case(Self::CONTENT_TYPE)
    }

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: ParseFromJSON> ParsePayload for JsonBody<T> {
    const IS_REQUIRED: bool = true;

    async fn from_request(request: &Request, body: &mut RequestBody) -> poem::Result<Self> {
        let data = Vec::<u8>::from_request(request, body).await?;
        let value = serde_json::from_slice(&data).map_err(|error| malformed_json(whats_wrong(&error)))?;
        if let Some(shared) = request.data::<Arc<Shared>>() {
            let faults = shared.checks.faults(&T::name(), &value);
            if !faults.is_empty() {
                return Err(invalid(faults).into());
            }
        }
        // The parser's message may quote the body.
        let mismatch =
            |_| invalid(vec![FieldError::new("", "wrong-form", "This is not what the document describes.")]);
        T::parse_from_json(Some(value)).map(Self).map_err(|error| mismatch(error).into())
    }
}

/// Where JSON breaks, without what stands there.
fn whats_wrong(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    if error.is_eof() {
        format!("It ends too early, at line {line}, column {column}.")
    } else {
        format!("It is malformed at line {line}, column {column}.")
    }
}

/// The checks of all bodies, made once from the document.
pub(super) struct Checks {
    schemas: HashMap<String, Validator>,
    rules: HashMap<&'static str, Judge>,
}

impl Checks {
    /// One for each schema that an operation takes as its body.
    ///
    /// # Panics
    /// If a rule is for a schema that is none of them: the mistake shows at the first start.
    pub(super) fn new(document: &Document, rules: Vec<Rule>) -> Self {
        let components = json!({ "schemas": checked(document.value()["components"]["schemas"].clone()) });
        let names = bodies(document.value());
        let schemas: HashMap<_, _> =
            names.map(|name| (name.to_owned(), compile(name, &components))).collect();
        let rules: HashMap<_, _> = rules.into_iter().collect();
        for name in rules.keys() {
            assert!(schemas.contains_key(*name), "no operation takes a {name}");
        }
        Self { schemas, rules }
    }

    /// What is wrong with `value` as a body of the schema `name`.
    fn faults(&self, name: &str, value: &Value) -> Vec<FieldError> {
        let Some(check) = self.schemas.get(name).filter(|check| !check.is_valid(value)) else {
            return Vec::new();
        };
        let mut faults: Vec<_> = check.iter_errors(value).flat_map(|error| faults(&error)).collect();
        faults.dedup();
        faults.truncate(MOST_FAULTS);
        if let Some(rule) = self.rules.get(name) {
            let also = rule(&without(value.clone(), &faults));
            // By a plain prefix: what is below a fault, and `/pronounsOther`, which is judged by `/pronouns`.
            let known =
                |fault: &FieldError| faults.iter().any(|told| fault.pointer.starts_with(&told.pointer));
            let also: Vec<_> = also.into_iter().filter(|fault| !known(fault)).collect();
            faults.extend(also);
        }
        faults
    }
}

/// What is left of a body when the properties at fault are taken out; of a list with a fault nothing is.
fn without(mut body: Value, faults: &[FieldError]) -> Value {
    faults.iter().for_each(|fault| take_out(&mut body, &fault.pointer));
    body
}

fn take_out(body: &mut Value, pointer: &str) {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return };
    match body.pointer_mut(parent) {
        Some(Value::Object(properties)) => {
            properties.remove(&name.replace("~1", "/").replace("~0", "~"));
        }
        Some(Value::Array(_)) => take_out(body, parent),
        _ => {}
    }
}

/// Names of the schemas that operations take as JSON bodies.
fn bodies(document: &Value) -> impl Iterator<Item = &str> {
    let items = document["paths"].as_object().into_iter().flat_map(Map::values);
    let operations = items.filter_map(Value::as_object).flat_map(Map::values);
    let references =
        operations.filter_map(|o| o.pointer("/requestBody/content/application~1json/schema/$ref"));
    references.filter_map(Value::as_str).filter_map(|r| r.strip_prefix("#/components/schemas/"))
}

fn compile(name: &str, components: &Value) -> Validator {
    let schema = json!({ "$ref": format!("#/components/schemas/{name}"), "components": components });
    // Draft 4 is the one that reads a boolean `exclusiveMinimum`, as OpenAPI 3.0 writes it.
    jsonschema::options()
        .with_draft(Draft::Draft4)
        .should_validate_formats(true)
        .with_format(ONE_LINE_CHECK, |written: &str| !text::has_control(written))
        .with_format(REMARK_CHECK, |written: &str| !text::has_control_but_breaks(written))
        .build(&schema)
        .expect("the document holds sound schemas")
}

/// The schemas with what the document can't say in OpenAPI's own words: `nullable` as JSON Schema says it, and no
/// control characters in any text.
fn checked(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(members) => {
            *members =
                std::mem::take(members).into_iter().map(|(name, value)| (name, checked(value))).collect();
            if members.get("type").is_some_and(|kind| kind == "string") {
                refuse_control_characters(members);
            }
            if members.remove("nullable").is_some_and(|nullable| nullable == true) {
                return json!({ "anyOf": [{ "type": "null" }, schema] });
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|value| *value = checked(value.take())),
        _ => {}
    }
    schema
}

fn refuse_control_characters(members: &mut Map<String, Value>) {
    let long = members.get("maxLength").and_then(Value::as_u64).is_some_and(|length| length >= REMARK_LENGTH);
    let multiline = members.get("format").is_some_and(|format| format == MULTILINE);
    let check = if long || multiline { REMARK_CHECK } else { ONE_LINE_CHECK };
    members.insert("allOf".into(), json!([{ "format": check }]));
}

/// The faults that one error of the checker stands for.
fn faults(error: &ValidationError<'_>) -> Vec<FieldError> {
    let pointer = error.instance_path().to_string();
    match error.kind() {
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            vec![FieldError::new(below(&pointer, name), "missing", "This is needed.")]
        }
        Kind::AdditionalProperties { unexpected } => {
            let fault = |name: &String| {
                FieldError::new(below(&pointer, name), "unknown-property", "There is no such property here.")
            };
            unexpected.iter().map(fault).collect()
        }
        // What may also be null: the faults are those of what it is otherwise.
        Kind::AnyOf { context } if context.len() == 2 => context[1].iter().flat_map(faults).collect(),
        kind => {
            let (code, detail) = explain(kind);
            vec![FieldError::new(pointer, code, detail)]
        }
    }
}

/// The pointer to the property `name` of what `pointer` points to.
fn below(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// A code for programs and a sentence for people, which never repeats what was written.
fn explain(kind: &Kind) -> (&'static str, String) {
    match kind {
        Kind::Type { kind } => ("wrong-type", format!("This must be {}.", types(kind))),
        Kind::Format { format } if format == ONE_LINE_CHECK => {
            ("control-character", "This must not hold line breaks or other control characters.".into())
        }
        Kind::Format { format } if format == REMARK_CHECK => (
            "control-character",
            "This must not hold control characters other than line breaks and tabs.".into(),
        ),
        Kind::MaxLength { limit } => ("too-long", format!("This may have at most {limit} characters.")),
        Kind::MinLength { limit: 1 } => ("empty", "This must not be empty.".into()),
        Kind::MinLength { limit } => ("too-short", format!("This must have at least {limit} characters.")),
        Kind::MaxItems { limit } => ("too-many", format!("There may be at most {limit} of these.")),
        Kind::MinItems { limit } => ("too-few", format!("There must be at least {limit} of these.")),
        Kind::UniqueItems => ("repeated", "Each of these may stand here only once.".into()),
        Kind::Maximum { limit } => ("too-large", format!("This may be at most {limit}.")),
        Kind::Minimum { limit } => ("too-small", format!("This must be at least {limit}.")),
        Kind::ExclusiveMaximum { limit } => ("too-large", format!("This must be less than {limit}.")),
        Kind::ExclusiveMinimum { limit } => ("too-small", format!("This must be more than {limit}.")),
        Kind::Enum { options } => ("not-an-option", format!("This must be one of: {}.", list(options))),
        _ => ("wrong-form", "This does not have the form that the document describes.".into()),
    }
}

fn list(options: &Value) -> String {
    let words = options.as_array().into_iter().flatten();
    words.map(|o| o.as_str().map_or_else(|| o.to_string(), str::to_owned)).collect::<Vec<_>>().join(", ")
}

fn types(kind: &TypeKind) -> String {
    let name = |kind: String| match kind.as_str() {
        "string" => "a text".to_owned(),
        "integer" => "a whole number".to_owned(),
        "boolean" => "true or false".to_owned(),
        "array" => "a list".to_owned(),
        "object" => "an object".to_owned(),
        other => format!("a {other}"),
    };
    match kind {
        TypeKind::Single(one) => name(one.to_string()),
        TypeKind::Multiple(several) => {
            several.iter().map(|t| name(t.to_string())).collect::<Vec<_>>().join(" or ")
        }
    }
}
