//! What is asked for: one query value that each adapter translates. Names of fields are code, values are data.

use crate::kernel::Timestamp;

/// A value that a field is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text, compared byte by byte.
    Text(String),
    /// A whole number.
    Int(i64),
    /// Yes or no.
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
type Field = &'static str;

/// Which documents are meant. A comparison with a field that is not there does not hold; its `Not` does.
#[derive(Clone, Debug)]
pub enum Filter {
    /// Every document.
    All,
    /// The field is this. For an element of a list take [`Filter::Has`].
    Eq(Field, Value),
    /// The field is one of these; none of an empty list.
    In(Field, Vec<Value>),
    /// from ≤ field < to; a missing bound is no bound.
    Range(Field, Option<Value>, Option<Value>),
    /// The field is more than this.
    Gt(Field, Value),
    /// The field is at most this.
    Le(Field, Value),
    /// The field is less than this.
    Lt(Field, Value),
    /// The field's text contains this text, letter case ignored in every script.
    Contains(Field, String),
    /// The list in the field has this element.
    Has(Field, Value),
    /// The field is there.
    Exists(Field),
    /// All of these; holds if there are none.
    And(Vec<Filter>),
    /// At least one of these; does not hold if there are none.
    Or(Vec<Filter>),
    /// This does not hold.
    Not(Box<Filter>),
}

impl Filter {
    /// The field is this.
    pub fn eq(field: Field, value: impl Into<Value>) -> Self {
        Self::Eq(field, value.into())
    }

    /// from ≤ field < to; a missing bound is no bound.
    pub fn range(field: Field, from: Option<Value>, to: Option<Value>) -> Self {
        Self::Range(field, from, to)
    }

    /// The list in the field has this element.
    pub fn has(field: Field, value: impl Into<Value>) -> Self {
        Self::Has(field, value.into())
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

/// The direction of a sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dir {
    /// Smallest first.
    Asc,
    /// Greatest first.
    Desc,
}

/// Documents asked for in an order, a page at a time.
#[derive(Clone, Debug)]
pub struct Query {
    /// Which documents.
    pub filter: Filter,
    /// In which order; the last field is the id.
    pub sort: Vec<(Field, Dir)>,
    /// How many at most.
    pub limit: u32,
}

impl Query {
    /// The first hundred that match, by id.
    pub fn new(filter: Filter) -> Self {
        Self { filter, sort: vec![("id", Dir::Asc)], limit: 100 }
    }

    /// Sorts by `field`, which every document of the collection has, then by id: always a total order, so that a
    /// key marks one place in it.
    pub fn sort(mut self, field: Field, dir: Dir) -> Self {
        self.sort = if field == "id" { vec![(field, dir)] } else { vec![(field, dir), ("id", dir)] };
        self
    }

    /// At most this many.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }

    /// Goes on behind the document with these sort keys: the value of each sorted field, the id last.
    ///
    /// `a ≥ x` alone lets an index seek; the `Or` beside it cuts off the ties already seen.
    pub fn after(mut self, keys: Vec<Value>) -> Self {
        let keys: Vec<_> = self.sort.iter().copied().zip(keys).map(|((f, dir), key)| (f, dir, key)).collect();
        let Some((field, dir, first)) = keys.first().cloned() else { return self };
        let seek = match dir {
            Dir::Asc => Filter::Range(field, Some(first), None),
            Dir::Desc => Filter::Le(field, first),
        };
        let past = Filter::Or((0..keys.len()).map(|tied| past_with_ties(&keys, tied)).collect());
        self.filter = self.filter.and(seek).and(past);
        self
    }
}

/// Equal in the first `tied` keys, and past the next one.
fn past_with_ties(keys: &[(Field, Dir, Value)], tied: usize) -> Filter {
    let mut all: Vec<_> = keys[..tied].iter().map(|(field, _, key)| Filter::Eq(field, key.clone())).collect();
    let (field, dir, key) = keys[tied].clone();
    all.push(match dir {
        Dir::Asc => Filter::Gt(field, key),
        Dir::Desc => Filter::Lt(field, key),
    });
    Filter::And(all)
}
