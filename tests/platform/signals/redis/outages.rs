//! A server that is lost at any moment.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use orientation::platform::signals::{Feed, Limit, News, Redis, Remaining, Signals, SignalsState};
use tokio::task::JoinSet;
use tracing_subscriber::fmt::MakeWriter;

use super::server::Server;
use super::{connected, prefix, process, settled};
use crate::signals::{THREE_A_MINUTE, soon, until};

const MANY: Limit = Limit { name: "many", quota: 1_000_000, window: Duration::from_secs(60) };

/// Time limit for one take while the server is lost: the deadline, plus delays of a busy machine.
const ONE_TAKE: Duration = Duration::from_millis(250 + 250);

fn is_unreachable(signals: &Redis) -> bool {
    matches!(signals.state(), SignalsState::Unreachable { .. })
}

/// Takes as fast as possible until stopped; returns the slowest take and the number of takes.
fn taking(signals: Arc<Redis>, stop: tokio_util::sync::CancellationToken) -> JoinSet<(Duration, u32)> {
    let mut crowd = JoinSet::new();
    for n in 0..16 {
        let (signals, stop, key) = (signals.clone(), stop.clone(), n.to_string());
        crowd.spawn(async move {
            let (mut slowest, mut takes) = (Duration::ZERO, 0);
            while !stop.is_cancelled() {
                let began = Instant::now();
                assert!(signals.take(MANY, &key).await.is_ok());
                slowest = slowest.max(began.elapsed());
                takes += 1;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            (slowest, takes)
        });
    }
    crowd
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_continue_through_kills_and_everything_recovers() {
    let (mut server, prefix) = (Server::started(&[]).await, prefix());
    let (one, other) =
        (process(&server.url(), &prefix, 1.0).await, process(&server.url(), &prefix, 1.0).await);
    settled(&*one, &*other).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let crowd = taking(one.clone(), stop.clone());
    for _ in 0..3 {
        server.kill();
        until("both should know", || is_unreachable(&one) && is_unreachable(&other)).await;
        let (mut listener, mut feed) = (one.listen("jobs"), one.subscribe("board"));
        one.wake("jobs");
        soon(listener.woken()).await;
        one.publish("board", "here");
        assert_eq!(soon(feed.next()).await, News::Payload("here".into()));
        server.start().await;
        let began = Instant::now();
        connected(&one).await;
        connected(&other).await;
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        settled(&*one, &*other).await;
        soon(until_woken_by(&*other, "jobs", &*one)).await;
    }
    stop.cancel();
    for (slowest, takes) in crowd.join_all().await {
        assert!(slowest < ONE_TAKE && takes > 50, "{takes} takes, the slowest {slowest:?}");
    }
}

async fn until_woken_by(waker: &dyn Signals, topic: &'static str, sleeper: &dyn Signals) {
    let mut listener = sleeper.listen(topic);
    waker.wake(topic);
    listener.woken().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_server_costs_the_deadline_once() {
    let server = Server::started(&[]).await;
    let signals = process(&server.url(), &prefix(), 1.0).await;
    for _ in 0..2 {
        connected(&signals).await;
        server.hang();
        let mut crowd = JoinSet::new();
        let began = Instant::now();
        for n in 0..500 {
            let signals = signals.clone();
            crowd.spawn(async move { signals.take(MANY, &n.to_string()).await });
        }
        crowd.join_all().await;
        assert!(began.elapsed() < ONE_TAKE, "{:?}", began.elapsed());
        assert!(is_unreachable(&signals));
        let began = Instant::now();
        for n in 0..1000 {
            signals.take(MANY, &n.to_string()).await.unwrap();
        }
        assert!(began.elapsed() < ONE_TAKE, "{:?}", began.elapsed());
        server.go_on();
        connected(&signals).await;
    }
}

#[tokio::test]
async fn a_hanging_server_is_noticed_without_requests() {
    let server = Server::started(&[]).await;
    let signals = process(&server.url(), &prefix(), 1.0).await;
    server.hang();
    until("it should be noticed", || is_unreachable(&signals)).await;
    let SignalsState::Unreachable { lasting } = signals.state() else { panic!() };
    assert!(lasting < Duration::from_secs(1));
    server.go_on();
    connected(&signals).await;
}

#[tokio::test]
async fn each_process_limits_alone_while_the_server_is_unreachable_and_then_all_together() {
    let (mut server, prefix) = (Server::started(&[]).await, prefix());
    let (one, other) =
        (process(&server.url(), &prefix, 1.0).await, process(&server.url(), &prefix, 1.0).await);
    server.kill();
    until("both should know", || is_unreachable(&one) && is_unreachable(&other)).await;
    for signals in [&one, &other] {
        for remaining in [2, 1, 0] {
            assert_eq!(signals.take(THREE_A_MINUTE, "ana").await, Ok(Remaining(remaining)));
        }
        assert!(signals.take(THREE_A_MINUTE, "ana").await.is_err());
    }
    server.start().await;
    connected(&one).await;
    connected(&other).await;
    assert_eq!(one.take(THREE_A_MINUTE, "ana").await, Ok(Remaining(2)));
    assert_eq!(other.take(THREE_A_MINUTE, "ana").await, Ok(Remaining(1)));
}

#[tokio::test]
async fn a_server_that_starts_late_is_found() {
    let mut server = Server::new(&[]);
    let began = Instant::now();
    let signals = process(&server.url(), &prefix(), 1.0).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(is_unreachable(&signals));
    assert_eq!(signals.take(THREE_A_MINUTE, "ana").await, Ok(Remaining(2)));
    server.start().await;
    connected(&signals).await;
}

#[tokio::test]
async fn a_hanging_server_delays_the_start_by_two_seconds_at_most() {
    let server = Server::started(&[]).await;
    server.hang();
    let began = Instant::now();
    let signals = process(&server.url(), &prefix(), 1.0).await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    server.go_on();
    connected(&signals).await;
}

#[tokio::test]
async fn a_read_only_server_is_refused() {
    let server = Server::started(&[]).await;
    let signals = process(&server.url(), &prefix(), 1.0).await;
    let mut client = server.client().await;
    let set = |bytes: &str| redis::cmd("CONFIG").arg(&["SET", "maxmemory", bytes][..]).to_owned();
    let _: () = set("1").query_async(&mut client).await.unwrap();
    assert_eq!(signals.take(THREE_A_MINUTE, "ana").await, Ok(Remaining(2)));
    assert!(is_unreachable(&signals));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(is_unreachable(&signals));
    let _: () = set("0").query_async(&mut client).await.unwrap();
    connected(&signals).await;
}

#[tokio::test]
async fn listeners_and_subscribers_get_a_gap_when_the_server_is_reachable_again() {
    let (mut server, prefix) = (Server::started(&[]).await, prefix());
    let (one, other) =
        (process(&server.url(), &prefix, 1.0).await, process(&server.url(), &prefix, 1.0).await);
    settled(&*one, &*other).await;
    let (mut feed, mut cache): (Feed, _) = (one.subscribe("board"), one.listen("menu.changed"));
    server.kill();
    until("both should know", || is_unreachable(&one) && is_unreachable(&other)).await;
    other.publish("board", "lost");
    other.wake("menu.changed");
    server.start().await;
    assert_eq!(soon(feed.next()).await, News::Gap);
    soon(cache.woken()).await;
}

/// Collects the log.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Kept {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn the_log_reports_each_loss_and_each_return_once() {
    let kept = Kept::default();
    let log = tracing_subscriber::fmt().with_writer(kept.clone()).with_ansi(false).finish();
    let _here = tracing::subscriber::set_default(log);
    // With a single dispatcher, `tracing` caches the interest of whichever thread logs first.
    let _another = tracing::Dispatch::new(tracing_subscriber::registry());
    let mut server = Server::started(&["--requirepass", "hunter2"]).await;
    let signals = process(&server.url().replace("//", "//:hunter2@"), &prefix(), 1.0).await;
    for _ in 0..2 {
        server.kill();
        until("it should know", || is_unreachable(&signals)).await;
        for _ in 0..20 {
            signals.take(MANY, "ana@example.org").await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server.start().await;
        connected(&signals).await;
    }
    let log = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    assert_eq!(log.matches("Redis is unreachable").count(), 2, "{log}");
    assert_eq!(log.matches("Redis is reachable again").count(), 2, "{log}");
    assert!(!log.contains("hunter2") && !log.contains("ana@"), "{log}");
}
