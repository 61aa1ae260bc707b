//! Creates collections and indexes and migrates documents, as the documents declare.
//!
//! Any number of processes may start at once: one at a time prepares, and later ones find it done. The
//! version of each collection is in `_versions`. Missing indexes are created while other processes serve; indexes that
//! these may rely on are neither dropped nor redefined.

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

/// The server's error code for an existing collection.
const NAMESPACE_EXISTS: i32 = 48;

/// Prepares the database. A process that serves registers before the next one may check.
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
        // Another task may have set it meanwhile: then the second heartbeat is dropped.
        let _ = presence.set(presence::arrive(db).await?);
    }
    lock.release().await?;
    prepared
}

/// Checks every collection before it changes the first.
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
        // A process with a single task may be of another version than the service.
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
        // Their version may need these: the next start that is alone drops them.
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
        "processes serve from this database with `{}` in version {stored}, and this program would migrate it to \
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

/// The version of a collection's documents.
#[derive(Clone, Copy)]
pub(super) struct Version {
    pub number: u32,
    /// The target of a migration that was begun and not ended.
    pub begun: Option<u32>,
}

impl Version {
    fn new(number: u32) -> Self {
        Self { number, begun: None }
    }

    /// Whether this program can continue from there.
    fn is_readable(self, schema: &Schema) -> Result<()> {
        schema.steps_from(self.number)?;
        match self.begun {
            Some(begun) if begun != schema.version => Err(StoreError::Unusable(format!(
                "a migration of `{}` to version {begun} was not finished, and this program has version {}: \
                 start the program that began it",
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
