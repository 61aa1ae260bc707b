//! Copies of whole stores from one database to another.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use bson::doc;
use orientation::kernel::Timestamp;
use orientation::platform::store::{
    Access, Copied, Document, Keep, Personal, Schema, Store, StoreError, schema,
};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::sync::Notify;

use super::{Database, fresh};
use crate::doubles::proxy::Proxy;
use crate::store::things::{Places, Price, Thing, schemas, thing};

fn file(folder: &TempDir, name: &str) -> Store {
    Store::sqlite(&folder.path().join(name), Access::Serving).unwrap()
}

/// More than one batch of things of every shape: times, texts that look like times, absent fields.
fn things() -> Vec<Thing> {
    let time = Timestamp::from_millis(1_788_246_000_123);
    (0..450)
        .map(|n| Thing {
            seen_at: (n % 3 == 0).then_some(time),
            email: (n % 2 == 0).then(|| format!("{n}@x.org")),
            tags: vec![time.rfc3339(), "Ünïcode 🎓".into()],
            price: Price { amount: n },
            ..thing(&format!("{n:04}"), &time.rfc3339(), n)
        })
        .collect()
}

async fn filled(store: &Store) {
    store.prepare(&schemas()).await.unwrap();
    store
        .transact(async |tx| {
            tx.insert(&Places::new(7)).await?;
            for thing in &things() {
                tx.insert(thing).await?;
            }
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap();
}

async fn copy(from: &Store, to: &Store) -> Result<Vec<Copied>, StoreError> {
    from.copy_to(to, &schemas(), |_| {}).await
}

#[tokio::test]
async fn a_copy_and_its_copy_back_keep_every_document() {
    let (folder, database) = (TempDir::new().unwrap(), Database::new());
    let (first, last) = (file(&folder, "first.db"), file(&folder, "last.db"));
    filled(&first).await;
    let middle = Store::mongo(&database.address, Access::Beside).await.unwrap();
    let there = copy(&first, &middle).await.unwrap();
    let back = copy(&middle, &last).await.unwrap();
    assert_eq!(there, back);
    assert_eq!(there[0].documents, 450);
    last.prepare(&schemas()).await.unwrap();
    for expected in things() {
        assert_eq!(last.get::<Thing>(&expected.id).await.unwrap().unwrap(), expected);
        assert_eq!(middle.get::<Thing>(&expected.id).await.unwrap().unwrap(), expected);
    }
    let raw = database.raw().await.collection::<bson::Document>("order");
    let stored = raw.find_one(doc! { "_id": "0000" }).await.unwrap().unwrap();
    assert!(stored.get_datetime("seenAt").is_ok() && stored.get_str("group").is_ok(), "{stored}");
}

#[tokio::test]
async fn a_copy_outlives_its_connections() {
    let (folder, database) = (TempDir::new().unwrap(), Database::new());
    let source = file(&folder, "source.db");
    filled(&source).await;
    let (proxy, address) = Proxy::before_url(&database.address).await;
    let target = Store::mongo(&address, Access::Beside).await.unwrap();
    let copied = source.copy_to(&target, &schemas(), |_| proxy.reset()).await.unwrap();
    assert_eq!(copied[0].documents, 450);
}

#[tokio::test]
async fn a_copy_can_be_served_from() {
    let (folder, database) = (TempDir::new().unwrap(), Database::new());
    let source = file(&folder, "source.db");
    filled(&source).await;
    copy(&source, &Store::mongo(&database.address, Access::Beside).await.unwrap()).await.unwrap();
    let store = database.open().await;
    store.prepare(&schemas()).await.unwrap();
    let taken = Thing { id: "new".into(), ..things()[0].clone() };
    let duplicate = store.transact(async |tx| tx.insert(&taken).await).await;
    assert_eq!(duplicate, Err(StoreError::Duplicate { index: "things_by_email".into() }));
}

async fn refusal(from: &Store, to: &Store, schemas: &[Schema]) -> String {
    from.copy_to(to, schemas, |_| {}).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_target_that_is_not_empty_is_refused_and_not_changed() {
    let folder = TempDir::new().unwrap();
    let source = file(&folder, "source.db");
    filled(&source).await;
    let (file, database) = (file(&folder, "target.db"), fresh().await);
    file.prepare(&schemas()).await.unwrap();
    for target in [&file, &*database] {
        target.transact(async |tx| tx.insert(&thing("a", "red", 1)).await).await.unwrap();
        let refused = refusal(&source, target, &schemas()).await;
        assert!(refused.contains("not empty"), "{refused}");
        assert_eq!(target.documents(&schemas()).await.unwrap(), 1);
        target.prepare(&schemas()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_copy_leaves_a_target_that_is_refused() {
    let (folder, database) = (TempDir::new().unwrap(), Database::new());
    let source = file(&folder, "source.db");
    filled(&source).await;
    let mongo = Store::mongo(&database.address, Access::Serving).await.unwrap();
    for target in [file(&folder, "target.db"), mongo] {
        let (begun, schemas) = (Arc::new(Notify::new()), schemas());
        let tell = begun.clone();
        tokio::select! {
            _ = source.copy_to(&target, &schemas, |_| tell.notify_one()) => panic!("the copy was not interrupted"),
            () = begun.notified() => {}
        }
        let refused = target.prepare(&schemas).await.unwrap_err().to_string();
        assert!(refused.contains("was not finished"), "{refused}");
        let again = refusal(&source, &target, &schemas).await;
        assert!(again.contains("was not finished"), "{again}");
    }
}

#[tokio::test]
async fn a_source_that_is_served_is_refused() {
    let (serving, folder) = (fresh().await, TempDir::new().unwrap());
    let source = Store::mongo(serving.address(), Access::Beside).await.unwrap();
    let refused = refusal(&source, &file(&folder, "target.db"), &schemas()).await;
    assert!(refused.contains("stop them first"), "{refused}");
}

/// A document of another program.
#[derive(Serialize, Deserialize)]
struct Strange {
    id: String,
}

impl Document for Strange {
    const COLLECTION: &'static str = "strange";
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = Keep::with_store("test data");

    fn id(&self) -> &str {
        &self.id
    }
}

#[tokio::test]
async fn a_source_with_unknown_collections_is_refused() {
    let folder = TempDir::new().unwrap();
    let (source, target) = (file(&folder, "source.db"), file(&folder, "target.db"));
    source.prepare(&[schema::<Strange>()]).await.unwrap();
    let refused = refusal(&source, &target, &schemas()).await;
    assert!(refused.contains("`strange`"), "{refused}");
}

/// The program, in a folder of its own, without this process's environment.
fn program(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_orientation"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .current_dir(folder)
        .output()
        .unwrap()
}

#[tokio::test]
async fn the_command_copies_a_store_and_back() {
    let (folder, database) = (TempDir::new().unwrap(), Database::new());
    let run = |arguments: &[&str], environment: &[(&str, &str)]| {
        let output = program(folder.path(), arguments, environment);
        let told = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (output.status.success(), told)
    };
    let event = concat!(env!("CARGO_MANIFEST_DIR"), "/event.toml");
    let made = run(
        &["admin", "create", "--email", "ana@example.org", "--link"],
        &[("ORIENTATION_DATA", "data"), ("ORIENTATION_EVENT", event)],
    );
    assert!(made.0, "{}", made.1);
    let there = run(&["copy", "--from", "data", "--to", &database.address], &[]);
    assert!(there.0 && there.1.contains("every collection match"), "{}", there.1);
    let raw = database.raw().await.collection::<bson::Document>("accounts");
    let account = raw.find_one(doc! {}).await.unwrap().unwrap();
    assert!(account.get_datetime("createdAt").is_ok(), "{:?}", account.keys().collect::<Vec<_>>());
    let again = run(&["copy", "--from", "data", "--to", &database.address], &[]);
    assert!(!again.0 && again.1.contains("not empty"), "{}", again.1);
    let back = run(&["copy", "--from", &database.address, "--to", "back"], &[]);
    assert!(back.0, "{}", back.1);
    let table = |told: &str| {
        told.lines().filter(|line| line.contains(" accounts")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(table(&there.1), table(&back.1));
    let nothing = run(&["copy", "--from", "nowhere", "--to", "back"], &[]);
    assert!(!nothing.0 && nothing.1.contains("there is no store"), "{}", nothing.1);
    let empty = Database::new();
    let nothing = run(&["copy", "--from", &empty.address, "--to", "elsewhere"], &[]);
    assert!(!nothing.0 && nothing.1.contains("nothing to copy"), "{}", nothing.1);
}
