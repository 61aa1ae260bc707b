//! Verbs and filters as SQL.

use rusqlite::types::{ToSqlOutput, Value as Sql, ValueRef};
use rusqlite::{Connection, OptionalExtension, Result, Row, ToSql, params, params_from_iter};

use super::super::case::lower;
use super::super::{Crossed, Dimension, Dir, Filter, Holds, Query, Value};
use super::words;

pub(super) fn get(conn: &Connection, collection: &str, id: &str) -> Result<Option<Vec<u8>>> {
    let table = quoted(collection);
    conn.prepare_cached(&format!("SELECT doc FROM {table} WHERE id = ?1"))?
        .query_row([id], document)
        .optional()
}

pub(super) fn find(conn: &Connection, collection: &str, query: &Query) -> Result<Vec<Vec<u8>>> {
    let (condition, args) = condition(collection, &query.filter);
    let order: Vec<_> = query.sort.iter().map(|(field, dir)| column(field) + direction(*dir)).collect();
    let sql = format!(
        "SELECT doc FROM {} WHERE {condition} ORDER BY {} LIMIT {}",
        quoted(collection),
        order.join(", "),
        query.limit
    );
    conn.prepare_cached(&sql)?.query_map(params_from_iter(args), document)?.collect()
}

pub(super) fn count(conn: &Connection, collection: &str, filter: &Filter) -> Result<u64> {
    let (condition, args) = condition(collection, filter);
    let sql = format!("SELECT count(*) FROM {} WHERE {condition}", quoted(collection));
    conn.prepare_cached(&sql)?.query_row(params_from_iter(args), |row| number(row, 0))
}

pub(super) fn cross(
    conn: &Connection,
    collection: &str,
    by: &[Dimension],
    filter: &Filter,
) -> Result<Vec<Crossed>> {
    let (condition, args) = condition(collection, filter);
    // A table of `json_each` has a column `id`, too.
    let mut from = format!("(SELECT id AS document_id, doc FROM {} WHERE {condition})", quoted(collection));
    let mut values = Vec::new();
    for (place, one) in by.iter().enumerate() {
        if one.holds == Holds::Texts {
            from += &format!(" LEFT JOIN json_each(doc, {}) AS list{place}", path(&one.field));
            values.push(format!("list{place}.value"));
        } else if one.field == "id" {
            values.push("document_id".into());
        } else {
            values.push(column(&one.field));
        }
    }
    let values = values.join(", ");
    let sql = format!("SELECT {values}, count(*) FROM {from} GROUP BY {values}");
    let read = |row: &Row<'_>| {
        let values = by.iter().enumerate().map(|(place, one)| counted(row, place, one.holds));
        Ok(Crossed { values: values.collect::<Result<_>>()?, documents: number(row, by.len())? })
    };
    conn.prepare_cached(&sql)?.query_map(params_from_iter(args), read)?.collect()
}

/// A value that documents are counted by.
fn counted(row: &Row<'_>, place: usize, holds: Holds) -> Result<Option<Value>> {
    Ok(match holds {
        Holds::Text | Holds::Texts => row.get::<_, Option<String>>(place)?.map(Value::Text),
        Holds::Int => row.get::<_, Option<i64>>(place)?.map(Value::Int),
        Holds::Bool => row.get::<_, Option<bool>>(place)?.map(Value::Bool),
    })
}

pub(super) fn sum(conn: &Connection, collection: &str, field: &str, filter: &Filter) -> Result<i64> {
    let (condition, args) = condition(collection, filter);
    let sql =
        format!("SELECT ifnull(sum({}), 0) FROM {} WHERE {condition}", column(field), quoted(collection));
    conn.prepare_cached(&sql)?.query_row(params_from_iter(args), |row| row.get(0))
}

pub(super) fn insert(conn: &Connection, collection: &str, id: &str, document: &[u8]) -> Result<()> {
    let sql = format!("INSERT INTO {} (id, doc) VALUES (?1, ?2)", quoted(collection));
    conn.prepare_cached(&sql)?.execute(params![id, Json(document)]).map(drop)
}

pub(super) fn put(conn: &Connection, collection: &str, id: &str, document: &[u8]) -> Result<()> {
    let sql = format!(
        "INSERT INTO {} (id, doc) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET doc = excluded.doc",
        quoted(collection)
    );
    conn.prepare_cached(&sql)?.execute(params![id, Json(document)]).map(drop)
}

pub(super) fn delete(conn: &Connection, collection: &str, id: &str) -> Result<bool> {
    let sql = format!("DELETE FROM {} WHERE id = ?1", quoted(collection));
    conn.prepare_cached(&sql)?.execute([id]).map(|rows| rows > 0)
}

/// The text of a document, bound without conversion.
struct Json<'a>(&'a [u8]);

impl ToSql for Json<'_> {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}

fn document(row: &Row<'_>) -> Result<Vec<u8>> {
    Ok(row.get_ref(0)?.as_bytes()?.to_vec())
}

/// A count, which is never negative.
fn number(row: &Row<'_>, column: usize) -> Result<u64> {
    row.get(column).map(i64::cast_unsigned)
}

fn direction(dir: Dir) -> &'static str {
    match dir {
        Dir::Asc => "",
        Dir::Desc => " DESC",
    }
}

/// A name as SQL. Names are code, and quoted so that they may be SQL keywords (`order`, `group`).
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A field as SQL: exactly the expression that the indexes use.
pub(super) fn column(field: &str) -> String {
    match field {
        "id" => "id".into(),
        _ => format!("json_extract(doc, {})", path(field)),
    }
}

/// The path of a field in the JSON, as SQL text.
pub(super) fn path(field: &str) -> String {
    let path = field.split('.').fold(String::from("$"), |path, name| format!("{path}.\"{name}\""));
    format!("'{}'", path.replace('\'', "''"))
}

/// A filter as a condition, with its arguments.
fn condition(collection: &str, filter: &Filter) -> (String, Vec<Sql>) {
    let mut condition = Condition { collection, sql: String::new(), args: Vec::new() };
    condition.push(filter);
    (condition.sql, condition.args)
}

struct Condition<'a> {
    collection: &'a str,
    sql: String,
    args: Vec<Sql>,
}

impl Condition<'_> {
    fn push(&mut self, filter: &Filter) {
        match filter {
            Filter::All => self.sql += "1",
            Filter::Eq(field, value) => self.compare(field, "=", value),
            Filter::Gt(field, value) => self.compare(field, ">", value),
            Filter::Le(field, value) => self.compare(field, "<=", value),
            Filter::Lt(field, value) => self.compare(field, "<", value),
            Filter::Range(field, from, to) => self.range(field, from.as_ref(), to.as_ref()),
            Filter::In(field, values) => self.one_of(field, values),
            Filter::Contains(field, part) => {
                self.sql += &format!("contains_lower({}, ", column(field));
                self.bind(Sql::Text(lower(part)));
                self.sql += ")";
            }
            Filter::Has(field, value) => {
                self.sql +=
                    &format!("EXISTS (SELECT 1 FROM json_each(doc, {}) AS e WHERE e.value = ", path(field));
                self.bind(plain(value));
                self.sql += ")";
            }
            Filter::HasPrefix(list, prefix) => self.has_prefix(list, prefix),
            Filter::Exists(field) => self.sql += &format!("{} IS NOT NULL", column(field)),
            Filter::And(all) => self.join(all, " AND ", "1"),
            Filter::Or(any) => self.join(any, " OR ", "0"),
            // SQL's `NOT` of an unknown is unknown. Here a comparison with a missing field is false.
            Filter::Not(one) => {
                self.sql += "NOT ifnull((";
                self.push(one);
                self.sql += "), 0)";
            }
        }
    }

    fn compare(&mut self, field: &str, operator: &str, value: &Value) {
        self.sql += &format!("{} {operator} ", column(field));
        self.bind(plain(value));
    }

    fn range(&mut self, field: &str, from: Option<&Value>, to: Option<&Value>) {
        if let Some(from) = from {
            self.compare(field, ">=", from);
        }
        if from.is_some() && to.is_some() {
            self.sql += " AND ";
        }
        if let Some(to) = to {
            self.compare(field, "<", to);
        }
        if from.is_none() && to.is_none() {
            self.sql += "1";
        }
    }

    fn has_prefix(&mut self, list: &str, prefix: &str) {
        let table = quoted(&words::table(self.collection, list));
        self.sql += &format!("id IN (SELECT id FROM {table} WHERE word >= ");
        self.bind(Sql::Text(prefix.into()));
        self.sql += " AND word < ";
        self.bind(Sql::Text(format!("{prefix}{}", char::MAX)));
        self.sql += ")";
    }

    fn one_of(&mut self, field: &str, values: &[Value]) {
        self.sql += &format!("{} IN (", column(field));
        for (i, value) in values.iter().enumerate() {
            self.sql += if i > 0 { ", " } else { "" };
            self.bind(plain(value));
        }
        self.sql += ")";
    }

    fn join(&mut self, filters: &[Filter], word: &str, empty: &str) {
        if filters.is_empty() {
            self.sql += empty;
        }
        for (i, filter) in filters.iter().enumerate() {
            self.sql += if i > 0 { word } else { "" };
            self.sql += "(";
            self.push(filter);
            self.sql += ")";
        }
    }

    fn bind(&mut self, value: Sql) {
        self.args.push(value);
        self.sql += &format!("?{}", self.args.len());
    }
}

/// A value as `json_extract` returns it.
fn plain(value: &Value) -> Sql {
    match value {
        Value::Text(text) => Sql::Text(text.clone()),
        Value::Int(number) => Sql::Integer(*number),
        Value::Bool(yes) => Sql::Integer((*yes).into()),
        Value::Time(time) => Sql::Text(time.rfc3339()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_and_values_are_bound() {
        assert_eq!(quoted("or\"der"), "\"or\"\"der\"");
        assert_eq!(column("amount.it's"), "json_extract(doc, '$.\"amount\".\"it''s\"')");
        let (sql, args) = condition("things", &Filter::eq("group", "x' OR 1 --").and(!Filter::All));
        assert_eq!(sql, "(json_extract(doc, '$.\"group\"') = ?1) AND (NOT ifnull((1), 0))");
        assert_eq!(args, [Sql::Text("x' OR 1 --".into())]);
    }
}
