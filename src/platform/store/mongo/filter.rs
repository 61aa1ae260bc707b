//! Filters and sorts in MongoDB's query language.

use std::fmt::Write;

use bson::{Bson, Document, doc};

use super::super::case::{cases, lower};
use super::super::{Dir, Filter, Query, Value};

/// A field by its name in MongoDB.
pub(super) fn name(field: &str) -> &str {
    match field {
        "id" => "_id",
        _ => field,
    }
}

pub(super) fn order(query: &Query) -> Document {
    let direction = |dir| Bson::Int32(if dir == Dir::Asc { 1 } else { -1 });
    query.sort.iter().map(|(field, dir)| (name(field).to_owned(), direction(*dir))).collect()
}

/// A filter as a condition. In MongoDB, too, comparisons with a missing field are false.
pub(super) fn condition(filter: &Filter) -> Document {
    match filter {
        Filter::All => doc! {},
        Filter::Eq(field, value) => is(field, doc! { "$eq": plain(value) }),
        Filter::Gt(field, value) => is(field, doc! { "$gt": plain(value) }),
        Filter::Le(field, value) => is(field, doc! { "$lte": plain(value) }),
        Filter::Lt(field, value) => is(field, doc! { "$lt": plain(value) }),
        Filter::Range(field, from, to) => range(field, from.as_ref(), to.as_ref()),
        Filter::In(field, values) => is(field, doc! { "$in": values.iter().map(plain).collect::<Vec<_>>() }),
        Filter::Contains(field, part) => is(field, doc! { "$regex": in_any_case(part) }),
        Filter::Has(field, value) => is(field, doc! { "$elemMatch": { "$eq": plain(value) } }),
        Filter::HasPrefix(field, prefix) => {
            let after = format!("{prefix}{}", char::MAX);
            is(field, doc! { "$elemMatch": { "$gte": prefix, "$lt": after } })
        }
        Filter::Exists(field) => is(field, doc! { "$exists": true }),
        // MongoDB refuses empty lists here.
        Filter::And(all) if all.is_empty() => doc! {},
        Filter::Or(any) if any.is_empty() => is("id", doc! { "$in": [] }),
        Filter::And(all) => doc! { "$and": conditions(all) },
        Filter::Or(any) => doc! { "$or": conditions(any) },
        Filter::Not(one) => doc! { "$nor": [condition(one)] },
    }
}

fn conditions(filters: &[Filter]) -> Vec<Document> {
    filters.iter().map(condition).collect()
}

fn is(field: &str, test: Document) -> Document {
    doc! { name(field): test }
}

fn range(field: &str, from: Option<&Value>, to: Option<&Value>) -> Document {
    let mut bounds = Document::new();
    bounds.extend(from.map(|from| ("$gte".to_owned(), plain(from))));
    bounds.extend(to.map(|to| ("$lt".to_owned(), plain(to))));
    if bounds.is_empty() { bounds } else { is(field, bounds) }
}

fn plain(value: &Value) -> Bson {
    match value {
        Value::Text(text) => text.as_str().into(),
        Value::Int(number) => (*number).into(),
        Value::Bool(yes) => (*yes).into(),
        Value::Time(time) => bson::DateTime::from_millis(time.as_millis()).into(),
    }
}

/// A pattern for text that contains this part in any letter case. Each character is written in all its cases,
/// because a server's case folding depends on how its pattern library was built.
fn in_any_case(part: &str) -> String {
    lower(part).chars().fold(String::new(), |mut pattern, c| {
        pattern.push('[');
        for case in cases(c) {
            // Escaped by number, so that no character is read as a pattern.
            let _ = write!(pattern, "\\x{{{:X}}}", u32::from(case));
        }
        pattern.push(']');
        pattern
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_never_read_as_operators() {
        let nasty = condition(&Filter::eq("group", "$ne"));
        assert_eq!(nasty, doc! { "group": { "$eq": "$ne" } });
        assert_eq!(
            condition(&Filter::Contains("group".into(), "é.".into())),
            doc! { "group": { "$regex": r"[\x{E9}\x{C9}][\x{2E}]" } }
        );
    }

    #[test]
    fn a_missing_bound_is_unlimited() {
        assert_eq!(condition(&Filter::range("rank", None, None)), doc! {});
        assert_eq!(
            condition(&Filter::range("rank", Some(1.into()), None)),
            doc! { "rank": { "$gte": 1_i64 } }
        );
    }
}
