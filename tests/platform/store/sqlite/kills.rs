//! Acknowledged writes survive `kill -9`.
//!
//! The test starts this same binary as a child process with [`writes_until_it_is_killed`], in a folder of its own, and
//! reads from its output which writes were acknowledged.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use orientation::kernel::{Ids, RandomIds};
use orientation::platform::store::{Access, Store};

use crate::store::things::{Thing, schemas, thing};
use tempfile::TempDir;

/// The child writes this before the id of each acknowledged write.
const ACKNOWLEDGED: &str = "acknowledged ";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the other side of the tests below"]
async fn writes_until_it_is_killed() {
    let store = Store::sqlite(Path::new("test.db"), Access::Serving).unwrap();
    store.prepare(&schemas()).await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        writers.spawn(write_without_end(store.clone()));
    }
    writers.join_all().await;
}

/// The environment turns guards off in this process.
async fn write_without_end(store: Store) {
    loop {
        let written = thing(&RandomIds.next(), "red", 1);
        store.transact(async |tx| tx.insert(&written).await).await.unwrap();
        println!("{ACKNOWLEDGED}{}", written.id);
    }
}

/// Kills the writing process `rounds` times; returns how many writes were acknowledged, and how many of them are lost.
async fn killed(rounds: usize, faults: &str) -> (usize, usize) {
    let folder = TempDir::new().unwrap();
    let mut acknowledged = vec![];
    for round in 0..rounds {
        acknowledged.extend(one_life(folder.path(), faults, 300 + 170 * round));
    }
    let store = Store::sqlite(&folder.path().join("test.db"), Access::Serving).unwrap();
    let mut lost = 0;
    for id in &acknowledged {
        lost += usize::from(store.get::<Thing>(id).await.unwrap().is_none());
    }
    (acknowledged.len(), lost)
}

/// Starts the writing process, kills it after this many acknowledgements, and returns all acknowledged ids.
fn one_life(folder: &Path, faults: &str, acknowledgements: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", "store::sqlite::kills::writes_until_it_is_killed"])
        .env("ORIENTATION_FAULTS", faults)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut ids = vec![];
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    // Complete lines only: the last one may be truncated.
    for line in lines {
        ids.extend(line.strip_prefix(ACKNOWLEDGED).filter(|id| id.len() == 36).map(str::to_owned));
        if ids.len() == acknowledgements {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    ids
}

#[tokio::test]
async fn acknowledged_writes_survive_kill_9() {
    let (acknowledged, lost) = killed(5, "").await;
    assert!(acknowledged > 1_500, "only {acknowledged} were acknowledged");
    assert_eq!(lost, 0, "of {acknowledged}");
}

#[cfg(feature = "faults")]
#[tokio::test]
async fn writes_acknowledged_before_the_commit_are_lost() {
    let mut lost = 0;
    for _ in 0..10 {
        lost += killed(2, "off:store-acknowledge-late").await.1;
        if lost > 0 {
            return;
        }
    }
    panic!("the guard was off and nothing was lost: the test above proves nothing");
}
