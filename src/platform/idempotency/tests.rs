use futures_util::future::join_all;

use super::*;
use crate::kernel::faults::without;
use crate::kernel::{Actor, Ids, RandomIds};
use crate::platform::audit::{self, Action, AuditEntry, Subject};
use crate::platform::store::testing::TestStore;

fn now() -> Timestamp {
    Timestamp::from_millis(1_788_246_000_000)
}

async fn store() -> TestStore {
    TestStore::with(&[schemas(), audit::schemas()].concat()).await
}

fn request(key: &str, content: &str) -> Once {
    Once::new("buy", "ana", key, &content)
}

/// A use case whose effect is an audit entry. Returns the id of what was made.
async fn buy(store: &Store, once: &Once) -> Result<String, OnceError> {
    if let Some(made) = store.earlier(once).await? {
        return Ok(made);
    }
    let made = RandomIds.next();
    let done: Result<(), StoreError> = store
        .transact(async |tx| {
            tx.once(once, &made, now()).await?;
            let subject = Subject::of::<AuditEntry>(&made);
            tx.audit(&Actor::Operator, Action::new("test.done"), subject, &[], now()).await
        })
        .await;
    match done {
        Err(StoreError::Duplicate { .. }) => Ok(store.earlier(once).await?.expect("it was made")),
        done => Ok(done.map(|()| made)?),
    }
}

async fn effects(store: &Store) -> u64 {
    store.count::<AuditEntry>(Filter::All).await.unwrap()
}

async fn twenty_at_once(store: &Store) -> Vec<String> {
    let once = request("k", "one ticket");
    let answers = join_all((0..20).map(|_| buy(store, &once))).await;
    answers.into_iter().map(Result::unwrap).collect()
}

#[tokio::test]
async fn twenty_at_once_under_one_key_take_effect_once_and_get_one_answer() {
    let store = store().await;
    let answers = twenty_at_once(&store).await;
    assert_eq!(effects(&store).await, 1);
    assert!(answers.iter().all(|answer| *answer == answers[0]));
}

#[tokio::test]
async fn without_the_guard_each_takes_effect() {
    let store = store().await;
    without("idempotency.once", twenty_at_once(&store)).await;
    assert_eq!(effects(&store).await, 20);
}

#[tokio::test]
async fn another_request_under_the_key_is_refused() {
    let store = store().await;
    let made = buy(&store, &request("k", "one ticket")).await.unwrap();
    assert_eq!(buy(&store, &request("k", "two tickets")).await, Err(OnceError::KeyReused));
    assert_eq!(buy(&store, &request("k", "one ticket")).await, Ok(made));
    assert_eq!(effects(&store).await, 1);
}

#[tokio::test]
async fn keys_of_other_operations_and_accounts_are_other_keys() {
    let store = store().await;
    for once in [
        Once::new("buy", "ana", "k", &1),
        Once::new("sell", "ana", "k", &1),
        Once::new("buy", "bo", "k", &1),
        Once::new("buy", "anak", "", &1),
    ] {
        buy(&store, &once).await.unwrap();
    }
    assert_eq!(effects(&store).await, 4);
}

#[tokio::test]
async fn a_request_that_was_refused_leaves_its_key_free() {
    let store = store().await;
    let once = request("k", "one ticket");
    let refused: Result<(), StoreError> = store
        .transact(async |tx| {
            tx.once(&once, "nothing", now()).await?;
            Err(StoreError::TxAborted)
        })
        .await;
    assert!(refused.is_err());
    assert_eq!(store.earlier(&once).await, Ok(None));
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day() {
    let store = store().await;
    let once = request("k", "one ticket");
    buy(&store, &once).await.unwrap();
    assert_eq!(old_keys().run(&store, now().plus(KEPT)).await, Ok(0));
    let later = now().plus(KEPT + Duration::from_secs(1));
    assert_eq!(old_keys().run(&store, later).await, Ok(1));
    assert_eq!(store.earlier(&once).await, Ok(None));
}
