//! A student in responses. Its schema follows from the table of the form's fields.

use std::borrow::Cow;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde_json::Value;

use super::access::{Row, View};
use crate::features::registration::{BESIDE_THE_FORM, FIELDS, Kind};

/// A student as the caller may read it: the columns that were asked for and that have a value.
#[derive(Clone, Debug)]
pub struct StudentBody(Value);

impl StudentBody {
    /// The body of a row.
    pub fn new(view: &View, row: &Row) -> Self {
        Self(row.object(view))
    }
}

impl Type for StudentBody {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "Student".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Reference(Self::name().into_owned())
    }

    fn register(registry: &mut Registry) {
        registry.create_schema::<Self, _>(Self::name().into_owned(), |_| MetaSchema {
            title: Some(Self::name().into_owned()),
            description: Some(
                "A student as the caller may read it. Fields that are not granted, were not asked for or have no value are absent.",
            ),
            required: vec!["id"],
            properties: properties(),
            ..MetaSchema::new("object")
        });
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for StudentBody {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        value.filter(Value::is_object).map(Self).ok_or_else(ParseError::expected_input)
    }
}

impl ToJSON for StudentBody {
    fn to_json(&self) -> Option<Value> {
        Some(self.0.clone())
    }
}

fn properties() -> Vec<(&'static str, MetaSchemaRef)> {
    let open = [
        ("id", described(of_type("string"), "Id of the student's account.")),
        ("group", described(of_type("string"), "Name of the orientation group.")),
        ("state", described(states(), "State of the registration.")),
        ("email", described(of_type("string"), "Address of the account.")),
        ("preferredName", described(of_type("string"), "Preferred name of the account.")),
        ("submittedAt", described(of_type("string"), "Time of submission (RFC 3339, UTC).")),
        ("registeredAt", described(of_type("string"), "Time of registration (RFC 3339, UTC).")),
    ];
    debug_assert!(
        BESIDE_THE_FORM.iter().all(|(field, _)| open.iter().any(|(name, _)| *name == field.to_string()))
    );
    let fields = FIELDS.iter().map(|field| (field.name(), described(of_kind(field.kind), field.label)));
    let answers = MetaSchema {
        description: Some("Answers to the faculty's own questions, by their ids."),
        ..MetaSchema::new("object")
    };
    open.into_iter().chain(fields).chain([("answers", inline(answers))]).collect()
}

fn states() -> MetaSchema {
    MetaSchema { enum_items: vec!["submitted".into(), "registered".into()], ..MetaSchema::new("string") }
}

fn of_type(name: &'static str) -> MetaSchema {
    MetaSchema::new(name)
}

fn of_kind(kind: Kind) -> MetaSchema {
    match kind {
        Kind::Line(_) | Kind::Remark(_) | Kind::Code(_) | Kind::Choice(_) | Kind::Phone(_) => {
            MetaSchema::new("string")
        }
        Kind::Date => MetaSchema::new_with_format("string", "date"),
        Kind::Flag => MetaSchema::new("boolean"),
        Kind::Choices(_) | Kind::Addresses(_) => MetaSchema {
            items: Some(Box::new(inline(MetaSchema::new("string")))),
            ..MetaSchema::new("array")
        },
        Kind::Object(parts) => MetaSchema {
            properties: parts
                .iter()
                .map(|(name, label, kind)| (*name, described(of_kind(*kind), label)))
                .collect(),
            ..MetaSchema::new("object")
        },
    }
}

fn described(schema: MetaSchema, description: &'static str) -> MetaSchemaRef {
    inline(MetaSchema { description: Some(description), ..schema })
}

fn inline(schema: MetaSchema) -> MetaSchemaRef {
    MetaSchemaRef::Inline(Box::new(schema))
}
