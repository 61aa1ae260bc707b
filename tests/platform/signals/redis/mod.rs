//! Signals by Redis.

#[path = "../contract.rs"]
mod contract;

mod address;
mod kept;
mod outages;
mod server;

use std::sync::Arc;
use std::time::Duration;

use orientation::kernel::{Ids, RandomIds, Secret};
use orientation::platform::signals::{News, Redis, Signals, SignalsState};

use crate::servers;
use crate::signals::{soon, until};

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

/// A unique prefix for the names of one test.
fn prefix() -> String {
    format!("orientation:test-{}:", RandomIds.next())
}

/// The signals of one process.
async fn process(url: &str, prefix: &str, factor: f64) -> Arc<Redis> {
    Arc::new(Redis::connect(&secret(url), prefix, factor, secret("pepper")).await.unwrap())
}

async fn connected(signals: &Redis) {
    until("it should be connected", || signals.state() == SignalsState::Connected).await;
}

/// Waits until both have sent the messages of their start.
async fn settled(one: &dyn Signals, other: &dyn Signals) {
    for (from, to) in [(one, other), (other, one)] {
        let mut feed = to.subscribe("settled");
        let settled = async { while feed.next().await == News::Gap {} };
        let telling = async {
            loop {
                from.publish("settled", "");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        soon(async {
            tokio::select! { () = settled => {}, () = telling => {} }
        })
        .await;
    }
}

async fn fresh(factor: f64) -> [Arc<dyn Signals>; 2] {
    let prefix = prefix();
    let one = process(&servers::redis(), &prefix, factor).await;
    let other = process(&servers::redis(), &prefix, factor).await;
    assert_eq!([one.state(), other.state()], [SignalsState::Connected; 2]);
    settled(&*one, &*other).await;
    [one, other]
}
