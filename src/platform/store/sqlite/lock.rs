//! The lock that lets one process at a time serve from a file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::super::StoreError;
use super::super::error::Result;

/// How often one that waits for the lock looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Held while this process serves. The operating system lets go of it when the process ends, however it ends.
pub(super) struct ServingLock(#[expect(dead_code, reason = "held, never read")] File);

impl ServingLock {
    /// Takes the lock, a file beside the database with `.lock` added to its name, or says who has it. Waits for
    /// as long as `patience` first, on this thread.
    pub fn take(database: &Path, patience: Duration) -> Result<Self> {
        let path = database.with_added_extension("lock");
        let unusable = |error: std::io::Error| {
            StoreError::Unusable(format!("the lock file {} can't be used: {error}", path.display()))
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(unusable)?;
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

/// Writes down who holds the lock.
fn sign(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    write!(file, "{}", std::process::id())
}

/// The refusal, with the process that has the lock if it could be read.
fn taken(database: &Path, file: &mut File) -> StoreError {
    let mut holder = String::new();
    // What can't be read is left out of the sentence: that the lock is taken is certain.
    let _ = file.take(20).read_to_string(&mut holder);
    let holder = if holder.is_empty() { String::new() } else { format!(" (process {holder})") };
    StoreError::Unusable(format!(
        "another process{holder} already serves from {}: one at a time can; stop it first, or give this one a \
         data folder of its own",
        database.display()
    ))
}
