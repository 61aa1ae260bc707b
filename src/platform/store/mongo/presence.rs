//! Which processes serve from the database.

use bson::{Document, doc};
use mongodb::{Collection, Database};

use super::super::error::Result;
use super::connection::bounded;
use super::heartbeat::{Heartbeat, any_alive};
use crate::kernel::{Clock, Ids, RandomIds, SystemClock};

fn processes(db: &Database) -> Collection<Document> {
    db.collection("_processes")
}

/// Registers this process as serving until the heartbeat is dropped.
pub(super) async fn arrive(db: &Database) -> Result<Heartbeat> {
    let id = RandomIds.next();
    let since = bson::DateTime::from_millis(SystemClock.now().as_millis());
    let this = doc! { "_id": &id, "pid": i64::from(std::process::id()), "since": since };
    bounded(processes(db).insert_one(this)).await?;
    Ok(Heartbeat::of(processes(db), &id))
}

/// Whether another process serves.
pub(super) async fn others_serve(db: &Database, this: Option<&Heartbeat>) -> Result<bool> {
    let others = this.map(|this| doc! { "_id": { "$ne": this.id() } });
    any_alive(&processes(db), others.unwrap_or_default()).await
}
