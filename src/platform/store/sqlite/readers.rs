//! Connections that read while others write. Each sees the last commit, never half of one.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::StoreError;
use super::super::error::Result;
use super::connection::{connect, failed};

/// Connections in a pool: reading is a matter of the processor, so more than a few bring nothing.
const CONNECTIONS: usize = 4;

/// A pool of connections for reading.
pub(super) struct Readers {
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub fn open(path: &Path) -> Result<Arc<Self>> {
        let idle = (0..CONNECTIONS).map(|_| connect(path)).collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(Self { permits: Arc::new(Semaphore::new(idle.len())), idle: Mutex::new(idle) }))
    }

    /// Reads on this thread: for what takes microseconds. Moving it to another thread costs more than it does.
    pub async fn here<T>(
        self: &Arc<Self>,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let reader = self.take().await?;
        reader.run(read)
    }

    /// Reads on a thread of its own, so that those that serve requests are free meanwhile.
    pub async fn away<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let reader = self.take().await?;
        tokio::task::spawn_blocking(move || reader.run(read))
            .await
            .map_err(|error| StoreError::Failed(format!("a read ended early: {error}")))?
    }

    async fn take(self: &Arc<Self>) -> Result<Reader> {
        let closed = |_| StoreError::Failed("the store is closed".into());
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(closed)?;
        let conn = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Ok(Reader { conn, pool: Arc::clone(self), _permit: permit })
    }
}

/// A connection on loan; dropped, it goes back.
struct Reader {
    /// There is one for each permit; taken out only on the way back.
    conn: Option<Connection>,
    pool: Arc<Readers>,
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    fn run<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let conn = self.conn.as_ref().ok_or_else(|| StoreError::Failed("no reader is left".into()))?;
        read(conn).map_err(failed)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).extend(self.conn.take());
    }
}
