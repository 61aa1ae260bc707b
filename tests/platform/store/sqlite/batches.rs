//! Group commit: which transactions share a commit, and what happens to the others when one of them fails.

use std::time::Duration;

use orientation::platform::store::{Store, StoreError};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use super::{Fresh, fresh};
use crate::store::things::{Places, Refused, Thing, thing};

/// Inserts a thing; number 13 is refused after its write.
async fn insert(store: &Store, n: i64) -> Result<(), Refused> {
    store
        .transact(async |tx| {
            tx.insert(&thing(&n.to_string(), "red", n)).await?;
            if n == 13 { Err(Refused::Full) } else { Ok(()) }
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_transactions_share_sixteen_commits_or_fewer_and_one_refusal_affects_no_other() {
    let store = fresh().await;
    let before = store.stats();
    let mut rush = JoinSet::new();
    for n in 0..64 {
        let store = Store::clone(&store);
        rush.spawn(async move { insert(&store, n).await });
    }
    let refused: Vec<_> = rush.join_all().await.into_iter().filter_map(Result::err).collect();
    assert_eq!(refused, [Refused::Full]);
    let after = store.stats();
    let commits = after.commits - before.commits;
    assert!((1..=16).contains(&commits), "{commits} commits");
    assert_eq!((after.rollbacks - before.rollbacks, after.queue), (1, 0));
    for n in 0..64 {
        assert_eq!(store.get::<Thing>(&n.to_string()).await.unwrap().is_some(), n != 13);
    }
}

#[cfg(feature = "faults")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_group_commit_sixty_four_transactions_need_sixty_four_commits() {
    use orientation::kernel::faults::without;
    let store = fresh().await;
    let before = store.stats().commits;
    let mut rush = JoinSet::new();
    for n in 100..164 {
        let store = Store::clone(&store);
        rush.spawn(without("store-group-commit", async move { insert(&store, n).await }));
    }
    assert!(rush.join_all().await.iter().all(Result::is_ok));
    assert_eq!(store.stats().commits - before, 64);
}

/// A store whose writer is taken until `release` is sent: transactions that begin meanwhile queue, and share a batch
/// with the holder.
async fn held() -> (Fresh, oneshot::Sender<()>, JoinHandle<Result<(), StoreError>>) {
    let store = fresh().await;
    let (release, released) = oneshot::channel();
    let released = std::sync::Mutex::new(Some(released));
    let holder = tokio::spawn({
        let store = Store::clone(&store);
        async move {
            store
                .transact(async |tx| {
                    let released = released.lock().unwrap().take().expect("runs once");
                    tx.insert(&Places::new(0)).await?;
                    let _ = released.await;
                    Ok(())
                })
                .await
        }
    });
    until_queued(&store, 0).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    (store, release, holder)
}

/// Waits until this many transactions are queued.
async fn until_queued(store: &Store, number: u64) {
    while store.stats().queue != number {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn transactions_queued_before_the_committer_share_its_commit() {
    let (store, release, holder) = held().await;
    let before = store.stats().commits;
    let mut rush = JoinSet::new();
    for n in 0..32 {
        let store = Store::clone(&store);
        rush.spawn(async move { insert(&store, n).await });
    }
    until_queued(&store, 32).await;
    release.send(()).unwrap();
    holder.await.unwrap().unwrap();
    rush.join_all().await;
    assert_eq!(store.stats().commits - before, 1);
    assert_eq!(store.stats().transactions, 33, "the refusal waited for the commit as well");
}

#[tokio::test]
async fn a_caller_that_hangs_up_affects_no_other_transaction() {
    let (store, release, holder) = held().await;
    let quitter = tokio::spawn({
        let store = Store::clone(&store);
        async move {
            store
                .transact(async |tx| {
                    tx.insert(&thing("quitter", "red", 1)).await?;
                    std::future::pending::<Result<(), StoreError>>().await
                })
                .await
        }
    });
    until_queued(&store, 1).await;
    release.send(()).unwrap();
    until_queued(&store, 0).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    quitter.abort();
    holder.await.unwrap().unwrap();
    assert!(store.get::<Places>("places").await.unwrap().is_some());
    assert!(store.get::<Thing>("quitter").await.unwrap().is_none());
}

#[cfg(feature = "faults")]
#[tokio::test]
async fn a_full_disk_fails_the_whole_batch_including_refusals_based_on_it() {
    use orientation::kernel::faults::without;
    let (store, release, holder) = held().await;
    let sharing = tokio::spawn({
        let store = Store::clone(&store);
        async move { insert(&store, 1).await }
    });
    until_queued(&store, 1).await;
    // Sees the holder's places, which are not on the disk yet, and is refused because of them.
    let refused = tokio::spawn({
        let store = Store::clone(&store);
        async move {
            store
                .transact(async |tx| {
                    let mut places: Places = tx.get("places").await?.expect("written before it");
                    places.take_one()
                })
                .await
        }
    });
    until_queued(&store, 2).await;
    let too_much = tokio::spawn(without("store-disk-space", {
        let store = Store::clone(&store);
        async move {
            // Into a table without triggers: SQLite undoes a statement that runs triggers alone.
            let huge = Places { id: "x".repeat(1_000_000), ..Places::new(1) };
            store.transact(async |tx| tx.insert(&huge).await).await
        }
    }));
    until_queued(&store, 3).await;
    release.send(()).unwrap();
    for outcome in [holder.await.unwrap(), too_much.await.unwrap()] {
        assert!(matches!(&outcome, Err(StoreError::Failed(why)) if why.contains("full")), "{outcome:?}");
    }
    for outcome in [sharing.await.unwrap(), refused.await.unwrap()] {
        assert!(matches!(outcome, Err(Refused::Store(StoreError::Failed(_)))), "{outcome:?}");
    }
    assert!(store.get::<Places>("places").await.unwrap().is_none());
    insert(&store, 2).await.unwrap();
    assert!(store.get::<Thing>("2").await.unwrap().is_some(), "the store continues");
}

#[cfg(feature = "faults")]
#[tokio::test]
async fn a_failed_commit_fails_the_whole_batch() {
    use orientation::kernel::faults::without;
    let (store, release, holder) = held().await;
    let last = tokio::spawn(without("store-commit", {
        let store = Store::clone(&store);
        async move { insert(&store, 1).await }
    }));
    until_queued(&store, 1).await;
    release.send(()).unwrap();
    assert!(matches!(holder.await.unwrap(), Err(StoreError::Failed(_))));
    assert!(matches!(last.await.unwrap(), Err(Refused::Store(StoreError::Failed(_)))));
    insert(&store, 2).await.unwrap();
    assert!(store.get::<Places>("places").await.unwrap().is_none());
    assert!(store.get::<Thing>("1").await.unwrap().is_none());
}
