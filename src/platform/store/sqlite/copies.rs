//! What copying a whole database needs beyond documents.

use std::collections::BTreeMap;

use rusqlite::{Connection, Result};

use super::sql::quoted;

/// A table that exists while a copy into the database is under way.
const UNFINISHED: &str = "_copy_unfinished";

pub(super) fn versions(conn: &Connection) -> Result<BTreeMap<String, u32>> {
    if !is_table(conn, "_versions")? {
        return Ok(BTreeMap::new());
    }
    conn.prepare("SELECT collection, version FROM _versions")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

pub(super) fn is_empty(conn: &Connection) -> Result<bool> {
    let tables: Vec<String> = conn
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\'")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_>>()?;
    for table in tables {
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {})", quoted(&table));
        if conn.query_row(&sql, [], |row| row.get(0))? {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) fn is_unfinished(conn: &Connection) -> Result<bool> {
    is_table(conn, UNFINISHED)
}

/// The statement that sets or clears the mark.
pub(super) fn marking(unfinished: bool) -> String {
    match unfinished {
        true => format!("CREATE TABLE IF NOT EXISTS {UNFINISHED} (id TEXT) STRICT"),
        false => format!("DROP TABLE IF EXISTS {UNFINISHED}"),
    }
}

fn is_table(conn: &Connection, name: &str) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)";
    conn.query_row(sql, [name], |row| row.get(0))
}
