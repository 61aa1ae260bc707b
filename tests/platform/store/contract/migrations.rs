//! Documents and indexes of an older program, opened by a newer one, and the other way round.

use orientation::platform::store::{Document, Index, Keep, Migration, Personal, StoreError, schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::fresh;

/// Version 1 of a note.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct NoteV1 {
    id: String,
    text: String,
}

impl Document for NoteV1 {
    const COLLECTION: &'static str = "notes";
    const INDEXES: &'static [Index] = &[Index::unique("notes_by_text", &["text"])];
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = Keep::with_store("test data");

    fn id(&self) -> &str {
        &self.id
    }
}

/// Version 3: `text` was renamed to `title`, and then `length` was added.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct NoteV3 {
    id: String,
    title: String,
    length: u64,
}

impl Document for NoteV3 {
    const COLLECTION: &'static str = "notes";
    const VERSION: u32 = 3;
    const MIGRATIONS: &'static [Migration] = &[name_title, add_length];
    const INDEXES: &'static [Index] = &[Index::on("notes_by_text", &["length"])];
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = Keep::with_store("test data");

    fn id(&self) -> &str {
        &self.id
    }
}

fn name_title(mut note: Value) -> Value {
    note["title"] = note["text"].take();
    note
}

fn add_length(mut note: Value) -> Value {
    note["length"] = json!(note["title"].as_str().unwrap_or_default().len());
    note
}

/// A program whose migration to version 2 fails.
#[derive(Serialize, Deserialize)]
struct Broken(NoteV1);

impl Document for Broken {
    const COLLECTION: &'static str = "notes";
    const VERSION: u32 = 2;
    const MIGRATIONS: &'static [Migration] = &[give_up];
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = Keep::with_store("test data");

    fn id(&self) -> &str {
        &self.0.id
    }
}

fn give_up(note: Value) -> Value {
    assert!(note["id"] != "0700", "this panic is intended");
    name_title(note)
}

/// A program that declares a unique index on the length.
#[derive(Serialize, Deserialize)]
struct Strict(NoteV1);

impl Document for Strict {
    const COLLECTION: &'static str = "notes";
    const INDEXES: &'static [Index] = &[Index::unique("notes_by_kind", &["kind"])];
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = Keep::with_store("test data");

    fn id(&self) -> &str {
        &self.0.id
    }
}

fn note(n: usize) -> NoteV1 {
    NoteV1 { id: format!("{n:04}"), text: format!("note {n}") }
}

#[tokio::test]
async fn documents_are_migrated_through_every_version_at_the_next_start() {
    let store = fresh().await;
    store.prepare(&[schema::<NoteV1>()]).await.unwrap();
    for n in 0..3 {
        store.transact(async |tx| tx.insert(&note(n)).await).await.unwrap();
    }
    store.prepare(&[schema::<NoteV3>()]).await.unwrap();
    store.prepare(&[schema::<NoteV3>()]).await.unwrap();
    let found = store.get::<NoteV3>("0002").await.unwrap().unwrap();
    assert_eq!(found, NoteV3 { id: "0002".into(), title: "note 2".into(), length: 6 });
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_refused_and_not_changed() {
    let store = fresh().await;
    store.prepare(&[schema::<NoteV3>()]).await.unwrap();
    let refused = store.prepare(&[schema::<NoteV1>()]).await.unwrap_err();
    let StoreError::Unusable(sentence) = &refused else { panic!("{refused}") };
    assert!(sentence.contains("`notes`") && sentence.contains("version 3"), "{sentence}");
    store.prepare(&[schema::<NoteV3>()]).await.unwrap();
}

#[tokio::test]
async fn outdated_collections_are_reported_without_changing_them() {
    let store = fresh().await;
    let (first, third) = ([schema::<NoteV1>()], [schema::<NoteV3>()]);
    assert_eq!(store.outdated(&first).await, Ok(vec![]), "nothing is stored yet");
    store.prepare(&first).await.unwrap();
    store.transact(async |tx| tx.insert(&note(1)).await).await.unwrap();
    assert_eq!(store.outdated(&first).await, Ok(vec![]));
    assert_eq!(store.outdated(&third).await, Ok(vec!["notes"]));
    assert_eq!(store.get::<NoteV1>("0001").await.unwrap(), Some(note(1)));
    store.prepare(&third).await.unwrap();
    let newer = store.outdated(&first).await.unwrap_err().to_string();
    assert!(newer.contains("`notes` in version 3"), "{newer}");
}

#[tokio::test]
async fn a_migration_that_fails_leaves_everything_as_it_was() {
    let store = fresh().await;
    store.prepare(&[schema::<NoteV1>()]).await.unwrap();
    store
        .transact(async |tx| {
            for n in 0..1_000 {
                tx.insert(&note(n)).await?;
            }
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap();
    assert!(store.prepare(&[schema::<Broken>()]).await.is_err());
    assert_eq!(store.get::<NoteV1>("0001").await.unwrap(), Some(note(1)));
    let taken = NoteV1 { id: "new".into(), ..note(1) };
    let duplicate = store.transact(async |tx| tx.insert(&taken).await).await;
    assert_eq!(duplicate, Err(StoreError::Duplicate { index: "notes_by_text".into() }));
}

#[tokio::test]
async fn indexes_are_changed_to_the_current_declarations() {
    let store = fresh().await;
    store.prepare(&[schema::<NoteV1>()]).await.unwrap();
    store.transact(async |tx| tx.insert(&note(1)).await).await.unwrap();
    store.prepare(&[schema::<NoteV3>()]).await.unwrap();
    let same = |id: &str| NoteV3 { id: id.into(), title: "same".into(), length: 4 };
    store.transact(async |tx| tx.insert(&same("a")).await).await.unwrap();
    store.transact(async |tx| tx.insert(&same("b")).await).await.unwrap();
}

#[tokio::test]
async fn a_unique_index_that_stored_documents_violate_is_refused_by_name() {
    #[derive(Serialize, Deserialize)]
    struct Kinded {
        id: String,
        kind: String,
    }
    impl Document for Kinded {
        const COLLECTION: &'static str = "notes";
        const PERSONAL: Personal = Personal::None;
        const KEEP: Keep = Keep::with_store("test data");

        fn id(&self) -> &str {
            &self.id
        }
    }
    let store = fresh().await;
    store.prepare(&[schema::<Kinded>()]).await.unwrap();
    for id in ["a", "b"] {
        let same = Kinded { id: id.into(), kind: "private".into() };
        store.transact(async |tx| tx.insert(&same).await).await.unwrap();
    }
    let refused = store.prepare(&[schema::<Strict>()]).await.unwrap_err().to_string();
    assert!(refused.contains("`notes_by_kind`") && !refused.contains("private"), "{refused}");
}
