//! How a connection is set up, and what its errors mean.

use std::path::Path;
use std::time::Duration;

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, Error, ErrorCode, ffi};

use super::super::StoreError;
use super::super::error::Result;

/// How long a connection waits at its opening, and a reader ever, for a file that another has to itself. That
/// is rare and short: in WAL mode readers wait for nobody but a recovery.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Statements that a connection keeps compiled: more than all features have.
const STATEMENTS: usize = 256;

/// Pages that a connection keeps, in KiB. They only save copies: the operating system caches the file for all.
pub(super) const WRITING: u32 = 16 * 1024;
pub(super) const READING: u32 = 2 * 1024;

/// A connection to the file, made if it is not there: write-ahead log, and a commit is on the disk when it
/// returns.
pub(super) fn connect(path: &Path, cache_kib: u32) -> Result<Connection> {
    open(path, cache_kib).map_err(|error| {
        StoreError::Unusable(format!("the database {} can't be opened: {}", path.display(), failed(error)))
    })
}

fn open(path: &Path, cache_kib: u32) -> rusqlite::Result<Connection> {
    let conn = Connection::open(path)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
    conn.pragma_update(None, "cache_size", -i64::from(cache_kib))?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    // SQLite's own `lower` knows ASCII only.
    conn.create_scalar_function("contains_lower", 2, flags, |args| {
        let text = args.get_raw(0).as_str_or_null()?;
        let part = args.get_raw(1).as_str()?;
        Ok(text.is_some_and(|text| text.to_lowercase().contains(part)))
    })?;
    Ok(conn)
}

/// The store's word for an error of SQLite. Its messages name tables and columns, never values.
pub(super) fn failed(error: Error) -> StoreError {
    let Error::SqliteFailure(code, Some(text)) = &error else { return StoreError::Failed(error.to_string()) };
    match code.extended_code {
        ffi::SQLITE_CONSTRAINT_PRIMARYKEY => StoreError::Duplicate { index: "id".into() },
        ffi::SQLITE_CONSTRAINT_UNIQUE => StoreError::Duplicate { index: violated(text).into() },
        _ => StoreError::Failed(error.to_string()),
    }
}

/// The index in "UNIQUE constraint failed: index 'orders_by_student'".
fn violated(text: &str) -> &str {
    text.split('\'').nth(1).unwrap_or(text)
}

/// Whether another process holds the file's write lock.
pub(super) fn is_busy(error: &Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_on_the_disk_when_it_returns() {
        let folder = tempfile::tempdir().unwrap();
        let conn = connect(&folder.path().join("pragmas.db"), WRITING).unwrap();
        let pragma =
            |name| conn.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0));
        assert_eq!(pragma("journal_mode").unwrap(), String::from("wal").into());
        assert_eq!(pragma("synchronous").unwrap(), 2.into(), "FULL");
    }
}
