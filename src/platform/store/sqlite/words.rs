//! Indexes over the texts in a list: [`Index::words`].
//!
//! An index of SQLite has one entry for each row. The texts of lists are therefore rows of a table beside the collection,
//! `(word, id)`, which triggers on the collection keep current in the same transaction.

use rusqlite::{Connection, Result};

use super::super::{Index, IndexKind, Schema};
use super::sql::{path, quoted};

/// The name of the table that holds the words of this list. It begins with `_`, as all tables beside the documents do.
pub(super) fn table(collection: &str, list: &str) -> String {
    format!("_words_{collection}_{list}")
}

/// Creates the table and its triggers, and fills it from the documents, unless they exist.
pub(super) fn make(conn: &Connection, collection: &str, index: &Index) -> Result<()> {
    let exists = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND name = ?1)";
    let [(name, _), ..] = triggers(collection, index);
    if conn.query_row(exists, [name], |row| row.get(0))? {
        return Ok(());
    }
    let (words, documents) = (quoted(&table(collection, list_of(index))), quoted(collection));
    let list = path(list_of(index));
    conn.execute_batch(&format!(
        "CREATE TABLE {words} (word TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (word, id)) STRICT, WITHOUT ROWID;
         INSERT OR IGNORE INTO {words} SELECT list.value, {documents}.id FROM {documents}, json_each(doc, {list}) AS list"
    ))?;
    triggers(collection, index).iter().try_for_each(|(_, sql)| conn.execute_batch(sql))
}

/// Drops the tables and triggers of words that are no longer declared.
pub(super) fn drop_others(conn: &Connection, schema: &Schema) -> Result<()> {
    let declared: Vec<_> =
        schema.indexes.iter().filter(|index| index.kind == IndexKind::Words).map(list_of).collect();
    let made: Vec<String> = conn
        .prepare_cached(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND substr(name, 1, length(?1)) = ?1",
        )?
        .query_map([table(schema.collection, "")], |row| row.get(0))?
        .collect::<Result<_>>()?;
    for words in made {
        if declared.iter().any(|list| table(schema.collection, list) == words) {
            continue;
        }
        for (name, _) in triggers_of(schema.collection, &words, "$") {
            conn.execute_batch(&format!("DROP TRIGGER IF EXISTS {}", quoted(&name)))?;
        }
        conn.execute_batch(&format!("DROP TABLE {}", quoted(&words)))?;
    }
    Ok(())
}

fn list_of(index: &Index) -> &'static str {
    index.fields[0]
}

fn triggers(collection: &str, index: &Index) -> [(String, String); 3] {
    triggers_of(collection, &table(collection, list_of(index)), &path(list_of(index)))
}

/// The names and definitions of the triggers that copy the texts of `list` into `words`.
fn triggers_of(collection: &str, words: &str, list: &str) -> [(String, String); 3] {
    let (documents, table) = (quoted(collection), quoted(words));
    let add = format!("INSERT OR IGNORE INTO {table} SELECT value, new.id FROM json_each(new.doc, {list});");
    let remove = format!(
        "DELETE FROM {table} WHERE (word, id) IN (SELECT value, old.id FROM json_each(old.doc, {list}));"
    );
    let trigger = |event: &str, when: &str, acts: &str| {
        let name = format!("{words}_{event}");
        let sql =
            format!("CREATE TRIGGER {} AFTER {event} ON {documents} {when} BEGIN {acts} END", quoted(&name));
        (name, sql)
    };
    let changed = format!("WHEN old.doc -> {list} IS NOT new.doc -> {list}");
    [
        trigger("INSERT", "", &add),
        trigger("UPDATE", &changed, &format!("{remove} {add}")),
        trigger("DELETE", "", &remove),
    ]
}
