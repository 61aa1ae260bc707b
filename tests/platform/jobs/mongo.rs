//! Jobs on MongoDB.

#[path = "contract/mod.rs"]
mod contract;

use std::time::Duration;

use orientation::platform::jobs::queue::{Claim, Outcome, Room, Settlement};
use orientation::platform::jobs::{JobState, Payload};
use orientation::platform::store::{Access, Store};

use crate::doubles::proxy::{Proxy, Weather};
use crate::jobs::bell::{Does, Ring, Tower, ring, ring_bell};
use crate::store::mongo::Database;

/// An empty store; its database is kept as long as the second value.
async fn fresh() -> (Store, Database) {
    let database = Database::new();
    (database.open().await, database)
}

/// A tower whose store is behind this network.
async fn behind_a_network() -> (Tower, Proxy) {
    let database = Database::new();
    let (network, address) = Proxy::before_url(&database.address).await;
    let through = async { (Store::mongo(&address, Access::Serving).await.unwrap(), database) };
    (Tower::on(through).await, network)
}

/// So slow that one call per job would take longer than a transaction may.
const FAR: Weather = Weather::Slow(Duration::from_millis(120));

#[tokio::test(flavor = "multi_thread")]
async fn workers_with_a_slow_connection_do_their_jobs() {
    let (mut tower, network) = behind_a_network().await;
    let jobs: Vec<_> = (0..24).map(|n| ring(&n.to_string(), Does::Ring, tower.now())).collect();
    tower.enqueue(&jobs).await;
    network.turns(FAR);
    let running = tower.workers();
    for _ in &jobs {
        assert_eq!(tower.heard().await.attempt, 1);
    }
    running.drain(Duration::from_secs(5)).await;
    assert_eq!(tower.count(JobState::Done).await, 24);
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_with_a_slow_connection_record_failures() {
    let (tower, network) = behind_a_network().await;
    let now = tower.now();
    let jobs: Vec<_> = (0..24).map(|n| ring_bell(&n.to_string(), &n.to_string(), Does::Fail, now)).collect();
    tower.enqueue(&jobs).await;
    let queue = tower.queue();
    let room = vec![Room { kind: Ring::KIND, jobs: 24 }];
    let claimed = queue.claim(&Claim { room, token: "a".into(), ..Claim::default() }).await.unwrap();
    network.turns(FAR);
    let failed = |job_id| Settlement {
        job_id,
        token: "a".into(),
        outcome: Outcome::Failed { error: "broken".into(), limit: 3, retry_at: now },
    };
    let ended: Vec<_> = claimed.jobs.into_iter().map(|job| failed(job.id)).collect();
    let settled = queue.settle(&ended).await.unwrap();
    assert_eq!(settled.iter().flatten().filter(|job| job.state == JobState::Waiting).count(), 24);
}
