//! The data on the server.

use std::time::Duration;

use orientation::platform::signals::{Limit, Remaining, Signals, TooMany};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use tokio::task::JoinSet;

use super::server::Server;
use super::{prefix, process, settled};
use crate::signals::{THREE_A_MINUTE, soon};

#[tokio::test]
async fn stored_limits_name_nobody_and_expire_when_the_quota_is_full_again() {
    let server = Server::started(&[]).await;
    let signals = process(&server.url(), "orientation:faculty:", 1.0).await;
    signals.take(THREE_A_MINUTE, "ana@example.org").await.unwrap();
    signals.take(THREE_A_MINUTE, "192.0.2.7").await.unwrap();
    let mut client = server.client().await;
    let keys: Vec<String> = client.keys("*").await.unwrap();
    for key in &keys {
        assert!(key.starts_with("orientation:faculty:limit:"), "{key}");
        assert!(!key.contains("ana") && !key.contains("192"), "{key}");
    }
    let keys: Vec<String> = client.keys("*:three:*").await.unwrap();
    assert_eq!(keys.len(), 2, "{keys:?}");
    for key in &keys {
        let (left, kept): (i64, String) = (client.pttl(key).await.unwrap(), client.get(key).await.unwrap());
        assert!((0..=20_000).contains(&left), "{key}: {left} ms");
        assert!(kept.len() == 16 && kept.bytes().all(|digit| digit.is_ascii_digit()), "{key}: {kept}");
    }
    let short = Limit { name: "short", quota: 5, window: Duration::from_millis(500) };
    signals.take(short, "ana@example.org").await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let short: Vec<String> = client.keys("*:short:*").await.unwrap();
    assert_eq!(short, Vec::<String>::new());
}

#[tokio::test]
async fn messages_of_others_on_the_channel_are_ignored() {
    let (server, prefix) = (Server::started(&[]).await, prefix());
    let (one, other) =
        (process(&server.url(), &prefix, 1.0).await, process(&server.url(), &prefix, 1.0).await);
    settled(&*one, &*other).await;
    let mut feed = one.subscribe("board");
    let mut client = server.client().await;
    for text in ["", "{", "null", r#"{"from":1}"#, r#"{"from":1,"says":{"dance":"board"}}"#, "\u{0}\u{ff}"] {
        let _: () = client.publish(format!("{prefix}signals"), text).await.unwrap();
    }
    let _: () = client.publish("orientation:other:signals", r#"{"from":1,"says":"gap"}"#).await.unwrap();
    other.publish("board", "first");
    assert_eq!(soon(feed.next()).await, orientation::platform::signals::News::Payload("first".into()));
}

/// Reads how much has been taken, and writes one more: two steps.
async fn take_in_two_steps(client: &mut MultiplexedConnection) -> bool {
    let taken: u32 = client.get::<_, Option<u32>>("taken").await.unwrap().unwrap_or(0);
    if taken < 50 {
        let _: () = client.set("taken", taken + 1).await.unwrap();
    }
    taken < 50
}

/// The race that the script prevents is real: the same requests, in two steps, get more than the quota.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_the_script_simultaneous_requests_get_more_than_the_quota() {
    let server = Server::started(&[]).await;
    let clients = [server.client().await, server.client().await];
    let mut crowd = JoinSet::new();
    for n in 0..16 {
        let mut client = clients[n % 2].clone();
        crowd.spawn(async move {
            let mut granted = 0;
            for _ in 0..25 {
                granted += u32::from(take_in_two_steps(&mut client).await);
            }
            granted
        });
    }
    let granted = crowd.join_all().await.iter().sum::<u32>();
    assert!(granted > 50, "{granted}");
}

#[tokio::test]
async fn a_lowered_quota_or_a_clock_set_back_blocks_nobody_for_long() {
    let server = Server::started(&[]).await;
    let signals = process(&server.url(), &prefix(), 1.0).await;
    signals.take(THREE_A_MINUTE, "ana").await.unwrap();
    let mut client = server.client().await;
    let keys: Vec<String> = client.keys("*:three:*").await.unwrap();
    let _: () = client.set(&keys[0], "9000000000000000").await.unwrap();
    let Err(TooMany { retry_after }) = signals.take(THREE_A_MINUTE, "ana").await else {
        panic!("the quota is spent");
    };
    assert!(retry_after <= Duration::from_secs(20), "{retry_after:?}");
    let _: () = client.set(&keys[0], "no number").await.unwrap();
    assert_eq!(signals.take(THREE_A_MINUTE, "ana").await, Ok(Remaining(2)));
}
