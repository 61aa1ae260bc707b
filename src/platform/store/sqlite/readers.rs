//! Connections that read while others write. Each sees the last commit, never half of one.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::super::StoreError;
use super::super::error::Result;
use super::connection::{READING, connect, failed};

/// Connections per kind of read. Reading is bound by the processor, so more than a few don't help.
const CONNECTIONS: usize = 4;

fn connections(path: &Path) -> Result<Vec<Mutex<Connection>>> {
    (0..CONNECTIONS).map(|_| connect(path, READING).map(Mutex::new)).collect()
}

/// An idle connection, or the first one once it is free.
fn idle(connections: &[Mutex<Connection>]) -> Option<MutexGuard<'_, Connection>> {
    let free = connections.iter().find_map(|one| one.try_lock().ok());
    free.or_else(|| connections.first().map(|one| one.lock().unwrap_or_else(PoisonError::into_inner)))
}

/// Reads that take microseconds, done on the calling thread: moving them to another thread costs more.
pub(super) struct Points(Vec<Mutex<Connection>>);

impl Points {
    pub fn open(path: &Path) -> Result<Self> {
        connections(path).map(Self)
    }

    /// Reads on this thread.
    pub fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        run(&self.0, read)
    }
}

/// Reads that may scan a whole collection, done on blocking threads. They have their own connections, so that a report
/// doesn't delay sign-ins, and queue for them.
pub(super) struct Scans {
    connections: Arc<Vec<Mutex<Connection>>>,
    line: Semaphore,
}

impl Scans {
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self { connections: Arc::new(connections(path)?), line: Semaphore::new(CONNECTIONS) })
    }

    /// Reads on a blocking thread. If the caller hangs up, the read still finishes there.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let ended =
            |error: &dyn std::fmt::Display| StoreError::Failed(format!("a read ended early: {error}"));
        let _turn = self.line.acquire().await.map_err(|error| ended(&error))?;
        let connections = Arc::clone(&self.connections);
        tokio::task::spawn_blocking(move || run(&connections, read)).await.map_err(|error| ended(&error))?
    }
}

fn run<T>(
    connections: &[Mutex<Connection>],
    read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T> {
    let conn = idle(connections).ok_or_else(|| StoreError::Failed("no connection to read with".into()))?;
    read(&conn).map_err(failed)
}
