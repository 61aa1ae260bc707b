//! Texts whose format is in the document. See `formats` for how they are read.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use poem_openapi::Object;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{Example, ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde_json::Value;

use super::formats;
use crate::kernel::{ADDRESS_MAX, Markdown, PHONE_MAX};

/// A format of texts, as a type. The check of JSON bodies applies what it says; see [`super::JsonBody`].
pub trait TextFormat: Send + Sync + 'static {
    /// The `format` of the schema, which says how such a text is cleaned.
    const NAME: &'static str;
    /// The `pattern` of the schema. A feature's rules explain what is wrong with a text that doesn't match it.
    const PATTERN: Option<&'static str> = None;
    /// The `maxLength` of the schema, in code points.
    const MAX_LENGTH: Option<usize> = None;
}

/// Text of several lines: line breaks and tabs are allowed, but no other control characters. Every other text is one
/// line.
pub type Remark = Text<Multiline>;

/// Markdown in a body, of several lines. It must show something when it is rendered.
pub type MarkdownText = Text<MarkdownSource>;

/// Words to search for. A text without words is refused and doesn't count as absent.
pub type SearchText = Text<SearchWords>;

/// An email address in a body.
pub type EmailText = Text<IdnEmail>;

/// A phone number in a body.
pub type PhoneText = Text<Phone>;

/// A date in a body, `YYYY-MM-DD`.
pub type DateText = Text<Date>;

/// A time in a body, with its offset (RFC 3339).
pub type TimeText = Text<Time>;

/// A text in Markdown. Requests send the source alone, as a [`MarkdownText`].
#[derive(Clone, Debug, Object)]
#[oai(rename = "Markdown", rename_all = "camelCase", example)]
pub struct MarkdownBody {
    /// Source in Markdown (CommonMark, with tables, strikethrough and bare web addresses), as it was written.
    pub source: String,
    /// Safe HTML without scripts, styles and images, to be inserted into a page as it is.
    pub html: String,
}

impl From<&Markdown> for MarkdownBody {
    fn from(text: &Markdown) -> Self {
        Self { source: text.source().to_owned(), html: text.html().to_owned() }
    }
}

impl Example for MarkdownBody {
    fn example() -> Self {
        Self::from(&Markdown::new("Bring **water** and a hat."))
    }
}

/// The format of [`Remark`].
pub struct Multiline;

impl TextFormat for Multiline {
    const NAME: &'static str = formats::MULTILINE;
}

/// The format of [`MarkdownText`].
pub struct MarkdownSource;

impl TextFormat for MarkdownSource {
    const NAME: &'static str = formats::MARKDOWN;
}

/// The format of [`SearchText`].
pub struct SearchWords;

impl TextFormat for SearchWords {
    const NAME: &'static str = formats::WORDS;
}

/// The format of [`EmailText`].
pub struct IdnEmail;

impl TextFormat for IdnEmail {
    const NAME: &'static str = formats::EMAIL;
    const MAX_LENGTH: Option<usize> = Some(ADDRESS_MAX);
}

/// The format of [`PhoneText`].
pub struct Phone;

impl TextFormat for Phone {
    const NAME: &'static str = formats::PHONE;
    const MAX_LENGTH: Option<usize> = Some(PHONE_MAX);
}

/// The format of [`DateText`].
pub struct Date;

impl TextFormat for Date {
    const NAME: &'static str = formats::DATE;
}

/// The format of [`TimeText`].
pub struct Time;

impl TextFormat for Time {
    const NAME: &'static str = formats::TIME;
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
        let schema = MetaSchema::new_with_format("string", F::NAME);
        let (pattern, max_length) = (F::PATTERN.map(str::to_owned), F::MAX_LENGTH);
        MetaSchemaRef::Inline(Box::new(MetaSchema { pattern, max_length, ..schema }))
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
