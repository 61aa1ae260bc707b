//! Heartbeats: each process increments a counter in its own document. Others recognise dead processes by watching the
//! counter, so that clocks of different machines are never compared.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;
use mongodb::Collection;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::super::error::Result;
use super::abandoned;
use super::connection::bounded;

/// How often a process increments its counter.
const BEAT: Duration = Duration::from_secs(2);

/// Without a heartbeat for this long a process is dead: two beats may get lost.
pub(super) const SILENCE: Duration = Duration::from_secs(6);

/// The field with the sessions of a process.
pub(super) const SESSIONS: &str = "sessions";

/// The number of sessions remembered: more than the connections, and each running transaction has one.
const REMEMBERED: usize = 256;

/// How often a watcher checks.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Increments the counter until it is dropped, which also deletes the document.
pub(super) struct Heartbeat {
    collection: Collection<Document>,
    document: Document,
    sessions: Sessions,
    tasks: [JoinHandle<()>; 2],
}

/// The sessions that this process used, oldest first.
#[derive(Clone, Default)]
struct Sessions(Arc<Mutex<Vec<Bson>>>);

impl Sessions {
    /// Returns whether the session is new.
    fn remember(&self, session: &Document) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let session = Bson::Document(session.clone());
        if known.contains(&session) {
            return false;
        }
        if known.len() == REMEMBERED {
            known.remove(0);
        }
        known.push(session);
        true
    }

    fn all(&self) -> Vec<Bson> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Heartbeat {
    /// Keeps the document of this id alive, and creates it again if it was removed.
    pub fn of(collection: Collection<Document>, id: &str) -> Self {
        let (document, sessions) = (doc! { "_id": id }, Sessions::default());
        let beating = tokio::spawn(beat(collection.clone(), document.clone(), sessions.clone()));
        let looking_after = tokio::spawn(abandoned::look_after(collection.clone()));
        Self { collection, document, sessions, tasks: [beating, looking_after] }
    }

    pub fn id(&self) -> &str {
        self.document.get_str("_id").unwrap_or_default()
    }

    /// Records a session before its first transaction, so that others can end what it abandons.
    pub async fn note(&self, session: &Document) -> Result<()> {
        match self.sessions.remember(session) {
            true => bounded(write(&self.collection, &self.document, &self.sessions)).await.map(drop),
            false => Ok(()),
        }
    }
}

impl Drop for Heartbeat {
    /// Best effort: watchers of a remaining document find it dead.
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        let (collection, document) = (self.collection.clone(), std::mem::take(&mut self.document));
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { collection.delete_one(document).await });
        }
    }
}

/// Increments the counter and writes the sessions beside it.
async fn write(
    collection: &Collection<Document>,
    document: &Document,
    sessions: &Sessions,
) -> std::result::Result<(), mongodb::error::Error> {
    let counted = doc! { "$inc": { "beats": 1 }, "$set": { SESSIONS: sessions.all() } };
    collection.update_one(document.clone(), counted).upsert(true).await.map(drop)
}

async fn beat(collection: Collection<Document>, document: Document, sessions: Sessions) {
    loop {
        sleep(BEAT).await;
        if let Err(error) = bounded(write(&collection, &document, &sessions)).await {
            tracing::debug!(%error, "a heartbeat could not be written");
        }
    }
}

/// Whether one of these documents belongs to a living process. If there are any, it watches them for six seconds
/// and removes those without a heartbeat.
pub(super) async fn any_alive(collection: &Collection<Document>, which: Document) -> Result<bool> {
    let first = all(collection, which.clone()).await?;
    let until = Instant::now() + SILENCE;
    while !first.is_empty() && Instant::now() < until {
        sleep(LOOK_AGAIN).await;
        if all(collection, which.clone()).await?.iter().any(|one| !first.contains(one)) {
            return Ok(true);
        }
    }
    for silent in first {
        bounded(collection.delete_one(silent)).await?;
    }
    Ok(false)
}

async fn all(collection: &Collection<Document>, which: Document) -> Result<Vec<Document>> {
    bounded(async { collection.find(which).await?.try_collect().await }).await
}
