//! The lock under which one process at a time changes collections, indexes and versions.

use std::time::Duration;

use bson::{Document, doc};
use mongodb::{Collection, Database};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::super::StoreError;
use super::super::error::Result;
use super::connection::bounded;
use super::heartbeat::SILENCE;
use crate::kernel::{Ids, RandomIds};

/// How long a start waits for the processes before it. If a migration takes longer, the operator starts again later.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it checks whether the lock is free.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How often the holder writes a heartbeat.
const BEAT: Duration = Duration::from_secs(1);

/// Held while this process prepares the database.
pub(super) struct Lock {
    locks: Collection<Document>,
    this: Document,
    beating: JoinHandle<()>,
}

impl Lock {
    /// Waits for the lock. A holder that died is noticed after some seconds.
    pub async fn take(db: &Database) -> Result<Self> {
        let locks = db.collection("_locks");
        let this = doc! { "_id": "prepare", "holder": RandomIds.next() };
        let give_up = Instant::now() + PATIENCE;
        let mut watched = (Document::new(), Instant::now());
        while !is_taken(&locks, &this).await? {
            let held = bounded(locks.find_one(doc! { "_id": "prepare" })).await?.unwrap_or_default();
            if held != watched.0 {
                watched = (held, Instant::now());
            } else if watched.1.elapsed() > SILENCE {
                bounded(locks.delete_one(held)).await?;
                continue;
            }
            if Instant::now() > give_up {
                return Err(taken());
            }
            sleep(LOOK_AGAIN).await;
        }
        let beating = tokio::spawn(beat(locks.clone(), this.clone()));
        Ok(Self { locks, this, beating })
    }

    /// Releases the lock.
    pub async fn release(self) -> Result<()> {
        bounded(self.locks.delete_one(self.this.clone())).await.map(drop)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.beating.abort();
    }
}

/// Whether this process got the lock.
async fn is_taken(locks: &Collection<Document>, this: &Document) -> Result<bool> {
    match bounded(locks.insert_one(this)).await {
        Ok(_) => Ok(true),
        Err(StoreError::Duplicate { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn beat(locks: Collection<Document>, this: Document) {
    loop {
        sleep(BEAT).await;
        if let Err(error) = bounded(locks.update_one(this.clone(), doc! { "$inc": { "beats": 1 } })).await {
            tracing::debug!(%error, "a heartbeat could not be written");
        }
    }
}

fn taken() -> StoreError {
    StoreError::Unusable(format!(
        "another process has been preparing the database for more than {} s: start this one again when that is done",
        PATIENCE.as_secs()
    ))
}
