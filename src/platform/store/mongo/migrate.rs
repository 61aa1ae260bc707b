//! Migrates documents from version to version.
//!
//! First in memory: a document that can't be migrated is found before anything is changed. Then page by page, each page
//! and the progress in one transaction, so that an interrupted migration continues where it stopped.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bson::{Document, RawDocumentBuf, doc};
use futures_util::TryStreamExt;
use mongodb::options::ReadConcern;
use mongodb::{Client, Collection, Database};

use super::super::error::Result;
use super::super::{Format, Schema, StoreError, json};
use super::bytes::{inward, outward};
use super::connection::{bounded, durable};
use super::prepare::{Version, versions};

/// Documents read at a time and replaced one by one in one transaction: within the transaction lifetime (ten seconds
/// in docs/operating.md) even if each takes 100 ms.
const PAGE: i64 = 50;

/// Migrates every document without writing anything.
pub(super) async fn rehearse(db: &Database, schema: &Schema, version: &Version) -> Result<()> {
    let mut last = stopped_at(db, schema).await?;
    loop {
        let page = page_after(db, schema, &last).await?;
        let Some((id, _)) = page.last() else { return Ok(()) };
        last.clone_from(id);
        for (_, document) in &page {
            migrated(document, schema, version.number)?;
        }
    }
}

/// Migrates every document.
pub(super) async fn migrate(
    client: &Client,
    db: &Database,
    schema: &Schema,
    version: &Version,
) -> Result<()> {
    let mut last = stopped_at(db, schema).await?;
    loop {
        let page = page_after(db, schema, &last).await?;
        let Some((id, _)) = page.last() else { break };
        write_page(client, db, schema, version.number, &page, &last).await?;
        last.clone_from(id);
    }
    let done = doc! { "$set": { "version": i64::from(schema.version) }, "$unset": { "migration": 1 } };
    bounded(versions(db).update_one(doc! { "_id": schema.collection }, done)).await.map(drop)
}

/// The id of the last document that an earlier start migrated; empty if there is none.
async fn stopped_at(db: &Database, schema: &Schema) -> Result<String> {
    let stored = bounded(versions(db).find_one(doc! { "_id": schema.collection })).await?.unwrap_or_default();
    let after = stored.get_document("migration").ok().and_then(|begun| begun.get_str("after").ok());
    Ok(after.unwrap_or_default().to_owned())
}

async fn page_after(db: &Database, schema: &Schema, id: &str) -> Result<Vec<(String, RawDocumentBuf)>> {
    let collection: Collection<RawDocumentBuf> = db.collection(schema.collection);
    let page = collection.find(doc! { "_id": { "$gt": id } }).sort(doc! { "_id": 1 }).limit(PAGE);
    let page: Vec<RawDocumentBuf> = bounded(async { page.await?.try_collect().await }).await?;
    let with_id = |document: RawDocumentBuf| Some((document.get_str("_id").ok()?.to_owned(), document));
    page.into_iter().map(|document| with_id(document).ok_or_else(|| unreadable(schema))).collect()
}

/// The document in this program's version.
fn migrated(document: &RawDocumentBuf, schema: &Schema, stored: u32) -> Result<RawDocumentBuf> {
    let old = json::value(&outward(document)?, Format::Bson)?;
    let steps = schema.steps_from(stored)?;
    let new = catch_unwind(AssertUnwindSafe(|| steps.iter().fold(old, |document, step| step(document))))
        .map_err(|_| StoreError::Unusable("a migration panicked".into()))?;
    let new = serde_json::to_vec(&new).map_err(|_| unreadable(schema))?;
    inward(&(schema.rewrite)(&new, Format::Json, Format::Bson)?)
}

fn unreadable(schema: &Schema) -> StoreError {
    StoreError::Unusable(format!("a document of `{}` is not in this program's format", schema.collection))
}

/// Writes a page and the progress, unless another process has done so.
async fn write_page(
    client: &Client,
    db: &Database,
    schema: &Schema,
    stored: u32,
    page: &[(String, RawDocumentBuf)],
    after: &str,
) -> Result<()> {
    let collection: Collection<RawDocumentBuf> = db.collection(schema.collection);
    let mut session = bounded(client.start_session()).await?;
    let begun = session.start_transaction().read_concern(ReadConcern::snapshot()).write_concern(durable());
    bounded(begun).await?;
    for (id, document) in page {
        let new = migrated(document, schema, stored)?;
        bounded(collection.replace_one(doc! { "_id": id }, new).session(&mut session)).await?;
    }
    let last = page.last().map_or(after, |(id, _)| id);
    let progress = doc! { "$set": { "migration": { "to": i64::from(schema.version), "after": last } } };
    let marked =
        bounded(versions(db).update_one(still_at(schema, after), progress).session(&mut session)).await?;
    if marked.matched_count == 0 {
        return Err(StoreError::Unusable(
            "another process is migrating the database: start this one again later".into(),
        ));
    }
    bounded(session.commit_transaction()).await
}

/// The collection's version, while its migration has got as far as the document `after`.
fn still_at(schema: &Schema, after: &str) -> Document {
    match after {
        "" => doc! { "_id": schema.collection, "migration": { "$exists": false } },
        after => doc! { "_id": schema.collection, "migration.after": after },
    }
}
