//! Documents that count on while the process that wrote them lives. Others tell the living from the dead by watching,
//! so that no two machines' clocks are compared.

use std::time::Duration;

use bson::{Document, doc};
use futures_util::TryStreamExt;
use mongodb::Collection;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::super::error::Result;
use super::connection::bounded;

/// How often a living process counts on.
const BEAT: Duration = Duration::from_secs(2);

/// Whoever has not counted on for so long is dead: two beats may get lost.
pub(super) const SILENCE: Duration = Duration::from_secs(6);

/// How often a watcher looks.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Counts on until it is dropped; then the document goes, too.
pub(super) struct Heartbeat {
    collection: Collection<Document>,
    document: Document,
    beating: JoinHandle<()>,
}

impl Heartbeat {
    /// Keeps the document of this id alive, and makes it anew should somebody have removed it.
    pub fn of(collection: Collection<Document>, id: &str) -> Self {
        let document = doc! { "_id": id };
        let beating = tokio::spawn(beat(collection.clone(), document.clone()));
        Self { collection, document, beating }
    }

    pub fn id(&self) -> &str {
        self.document.get_str("_id").unwrap_or_default()
    }
}

impl Drop for Heartbeat {
    /// Best effort: whoever watches what is left finds it silent.
    fn drop(&mut self) {
        self.beating.abort();
        let (collection, document) = (self.collection.clone(), std::mem::take(&mut self.document));
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { collection.delete_one(document).await });
        }
    }
}

async fn beat(collection: Collection<Document>, document: Document) {
    loop {
        sleep(BEAT).await;
        let counted = collection.update_one(document.clone(), doc! { "$inc": { "beats": 1 } }).upsert(true);
        if let Err(error) = bounded(counted).await {
            tracing::debug!(%error, "a sign of life was not written");
        }
    }
}

/// Whether one of these documents belongs to a living process. Where there are some it watches them for six seconds;
/// those that stay silent are removed.
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
