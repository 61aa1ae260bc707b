//! Paged lists: the parameters and the response that they all share.

use std::borrow::Cow;

use chrono::NaiveDate;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseError, ParseFromParameter, ParseResult, ToJSON, Type};
use serde_json::{Map, Value};

use super::formats::{DATE, TIME};
use crate::kernel::Timestamp;
use crate::platform::store::{Cursor, Page};

/// Page size if the client asks for none.
const DEFAULT_LIMIT: u32 = 20;

/// The largest page size.
const MAX_LIMIT: u32 = 100;

/// Longer than any cursor: the sort keys are an id and at most one other short value.
const MAX_CURSOR: usize = 2048;

/// The parameter `limit` of a list: the maximum number of items per page, 1 to 100, otherwise 20.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimit(pub u32);

impl Type for PageLimit {
    const IS_REQUIRED: bool = false;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "PageLimit".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            default: Some(DEFAULT_LIMIT.into()),
            minimum: Some(1.0),
            maximum: Some(MAX_LIMIT.into()),
            ..MetaSchema::new_with_format("integer", "int32")
        }))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromParameter for PageLimit {
    fn parse_from_parameter(value: &str) -> ParseResult<Self> {
        let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
        limit.map(Self).ok_or_else(|| ParseError::custom("it is not a number from 1 to 100"))
    }

    fn parse_from_parameters<I: IntoIterator<Item = A>, A: AsRef<str>>(values: I) -> ParseResult<Self> {
        let first = values.into_iter().next();
        first.map_or(Ok(Self(DEFAULT_LIMIT)), |value| Self::parse_from_parameter(value.as_ref()))
    }
}

/// A time in a parameter that narrows a list, with its offset (RFC 3339).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeParam(pub Timestamp);

impl Type for TimeParam {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "TimeParam".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", TIME)))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromParameter for TimeParam {
    fn parse_from_parameter(value: &str) -> ParseResult<Self> {
        let time = Timestamp::parse(value).map(Self);
        time.ok_or_else(|| ParseError::custom("it is not a time such as 2027-09-01T07:00:00Z"))
    }
}

/// A date in a parameter, `YYYY-MM-DD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateParam(pub NaiveDate);

impl Type for DateParam {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "DateParam".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", DATE)))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromParameter for DateParam {
    fn parse_from_parameter(value: &str) -> ParseResult<Self> {
        let date = value.parse().ok().filter(|date: &NaiveDate| date.to_string() == value);
        date.map(Self).ok_or_else(|| ParseError::custom("it is not a date such as 2027-09-01"))
    }
}

/// The parameter `cursor` of a list. The list itself decides whether it is one of its cursors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageCursor(pub Option<Cursor>);

impl Type for PageCursor {
    const IS_REQUIRED: bool = false;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "PageCursor".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        let max_length = Some(MAX_CURSOR);
        MetaSchemaRef::Inline(Box::new(MetaSchema { max_length, ..MetaSchema::new("string") }))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromParameter for PageCursor {
    fn parse_from_parameter(value: &str) -> ParseResult<Self> {
        if value.len() > MAX_CURSOR {
            return Err(ParseError::custom("it is longer than any cursor"));
        }
        Ok(Self(Some(Cursor::from(value.to_owned()))))
    }

    fn parse_from_parameters<I: IntoIterator<Item = A>, A: AsRef<str>>(values: I) -> ParseResult<Self> {
        let first = values.into_iter().next();
        first.map_or(Ok(Self(None)), |value| Self::parse_from_parameter(value.as_ref()))
    }
}

/// The response of a list of `T`s: a page of it. The schema of a page of `Order`s is `OrderPage`.
#[derive(Clone, Debug)]
pub struct PageBody<T> {
    items: Vec<T>,
    next: Option<Cursor>,
}

impl<D, T: for<'a> From<&'a D>> From<Page<D>> for PageBody<T> {
    fn from(page: Page<D>) -> Self {
        Self { items: page.items.iter().map(T::from).collect(), next: page.next }
    }
}

impl<T: Type> Type for PageBody<T> {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        format!("{}Page", T::name()).into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Reference(Self::name().into_owned())
    }

    fn register(registry: &mut Registry) {
        registry.create_schema::<Self, _>(Self::name().into_owned(), |registry| {
            T::register(registry);
            let items = described(Vec::<T>::schema_ref(), "Items, in the order of the list.");
            let next = described(
                String::schema_ref(),
                "Cursor of the next page: send it as `cursor`. Absent on the last page.",
            );
            MetaSchema {
                title: Some(Self::name().into_owned()),
                description: Some("A page of a list."),
                required: vec!["items"],
                properties: vec![("items", items), ("nextCursor", next)],
                ..MetaSchema::new("object")
            }
        });
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl<T: ToJSON> ToJSON for PageBody<T> {
    fn to_json(&self) -> Option<Value> {
        let next = self.next.as_ref().map(|cursor| ("nextCursor".to_owned(), cursor.as_str().into()));
        let items = ("items".to_owned(), self.items.to_json()?);
        Some([Some(items), next].into_iter().flatten().collect::<Map<_, _>>().into())
    }
}

fn described(schema: MetaSchemaRef, description: &'static str) -> MetaSchemaRef {
    schema.merge(MetaSchema { description: Some(description), ..MetaSchema::ANY })
}
