//! The lock that lets one process at a time serve from a file.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::super::StoreError;
use super::super::error::Result;
use super::connection::private_file;

/// Interval between two attempts to take the lock.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Held while this process serves. The operating system releases it when the process ends, however it ends.
pub(super) struct ServingLock(#[expect(dead_code, reason = "held, never read")] File);

impl ServingLock {
    /// Takes the lock: a file beside the database with `.lock` added to its name. Waits on this thread for up to
    /// `patience`, then names the process that holds it.
    pub fn take(database: &Path, patience: Duration) -> Result<Self> {
        let path = database.with_added_extension("lock");
        let unusable = |error: std::io::Error| {
            StoreError::Unusable(format!("the lock file {} can't be used: {error}", path.display()))
        };
        let mut file = private_file().open(&path).map_err(unusable)?;
        let give_up = Instant::now() + patience;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < give_up => sleep(LOOK_AGAIN),
                Err(TryLockError::WouldBlock) => return Err(taken(database, &mut file)),
                Err(TryLockError::Error(error)) => return Err(unusable(error)),
            }
        }
        sign(&mut file).map_err(unusable)?;
        Ok(Self(file))
    }
}

/// Writes the id of this process into the lock file.
fn sign(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    write!(file, "{}", std::process::id())
}

/// The refusal, with the process that holds the lock if it can be read.
fn taken(database: &Path, file: &mut File) -> StoreError {
    let mut holder = String::new();
    // The process id is optional: the lock is taken in any case.
    let _ = file.take(20).read_to_string(&mut holder);
    let holder = if holder.is_empty() { String::new() } else { format!(" (process {holder})") };
    StoreError::Unusable(format!(
        "another process{holder} already serves from {}: only one at a time can. Stop it first, or give this \
         one another data folder",
        database.display()
    ))
}
