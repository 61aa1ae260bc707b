//! Settings of a connection, and the meaning of its errors.

use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, Error, ErrorCode, ffi};

use super::super::StoreError;
use super::super::case::lower;
use super::super::error::Result;

/// How long a connection waits while another process has the file locked, when it opens and when it reads. That is rare and
/// short: in WAL mode readers wait only for a recovery.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Number of compiled statements that a connection caches: more than all features use.
const STATEMENTS: usize = 256;

/// Page cache of a connection in KiB. It only saves copies: the operating system caches the file for all.
pub(super) const WRITING: u32 = 16 * 1024;
pub(super) const READING: u32 = 2 * 1024;

/// A connection to the file, which is created if missing: write-ahead log, and a commit is on the disk when it returns.
pub(super) fn connect(path: &Path, cache_kib: u32) -> Result<Connection> {
    open(path, cache_kib).map_err(|error| {
        StoreError::Unusable(format!("the database {} can't be opened: {}", path.display(), failed(error)))
    })
}

/// Creates the file if it is missing, readable by this user only. SQLite gives the files beside it the same rights.
pub(super) fn create_private(path: &Path) -> Result<()> {
    private_file().open(path).map(drop).map_err(|error| {
        StoreError::Unusable(format!("the database {} can't be opened: {error}", path.display()))
    })
}

/// Opens a file for reading and writing, or creates it with the rights 0600: it holds keys and personal data.
pub(super) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
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
        Ok(text.is_some_and(|text| lower(text).contains(part)))
    })?;
    Ok(conn)
}

/// The store's error for an error of SQLite. Its messages name tables and columns, never values.
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

    #[cfg(unix)]
    #[test]
    fn only_this_user_can_read_a_new_database_in_an_open_folder() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = folder.path().join("rights.db");
        create_private(&path).unwrap();
        let conn = connect(&path, WRITING).unwrap();
        conn.execute_batch("CREATE TABLE t (id)").unwrap();
        for file in ["rights.db", "rights.db-wal", "rights.db-shm"] {
            let rights = std::fs::metadata(folder.path().join(file)).unwrap().permissions().mode() & 0o777;
            assert_eq!(rights, 0o600, "{file}");
        }
    }

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
