//! Texts whose format stands in the document. See `formats` for how they are read.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde_json::Value;

use super::formats;

/// A format of texts, by a type.
pub trait TextFormat: Send + Sync + 'static {
    /// The `format` of its schema.
    const NAME: &'static str;
}

/// Text of several lines: of all control characters, line breaks and tabs are allowed. Every other text is one line.
pub type Remark = Text<Multiline>;

/// An email address in a body.
pub type EmailText = Text<IdnEmail>;

/// The format of [`Remark`].
pub struct Multiline;

impl TextFormat for Multiline {
    const NAME: &'static str = formats::MULTILINE;
}

/// The format of [`EmailText`].
pub struct IdnEmail;

impl TextFormat for IdnEmail {
    const NAME: &'static str = formats::EMAIL;
}

/// A text of the format `F`.
pub struct Text<F>(String, PhantomData<fn() -> F>);

impl<F> Text<F> {
    /// The text itself.
    pub fn into_inner(self) -> String {
        self.0
    }
}

impl<F> From<&str> for Text<F> {
    fn from(text: &str) -> Self {
        Self(text.to_owned(), PhantomData)
    }
}

impl<F> AsRef<str> for Text<F> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<F> Clone for Text<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<F> fmt::Debug for Text<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<F: TextFormat> Type for Text<F> {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        format!("string_{}", F::NAME).into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", F::NAME)))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<F: TextFormat> ParseFromJSON for Text<F> {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value {
            Some(Value::String(text)) => Ok(Self(text, PhantomData)),
            other => Err(ParseError::expected_type(other.unwrap_or_default())),
        }
    }
}

impl<F: TextFormat> ToJSON for Text<F> {
    fn to_json(&self) -> Option<Value> {
        Some(Value::String(self.0.clone()))
    }
}
