//! The data as MongoDB's own tools see it.

use bson::{Bson, doc};
use orientation::kernel::Timestamp;

use super::fresh;
use crate::store::things::{Price, Thing, thing};

#[tokio::test]
async fn a_document_has_its_id_as_the_key_dates_as_dates_and_plain_fields() {
    let store = fresh().await;
    let seen = Timestamp::from_millis(1_788_246_000_123);
    let written = Thing {
        seen_at: Some(seen),
        tags: vec!["nuts".into()],
        price: Price { amount: 9_500 },
        ..thing("a", "red", 7)
    };
    store.transact(async |tx| tx.insert(&written).await).await.unwrap();
    let raw = store.database.raw().await;
    let stored = raw.collection::<bson::Document>("order").find_one(doc! {}).await.unwrap().unwrap();
    let expected = doc! {
        "_id": "a",
        "group": "red",
        "rank": 7_i64,
        "active": false,
        "seenAt": Bson::DateTime(bson::DateTime::from_millis(seen.as_millis())),
        "tags": ["nuts"],
        "price": { "amount": 9_500_i64 },
    };
    assert_eq!(stored, expected);
    assert_eq!(store.get::<Thing>("a").await.unwrap(), Some(written));
}

#[tokio::test]
async fn a_unique_index_is_partial_and_another_ends_in_the_id() {
    let store = fresh().await;
    let raw = store.database.raw().await;
    let mut made = raw.run_command(doc! { "listIndexes": "order" }).await.unwrap();
    let batch = made.get_document_mut("cursor").unwrap().get_array_mut("firstBatch").unwrap();
    let named = |name: &str| {
        let found = batch.iter().find(|index| index.as_document().unwrap().get_str("name").unwrap() == name);
        found.unwrap().as_document().unwrap().clone()
    };
    let unique = named("things_by_email");
    assert!(unique.get_bool("unique").unwrap());
    let there = doc! { "email": { "$exists": true } };
    assert_eq!(unique.get_document("partialFilterExpression").unwrap(), &there);
    let fields: Vec<_> = named("group").get_document("key").unwrap().keys().cloned().collect();
    assert_eq!(fields, ["group", "rank", "_id"]);
}

#[tokio::test]
async fn the_store_has_the_name_of_the_database() {
    let store = fresh().await;
    assert_eq!(store.name(), store.database.name);
}
