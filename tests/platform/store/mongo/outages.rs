//! Servers that are unreachable, silent, or of the wrong kind: errors occur soon and say what to do.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use orientation::platform::store::{Access, Filter, Store, StoreError};

use super::{Database, fresh};
use crate::doubles::proxy::{Proxy, Weather};
use crate::store::things::{Thing, schemas, thing};

/// Why a store can't be opened, and how long the refusal took.
async fn refused(address: &str) -> (String, Duration) {
    let begun = Instant::now();
    let refused = Store::mongo(address, Access::Serving).await.err().expect("it can't be used");
    assert!(matches!(refused, StoreError::Unusable(_)), "{refused:?}");
    (refused.to_string(), begun.elapsed())
}

#[tokio::test]
async fn an_unreachable_server_is_reported_soon_and_without_the_password() {
    let (refused, took) = refused("mongodb://ana:s3cret@127.0.0.1:9/orientation").await;
    assert!(refused.contains("127.0.0.1:9") && !refused.contains("s3cret"), "{refused}");
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[tokio::test]
async fn a_silent_server_is_reported_soon() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (refused, took) = refused(&format!("mongodb://{}/", listener.local_addr().unwrap())).await;
    assert!(refused.contains("127.0.0.1"), "{refused}");
    assert!(took < Duration::from_secs(12), "{took:?}");
}

/// A standalone server; ends with the test.
struct Alone {
    server: Child,
    address: String,
    _data: tempfile::TempDir,
}

impl Drop for Alone {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Alone {
    async fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let data = tempfile::TempDir::new().unwrap();
        let (program, mongod) = program();
        let mut command = Command::new(program);
        let folder = data.path().to_str().unwrap();
        match mongod {
            true => command.args(["--bind_ip", "127.0.0.1", "--port", &port.to_string(), "--dbpath", folder]),
            false => command.args([
                "--host",
                "127.0.0.1",
                "--port",
                &port.to_string(),
                "--storage-path",
                folder,
                "--standalone",
            ]),
        };
        let server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let alone = Self {
            server,
            address: format!("mongodb://127.0.0.1:{port}/?directConnection=true"),
            _data: data,
        };
        let give_up = Instant::now() + Duration::from_secs(20);
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(Instant::now() < give_up, "the server did not come up");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        alone
    }
}

/// A `mongod` if there is one, otherwise the server that scripts/servers builds; whether it is a `mongod`.
#[expect(clippy::disallowed_methods, reason = "the environment says where programs are")]
fn program() -> (PathBuf, bool) {
    let path = std::env::var("PATH").unwrap_or_default();
    let in_path =
        |name| std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    if let Some(mongod) = in_path("mongod") {
        return (mongod, true);
    }
    let home = std::env::var("HOME").unwrap_or_default();
    let cache = std::env::var("XDG_CACHE_HOME").unwrap_or_else(|_| format!("{home}/.cache"));
    let built = std::fs::read_dir(format!("{cache}/orientation/servers")).into_iter().flatten().flatten();
    let built = built.map(|entry| entry.path().join("bin/secantusd-rs")).find(|file| file.is_file());
    let found = in_path("secantusd-rs").or(built);
    (found.expect("neither mongod nor secantusd-rs found: ./scripts/servers builds the latter"), false)
}

#[tokio::test]
async fn a_standalone_server_is_refused_with_instructions() {
    let alone = Alone::start().await;
    let (refused, _) = refused(&alone.address).await;
    assert!(refused.contains("standalone") && refused.contains("--replSet"), "{refused}");
}

/// A prepared store behind a network that the test can disturb.
async fn behind() -> (Store, Proxy, Database) {
    let database = Database::new();
    let (proxy, address) = Proxy::before_url(&database.address).await;
    let store = Store::mongo(&address, Access::Serving).await.unwrap();
    store.prepare(&schemas()).await.unwrap();
    store.transact(async |tx| tx.insert(&thing("a", "red", 1)).await).await.unwrap();
    (store, proxy, database)
}

/// Retries until it succeeds, and returns how long that took.
async fn until_it_works(store: &Store) -> Duration {
    let begun = Instant::now();
    loop {
        let written = store.transact(async |tx| tx.put(&thing("b", "red", 1)).await).await;
        if written.is_ok() && store.get::<Thing>("a").await.is_ok_and(|found| found.is_some()) {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "it does not recover: {written:?}");
    }
}

/// Every verb fails during an outage, each within the limit.
async fn fails_soon(store: &Store, limit: Duration) {
    let begun = Instant::now();
    let write = async {
        let outcome = store.transact(async |tx| tx.put(&thing("c", "red", 1)).await).await;
        (outcome.map(drop), begun.elapsed())
    };
    let insert = async { (store.insert(&thing("d", "red", 1)).await, begun.elapsed()) };
    let read = async { (store.get::<Thing>("a").await.map(drop), begun.elapsed()) };
    let count = async { (store.count::<Thing>(Filter::All).await.map(drop), begun.elapsed()) };
    let (write, insert, read, count) = tokio::join!(write, insert, read, count);
    for (outcome, took) in [write, insert, read, count] {
        assert!(
            matches!(outcome, Err(StoreError::Failed(_) | StoreError::Busy | StoreError::TooSlow)),
            "{outcome:?}"
        );
        assert!(took < limit, "{took:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_insert_whose_answer_is_lost_succeeds_once() {
    let (store, proxy, database) = behind().await;
    let beside = database.open().await;
    proxy.turns(Weather::Slow(Duration::from_millis(1500)));
    let inserting = tokio::spawn(async move { store.insert(&thing("late", "red", 1)).await });
    while beside.get::<Thing>("late").await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Its answer needs another second and a half.
    assert!(!inserting.is_finished());
    proxy.turns(Weather::Fair);
    proxy.reset();
    inserting.await.unwrap().unwrap();
    assert_eq!(beside.count::<Thing>(Filter::eq("id", "late")).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_connections_are_replaced_without_an_error() {
    let (store, proxy, _database) = behind().await;
    for n in 0..3 {
        proxy.reset();
        assert!(store.get::<Thing>("a").await.unwrap().is_some());
        proxy.reset();
        store.insert(&thing(&format!("single {n}"), "red", 1)).await.unwrap();
        proxy.reset();
        store.transact(async |tx| tx.put(&thing("b", "red", 1)).await).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_cut_off_fails_soon_and_recovers() {
    let (store, proxy, _database) = behind().await;
    proxy.turns(Weather::Cut);
    fails_soon(&store, Duration::from_secs(20)).await;
    proxy.turns(Weather::Fair);
    let took = until_it_works(&store).await;
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_becomes_silent_fails_soon_and_recovers() {
    let (store, proxy, _database) = behind().await;
    proxy.turns(Weather::Silent);
    fails_soon(&store, Duration::from_secs(20)).await;
    proxy.turns(Weather::Fair);
    let took = until_it_works(&store).await;
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_queues_for_long_while_the_server_is_unreachable() {
    let (store, proxy, _database) = behind().await;
    proxy.turns(Weather::Cut);
    let begun = Instant::now();
    let mut line = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let store = store.clone();
        line.spawn(async move {
            store.transact_at(&["places"], async |tx| tx.put(&thing("c", "red", 1)).await).await
        });
    }
    assert!(line.join_all().await.iter().all(Result::is_err));
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn failure_messages_do_not_quote_documents() {
    let store = fresh().await;
    let huge = Thing { tags: vec!["private".repeat(3_000_000)], ..thing("a", "red", 1) };
    let failed = store.transact(async |tx| tx.insert(&huge).await).await.unwrap_err().to_string();
    assert!(!failed.contains("private"), "{}", &failed[..200.min(failed.len())]);
}
