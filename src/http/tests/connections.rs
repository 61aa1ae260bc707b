//! Over real sockets: who keeps others waiting is cut off.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::api;
use crate::http::limits::BODY_TIME;
use crate::http::{ConnectionLimits, Server};
use crate::kernel::{ManualClock, Timestamp};
use crate::platform::metrics::Connections;
use crate::platform::monitoring::Metrics;
use crate::platform::signals::InProcess;
use crate::platform::store::testing::TestStore;

struct Served {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

/// Limits that a test can wait for.
fn impatient() -> ConnectionLimits {
    ConnectionLimits {
        connections: 60,
        connections_of_a_peer: 50,
        first_byte: Duration::from_millis(500),
        head: Duration::from_millis(1000),
        grace: Duration::from_millis(1500),
        ..ConnectionLimits::default()
    }
}

async fn serve(limits: ConnectionLimits) -> Served {
    serve_counted(limits, Connections::default()).await
}

async fn metrics() -> Metrics {
    let store = TestStore::with(&[]).await;
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(0)));
    Metrics::new(store.clone(), Arc::new(InProcess::new(1.0)), clock)
}

async fn serve_counted(limits: ConnectionLimits, connections: Connections) -> Served {
    let server = Server::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let server = server.with_limits(limits).counted_by(connections);
    let address = server.local_addr();
    let (stop, stopped) = oneshot::channel();
    let endpoint = api().into_endpoint();
    let ended =
        tokio::spawn(async move { server.serve(endpoint, async { stopped.await.unwrap_or(()) }).await });
    Served { address, stop, ended }
}

impl Served {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// What comes back when `text` is sent and then nothing more.
    async fn say(&self, text: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        everything(&mut stream).await
    }

    async fn answers(&self) {
        let answer =
            self.say("GET /v1/client HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }
}

#[tokio::test]
async fn a_request_without_one_host_is_refused() {
    let served = serve(ConnectionLimits::default()).await;
    let ask = async |version: &str, hosts: &str| {
        served.say(&format!("GET /v1/client HTTP/{version}\r\n{hosts}connection: close\r\n\r\n")).await
    };
    let host = "host: 127.0.0.1\r\n";
    for (version, hosts) in [("1.1", ""), ("1.1", &host.repeat(2)), ("1.0", &host.repeat(2))] {
        let refused = ask(version, hosts).await;
        assert!(refused.starts_with(&format!("HTTP/{version} 400 Bad Request")), "{hosts}: {refused}");
        assert!(refused.contains("application/problem+json"), "{refused}");
        assert!(refused.contains("needs exactly one `Host` header"), "{refused}");
    }
    for (version, hosts) in [("1.1", host), ("1.0", host), ("1.0", "")] {
        let answer = ask(version, hosts).await;
        assert!(answer.starts_with(&format!("HTTP/{version} 200 OK")), "{hosts}: {answer}");
    }
}

/// All that comes until the other end closes; a reset counts as closing.
async fn everything(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(Duration::from_secs(20), reading)
        .await
        .expect("the connection is closed in time");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let served = serve(impatient()).await;
    let started = Instant::now();
    assert_eq!(everything(&mut served.connect().await).await, "");
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_slow_request_head_is_cut_off() {
    let served = serve(impatient()).await;
    let started = Instant::now();
    let mut stream = served.connect().await;
    for byte in "GET / HTTP/1.1\r\n".bytes().chain(std::iter::repeat(b'x')) {
        let cut_off = stream.write_all(&[byte]).await.is_err();
        if cut_off || started.elapsed() > Duration::from_secs(5) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    served.answers().await;
}

#[tokio::test]
async fn a_connection_is_reused_and_closed_when_idle() {
    let served = serve(impatient()).await;
    let mut stream = served.connect().await;
    let request = b"GET /v1/client HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        stream.write_all(request).await.unwrap();
        let mut answer = [0; 2048];
        let read = stream.read(&mut answer).await.unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
    }
    assert_eq!(everything(&mut stream).await, "");
}

#[tokio::test]
async fn silent_connections_make_room_for_others() {
    let patient = ConnectionLimits { first_byte: Duration::from_secs(60), ..impatient() };
    let served = serve(patient).await;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(served.connect().await);
    }
    for _ in 0..20 {
        served.answers().await;
    }
    assert_eq!(everything(&mut silent[0]).await, "", "the first to be silent has made room");
}

#[tokio::test]
async fn connections_with_unfinished_bodies_make_room_for_others() {
    let metrics = metrics().await;
    let served = serve_counted(impatient(), metrics.connections.clone()).await;
    let mut unfinished = Vec::new();
    for _ in 0..200 {
        let mut stream = served.connect().await;
        let begun = "POST /v1/form HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 50\r\n\r\n{";
        // The connection that had to make room is closed.
        let _ = stream.write_all(begun.as_bytes()).await;
        unfinished.push(stream);
    }
    for _ in 0..20 {
        served.answers().await;
    }
    let text = metrics.text().await;
    assert!(text.contains("\norientation_http_connections_refused_total 0\n"), "{text}");
}

#[tokio::test]
async fn the_largest_unfinished_body_is_dropped_and_a_short_one_is_not() {
    let limits = ConnectionLimits { body_bytes: 300_000, ..impatient() };
    let served = serve(limits).await;
    let head = "POST /v1/form HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\nconnection: close\r\n";
    let mut short = served.connect().await;
    short.write_all(format!("{head}content-length: 2\r\n\r\n{{").as_bytes()).await.unwrap();
    let mut hoards = Vec::new();
    for _ in 0..2 {
        let mut stream = served.connect().await;
        let begun = format!("{head}content-length: 190000\r\n\r\n{}", "x".repeat(170_000));
        stream.write_all(begun.as_bytes()).await.unwrap();
        hoards.push(stream);
    }
    let started = Instant::now();
    let (one, other) = hoards.split_at_mut(1);
    tokio::select! {
        answer = everything(&mut one[0]) => assert_eq!(answer, ""),
        answer = everything(&mut other[0]) => assert_eq!(answer, ""),
    }
    assert!(started.elapsed() < BODY_TIME, "it made room, and was not merely too slow");
    short.write_all(b"}").await.unwrap();
    let answer = everything(&mut short).await;
    assert!(answer.starts_with("HTTP/1.1 4") && !answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn complete_bodies_do_not_count() {
    let limits = ConnectionLimits { body_bytes: 200_000, ..impatient() };
    let served = serve(limits).await;
    let body = "x".repeat(150_000);
    for _ in 0..4 {
        let answer = served
            .say(&format!(
                "POST /v1/form HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
                 connection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            ))
            .await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
}

#[tokio::test]
async fn an_over_long_head_gets_431() {
    let served = serve(impatient()).await;
    let long = format!("GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx-long: {}\r\n\r\n", "x".repeat(20 * 1024));
    let answer = served.say(&long).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    served.answers().await;
}

#[tokio::test]
async fn a_body_over_the_limit_gets_413_even_if_it_does_not_say_how_long_it_is() {
    let served = serve(impatient()).await;
    let head = "POST /v1/form HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\nconnection: close\r\n";
    let declared = format!("{head}content-length: 3000000\r\n\r\n{}", "x".repeat(3_000_000));
    let chunked = format!(
        "{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        200_000,
        "x".repeat(200_000)
    );
    for request in [declared, chunked] {
        let answer = served.say(&request).await;
        assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("/problems/too-large"), "{answer}");
    }
    let asks_first = format!("{head}content-length: 3000000\r\nexpect: 100-continue\r\n\r\n");
    assert!(served.say(&asks_first).await.starts_with("HTTP/1.1 413"));
}

#[tokio::test]
async fn a_body_that_never_ends_gets_408() {
    let served = serve(ConnectionLimits::default()).await;
    let head = "POST /v1/form HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n";
    let answer = served.say(&format!("{head}content-length: 50\r\n\r\n{{")).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("/problems/too-slow"), "{answer}");
}

#[tokio::test]
async fn what_is_no_http_gets_400() {
    let served = serve(impatient()).await;
    assert!(served.say("\u{16}\u{3}\u{1}hello\r\n\r\n").await.starts_with("HTTP/1.1 400"));
    served.answers().await;
}

#[tokio::test]
async fn shutting_down_ends_idle_connections_at_once_and_accepts_no_more() {
    let served = serve(ConnectionLimits::default()).await;
    let mut idle = served.connect().await;
    idle.write_all(b"GET /v1/client HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await.unwrap();
    let _ = idle.read(&mut [0; 2048]).await.unwrap();
    let silent = served.connect().await;
    let started = Instant::now();
    served.stop.send(()).unwrap();
    served.ended.await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(TcpStream::connect(served.address).await.is_err());
    drop(silent);
}

#[tokio::test]
async fn a_running_request_is_answered_before_shutdown() {
    let served = serve(ConnectionLimits::default()).await;
    let mut stream = served.connect().await;
    let head = "POST /v1/form HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    served.stop.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    stream.write_all(b"{}").await.unwrap();
    assert!(everything(&mut stream).await.starts_with("HTTP/1.1 422"));
    served.ended.await.unwrap();
}

#[tokio::test]
async fn connections_are_counted_by_the_reason_they_closed() {
    let metrics = metrics().await;
    let limits = ConnectionLimits { connections_of_a_peer: 2, ..impatient() };
    let served = serve_counted(limits, metrics.connections.clone()).await;
    let mut silent = [served.connect().await, served.connect().await];
    assert_eq!(served.say("GET").await, "", "begun and never finished");
    assert_eq!(everything(&mut silent[0]).await, "");
    assert_eq!(everything(&mut silent[1]).await, "");
    served.answers().await;
    let mut open = 1.0;
    for _ in 0..100 {
        let text = metrics.text().await;
        let value = |series: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
            line.expect("it is there").parse().expect("a number")
        };
        open = value("orientation_http_connections");
        if open == 0.0 {
            let cut_off =
                |reason| value(&format!("orientation_http_connections_cut_off_total{{reason=\"{reason}\"}}"));
            assert_eq!(value("orientation_http_connections_accepted_total"), 4.0);
            assert_eq!((cut_off("silent"), cut_off("slow"), cut_off("room")), (1.0, 1.0, 1.0));
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(open, 0.0, "those who are gone are counted no more");
}
