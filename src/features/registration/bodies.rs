//! Parts of the bodies of registration that several operations share.

use std::borrow::Cow;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde_json::{Value, json};

use super::answers::Answer;
use crate::config::{LIST_LENGTH, LONGEST_ANSWER, NAME_LENGTH, NUMBERS};

/// The answer to a question: a text, an option or a date as a string, yes or no as a boolean, a whole number, or a list of
/// options.
#[derive(Clone, Debug)]
pub struct AnswerBody(pub Answer);

impl Type for AnswerBody {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "answer".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        let inline = |schema| MetaSchemaRef::Inline(Box::new(schema));
        let text = MetaSchema {
            max_length: Some(LONGEST_ANSWER),
            ..MetaSchema::new_with_format("string", "multiline")
        };
        let option = MetaSchema { max_length: Some(NAME_LENGTH), ..MetaSchema::new("string") };
        let options = MetaSchema {
            items: Some(Box::new(inline(option))),
            max_items: Some(LIST_LENGTH),
            ..MetaSchema::new("array")
        };
        let number = MetaSchema {
            minimum: Some(*NUMBERS.start() as f64),
            maximum: Some(*NUMBERS.end() as f64),
            ..MetaSchema::new_with_format("integer", "int64")
        };
        let kinds = [text, MetaSchema::new("boolean"), number, options];
        inline(MetaSchema { any_of: kinds.map(inline).into(), ..MetaSchema::ANY })
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for AnswerBody {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        let value = value.unwrap_or_default();
        serde_json::from_value(value.clone()).map(Self).map_err(|_| ParseError::expected_type(value))
    }
}

impl ToJSON for AnswerBody {
    fn to_json(&self) -> Option<Value> {
        Some(json!(self.0))
    }
}
