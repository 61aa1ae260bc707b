//! Which processes may open the file, and how two processes share it.

use std::time::Duration;

use orientation::platform::store::{Access, Document, Keep, Migration, Personal, Store, StoreError, schema};
use serde::{Deserialize, Serialize};

use super::fresh;
use crate::store::things::{Places, Refused, Thing, schemas, thing};
use tempfile::TempDir;

#[tokio::test]
async fn a_second_serving_process_is_refused_with_the_id_of_the_first() {
    let first = fresh().await;
    let refused = Store::sqlite(&first.path(), Access::Serving).err().unwrap().to_string();
    let holder = format!("process {}", std::process::id());
    assert!(refused.contains(&holder) && refused.contains("test.db"), "{refused}");
}

#[tokio::test]
async fn the_next_process_serves_as_soon_as_the_first_has_closed() {
    let folder = TempDir::new().unwrap();
    for n in 0..50 {
        let store = Store::sqlite(&folder.path().join("test.db"), Access::Serving).unwrap();
        store.prepare(&schemas()).await.unwrap();
        store.transact(async |tx| tx.insert(&thing(&n.to_string(), "red", n)).await).await.unwrap();
    }
}

#[tokio::test]
async fn administration_works_beside_the_serving_process() {
    let serving = fresh().await;
    let beside = Store::sqlite(&serving.path(), Access::Beside).unwrap();
    beside.prepare(&schemas()).await.unwrap();
    beside.transact(async |tx| tx.insert(&thing("a", "red", 1)).await).await.unwrap();
    serving.transact(async |tx| tx.insert(&thing("b", "red", 1)).await).await.unwrap();
    assert!(serving.get::<Thing>("a").await.unwrap().is_some());
    assert!(beside.get::<Thing>("b").await.unwrap().is_some());
}

/// The next version of a thing.
#[derive(Serialize, Deserialize)]
struct NewerThing(Thing);

impl Document for NewerThing {
    const COLLECTION: &'static str = Thing::COLLECTION;
    const VERSION: u32 = 2;
    const MIGRATIONS: &'static [Migration] = &[|thing| thing];
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = Keep::with_store("test data");

    fn id(&self) -> &str {
        self.0.id()
    }
}

#[tokio::test]
async fn a_newer_program_migrates_nothing_while_an_older_one_serves() {
    let serving = fresh().await;
    let path = serving.path();
    let beside = Store::sqlite(&path, Access::Beside).unwrap();
    let refused = beside.prepare(&[schema::<NewerThing>()]).await.unwrap_err().to_string();
    assert!(refused.contains("stop that process first"), "{refused}");
    let folder = serving.close();
    beside.prepare(&[schema::<NewerThing>()]).await.unwrap();
    drop((beside, folder));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_never_take_more_places_than_exist() {
    let serving = fresh().await;
    serving.transact(async |tx| tx.insert(&Places::new(10)).await).await.unwrap();
    let beside = Store::sqlite(&serving.path(), Access::Beside).unwrap();
    let mut rush = tokio::task::JoinSet::new();
    for n in 0..64 {
        let store = Store::clone(if n % 2 == 0 { &serving } else { &beside });
        rush.spawn(async move {
            store
                .transact(async |tx| {
                    let mut places: Places = tx.get("places").await?.ok_or(Refused::Full)?;
                    places.take_one()?;
                    tx.put(&places).await?;
                    Ok::<_, Refused>(())
                })
                .await
        });
    }
    assert_eq!(rush.join_all().await.into_iter().filter(Result::is_ok).count(), 10);
}

/// On one thread: if waiting for the other process blocked it, the other could never continue.
#[tokio::test(flavor = "current_thread")]
async fn waiting_for_another_process_blocks_no_thread() {
    let serving = fresh().await;
    let beside = Store::sqlite(&serving.path(), Access::Beside).unwrap();
    let slowly = beside.transact(async |tx| {
        tx.insert(&thing("a", "red", 1)).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok::<_, StoreError>(())
    });
    let meanwhile = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        serving.transact(async |tx| tx.insert(&thing("b", "red", 1)).await).await
    };
    let (slowly, meanwhile) = tokio::join!(slowly, meanwhile);
    assert_eq!((slowly, meanwhile), (Ok(()), Ok(())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn administration_gets_its_turn_under_constant_writes() {
    let serving = fresh().await;
    let mut busy = tokio::task::JoinSet::new();
    for n in 0..64 {
        let store = Store::clone(&serving);
        busy.spawn(async move {
            loop {
                store.transact(async |tx| tx.put(&thing(&n.to_string(), "red", n)).await).await.unwrap();
            }
        });
    }
    let beside = Store::sqlite(&serving.path(), Access::Beside).unwrap();
    beside.transact(async |tx| tx.insert(&thing("admin", "red", 1)).await).await.unwrap();
    assert!(serving.get::<Thing>("admin").await.unwrap().is_some());
}

#[test]
fn a_missing_folder_is_refused_with_a_message() {
    let folder = TempDir::new().unwrap();
    for access in [Access::Serving, Access::Beside] {
        let refused = Store::sqlite(&folder.path().join("missing/test.db"), access).err().unwrap();
        assert!(
            matches!(&refused, StoreError::Unusable(sentence) if sentence.contains("missing")),
            "{refused}"
        );
    }
}

#[test]
fn a_file_that_is_not_a_database_is_refused_with_a_message() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("test.db");
    std::fs::write(&path, "certainly no database ".repeat(1_000)).unwrap();
    let refused = Store::sqlite(&path, Access::Serving).err().unwrap();
    assert!(matches!(&refused, StoreError::Unusable(sentence) if sentence.contains("test.db")), "{refused}");
}
