//! Reads. Outside transactions each has its own snapshot: none sees half of a transaction.

use bson::{Bson, Document, RawDocumentBuf, doc};
use futures_util::TryStreamExt;
use mongodb::action::Find;
use mongodb::options::ReadConcern;
use mongodb::{ClientSession, Collection, Database};

use super::super::error::Result;
use super::super::{Crossed, Dimension, Filter, Holds, Query, StoreError, Value};
use super::bytes::outward;
use super::connection::{Failure, asked, bounded};
use super::filter::{condition, name, order};

/// Documents per batch: a whole page in one answer.
const BATCH: u32 = 10_000;

fn question<'a>(collection: &'a Collection<RawDocumentBuf>, query: &Query) -> Find<'a, RawDocumentBuf> {
    collection
        .find(condition(&query.filter))
        .sort(order(query))
        .limit(query.limit.into())
        .batch_size(query.limit.min(BATCH))
}

pub(super) fn all_outward(found: &[RawDocumentBuf]) -> Result<Vec<Vec<u8>>> {
    found.iter().map(|document| outward(document)).collect()
}

pub(super) async fn find(db: &Database, collection: &str, query: &Query) -> Result<Vec<Vec<u8>>> {
    // To MongoDB 0 means no limit, here it means no documents.
    if query.limit == 0 {
        return Ok(Vec::new());
    }
    let collection = db.collection(collection);
    let found = async {
        question(&collection, query)
            .read_concern(ReadConcern::snapshot())
            .await?
            .try_collect::<Vec<_>>()
            .await
    };
    all_outward(&bounded(found).await?)
}

/// [`find`] within a transaction.
pub(super) async fn find_in(
    session: &mut ClientSession,
    db: &Database,
    collection: &str,
    query: &Query,
) -> Result<Vec<RawDocumentBuf>, Failure> {
    if query.limit == 0 {
        return Ok(Vec::new());
    }
    let collection = db.collection(collection);
    let found = async {
        let mut cursor = question(&collection, query).session(&mut *session).await?;
        cursor.stream(session).try_collect::<Vec<_>>().await
    };
    asked(found).await
}

pub(super) async fn count(db: &Database, collection: &str, filter: &Filter) -> Result<u64> {
    let collection = db.collection::<RawDocumentBuf>(collection);
    bounded(collection.count_documents(condition(filter)).read_concern(ReadConcern::snapshot())).await
}

/// [`count`] within a transaction.
pub(super) async fn count_in(
    session: &mut ClientSession,
    db: &Database,
    collection: &str,
    filter: &Filter,
) -> Result<u64, Failure> {
    let collection = db.collection::<RawDocumentBuf>(collection);
    asked(collection.count_documents(condition(filter)).session(session)).await
}

pub(super) async fn cross(
    db: &Database,
    collection: &str,
    by: &[Dimension],
    filter: &Filter,
) -> Result<Vec<Crossed>> {
    let mut steps = vec![doc! { "$match": condition(filter) }];
    let lists = by.iter().filter(|one| one.holds == Holds::Texts);
    steps.extend(lists.map(|list| {
        let path = format!("${}", list.field);
        doc! { "$unwind": { "path": path, "preserveNullAndEmptyArrays": true } }
    }));
    let values = by.iter().enumerate().map(|(place, one)| {
        let value = doc! { "$ifNull": [format!("${}", name(&one.field)), Bson::Null] };
        (format!("v{place}"), Bson::from(value))
    });
    let key: Document = values.collect();
    steps.push(doc! { "$group": { "_id": key, "documents": { "$sum": 1_i64 } } });
    let rows = aggregate(db, collection, steps).await?;
    rows.iter().map(|row| crossed(row, by)).collect()
}

fn crossed(row: &Document, by: &[Dimension]) -> Result<Crossed> {
    let key = row.get_document("_id").map_err(|_| odd("_id"))?;
    let value = |(place, one): (usize, &Dimension)| {
        let value = key.get(format!("v{place}")).unwrap_or(&Bson::Null);
        counted(value, one.holds).ok_or_else(|| odd(&one.field))
    };
    let values = by.iter().enumerate().map(value).collect::<Result<_>>()?;
    let documents = row.get("documents").and_then(whole).ok_or_else(|| odd("documents"))?;
    Ok(Crossed { values, documents: documents.cast_unsigned() })
}

/// A value that documents are counted by. The outer `None` if it is not of this type.
fn counted(value: &Bson, holds: Holds) -> Option<Option<Value>> {
    match (value, holds) {
        (Bson::Null, _) => Some(None),
        // `$unwind` keeps the empty list of a document that has nothing else to count.
        (Bson::Array(list), Holds::Texts) if list.is_empty() => Some(None),
        (Bson::String(text), Holds::Text | Holds::Texts) => Some(Some(text.as_str().into())),
        (Bson::Boolean(yes), Holds::Bool) => Some(Some((*yes).into())),
        (number, Holds::Int) => Some(Some(whole(number)?.into())),
        _ => None,
    }
}

pub(super) async fn sum(
    db: &Database,
    collection: &str,
    field: &'static str,
    filter: &Filter,
) -> Result<i64> {
    let steps = [
        doc! { "$match": condition(filter) },
        doc! { "$group": { "_id": null, "sum": { "$sum": format!("${}", name(field)) } } },
    ];
    match aggregate(db, collection, steps).await?.first() {
        None => Ok(0),
        Some(row) => row.get("sum").and_then(whole).ok_or_else(|| odd(field)),
    }
}

async fn aggregate(
    db: &Database,
    collection: &str,
    steps: impl IntoIterator<Item = Document>,
) -> Result<Vec<Document>> {
    let collection = db.collection::<Document>(collection);
    let rows = async {
        collection.aggregate(steps).read_concern(ReadConcern::snapshot()).await?.try_collect::<Vec<_>>().await
    };
    bounded(rows).await
}

/// MongoDB returns the smallest type that holds a number.
fn whole(number: &Bson) -> Option<i64> {
    match number {
        Bson::Int32(number) => Some((*number).into()),
        Bson::Int64(number) => Some(*number),
        _ => None,
    }
}

fn odd(field: &str) -> StoreError {
    StoreError::Failed(format!("`{field}` doesn't contain the expected type"))
}
