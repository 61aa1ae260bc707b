//! Creates and drops indexes, as the documents declare.

use std::time::Duration;

use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;
use mongodb::error::{Error, ErrorKind};
use mongodb::options::IndexOptions;
use mongodb::{Collection, Database, IndexModel};

use super::super::error::Result;
use super::super::{Index, Schema, StoreError};
use super::connection::{bounded, bounded_by};
use super::filter::name;

/// The time limit for creating an index: on a large collection it takes minutes. A silent server must not block
/// a start for longer. The server continues the build, and the next start waits for the same index.
const BUILD: Duration = Duration::from_mins(10);

/// The server's error code for a missing collection.
const NAMESPACE_NOT_FOUND: i32 = 26;

/// An existing index that is not declared like this.
pub(super) struct Other {
    pub collection: &'static str,
    pub name: String,
    /// It is declared under this name, but differently.
    pub is_redefined: bool,
}

/// The indexes that are now declared differently or no longer declared.
pub(super) async fn others(db: &Database, schema: &Schema) -> Result<Vec<Other>> {
    let declared: Vec<_> = schema.indexes.iter().map(|index| traits(&definition(index))).collect();
    let made = made(&db.collection(schema.collection)).await?;
    let others = made.iter().map(traits).filter(|made| made.name != "_id_" && !declared.contains(made));
    let other = |made: Traits| Other {
        collection: schema.collection,
        is_redefined: declared.iter().any(|index| index.name == made.name),
        name: made.name,
    };
    Ok(others.map(other).collect())
}

pub(super) async fn drop(db: &Database, other: &Other) -> Result<()> {
    bounded(db.collection::<Document>(other.collection).drop_index(&other.name)).await
}

/// Creates those that are missing.
pub(super) async fn make_missing(db: &Database, schema: &Schema) -> Result<()> {
    let collection = db.collection::<Document>(schema.collection);
    let made = made(&collection).await?;
    for index in schema.indexes {
        let definition = definition(index);
        if !made.iter().any(|made| traits(made) == traits(&definition)) {
            make(&collection, index, definition).await?;
        }
    }
    Ok(())
}

async fn make(collection: &Collection<Document>, index: &Index, definition: IndexModel) -> Result<()> {
    match bounded_by(BUILD, collection.create_index(definition)).await {
        Ok(_) => Ok(()),
        Err(StoreError::Duplicate { .. }) => Err(index.unmakeable()),
        Err(error) => Err(error),
    }
}

async fn made(collection: &Collection<Document>) -> Result<Vec<IndexModel>> {
    let listed = async {
        match collection.list_indexes().await {
            Err(error) if is_missing(&error) => Ok(vec![]),
            listed => listed?.try_collect().await,
        }
    };
    bounded(listed).await
}

fn is_missing(error: &Error) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Command(it) if it.code == NAMESPACE_NOT_FOUND)
}

/// The id at the end makes sorting by the fields and then by id an index scan. A unique index leaves out
/// documents that lack one of its fields, so that they never collide.
fn definition(index: &Index) -> IndexModel {
    let mut keys: Document =
        index.fields.iter().map(|field| (name(field).to_owned(), Bson::Int32(1))).collect();
    if !index.is_unique() {
        keys.insert("_id", 1);
    }
    let there = || index.fields.iter().map(|field| (name(field).to_owned(), doc! { "$exists": true }.into()));
    let options = IndexOptions::builder()
        .name(index.name.to_owned())
        .unique(index.is_unique().then_some(true))
        .partial_filter_expression(index.is_unique().then(|| there().collect::<Document>()));
    IndexModel::builder().keys(keys).options(options.build()).build()
}

/// The properties that two equal indexes share.
#[derive(PartialEq)]
struct Traits {
    name: String,
    /// The fields, and whether each is ascending.
    keys: Vec<(String, bool)>,
    unique: bool,
    partial: Option<Document>,
}

fn traits(index: &IndexModel) -> Traits {
    let options = index.options.clone().unwrap_or_default();
    let upwards = |direction: &Bson| match direction {
        Bson::Int32(n) => *n > 0,
        Bson::Int64(n) => *n > 0,
        Bson::Double(n) => *n > 0.0,
        _ => false,
    };
    Traits {
        name: options.name.unwrap_or_default(),
        keys: index.keys.iter().map(|(field, direction)| (field.clone(), upwards(direction))).collect(),
        unique: options.unique.unwrap_or(false),
        partial: options.partial_filter_expression,
    }
}
