//! Indexes, brought to what the documents declare.

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

/// The longest that an index may take to be made: on a large collection minutes. A server that has gone silent must
/// not hold up a start for ever. What was begun goes on at the server, and the next start waits for the same index.
const BUILD: Duration = Duration::from_mins(10);

/// There is no such collection.
const NAMESPACE_NOT_FOUND: i32 = 26;

/// An index that is there and not declared so.
pub(super) struct Other {
    pub collection: &'static str,
    pub name: String,
    /// It is declared by this name, but differently.
    pub is_redefined: bool,
}

/// The indexes that are declared differently now, or not any longer.
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

/// Makes those that are not there.
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

/// The id at the end makes sorting by the fields and then by id a walk along the index. A unique index leaves out
/// documents that lack one of its fields, so that they never collide.
fn definition(index: &Index) -> IndexModel {
    let mut keys: Document =
        index.fields.iter().map(|field| (name(field).to_owned(), Bson::Int32(1))).collect();
    if !index.unique {
        keys.insert("_id", 1);
    }
    let there = || index.fields.iter().map(|field| (name(field).to_owned(), doc! { "$exists": true }.into()));
    let options = IndexOptions::builder()
        .name(index.name.to_owned())
        .unique(index.unique.then_some(true))
        .partial_filter_expression(index.unique.then(|| there().collect::<Document>()));
    IndexModel::builder().keys(keys).options(options.build()).build()
}

/// What two indexes that are the same have in common.
#[derive(PartialEq)]
struct Traits {
    name: String,
    /// Which fields, and whether upwards.
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
