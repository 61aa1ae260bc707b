//! Jobs on SQLite.

#[path = "contract/mod.rs"]
mod contract;

use std::time::Duration;

use orientation::platform::jobs::queue::{Claim, Room};
use orientation::platform::jobs::{LEASE, Payload};
use orientation::platform::store::{Access, Store, StoreError};
use tempfile::TempDir;
use tokio::sync::Semaphore;

use crate::jobs::bell::{Does, Ring, Tower, ring};

/// An empty store; its folder is kept as long as the second value.
async fn fresh() -> (Store, TempDir) {
    let folder = TempDir::new().unwrap();
    (Store::sqlite(&folder.path().join("test.db"), Access::Serving).unwrap(), folder)
}

#[tokio::test]
async fn a_lease_begins_with_its_own_transaction_however_long_that_waited() {
    let tower = Tower::on(fresh()).await;
    tower.enqueue(&[ring("1", Does::Ring, tower.now())]).await;
    let gate = Semaphore::new(0);
    let before = tower.store.transact(async |_| {
        gate.acquire().await.unwrap().forget();
        Ok::<_, StoreError>(())
    });
    let claim = async {
        let room = vec![Room { kind: Ring::KIND, jobs: 1 }];
        tower.queue().claim(&Claim { room, token: "a".into(), ..Claim::default() }).await.unwrap()
    };
    // Begun in this order: when the gate is opened the claim is waiting in the queue.
    let later = async {
        tower.clock.advance(Duration::from_secs(9));
        gate.add_permits(1);
    };
    let (_, claimed, ()) = tokio::join!(before, claim, later);
    assert_eq!(claimed.jobs[0].lease_until, Some(tower.now().plus(LEASE)));
}
