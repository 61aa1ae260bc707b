//! Queries: one value that each adapter translates. Names of fields are code or configuration, values are data.

use std::borrow::Cow;

use crate::kernel::Timestamp;

/// A value that a field is compared with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// Text, compared byte by byte.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A boolean.
    Bool(bool),
    /// A point in time.
    Time(Timestamp),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Bool(yes)
    }
}

impl From<Timestamp> for Value {
    fn from(time: Timestamp) -> Self {
        Self::Time(time)
    }
}

/// A property's name as it is written in the document (`camelCase`), or a path with dots (`amount.currency`).
pub type Field = Cow<'static, str>;

/// Which documents are meant. A comparison with a field that a document lacks is false; its `Not` is true.
#[derive(Clone, Debug)]
pub enum Filter {
    /// Every document.
    All,
    /// The field has this value. For an element of a list use [`Filter::Has`].
    Eq(Field, Value),
    /// The field is one of these; never, if the list is empty.
    In(Field, Vec<Value>),
    /// from ≤ field < to; a missing bound does not limit.
    Range(Field, Option<Value>, Option<Value>),
    /// The field is greater than this.
    Gt(Field, Value),
    /// The field is at most this.
    Le(Field, Value),
    /// The field is less than this.
    Lt(Field, Value),
    /// The field's text contains this text, ignoring case in every script.
    Contains(Field, String),
    /// The list in the field contains this element.
    Has(Field, Value),
    /// The list in the field contains a text that begins with this text. Only for a field with an
    /// [`Index::words`](super::Index::words).
    HasPrefix(Field, String),
    /// The document has the field.
    Exists(Field),
    /// All of these; true if there are none.
    And(Vec<Filter>),
    /// At least one of these; false if there are none.
    Or(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
}

impl Filter {
    /// The field has this value.
    pub fn eq(field: impl Into<Field>, value: impl Into<Value>) -> Self {
        Self::Eq(field.into(), value.into())
    }

    /// from ≤ field < to; a missing bound does not limit.
    pub fn range(field: impl Into<Field>, from: Option<Value>, to: Option<Value>) -> Self {
        Self::Range(field.into(), from, to)
    }

    /// The list in the field contains this element.
    pub fn has(field: impl Into<Field>, value: impl Into<Value>) -> Self {
        Self::Has(field.into(), value.into())
    }

    /// The document lacks the field.
    pub fn lacks(field: impl Into<Field>) -> Self {
        !Self::Exists(field.into())
    }

    /// Both this and `other`.
    pub fn and(self, other: Filter) -> Self {
        match self {
            Self::All => other,
            Self::And(mut all) => {
                all.push(other);
                Self::And(all)
            }
            one => Self::And(vec![one, other]),
        }
    }
}

impl std::ops::Not for Filter {
    type Output = Self;

    fn not(self) -> Self {
        Self::Not(Box::new(self))
    }
}

/// The direction of a sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dir {
    /// Smallest first.
    Asc,
    /// Largest first.
    Desc,
}

/// Documents asked for in an order.
#[derive(Clone, Debug)]
pub struct Query {
    /// Which documents.
    pub filter: Filter,
    /// The order; the last field is the id.
    pub sort: Vec<(Field, Dir)>,
    /// Maximum number of documents.
    pub limit: u32,
    /// Whether documents may lack the field that they are sorted by.
    optional: bool,
}

impl Query {
    /// The first hundred documents that match, ordered by id.
    pub fn new(filter: Filter) -> Self {
        Self { filter, sort: vec![("id".into(), Dir::Asc)], limit: 100, optional: false }
    }

    /// Sorts by `field`, which every document of the collection has, then by id. The order is total, so that a
    /// key marks one position in it.
    pub fn sort(mut self, field: impl Into<Field>, dir: Dir) -> Self {
        let field = field.into();
        self.sort = if field == "id" { vec![(field, dir)] } else { vec![(field, dir), ("id".into(), dir)] };
        self.optional = false;
        self
    }

    /// Sorts by `field`, which documents may lack: they are the first in ascending order and the last in descending.
    /// Descending pages far from the start are slower than those of [`sort`](Self::sort), because an index can't be
    /// entered at the key.
    pub fn sort_optional(self, field: impl Into<Field>, dir: Dir) -> Self {
        let field = field.into();
        Self { optional: field != "id", ..self.sort(field, dir) }
    }

    /// Sets the maximum number of documents.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }

    /// Continues after the document with these sort keys: the value of each sorted field, the id last.
    pub fn after(self, keys: Vec<Value>) -> Self {
        self.after_keys(keys.into_iter().map(Some).collect())
    }

    /// The same; a field that the document lacks has no value.
    ///
    /// `a ≥ x` alone lets an index seek; the `Or` beside it cuts off the ties already seen.
    pub(super) fn after_keys(mut self, keys: Vec<Option<Value>>) -> Self {
        let optional = self.optional;
        let key = |((field, dir), value): ((Field, Dir), Option<Value>)| {
            let optional = optional && field != "id";
            Key { field, dir, value, optional }
        };
        let keys: Vec<_> = self.sort.iter().cloned().zip(keys).map(key).collect();
        let Some(first) = keys.first() else { return self };
        let past = Filter::Or((0..keys.len()).map(|tied| past_with_ties(&keys, tied)).collect());
        self.filter = self.filter.and(first.seek()).and(past);
        self
    }
}

/// One sort key of the document after which a page begins.
struct Key {
    field: Field,
    dir: Dir,
    /// `None` if the document lacks the field. That is less than every value.
    value: Option<Value>,
    /// Whether other documents may lack it.
    optional: bool,
}

impl Key {
    /// A condition that an index can serve: holds for all that is past the key or equal to it.
    fn seek(&self) -> Filter {
        match (self.dir, self.value.clone()) {
            (Dir::Asc, Some(value)) => Filter::Range(self.field.clone(), Some(value), None),
            (Dir::Desc, Some(value)) if !self.optional => Filter::Le(self.field.clone(), value),
            (Dir::Asc, None) | (Dir::Desc, Some(_)) => Filter::All,
            (Dir::Desc, None) => Filter::lacks(self.field.clone()),
        }
    }

    fn equal(&self) -> Filter {
        self.value
            .clone()
            .map_or_else(|| Filter::lacks(self.field.clone()), |value| Filter::Eq(self.field.clone(), value))
    }

    fn past(&self) -> Filter {
        match (self.dir, self.value.clone()) {
            (Dir::Asc, Some(value)) => Filter::Gt(self.field.clone(), value),
            (Dir::Asc, None) => Filter::Exists(self.field.clone()),
            (Dir::Desc, Some(value)) if self.optional => {
                Filter::Or(vec![Filter::Lt(self.field.clone(), value), Filter::lacks(self.field.clone())])
            }
            (Dir::Desc, Some(value)) => Filter::Lt(self.field.clone(), value),
            (Dir::Desc, None) => Filter::Or(vec![]),
        }
    }
}

/// A field by which documents are counted: see [`Store::cross`](super::Store::cross).
#[derive(Clone, Debug)]
pub struct Dimension {
    /// The field.
    pub field: Field,
    /// What it holds.
    pub holds: Holds,
}

/// The number of documents with one combination of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossed {
    /// The value of each dimension; none if the documents lack the field.
    pub values: Vec<Option<Value>>,
    /// Their number.
    pub documents: u64,
}

/// What a field that documents are counted by holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// A text.
    Text,
    /// A whole number.
    Int,
    /// A boolean.
    Bool,
    /// A list of texts. A document counts once for each element, and an empty list counts as a missing field.
    Texts,
}

/// Equal in the first `tied` keys, and past the next one.
fn past_with_ties(keys: &[Key], tied: usize) -> Filter {
    let equal = keys[..tied].iter().map(Key::equal);
    Filter::And(equal.chain([keys[tied].past()]).collect())
}
