//! Collections, indexes and versions, brought to what the documents declare.
//!
//! Any number of processes may start at once: one at a time prepares, and whoever comes next finds it done. The
//! version of each collection stands in `_versions`. Indexes that are missing are made beside others that serve; what
//! these may rely on is neither dropped nor redefined.

use std::collections::HashMap;
use std::sync::OnceLock;

use bson::{Document, doc};
use futures_util::TryStreamExt;
use mongodb::error::{Error, ErrorKind};
use mongodb::{Client, Collection, Database};

use super::super::error::Result;
use super::super::{Access, Schema, StoreError};
use super::connection::bounded;
use super::heartbeat::Heartbeat;
use super::indexes::Other;
use super::lock::Lock;
use super::{indexes, migrate, presence};

/// There is such a collection already.
const NAMESPACE_EXISTS: i32 = 48;

/// Prepares the database, and says that this process serves if it does, before the next one may look.
pub(super) async fn prepare(
    client: &Client,
    db: &Database,
    schemas: &[Schema],
    access: Access,
    presence: &OnceLock<Heartbeat>,
) -> Result<()> {
    let lock = Lock::take(db).await?;
    let prepared = prepare_alone(client, db, schemas, access, presence.get()).await;
    if prepared.is_ok() && access == Access::Serving && presence.get().is_none() {
        // Set by another task meanwhile: then the second goes again by itself.
        let _ = presence.set(presence::arrive(db).await?);
    }
    lock.release().await?;
    prepared
}

/// Looks at every collection before it changes the first.
async fn prepare_alone(
    client: &Client,
    db: &Database,
    schemas: &[Schema],
    access: Access,
    this: Option<&Heartbeat>,
) -> Result<()> {
    let stored = stored_versions(db).await?;
    let mut outdated = Vec::new();
    for schema in schemas {
        let version = stored.get(schema.collection).copied().unwrap_or(Version::new(schema.version));
        version.is_readable(schema)?;
        if version.number != schema.version {
            outdated.push((schema, version));
        }
    }
    let mut unwanted = Vec::new();
    for schema in schemas {
        let migrates = outdated.iter().any(|(outdated, _)| outdated.collection == schema.collection);
        let mut others = indexes::others(db, schema).await?;
        // Whoever does one thing beside the service may be of another version than it.
        others.retain(|other| access == Access::Serving || migrates || other.is_redefined);
        unwanted.append(&mut others);
    }
    if !(outdated.is_empty() && unwanted.is_empty()) && presence::others_serve(db, this).await? {
        if let Some((schema, version)) = outdated.first() {
            return Err(older_ones_serve(schema, version.number));
        }
        if let Some(index) = unwanted.iter().find(|index| index.is_redefined) {
            return Err(others_rely_on(index));
        }
        // They may be of a version that wants these: the next start that is alone drops them.
        unwanted.clear();
    }
    for (schema, version) in &outdated {
        migrate::rehearse(db, schema, version).await?;
    }
    for schema in schemas {
        make_collection(db, schema.collection).await?;
    }
    for index in &unwanted {
        indexes::drop(db, index).await?;
    }
    for (schema, version) in &outdated {
        migrate::migrate(client, db, schema, version).await?;
    }
    for schema in schemas {
        indexes::make_missing(db, schema).await?;
        if !stored.contains_key(schema.collection) {
            write_version(db, schema).await?;
        }
    }
    Ok(())
}

fn older_ones_serve(schema: &Schema, stored: u32) -> StoreError {
    StoreError::Unusable(format!(
        "processes serve from this database with `{}` in version {stored}, and this program would bring it to \
         version {}: stop them first",
        schema.collection, schema.version
    ))
}

fn others_rely_on(index: &Other) -> StoreError {
    StoreError::Unusable(format!(
        "processes serve from this database with another index `{}` on `{}`, and this program would redefine it: \
         stop them first",
        index.name, index.collection
    ))
}

async fn make_collection(db: &Database, name: &str) -> Result<()> {
    let made = async {
        match db.create_collection(name).await {
            Err(error) if exists(&error) => Ok(()),
            other => other,
        }
    };
    bounded(made).await
}

fn exists(error: &Error) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Command(it) if it.code == NAMESPACE_EXISTS)
}

/// How far the documents of a collection have come.
#[derive(Clone, Copy)]
pub(super) struct Version {
    pub number: u32,
    /// A migration to this version was begun and not ended.
    pub begun: Option<u32>,
}

impl Version {
    fn new(number: u32) -> Self {
        Self { number, begun: None }
    }

    /// Whether this program can go on from there.
    fn is_readable(self, schema: &Schema) -> Result<()> {
        schema.steps_from(self.number)?;
        match self.begun {
            Some(begun) if begun != schema.version => Err(StoreError::Unusable(format!(
                "a migration of `{}` to version {begun} was begun and not ended, and this program knows version {}: \
                 start the program again that began it",
                schema.collection, schema.version
            ))),
            _ => Ok(()),
        }
    }
}

pub(super) fn versions(db: &Database) -> Collection<Document> {
    db.collection("_versions")
}

pub(super) async fn stored_versions(db: &Database) -> Result<HashMap<String, Version>> {
    let all: Vec<Document> = bounded(async { versions(db).find(doc! {}).await?.try_collect().await }).await?;
    let number = |document: &Document, field| u32::try_from(document.get_i64(field).ok()?).ok();
    let version = |document: &Document| {
        let begun = document.get_document("migration").ok().and_then(|begun| number(begun, "to"));
        Some((
            document.get_str("_id").ok()?.to_owned(),
            Version { number: number(document, "version")?, begun },
        ))
    };
    Ok(all.iter().filter_map(version).collect())
}

async fn write_version(db: &Database, schema: &Schema) -> Result<()> {
    let this = doc! { "_id": schema.collection };
    let version = doc! { "version": i64::from(schema.version) };
    bounded(versions(db).replace_one(this, version).upsert(true)).await.map(drop)
}
