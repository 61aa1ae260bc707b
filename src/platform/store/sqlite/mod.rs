//! SQLite as the store: one file, no server.
//!
//! A collection is a table of `id` and `doc` (JSON text); a declared index is one over expressions on `doc`. Words are a
//! table beside it that triggers keep current: see [`words`].
//! One connection writes, and writers queue for it. Each transaction is a savepoint in a batch that is committed as one:
//! see [`writer`]. Other connections read at the same time: see [`readers`].

mod connection;
mod copies;
mod lock;
mod prepare;
mod readers;
mod sql;
mod transaction;
mod words;
mod writer;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;

use self::connection::{WRITING, connect, create_private};
use self::lock::ServingLock;
use self::readers::{Points, Scans};
use self::writer::Writers;
use super::backend::{Backend, BackendTx};
use super::error::Result;
use super::{Access, Crossed, Dimension, Filter, Format, Query, Schema, Stats};

/// How long a starting process waits for another to release the file: one that is ending, or that prepares it.
const START_PATIENCE: Duration = Duration::from_secs(1);

/// A SQLite database.
pub(super) struct Sqlite {
    writers: Writers,
    points: Points,
    scans: Scans,
    name: String,
}

impl Sqlite {
    /// Opens or creates the file. Waits for up to five seconds while another process has it locked.
    pub fn open(path: &Path, access: Access) -> Result<Self> {
        let lock = match access {
            Access::Serving => Some(ServingLock::take(path, START_PATIENCE)?),
            Access::Beside => None,
        };
        create_private(path)?;
        let writers = Writers::start(connect(path, WRITING)?, lock, path)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { writers, points: Points::open(path)?, scans: Scans::open(path)?, name })
    }
}

#[async_trait]
impl Backend for Sqlite {
    fn format(&self) -> Format {
        Format::Json
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn collides(&self) -> bool {
        false
    }

    async fn prepare(&self, schemas: &[Schema]) -> Result<()> {
        self.writers.prepare(schemas).await
    }

    async fn get(&self, collection: &'static str, id: &str) -> Result<Option<Vec<u8>>> {
        self.points.read(|conn| sql::get(conn, collection, id))
    }

    async fn find(&self, collection: &'static str, query: Query) -> Result<Vec<Vec<u8>>> {
        self.scans.read(move |conn| sql::find(conn, collection, &query)).await
    }

    async fn count(&self, collection: &'static str, filter: Filter) -> Result<u64> {
        self.scans.read(move |conn| sql::count(conn, collection, &filter)).await
    }

    async fn cross(
        &self,
        collection: &'static str,
        by: Vec<Dimension>,
        filter: Filter,
    ) -> Result<Vec<Crossed>> {
        self.scans.read(move |conn| sql::cross(conn, collection, &by, &filter)).await
    }

    async fn sum(&self, collection: &'static str, field: &'static str, filter: Filter) -> Result<i64> {
        self.scans.read(move |conn| sql::sum(conn, collection, field, &filter)).await
    }

    async fn begin(&self) -> Result<Box<dyn BackendTx>> {
        Ok(Box::new(self.writers.begin().await?))
    }

    async fn versions(&self) -> Result<BTreeMap<String, u32>> {
        self.scans.read(copies::versions).await
    }

    async fn is_empty(&self) -> Result<bool> {
        self.scans.read(copies::is_empty).await
    }

    /// A process that serves holds the lock, so no other process serves.
    async fn is_served(&self) -> Result<bool> {
        Ok(false)
    }

    async fn is_unfinished(&self) -> Result<bool> {
        self.scans.read(copies::is_unfinished).await
    }

    async fn set_unfinished(&self, unfinished: bool) -> Result<()> {
        self.writers.run_alone(copies::marking(unfinished)).await
    }

    fn stats(&self) -> Stats {
        self.writers.stats()
    }
}
