//! Starting processes: many at once, beside each other, and on incompatible databases.

use std::time::{Duration, Instant};

use orientation::platform::store::{
    Access, Document, Index, Keep, Migration, Personal, Schema, Store, StoreError, schema,
};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::{Database, fresh};
use crate::store::things::{Places, Refused, Thing, schemas, thing};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn any_number_of_processes_prepare_a_new_database_at_once() {
    let database = Database::new();
    let mut starts = JoinSet::new();
    for _ in 0..12 {
        let address = database.address.clone();
        starts.spawn(async move {
            let store = Store::mongo(&address, Access::Serving).await?;
            store.prepare(&schemas()).await?;
            Ok::<_, StoreError>(store)
        });
    }
    let stores: Vec<_> = starts.join_all().await.into_iter().collect::<Result<_, _>>().unwrap();
    stores[0].transact(async |tx| tx.insert(&thing("a", "red", 1)).await).await.unwrap();
    let same = stores[11].transact(async |tx| tx.insert(&thing("a", "red", 1)).await).await;
    assert_eq!(same, Err(StoreError::Duplicate { index: "id".into() }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_processes_never_take_more_places_than_exist() {
    let store = fresh().await;
    store.transact(async |tx| tx.insert(&Places::new(10)).await).await.unwrap();
    let mut rush = JoinSet::new();
    for _ in 0..4 {
        let process = Store::mongo(store.address(), Access::Beside).await.unwrap();
        for _ in 0..8 {
            let store = process.clone();
            rush.spawn(async move {
                store
                    .transact_at(&["places"], async |tx| {
                        let mut places: Places = tx.get("places").await?.ok_or(Refused::Full)?;
                        places.take_one()?;
                        tx.put(&places).await?;
                        Ok::<_, Refused>(())
                    })
                    .await
            });
        }
    }
    let outcomes = rush.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 10);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(()) | Err(Refused::Full))), "{outcomes:?}");
}

/// The number of collisions when 32 callers take a place at once.
async fn collisions<F>(take: impl Fn(Store) -> F) -> u64
where
    F: Future<Output = Result<(), Refused>> + Send + 'static,
{
    let store = fresh().await;
    store.transact(async |tx| tx.insert(&Places::new(32)).await).await.unwrap();
    let mut rush = JoinSet::new();
    for _ in 0..32 {
        rush.spawn(take(Store::clone(&store)));
    }
    assert!(rush.join_all().await.iter().all(Result::is_ok));
    store.stats().conflicts
}

async fn take_a_place(store: Store) -> Result<(), Refused> {
    store
        .transact_at(&["places"], async |tx| {
            let mut places: Places = tx.get("places").await?.ok_or(Refused::Full)?;
            places.take_one()?;
            tx.put(&places).await?;
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn queued_transactions_do_not_collide() {
    assert_eq!(collisions(take_a_place).await, 0);
}

#[cfg(feature = "faults")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_the_queue_transactions_collide() {
    use orientation::kernel::faults::without;
    let collided = collisions(|store| without("store-queue", take_a_place(store))).await;
    assert!(collided > 0, "nothing collided: the test above proves nothing");
}

/// The next version of a thing.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct NewerThing {
    #[serde(flatten)]
    thing: Thing,
    colour: String,
}

impl Document for NewerThing {
    const COLLECTION: &'static str = Thing::COLLECTION;
    const VERSION: u32 = 2;
    const MIGRATIONS: &'static [Migration] = &[|mut thing| {
        thing["colour"] = thing["group"].clone();
        thing
    }];
    const INDEXES: &'static [Index] = &[Index::on("things_by_colour", &["colour"])];
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = Keep::with_store("test data");

    fn id(&self) -> &str {
        self.thing.id()
    }
}

#[tokio::test]
async fn a_newer_program_migrates_nothing_while_an_older_one_serves() {
    let serving = fresh().await;
    serving.transact(async |tx| tx.insert(&thing("a", "red", 1)).await).await.unwrap();
    let newer = Store::mongo(serving.address(), Access::Serving).await.unwrap();
    let refused = newer.prepare(&[schema::<NewerThing>()]).await.unwrap_err().to_string();
    assert!(refused.contains("stop them first"), "{refused}");
    let super::Fresh { store, database } = serving;
    drop(store);
    newer.prepare(&[schema::<NewerThing>()]).await.unwrap();
    assert_eq!(newer.get::<NewerThing>("a").await.unwrap().unwrap().colour, "red");
    let older = Store::mongo(&database.address, Access::Serving).await.unwrap();
    let refused = older.prepare(&schemas()).await.unwrap_err().to_string();
    assert!(refused.contains("version 2"), "{refused}");
}

/// A version that declares one more index …
const MORE: &[Index] = &[
    Index::unique("things_by_email", &["email"]),
    Index::on("group", &["group", "rank"]),
    Index::on("things_by_rank", &["rank"]),
    Index::unique("things_by_group", &["group"]),
];

/// … and one that declares an index with other fields.
const DIFFERENT: &[Index] = &[
    Index::unique("things_by_email", &["email"]),
    Index::on("group", &["group", "rank"]),
    Index::on("things_by_rank", &["rank", "group"]),
];

fn with_indexes(indexes: &'static [Index]) -> [Schema; 1] {
    [Schema { indexes, ..schema::<Thing>() }]
}

/// Names and fields of the existing indexes.
async fn indexes(database: &Database) -> Vec<(String, Vec<String>)> {
    use futures_util::TryStreamExt;
    let things = database.raw().await.collection::<bson::Document>("order");
    let listed: Vec<mongodb::IndexModel> = things.list_indexes().await.unwrap().try_collect().await.unwrap();
    let read = |index: mongodb::IndexModel| {
        (index.options.unwrap().name.unwrap(), index.keys.keys().cloned().collect())
    };
    listed.into_iter().map(read).collect()
}

async fn has(database: &Database, name: &str) -> bool {
    indexes(database).await.iter().any(|(index, _)| index == name)
}

#[tokio::test]
async fn an_index_of_a_newer_version_is_kept_while_an_older_one_starts_beside_it() {
    let database = Database::new();
    let newer = database.open().await;
    newer.prepare(&with_indexes(MORE)).await.unwrap();
    let older = database.open().await;
    older.prepare(&schemas()).await.unwrap();
    assert!(has(&database, "things_by_group").await, "the older one dropped it");
    older.transact(async |tx| tx.insert(&thing("a", "red", 1)).await).await.unwrap();
    let same = older.transact(async |tx| tx.insert(&thing("b", "red", 1)).await).await;
    assert_eq!(same, Err(StoreError::Duplicate { index: "things_by_group".into() }));

    drop((newer, older));
    let admin = Store::mongo(&database.address, Access::Beside).await.unwrap();
    admin.prepare(&schemas()).await.unwrap();
    assert!(has(&database, "things_by_group").await, "a command dropped it");
    database.open().await.prepare(&schemas()).await.unwrap();
    assert!(!has(&database, "things_by_group").await, "a service that starts alone drops it");
}

#[tokio::test]
async fn a_missing_index_is_created_while_others_serve() {
    let serving = fresh().await;
    let newer = serving.database.open().await;
    newer.prepare(&with_indexes(MORE)).await.unwrap();
    assert!(has(&serving.database, "things_by_group").await);
}

#[tokio::test]
async fn an_index_is_not_redefined_while_others_serve() {
    let serving = fresh().await;
    for access in [Access::Serving, Access::Beside] {
        let newer = Store::mongo(serving.address(), access).await.unwrap();
        let refused = newer.prepare(&with_indexes(DIFFERENT)).await.unwrap_err().to_string();
        assert!(refused.contains("`things_by_rank`") && refused.contains("stop them first"), "{refused}");
    }
    let super::Fresh { store, database } = serving;
    let before = indexes(&database).await;
    drop(store);
    database.open().await.prepare(&with_indexes(DIFFERENT)).await.unwrap();
    assert_ne!(indexes(&database).await, before);
}

#[tokio::test]
async fn an_interrupted_migration_continues_where_it_stopped() {
    let database = Database::new();
    let older = Store::mongo(&database.address, Access::Beside).await.unwrap();
    older.prepare(&schemas()).await.unwrap();
    for id in ["a", "b", "c"] {
        older.transact(async |tx| tx.insert(&thing(id, "red", 1)).await).await.unwrap();
    }
    // The state that a process leaves if it dies after its first page.
    let raw = database.raw().await;
    let things = raw.collection::<bson::Document>("order");
    things.update_one(bson::doc! { "_id": "a" }, bson::doc! { "$set": { "colour": "blue" } }).await.unwrap();
    let begun = bson::doc! { "$set": { "migration": { "to": 2_i64, "after": "a" } } };
    raw.collection::<bson::Document>("_versions")
        .update_one(bson::doc! { "_id": "order" }, begun)
        .await
        .unwrap();

    let refused = older.prepare(&schemas()).await.unwrap_err().to_string();
    assert!(refused.contains("was not finished"), "{refused}");
    older.prepare(&[schema::<NewerThing>()]).await.unwrap();
    let colour = async |id: &str| older.get::<NewerThing>(id).await.unwrap().unwrap().colour;
    assert_eq!(colour("a").await, "blue", "not migrated twice");
    assert_eq!(colour("c").await, "red");
}

#[tokio::test]
async fn a_process_that_died_while_preparing_delays_the_next_by_seconds_only() {
    let database = Database::new();
    let raw = database.raw().await;
    let held = bson::doc! { "_id": "prepare", "holder": "somebody who died" };
    raw.collection::<bson::Document>("_locks").insert_one(held).await.unwrap();
    let begun = Instant::now();
    database.open().await.prepare(&schemas()).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}
