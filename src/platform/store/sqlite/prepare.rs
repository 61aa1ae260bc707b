//! Creates tables and indexes and migrates documents, as the documents declare.

use rusqlite::{Connection, OptionalExtension, params};

use super::super::error::Result;
use super::super::{Index, IndexKind, Migration, Schema, StoreError};
use super::connection::failed;
use super::sql::{column, put, quoted};
use super::words;

/// Documents that a migration reads at a time.
const PAGE: u32 = 500;

/// Prepares the collections in the transaction that is open on the connection. Unless it `may_change` them, it
/// only adds what is missing.
pub(super) fn prepare(conn: &Connection, schemas: &[Schema], may_change: bool) -> Result<()> {
    conn.execute_batch(
        "CREATE TABLE IF NOT EXISTS _versions (collection TEXT PRIMARY KEY NOT NULL, version INTEGER NOT NULL) STRICT",
    )
    .map_err(failed)?;
    schemas.iter().try_for_each(|schema| prepare_collection(conn, schema, may_change))
}

/// An index may use fields that a migration adds, so old indexes are dropped before it and new ones created after it.
fn prepare_collection(conn: &Connection, schema: &Schema, may_change: bool) -> Result<()> {
    let stored = stored_version(conn, schema.collection).map_err(failed)?.unwrap_or(schema.version);
    let steps = schema.steps_from(stored)?;
    if !steps.is_empty() && !may_change {
        return Err(older_one_serves(schema, stored));
    }
    make_table(conn, schema.collection).map_err(failed)?;
    if may_change {
        drop_other_indexes(conn, schema).map_err(failed)?;
        words::drop_others(conn, schema).map_err(failed)?;
    }
    migrate(conn, schema.collection, steps)?;
    for index in schema.indexes {
        make_index(conn, schema.collection, index).map_err(|error| unmakeable(index, failed(error)))?;
    }
    write_version(conn, schema).map_err(failed)
}

fn older_one_serves(schema: &Schema, stored: u32) -> StoreError {
    StoreError::Unusable(format!(
        "a process serves from this database with `{}` in version {stored}, and this program would migrate it to \
         version {}: stop that process first",
        schema.collection, schema.version
    ))
}

fn stored_version(conn: &Connection, collection: &str) -> rusqlite::Result<Option<u32>> {
    conn.prepare_cached("SELECT version FROM _versions WHERE collection = ?1")?
        .query_row([collection], |row| row.get(0))
        .optional()
}

fn write_version(conn: &Connection, schema: &Schema) -> rusqlite::Result<()> {
    conn.prepare_cached("INSERT OR REPLACE INTO _versions (collection, version) VALUES (?1, ?2)")?
        .execute(params![schema.collection, schema.version])
        .map(drop)
}

fn make_table(conn: &Connection, collection: &str) -> rusqlite::Result<()> {
    let table = quoted(collection);
    conn.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS {table} (id TEXT PRIMARY KEY NOT NULL, doc TEXT NOT NULL) STRICT"
    ))
}

fn make_index(conn: &Connection, collection: &str, index: &Index) -> rusqlite::Result<()> {
    if index.kind == IndexKind::Words {
        return words::make(conn, collection, index);
    }
    conn.execute_batch(&definition(collection, index).replacen("INDEX", "INDEX IF NOT EXISTS", 1))
}

/// Drops the indexes that are now declared differently or no longer declared.
fn drop_other_indexes(conn: &Connection, schema: &Schema) -> rusqlite::Result<()> {
    let declared: Vec<_> = schema.indexes.iter().map(|index| definition(schema.collection, index)).collect();
    let made: Vec<(String, String)> = conn
        .prepare_cached(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?1 AND sql NOT NULL",
        )?
        .query_map([schema.collection], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (name, _) in made.iter().filter(|(_, sql)| !declared.contains(sql)) {
        conn.execute_batch(&format!("DROP INDEX {}", quoted(name)))?;
    }
    Ok(())
}

/// The statement that creates an index, as SQLite stores it, too. The id at the end makes sorting by the fields and
/// then by id an index scan. SQLite treats missing values as distinct, so they never collide.
fn definition(collection: &str, index: &Index) -> String {
    let (kind, tail) = if index.is_unique() { ("UNIQUE INDEX", "") } else { ("INDEX", ", id") };
    let fields: Vec<_> = index.fields.iter().map(|field| column(field)).collect();
    format!("CREATE {kind} {} ON {} ({}{tail})", quoted(index.name), quoted(collection), fields.join(", "))
}

fn unmakeable(index: &Index, error: StoreError) -> StoreError {
    match error {
        StoreError::Duplicate { .. } => index.unmakeable(),
        other => other,
    }
}

/// Migrates every document of the collection, page by page.
fn migrate(conn: &Connection, collection: &str, steps: &[Migration]) -> Result<()> {
    if steps.is_empty() {
        return Ok(());
    }
    let mut last = String::new();
    loop {
        let page = page_after(conn, collection, &last).map_err(failed)?;
        let Some((id, _)) = page.last() else { return Ok(()) };
        last.clone_from(id);
        for (id, document) in page {
            let migrated = migrated(collection, &document, steps)?;
            put(conn, collection, &id, &migrated).map_err(failed)?;
        }
    }
}

fn page_after(conn: &Connection, collection: &str, id: &str) -> rusqlite::Result<Vec<(String, String)>> {
    let sql = format!("SELECT id, doc FROM {} WHERE id > ?1 ORDER BY id LIMIT {PAGE}", quoted(collection));
    conn.prepare_cached(&sql)?.query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

fn migrated(collection: &str, document: &str, steps: &[Migration]) -> Result<Vec<u8>> {
    let unreadable = |_| StoreError::Unusable(format!("a document of `{collection}` is not JSON"));
    let old = serde_json::from_str(document).map_err(unreadable)?;
    serde_json::to_vec(&steps.iter().fold(old, |document, step| step(document))).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::super::super::{Keep, Personal};
    use super::*;

    const THINGS: Schema = Schema {
        collection: "things",
        version: 1,
        migrations: &[],
        indexes: &[Index::unique("order", &["a.b", "group"]), Index::on("by_rank", &["rank"])],
        personal: Personal::None,
        keep: Keep::with_store("test data"),
        rewrite: |document, _, _| Ok(document.to_vec()),
    };

    fn schema_changes(conn: &Connection) -> i64 {
        conn.query_row("PRAGMA schema_version", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_start_without_changes_writes_nothing() {
        let conn = Connection::open_in_memory().unwrap();
        prepare(&conn, &[THINGS], true).unwrap();
        let made = schema_changes(&conn);
        prepare(&conn, &[THINGS], true).unwrap();
        assert_eq!(schema_changes(&conn), made);
    }

    #[test]
    fn sorting_by_an_indexed_field_and_id_uses_the_index() {
        let conn = Connection::open_in_memory().unwrap();
        prepare(&conn, &[THINGS], true).unwrap();
        let rank = column("rank");
        let sql = format!(
            "EXPLAIN QUERY PLAN SELECT doc FROM things WHERE {rank} >= 5 ORDER BY {rank}, id LIMIT 9"
        );
        let plan: String = conn.query_row(&sql, [], |row| row.get("detail")).unwrap();
        assert!(plan.contains("USING INDEX by_rank") && !plan.contains("TEMP B-TREE"), "{plan}");
    }
}
