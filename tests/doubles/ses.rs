//! SES's double. It accepts emails as SES v2 does, and unlike aws-ses-v2-local it can refuse, throttle or not answer,
//! and it records when each email arrived.
//!
//! It runs on its own thread, so that a busy test doesn't distort the times.

use std::collections::{BTreeMap, VecDeque};
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// A fault for one email.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SES refuses it: status, code, message.
    Refuse(u16, &'static str, &'static str),
    /// It is accepted, and the request is never answered.
    HangAfter,
    /// It is accepted, and the connection is closed.
    DropAfter,
    /// The connection is closed before it is accepted.
    DropBefore,
}

/// An accepted email.
#[derive(Clone, Debug)]
pub struct Taken {
    /// When its request arrived.
    pub at: Instant,
    pub to: String,
    /// The header `X-Mail-Id`.
    pub mail: String,
    /// The message, header and body.
    pub message: String,
}

#[derive(Default)]
struct State {
    taken: Vec<Taken>,
    /// When requests arrived, accepted or not.
    came: Vec<Instant>,
    faults: VecDeque<Fault>,
    latency: Duration,
    max_send_rate: f64,
}

type Shared = Arc<Mutex<State>>;

/// A running double. It ends when it is dropped.
pub struct Ses {
    url: String,
    state: Shared,
    _running: oneshot::Sender<()>,
}

impl Ses {
    /// Starts it; each request is answered after this time.
    pub fn start(latency: Duration) -> Self {
        let state = Shared::new(Mutex::new(State { latency, max_send_rate: 50.0, ..State::default() }));
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let (running, ended) = oneshot::channel();
        let serving = state.clone();
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                tokio::select! { () = serve(listener, serving) => {}, _ = ended => {} }
            });
        });
        Self { url, state, _running: running }
    }

    /// Its address: `AWS_ENDPOINT_URL_SESV2`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Injects these faults into the next emails, one each.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.state).faults.extend(faults);
    }

    /// Sets the rate that `GetAccount` returns.
    pub fn allow(&self, max_send_rate: f64) {
        lock(&self.state).max_send_rate = max_send_rate;
    }

    /// All accepted emails, in the order of their arrival.
    pub fn taken(&self) -> Vec<Taken> {
        lock(&self.state).taken.clone()
    }

    /// Number of accepted emails to this address.
    pub fn taken_to(&self, email: &str) -> usize {
        lock(&self.state).taken.iter().filter(|taken| taken.to.eq_ignore_ascii_case(email)).count()
    }

    /// Number of accepted emails whose id begins with this.
    pub fn taken_of(&self, kind: &str) -> usize {
        lock(&self.state).taken.iter().filter(|taken| taken.mail.starts_with(kind)).count()
    }

    /// How often each email was accepted.
    pub fn times(&self) -> BTreeMap<String, usize> {
        let mut times = BTreeMap::new();
        for taken in &lock(&self.state).taken {
            *times.entry(taken.mail.clone()).or_default() += 1;
        }
        times
    }

    /// The largest number of requests within a second.
    pub fn most_in_a_second(&self) -> usize {
        let came = lock(&self.state).came.clone();
        let second = |first: Instant| first..first + Duration::from_secs(1);
        let within = |first: Instant| came.iter().filter(|at| second(first).contains(*at)).count();
        came.iter().map(|first| within(*first)).max().unwrap_or(0)
    }
}

fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: std::net::TcpListener, state: Shared) {
    listener.set_nonblocking(true).expect("ours");
    let listener = TcpListener::from_std(listener).expect("ours");
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(converse(stream, state.clone()));
    }
}

async fn converse(stream: TcpStream, state: Shared) {
    let answer = service_fn(|request| answer(request, &state));
    // An error is a client that hung up.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

/// An error closes the connection.
async fn answer(request: Request<Incoming>, state: &Shared) -> Result<Response<String>, std::io::Error> {
    let at = Instant::now();
    if request.uri().path().ends_with("/account") {
        return Ok(json_answer(200, None, &account(lock(state).max_send_rate)));
    }
    let body = read(request.into_body()).await;
    let (fault, latency) = {
        let mut state = lock(state);
        state.came.push(at);
        (state.faults.pop_front(), state.latency)
    };
    if fault == Some(Fault::DropBefore) {
        return Err(std::io::ErrorKind::ConnectionReset.into());
    }
    if let Some(Fault::Refuse(status, code, message)) = fault {
        tokio::time::sleep(latency).await;
        return Ok(json_answer(status, Some(code), &json!({ "message": message })));
    }
    // Before the answer: the email is sent even if the client dies before it.
    lock(state).taken.push(taken(at, &body));
    tokio::time::sleep(latency).await;
    match fault {
        Some(Fault::HangAfter) => pending().await,
        Some(_) => Err(std::io::ErrorKind::ConnectionReset.into()),
        None => Ok(json_answer(200, None, &json!({ "MessageId": "m" }))),
    }
}

fn taken(at: Instant, body: &[u8]) -> Taken {
    let request: Value = serde_json::from_slice(body).expect("the SDK writes JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let message = STANDARD.decode(text(&request["Content"]["Raw"]["Data"])).expect("base64");
    let message = String::from_utf8(message).expect("ASCII");
    let id = message.lines().find_map(|line| line.strip_prefix("X-Mail-Id: "));
    let mail = id.expect("every email has its id").to_owned();
    Taken { at, to: text(&request["Destination"]["ToAddresses"][0]), mail, message }
}

fn account(max_send_rate: f64) -> Value {
    json!({
        "SendingEnabled": true, "ProductionAccessEnabled": true, "EnforcementStatus": "HEALTHY",
        "SendQuota": { "Max24HourSend": 50_000.0, "MaxSendRate": max_send_rate, "SentLast24Hours": 1.0 },
    })
}

fn json_answer(status: u16, code: Option<&str>, body: &Value) -> Response<String> {
    let answer = Response::builder().status(status).header("content-type", "application/json");
    let answer = match code {
        Some(code) => answer.header("x-amzn-errortype", code),
        None => answer,
    };
    answer.body(body.to_string()).expect("a sound answer")
}

async fn read(mut body: Incoming) -> Vec<u8> {
    let mut bytes = vec![];
    let frames = futures_util::stream::poll_fn(|context| std::pin::Pin::new(&mut body).poll_frame(context));
    futures_util::pin_mut!(frames);
    while let Some(Ok(frame)) = frames.next().await {
        bytes.extend(frame.into_data().unwrap_or_default());
    }
    bytes
}
