//! The header `Idempotency-Key`: a request that is sent again takes effect once.

use std::borrow::Cow;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromParameter, ParseResult, Type};
use serde::Serialize;

use crate::platform::idempotency::Once;

/// The longest key, as at Stripe. A UUID has 36 characters.
const MAX_LENGTH: usize = 255;

/// The parameter `Idempotency-Key` of an operation that must not take effect twice. Optional.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(Option<String>);

impl IdempotencyKey {
    /// The request with this content, sent to `operation` by `account`; `None` if the client sent no key.
    pub fn once(&self, operation: &str, account: &str, content: &impl Serialize) -> Option<Once> {
        self.0.as_ref().map(|key| Once::new(operation, account, key, content))
    }
}

impl Type for IdempotencyKey {
    const IS_REQUIRED: bool = false;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "IdempotencyKey".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            min_length: Some(1),
            max_length: Some(MAX_LENGTH),
            ..MetaSchema::new("string")
        }))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromParameter for IdempotencyKey {
    fn parse_from_parameter(value: &str) -> ParseResult<Self> {
        if (1..=MAX_LENGTH).contains(&value.len()) {
            return Ok(Self(Some(value.to_owned())));
        }
        Err(ParseError::custom("a key has 1 to 255 characters"))
    }

    fn parse_from_parameters<I: IntoIterator<Item = A>, A: AsRef<str>>(values: I) -> ParseResult<Self> {
        let first = values.into_iter().next();
        first.map_or(Ok(Self(None)), |value| Self::parse_from_parameter(value.as_ref()))
    }
}
