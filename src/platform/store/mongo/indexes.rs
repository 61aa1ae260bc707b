//! Indexes, brought to what the documents declare.

use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;
use mongodb::options::IndexOptions;
use mongodb::{Collection, Database, IndexModel};

use super::super::error::Result;
use super::super::{Index, Schema, StoreError};
use super::connection::bounded;
use super::filter::name;

/// Drops the indexes that are declared differently now, or not any longer.
pub(super) async fn drop_others(db: &Database, schema: &Schema) -> Result<()> {
    let collection = db.collection::<Document>(schema.collection);
    let declared: Vec<_> = schema.indexes.iter().map(|index| traits(&definition(index))).collect();
    for made in made(&collection).await? {
        let traits = traits(&made);
        if traits.name != "_id_" && !declared.contains(&traits) {
            bounded(collection.drop_index(traits.name)).await?;
        }
    }
    Ok(())
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

/// As long as it takes: on a large collection that may be minutes.
async fn make(collection: &Collection<Document>, index: &Index, definition: IndexModel) -> Result<()> {
    let made = collection.create_index(definition).await.map_err(super::error::failed);
    match made {
        Ok(_) => Ok(()),
        Err(StoreError::Duplicate { .. }) => Err(index.unmakeable()),
        Err(error) => Err(error),
    }
}

async fn made(collection: &Collection<Document>) -> Result<Vec<IndexModel>> {
    bounded(async { collection.list_indexes().await?.try_collect().await }).await
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
