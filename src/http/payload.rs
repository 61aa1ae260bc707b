//! JSON bodies: cleaned, validated, then parsed.
//!
//! A body is parsed as JSON. Its texts are cleaned according to their format ([`super::formats`]). An optional text that is
//! empty afterwards counts as absent. The result is validated as a whole against the schema in the document, so that all
//! errors are reported at once. If an object has a property twice, the last one counts.
//!
//! What a schema can't say (an option of `event.toml`, a phone number that exists) the features' rules check when the
//! use case runs. A body that breaks its schema never gets there. So that its author learns of everything at once, a
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

use super::formats::{self, FORMATS};
use super::kinds::{invalid, malformed_json};
use super::pipeline::Shared;
use super::spec::Document;
use crate::kernel::FieldError;

/// Maximum number of reported errors per body.
const MOST_ERRORS: usize = 50;

/// Byte order mark, which some programs write before UTF-8. Parsers may ignore it (RFC 8259, section 8.1).
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

const SCHEMAS: &str = "#/components/schemas/";

/// The code of a text that doesn't match the pattern of its schema.
const BREAKS_PATTERN: &str = "wrong-form";

/// What a feature's rules say about a body that breaks its schema, with the name of the schema. They get what is left
/// of the body: properties with errors are removed, except for texts that only break a pattern.
///
/// Anonymous clients can run it without limit, so it must be cheap and can't use the store.
pub type Rule = (&'static str, Judge);

type Judge = Box<dyn Fn(&Value) -> Vec<FieldError> + Send + Sync>;

/// A JSON body, validated as a whole against its schema in the document.
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
        let data = data.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&data);
        let mut value = serde_json::from_slice(data).map_err(|error| malformed_json(position(&error)))?;
        if let Some(shared) = request.data::<Arc<Shared>>() {
            let errors = shared.checks.read(&T::name(), &mut value);
            if !errors.is_empty() {
                return Err(invalid(errors).into());
            }
        }
        // The parser's message may quote the body.
        let mismatch =
            |_| invalid(vec![FieldError::new("", "wrong-form", "The body doesn't match its schema.")]).into();
        T::parse_from_json(Some(value)).map(Self).map_err(mismatch)
    }
}

/// Position of a syntax error, without quoting the body.
fn position(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    if error.is_eof() {
        format!("It ends too early, at line {line}, column {column}.")
    } else {
        format!("It is malformed at line {line}, column {column}.")
    }
}

/// The validators of all bodies, compiled once.
pub(super) struct Checks {
    /// The schemas in the document.
    schemas: Value,
    validators: HashMap<String, Validator>,
    rules: HashMap<&'static str, Judge>,
}

impl Checks {
    /// Compiles a validator for each schema of a request body.
    ///
    /// # Panics
    /// If a rule names a schema that no body has. The first start shows the mistake.
    pub(super) fn new(document: &Document, rules: Vec<Rule>) -> Self {
        let schemas = document.value()["components"]["schemas"].clone();
        let components = json!({ "schemas": checked(schemas.clone()) });
        let names = bodies(document.value());
        let validators: HashMap<_, _> =
            names.map(|name| (name.to_owned(), compile(name, &components))).collect();
        let rules: HashMap<_, _> = rules.into_iter().collect();
        for name in rules.keys() {
            assert!(validators.contains_key(*name), "no operation takes a {name}");
        }
        Self { schemas, validators, rules }
    }

    /// Cleans `body` and validates it against the schema `name`.
    fn read(&self, name: &str, body: &mut Value) -> Vec<FieldError> {
        self.clean(&self.schemas[name], body);
        let Some(check) = self.validators.get(name).filter(|check| !check.is_valid(body)) else {
            return Vec::new();
        };
        let mut errors: Vec<_> = check.iter_errors(body).flat_map(|error| errors_of(&error)).collect();
        errors.dedup();
        if let Some(rule) = self.rules.get(name) {
            errors = with_rule(errors, rule, body);
        }
        errors.truncate(MOST_ERRORS);
        errors
    }

    /// Cleans every text in `value`, and removes optional texts that are empty afterwards.
    fn clean(&self, schema: &Value, value: &mut Value) {
        let Some(schema) = alternative(self.resolve(schema), value).as_object() else { return };
        match value {
            Value::String(text) => *text = (formats::of(schema).clean)(text),
            Value::Array(items) => {
                let of_items = schema.get("items").unwrap_or(&Value::Null);
                items.iter_mut().for_each(|item| self.clean(of_items, item));
            }
            Value::Object(properties) => {
                let known = schema.get("properties").unwrap_or(&Value::Null);
                let others = schema.get("additionalProperties").unwrap_or(&Value::Null);
                for (name, value) in properties.iter_mut() {
                    self.clean(known.get(name).unwrap_or(others), value);
                }
                drop_empty(schema, known, properties);
            }
            _ => {}
        }
    }

    /// The schema that a reference, or a reference with a description, points to.
    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let reference =
            schema.get("$ref").or_else(|| schema.pointer("/allOf/0/$ref")).and_then(Value::as_str);
        match reference.and_then(|reference| reference.strip_prefix(SCHEMAS)) {
            Some(name) => &self.schemas[name],
            None => schema,
        }
    }
}

/// Of alternative schemas, the one for values of this type.
fn alternative<'a>(schema: &'a Value, value: &Value) -> &'a Value {
    let kind = match value {
        Value::String(_) => "string",
        Value::Array(_) => "array",
        _ => return schema,
    };
    let alternatives = schema["anyOf"].as_array().map(Vec::as_slice).unwrap_or_default();
    alternatives.iter().find(|one| one["type"] == kind).unwrap_or(schema)
}

/// The errors of the schema and those of the rule.
fn with_rule(errors: Vec<FieldError>, rule: &Judge, body: &Value) -> Vec<FieldError> {
    let (patterns, mut errors): (Vec<_>, Vec<_>) =
        errors.into_iter().partition(|error| error.code == BREAKS_PATTERN);
    let found = rule(&without(body.clone(), &errors));
    // By prefix, which covers values below a property, and `/pronounsOther`, which depends on `/pronouns`.
    let known = |error: &FieldError| errors.iter().any(|other| error.pointer.starts_with(&other.pointer));
    let found: Vec<_> = found.into_iter().filter(|error| !known(error)).collect();
    // The rule's sentence says more than a pattern does.
    let explained = |error: &FieldError| found.iter().any(|other| other.pointer == error.pointer);
    errors.extend(patterns.into_iter().filter(|error| !explained(error)));
    errors.extend(found);
    errors
}

/// Removes an empty optional text, or sets it to null where null clears the stored value.
fn drop_empty(schema: &Map<String, Value>, known: &Value, properties: &mut Map<String, Value>) {
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|one| one == name));
    properties.retain(|name, value| {
        let counts = known[name.as_str()]["format"] == formats::WORDS;
        if value != "" || is_required(name) || counts || known[name.as_str()].is_null() {
            return true;
        }
        *value = Value::Null;
        known[name.as_str()]["nullable"] == true
    });
}

/// The body without its invalid properties, and without lists that contain an invalid value.
fn without(mut body: Value, errors: &[FieldError]) -> Value {
    errors.iter().for_each(|error| remove_at(&mut body, &error.pointer));
    body
}

fn remove_at(body: &mut Value, pointer: &str) {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return };
    match body.pointer_mut(parent) {
        Some(Value::Object(properties)) => {
            properties.remove(&name.replace("~1", "/").replace("~0", "~"));
        }
        Some(Value::Array(_)) => remove_at(body, parent),
        _ => {}
    }
}

/// Names of the schemas that operations take as JSON bodies.
fn bodies(document: &Value) -> impl Iterator<Item = &str> {
    let items = document["paths"].as_object().into_iter().flat_map(Map::values);
    let operations = items.filter_map(Value::as_object).flat_map(Map::values);
    let references =
        operations.filter_map(|o| o.pointer("/requestBody/content/application~1json/schema/$ref"));
    references.filter_map(Value::as_str).filter_map(|r| r.strip_prefix(SCHEMAS))
}

fn compile(name: &str, components: &Value) -> Validator {
    let schema = json!({ "$ref": format!("{SCHEMAS}{name}"), "components": components });
    // OpenAPI 3.0 has a boolean `exclusiveMinimum`, as in draft 4.
    let options = jsonschema::options().with_draft(Draft::Draft4).should_validate_formats(true);
    let options =
        FORMATS.iter().fold(options, |options, format| options.with_format(format.check, format.allows));
    options.build(&schema).expect("the document holds sound schemas")
}

/// Translates the schemas to JSON Schema: `nullable`, and the name of our check of each text's format.
fn checked(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(members) => {
            *members =
                std::mem::take(members).into_iter().map(|(name, value)| (name, checked(value))).collect();
            if members.get("type").is_some_and(|kind| kind == "string") {
                let check = formats::of(members).check;
                if members.get("format").is_some_and(|format| format == formats::MARKDOWN) {
                    members.insert("allOf".into(), json!([{ "format": formats::LINES.check }]));
                }
                members.insert("format".into(), check.into());
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

/// The validation errors for an error of the validator.
fn errors_of(error: &ValidationError<'_>) -> Vec<FieldError> {
    let pointer = error.instance_path().to_string();
    match error.kind() {
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            vec![FieldError::new(below(&pointer, name), "missing", "This is required.")]
        }
        Kind::AdditionalProperties { unexpected } => {
            let error = |name: &String| {
                FieldError::new(below(&pointer, name), "unknown-property", "Unknown property.")
            };
            unexpected.iter().map(error).collect()
        }
        Kind::AnyOf { context } => errors_of_alternatives(context, &pointer),
        kind => {
            let (code, detail) = explain(kind);
            vec![FieldError::new(pointer, code, detail)]
        }
    }
}

/// The errors of the alternative for values of this type, or else that it has none of their types. A nullable value has
/// the alternatives null and its other type.
fn errors_of_alternatives(alternatives: &[Vec<ValidationError<'_>>], pointer: &str) -> Vec<FieldError> {
    let missed: Vec<_> = alternatives.iter().map(|errors| missed_types(errors, pointer)).collect();
    if let Some(i) = missed.iter().position(Vec::is_empty) {
        return alternatives[i].iter().flat_map(errors_of).collect();
    }
    let names: Vec<_> = missed.into_iter().flatten().filter(|name| name != "a null").collect();
    vec![FieldError::new(pointer, "wrong-type", format!("This must be {}.", names.join(" or ")))]
}

/// The types that the value at `pointer` does not have. If there are several, it has none of them.
fn missed_types(errors: &[ValidationError<'_>], pointer: &str) -> Vec<String> {
    let of_one = |error: &ValidationError<'_>| match error.kind() {
        Kind::Type { kind } => vec![types(kind)],
        Kind::AnyOf { context } => {
            let missed: Vec<_> = context.iter().map(|errors| missed_types(errors, pointer)).collect();
            if missed.iter().any(Vec::is_empty) { vec![] } else { missed.concat() }
        }
        _ => vec![],
    };
    let mut own = errors.iter().filter(|error| error.instance_path().to_string() == pointer);
    own.next().map(of_one).unwrap_or_default()
}

/// Pointer to the property `name` of the object at `pointer`.
fn below(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Code and detail of a validation error. The detail never quotes the body.
fn explain(kind: &Kind) -> (&'static str, String) {
    match kind {
        Kind::Type { kind } => ("wrong-type", format!("This must be {}.", types(kind))),
        Kind::Format { format } => match FORMATS.iter().find(|known| known.check == format) {
            Some(known) => (known.code, known.detail.to_owned()),
            None => ("wrong-form", "This is not in the documented format.".into()),
        },
        Kind::MaxLength { limit } => ("too-long", format!("Use at most {limit} characters.")),
        Kind::MinLength { limit: 1 } => ("empty", "This must not be empty.".into()),
        Kind::MinLength { limit } => ("too-short", format!("Use at least {limit} characters.")),
        Kind::MaxItems { limit } => ("too-many", format!("List at most {limit}.")),
        Kind::MinItems { limit } => ("too-few", format!("List at least {limit}.")),
        Kind::MaxProperties { limit } => ("too-many", format!("Use at most {limit} properties.")),
        Kind::UniqueItems => ("repeated", "List each one only once.".into()),
        Kind::Maximum { limit } => ("too-large", format!("This must be at most {limit}.")),
        Kind::Minimum { limit } => ("too-small", format!("This must be at least {limit}.")),
        Kind::ExclusiveMaximum { limit } => ("too-large", format!("This must be less than {limit}.")),
        Kind::ExclusiveMinimum { limit } => ("too-small", format!("This must be more than {limit}.")),
        Kind::Enum { options } => ("not-an-option", format!("Choose one of: {}.", list(options))),
        _ => (BREAKS_PATTERN, "This is not in the documented format.".into()),
    }
}

fn list(options: &Value) -> String {
    let words = options.as_array().into_iter().flatten();
    words.map(|o| o.as_str().map_or_else(|| o.to_string(), str::to_owned)).collect::<Vec<_>>().join(", ")
}

fn types(kind: &TypeKind) -> String {
    let name = |kind: String| match kind.as_str() {
        "string" => "text".to_owned(),
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
