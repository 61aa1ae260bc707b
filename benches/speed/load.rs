//! Requests over persistent connections, as fast as they are answered.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

type Make = dyn Fn(usize) -> Option<Vec<u8>>;

/// The requests to send: the n-th one, until there are no more.
pub struct Load {
    make: Arc<Make>,
    from: usize,
    to: usize,
}

/// The result of a run.
#[derive(Default)]
pub struct Outcome {
    times: Vec<Duration>,
    took: Duration,
    /// Number of responses with a status other than 2xx.
    pub refused: usize,
}

/// A response.
pub struct Answer {
    pub status: u16,
    /// `name=value` of the cookie that it sets.
    pub cookie: Option<String>,
    pub body: Vec<u8>,
}

/// A GET request, with or without a cookie.
pub fn get(path: &str, cookie: Option<&str>) -> Vec<u8> {
    let cookie = cookie.map(|cookie| format!("cookie: {cookie}\r\n")).unwrap_or_default();
    format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{cookie}\r\n").into_bytes()
}

/// A POST request with JSON, with or without a cookie.
pub fn post(path: &str, cookie: Option<&str>, body: &str) -> Vec<u8> {
    let cookie = cookie.map(|cookie| format!("cookie: {cookie}\r\n")).unwrap_or_default();
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{cookie}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// One request on a new connection.
pub async fn once(address: SocketAddr, request: &[u8]) -> Answer {
    let mut connection = Connection::open(address).await;
    connection.ask(request).await
}

impl Load {
    /// The same request, repeated.
    pub fn same(request: Vec<u8>) -> Self {
        Self::each(move |_| Some(request.clone()))
    }

    /// Another request each time.
    pub fn each(make: impl Fn(usize) -> Option<Vec<u8>> + 'static) -> Self {
        Self { make: Arc::new(make), from: 0, to: usize::MAX }
    }

    /// Begins with the request with this number.
    pub fn from(self, from: usize) -> Self {
        Self { from, ..self }
    }

    /// Ends before the request with this number.
    pub fn to(self, to: usize) -> Self {
        Self { to, ..self }
    }

    /// Sends over this number of connections, for this time or until there are no more requests.
    pub async fn run(self, address: SocketAddr, connections: usize, span: Duration) -> Outcome {
        let next = Arc::new(AtomicUsize::new(self.from));
        let began = Instant::now();
        let runs = (0..connections).map(|_| {
            let (make, next, to) = (self.make.clone(), next.clone(), self.to);
            async move {
                let mut connection = Connection::open(address).await;
                let mut outcome = Outcome::default();
                while began.elapsed() < span {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let Some(request) = (n < to).then(|| make(n)).flatten() else { break };
                    let sent = Instant::now();
                    let answer = connection.ask(&request).await;
                    outcome.times.push(sent.elapsed());
                    outcome.refused += usize::from(!(200..300).contains(&answer.status));
                }
                outcome
            }
        });
        let mut sum = Outcome::default();
        for outcome in futures_util::future::join_all(runs).await {
            sum.times.extend(outcome.times);
            sum.refused += outcome.refused;
        }
        sum.took = began.elapsed();
        sum
    }
}

impl Outcome {
    /// The result from the duration of each operation, and of all together (`took`).
    pub fn of(times: Vec<Duration>, took: Duration) -> Self {
        Self { times, took, refused: 0 }
    }

    /// Adds another round.
    pub fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.took += other.took;
        self.refused += other.refused;
    }

    pub fn a_second(&self) -> f64 {
        self.times.len() as f64 / self.took.as_secs_f64()
    }

    /// The time within which this percentage was answered, in milliseconds.
    pub fn within(&self, part: usize) -> f64 {
        let mut times = self.times.clone();
        times.sort();
        times.get(times.len() * part / 100).copied().unwrap_or_default().as_secs_f64() * 1e3
    }

    /// Requests per second, p50 and p99.
    pub fn told(&self) -> String {
        let (rate, p50, p99) = (self.a_second(), self.within(50), self.within(99));
        format!("{rate:>7.0} a second, p50 {p50:.2} ms, p99 {p99:.2} ms")
    }

    /// The rate as a percentage of the peer's.
    pub fn beside(&self, peer: &Self) -> String {
        format!("{:.0} %", self.a_second() / peer.a_second() * 100.0)
    }
}

struct Connection {
    stream: TcpStream,
    read: VecDeque<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the program listens");
        stream.set_nodelay(true).expect("a socket");
        Self { stream, read: VecDeque::new() }
    }

    async fn ask(&mut self, request: &[u8]) -> Answer {
        self.stream.write_all(request).await.expect("the connection is kept");
        let mut buffer = [0; 16 * 1024];
        loop {
            if let Some(answer) = self.answer() {
                return answer;
            }
            let n = self.stream.read(&mut buffer).await.expect("the connection is kept");
            assert_ne!(n, 0, "the connection is kept");
            self.read.extend(&buffer[..n]);
        }
    }

    /// The response, once it is complete. All measured services send `Content-Length`.
    fn answer(&mut self) -> Option<Answer> {
        let bytes = self.read.make_contiguous();
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let text = std::str::from_utf8(&bytes[..head]).expect("headers are ASCII");
        let status = text.get(9..12).and_then(|status| status.parse().ok()).expect("a status line");
        let header = |wanted: &str| {
            let pairs = text.lines().filter_map(|line| line.split_once(':'));
            pairs.filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim()).next()
        };
        let length = header("content-length").and_then(|value| value.parse::<usize>().ok());
        let cookie = header("set-cookie").and_then(|value| value.split(';').next()).map(str::to_owned);
        let end = head + length.unwrap_or(0);
        if bytes.len() < end {
            return None;
        }
        let body = bytes[head..end].to_vec();
        self.read.drain(..end);
        Some(Answer { status, cookie, body })
    }
}
