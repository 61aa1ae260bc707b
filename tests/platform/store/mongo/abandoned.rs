//! Abandoned transactions and their locks.

use std::time::{Duration, Instant};

use bson::doc;
use mongodb::ClientSession;
use orientation::platform::store::{Access, Document, Store, StoreError};

use super::{Fresh, fresh};
use crate::doubles::proxy::{Proxy, Weather};
use crate::store::things::{Thing, thing};

/// Writes the thing `a`.
async fn write(store: &Store, rank: i64) -> Result<(), StoreError> {
    store.transact(async |tx| tx.put(&thing("a", "red", rank)).await).await
}

/// A transaction that has written the thing `a`, and whose process is as good as dead: its connections are closed, and
/// the server is unreachable.
struct LeftOpen {
    session: ClientSession,
    _network: Proxy,
}

impl LeftOpen {
    async fn at(store: &Fresh) -> Self {
        let (network, address) = Proxy::before_url(store.address()).await;
        let client = mongodb::Client::with_uri_str(&address).await.unwrap();
        let mut session = client.start_session().await.unwrap();
        session.start_transaction().await.unwrap();
        let things = client.default_database().unwrap().collection::<bson::Document>(Thing::COLLECTION);
        let change = things.update_one(doc! { "_id": "a" }, doc! { "$set": { "rank": 2 } });
        assert_eq!(change.session(&mut session).await.unwrap().matched_count, 1);
        network.turns(Weather::Cut);
        Self { session, _network: network }
    }

    /// Ends it after all.
    async fn end(self, store: &Fresh) {
        let admin = store.database.raw().await.client().database("admin");
        admin.run_command(doc! { "killSessions": [self.session.id()] }).await.unwrap();
    }
}

#[tokio::test]
async fn locks_of_a_dead_process_are_released_within_seconds() {
    let store = fresh().await;
    write(&store, 1).await.unwrap();
    let left = LeftOpen::at(&store).await;
    let processes = store.database.raw().await.collection::<bson::Document>("_processes");
    let dead = doc! { "_id": "dead", "beats": 7, "sessions": [left.session.id().clone()] };
    processes.insert_one(dead).await.unwrap();
    let begun = Instant::now();
    assert_eq!(write(&store, 3).await, Ok(()), "after {:?}", begun.elapsed());
    assert_eq!(processes.count_documents(doc! { "_id": "dead" }).await.unwrap(), 0);
}

#[tokio::test]
async fn without_the_sessions_in_the_heartbeat_locks_remain() {
    let store = fresh().await;
    write(&store, 1).await.unwrap();
    let left = LeftOpen::at(&store).await;
    let written = write(&store, 3).await;
    left.end(&store).await;
    assert!(matches!(written, Err(StoreError::Busy | StoreError::TooSlow)), "{written:?}");
}

#[tokio::test]
async fn locks_of_a_transaction_that_lost_the_network_are_released_when_it_returns() {
    let store = fresh().await;
    write(&store, 1).await.unwrap();
    let (network, address) = Proxy::before_url(store.address()).await;
    let cut_off = Store::mongo(&address, Access::Beside).await.unwrap();
    let failed: Result<(), StoreError> = cut_off
        .transact(async |tx| {
            tx.put(&thing("a", "red", 2)).await?;
            network.turns(Weather::Cut);
            tx.put(&thing("b", "red", 2)).await
        })
        .await;
    assert!(matches!(failed, Err(StoreError::Failed(_) | StoreError::TooSlow)), "{failed:?}");
    network.turns(Weather::Fair);
    let begun = Instant::now();
    assert_eq!(write(&store, 3).await, Ok(()));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
