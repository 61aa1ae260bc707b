//! Jobs on MongoDB.

#[path = "contract/mod.rs"]
mod contract;

use std::time::Duration;

use orientation::platform::jobs::JobState;
use orientation::platform::store::{Access, Store};

use crate::doubles::proxy::{Proxy, Weather};
use crate::jobs::bell::{Does, Tower, ring};
use crate::store::mongo::Database;

/// An empty store; its database lives as long as the second part.
async fn fresh() -> (Store, Database) {
    let database = Database::new();
    (database.open().await, database)
}

/// Two calls for each of a turn's jobs would take longer than a transaction may.
#[tokio::test(flavor = "multi_thread")]
async fn workers_that_are_far_from_the_store_get_their_jobs_done() {
    let database = Database::new();
    let (network, address) = Proxy::before_url(&database.address).await;
    let through = async { (Store::mongo(&address, Access::Serving).await.unwrap(), database) };
    let mut tower = Tower::on(through).await;
    let jobs: Vec<_> = (0..24).map(|n| ring(&n.to_string(), Does::Ring, tower.now())).collect();
    tower.enqueue(&jobs).await;
    network.turns(Weather::Slow(Duration::from_millis(120)));
    let running = tower.workers();
    for _ in &jobs {
        assert_eq!(tower.heard().await.attempt, 1);
    }
    running.drain(Duration::from_secs(5)).await;
    assert_eq!(tower.count(JobState::Done).await, 24);
}
