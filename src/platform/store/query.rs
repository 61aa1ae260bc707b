//! One query value, translated by each adapter. Field names are code, values are data.
use crate::kernel::Timestamp;

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(String),
    Int(i64),
    Bool(bool),
    Time(Timestamp),
}
impl From<&str> for Value {
    fn from(v: &str) -> Self {
        Self::Text(v.into())
    }
}
impl From<String> for Value {
    fn from(v: String) -> Self {
        Self::Text(v)
    }
}
impl From<i64> for Value {
    fn from(v: i64) -> Self {
        Self::Int(v)
    }
}
impl From<bool> for Value {
    fn from(v: bool) -> Self {
        Self::Bool(v)
    }
}
impl From<Timestamp> for Value {
    fn from(v: Timestamp) -> Self {
        Self::Time(v)
    }
}

type Field = &'static str;
#[derive(Debug, Clone)]
pub enum Filter {
    All,
    Eq(Field, Value),
    In(Field, Vec<Value>),
    /// from ≤ field < to
    Range(Field, Option<Value>, Option<Value>),
    Gt(Field, Value),
    Le(Field, Value),
    Lt(Field, Value),
    /// Text contains, letter case ignored.
    Contains(Field, String),
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
}
impl Filter {
    pub fn eq(f: Field, v: impl Into<Value>) -> Self {
        Self::Eq(f, v.into())
    }
    pub fn range(f: Field, from: Option<Value>, to: Option<Value>) -> Self {
        Self::Range(f, from, to)
    }
    pub fn and(self, other: Filter) -> Self {
        match self {
            Self::All => other,
            Self::And(mut v) => {
                v.push(other);
                Self::And(v)
            }
            one => Self::And(vec![one, other]),
        }
    }
}
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Dir {
    Asc,
    Desc,
}
#[derive(Debug, Clone)]
pub struct Query {
    pub filter: Filter,
    pub sort: Vec<(Field, Dir)>,
    pub limit: u32,
}
impl Query {
    pub fn new(filter: Filter) -> Self {
        Self { filter, sort: vec![("id", Dir::Asc)], limit: 100 }
    }
    /// Sorts by `field`, then by id: always a total order, so that a key marks one place in it.
    pub fn sort(mut self, field: Field, dir: Dir) -> Self {
        self.sort = vec![(field, dir), ("id", dir)];
        self
    }
    pub fn limit(mut self, n: u32) -> Self {
        self.limit = n;
        self
    }
    /// Keyset paging: goes on after the row with these sort keys. `a >= x` alone lets an index seek;
    /// the `Or` beside it cuts off the ties already seen.
    pub fn after(mut self, keys: Vec<Value>) -> Self {
        let past =
            |f: Field, d: Dir, v: Value| if d == Dir::Asc { Filter::Gt(f, v) } else { Filter::Lt(f, v) };
        let mut ors = Vec::new();
        for i in 0..self.sort.len() {
            let mut all: Vec<_> = (0..i).map(|j| Filter::Eq(self.sort[j].0, keys[j].clone())).collect();
            all.push(past(self.sort[i].0, self.sort[i].1, keys[i].clone()));
            ors.push(Filter::And(all));
        }
        let (f, d) = self.sort[0];
        let first = keys[0].clone();
        let seek = if d == Dir::Asc { Filter::Range(f, Some(first), None) } else { Filter::Le(f, first) };
        self.filter = std::mem::replace(&mut self.filter, Filter::All).and(seek).and(Filter::Or(ors));
        self
    }
}
