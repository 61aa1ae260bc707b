//! The traces of the shipped program, as a collector receives them.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use orientation::http::Server;
use orientation::platform::traces::Traces;
use poem::web::Data;
use poem::{EndpointExt, Route, handler, post};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tracing_subscriber::layer::SubscriberExt;

use crate::doubles::stripe::Fault;
use crate::support::{Mailbox, PASSWORD, PostOffice, TestApp, Visitor, form};

const PATIENCE: Duration = Duration::from_secs(60);

/// The trace header of a proxy that is not trusted.
const FOREIGN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Keeps all that it receives.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<u8>>>);

#[handler]
fn keep(collector: Data<&Collector>, body: Vec<u8>) {
    collector.0.0.lock().unwrap_or_else(PoisonError::into_inner).extend(body);
}

impl Collector {
    /// A collector and its address.
    async fn start() -> (Self, String) {
        let (server, collector) =
            (Server::bind(([127, 0, 0, 1], 0).into()).await.expect("a port"), Self::default());
        let url = format!("http://{}", server.local_addr());
        let route = Route::new().at("/v1/traces", post(keep)).data(collector.clone());
        tokio::spawn(server.serve(route.map_to_response(), std::future::pending()));
        (collector, url)
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All spans, to be searched by name.
    fn received(&self) -> Received {
        Received(self.spans())
    }

    /// All spans. OTLP requests that are joined decode like one request.
    fn spans(&self) -> Vec<Span> {
        let bytes = self.bytes();
        let scopes = inside(&bytes, 1).into_iter().flat_map(|resource| inside(resource, 2));
        scopes.flat_map(|scope| inside(scope, 2)).map(Span::read).collect()
    }
}

/// A span as it was sent.
#[derive(Clone, Debug)]
struct Span {
    trace: Vec<u8>,
    id: Vec<u8>,
    parent: Vec<u8>,
    name: String,
}

impl Span {
    fn read(bytes: &[u8]) -> Self {
        let field = |number| inside(bytes, number).first().map(|bytes| bytes.to_vec()).unwrap_or_default();
        let name = String::from_utf8(field(5)).expect("a text");
        Self { trace: field(1), id: field(2), parent: field(4), name }
    }
}

/// The spans that a collector has received.
struct Received(Vec<Span>);

impl Received {
    fn find(&self, name: &str) -> Span {
        let found = self.0.iter().find(|span| span.name == name);
        found.unwrap_or_else(|| panic!("no {name} among {:?}", self.0)).clone()
    }

    /// The child of `parent` with this name.
    fn under(&self, parent: &Span, name: &str) -> Span {
        let found = self.0.iter().find(|span| span.name == name && span.parent == parent.id);
        let found = found.unwrap_or_else(|| panic!("no {name} under {} among {:?}", parent.name, self.0));
        assert_eq!(found.trace, parent.trace);
        found.clone()
    }
}

/// The fields with a length that have this number, in a Protocol Buffers message.
fn inside(message: &[u8], number: u64) -> Vec<&[u8]> {
    let (mut rest, mut found) = (message, vec![]);
    while !rest.is_empty() {
        let key = varint(&mut rest);
        let length = match key & 7 {
            0 => {
                varint(&mut rest);
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut rest)).expect("it fits"),
            5 => 4,
            wire => panic!("no such type: {wire}"),
        };
        let (field, after) = rest.split_at(length);
        if key == number << 3 | 2 {
            found.push(field);
        }
        rest = after;
    }
    found
}

fn varint(rest: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = rest[0];
        *rest = &rest[1..];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

/// The program, which sends its traces to a collector.
struct Program {
    _folder: TempDir,
    child: Child,
    url: String,
}

impl Program {
    async fn start(collector: &str, environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = Command::new(env!("CARGO_BIN_EXE_orientation"))
            .env_clear()
            .env("ORIENTATION_DATA", folder.path())
            .env("ORIENTATION_LISTEN", "127.0.0.1:0")
            .env("ORIENTATION_LIMITS", "0")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program is built");
        let mut first = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        timeout(PATIENCE, out.read_line(&mut first)).await.expect("it says where it listens").expect("text");
        Self { _folder: folder, child, url: first.trim_end().trim_end_matches('/').to_owned() }
    }

    /// Stops it; returns its log.
    async fn stop(mut self) -> String {
        let id = self.child.id().expect("it lives").to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().expect("kill").success());
        let mut log = String::new();
        let mut lines = self.child.stderr.take().expect("piped");
        timeout(PATIENCE, lines.read_to_string(&mut log)).await.expect("it ends").expect("text");
        assert!(
            timeout(PATIENCE, self.child.wait()).await.expect("it ends").expect("our child").success(),
            "{log}"
        );
        log
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_connects_a_request_with_its_jobs_and_has_no_personal_data() {
    let (collector, address) = Collector::start().await;
    let program = Program::start(&address, &[]).await;
    let (mut way, email) = (Visitor::new(&program.url), "Pangolin.Aardvark@mail.example.edu");
    let mailbox = Mailbox::new(PostOffice::Outbox(program.url.clone()), email);
    let sign_up = json!({ "email": email, "password": PASSWORD, "firstName": "Pangolina",
        "lastName": "Aardvarkova" });
    let request = way.request(reqwest::Method::POST, "/v1/accounts").json(&sign_up);
    way.send(request.header("traceparent", FOREIGN)).await.ok(202);
    let token = mailbox.token("Confirm").await;
    way.get(&format!("/confirm?token={token}")).await;
    way.post("/v1/accounts/confirm", &json!({ "token": token })).await;
    let signed_in = way.post("/v1/session", &json!({ "email": email, "password": PASSWORD })).await;
    way.cookie = signed_in.cookie();
    let order = way.post("/v1/registration", &form("pangol1n9")).await.ok(201)["order"].clone();
    way.order(&order).await;
    way.press_button(&order, "pay").await;
    mailbox.email("ticket").await;
    let log = program.stop().await;

    let received = collector.received();
    received.under(&received.find("register"), "gateway.open");
    for cause in ["signUp", "receiveStripeEvent"] {
        let email = received.under(&received.find(cause), "mail.send");
        received.under(&email, "mail.transport");
    }
    assert_ne!(
        hex(&received.find("signUp").trace),
        FOREIGN[3..35],
        "the trace of an anonymous client does not continue"
    );
    for (words, of) in [("\"route\":\"register\"", "register"), ("\"message\":\"email\"", "signUp")] {
        let trace = format!("\"trace_id\":\"{}\"", hex(&received.find(of).trace));
        let line = log.lines().find(|line| line.contains(words)).expect("its line in the log");
        assert!(line.contains(&trace), "{line}");
    }

    let sent = String::from_utf8_lossy(&collector.bytes()).to_lowercase();
    let cookie = way.cookie.expect("signed in");
    let order = order["id"].as_str().expect("an id");
    let personal =
        ["pangol", "aardvark", "garc", "5062345678", "506-234", "example", "?token", "token=", order];
    for word in personal.into_iter().chain([PASSWORD, &token, cookie.split_once('=').expect("a pair").1]) {
        let found = sent.find(&word.to_lowercase());
        let around =
            found.map(|at| sent[..].chars().skip(at.saturating_sub(200)).take(400).collect::<String>());
        assert_eq!(around, None, "{word}");
    }
}

/// On one thread, whose spans are sent to the collector.
#[tokio::test]
async fn a_trace_connects_jobs_that_call_the_gateway_with_their_emails() {
    let (collector, address) = Collector::start().await;
    let traces = Traces::start(&address.parse().expect("an address")).expect("an address");
    let collected = tracing::subscriber::set_default(tracing_subscriber::registry().with(traces.layer()));
    // With a single dispatcher, `tracing` caches whether anybody listens as seen by the first thread that asks.
    let _another = tracing::Dispatch::new(tracing_subscriber::registry());
    let (app, stripe) = TestApp::start_embedded_with_stripe().await;
    stripe.fail(Fault::DropBefore, usize::MAX);
    let (ana, _) = app.submitted().await;
    assert!(stripe.sessions().is_empty(), "the gateway is unreachable");
    stripe.heal();
    app.clock.advance(Duration::from_secs(60));
    app.settle().await;
    let checkout = stripe.sessions().pop().expect("a job has opened the checkout");
    // The service gets no event about it.
    stripe.pay(checkout["id"].as_str().expect("an id")).expect("it is open");
    app.clock.advance(Duration::from_secs(30 * 60));
    app.mailbox(ana.email()).email("ticket").await;
    app.finish().await;
    drop(collected);
    traces.finish().await;

    let received = collector.received();
    received.under(&received.under(&received.find("register"), "payments.open-checkout"), "gateway.open");
    let asking = received.find("gateway.retrieve");
    let job = received.0.iter().find(|span| span.id == asking.parent).expect("a job asked");
    assert_eq!(job.name, "payments.reconcile");
    received.under(&received.under(job, "mail.send"), "mail.transport");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_a_trusted_proxy_continues() {
    let (collector, address) = Collector::start().await;
    let program = Program::start(&address, &[("ORIENTATION_TRUSTED_PROXIES", "127.0.0.1/32")]).await;
    let way = Visitor::new(&program.url);
    way.send(way.request(reqwest::Method::GET, "/health/live").header("traceparent", FOREIGN)).await.ok(200);
    program.stop().await;
    let spans: BTreeMap<_, _> = collector.spans().into_iter().map(|span| (span.name.clone(), span)).collect();
    let span = &spans["getHealth"];
    assert_eq!(
        (hex(&span.trace), hex(&span.parent)),
        (FOREIGN[3..35].to_owned(), FOREIGN[36..52].to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_collector_delays_nothing_and_is_logged_once() {
    let delay = [("OTEL_BSP_SCHEDULE_DELAY", "50")];
    let program = Program::start("http://127.0.0.1:9", &delay).await;
    let way = Visitor::new(&program.url);
    for _ in 0..20 {
        way.get("/health/live").await.ok(200);
        // Several batches: logging each of them would show.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let begun = Instant::now();
    let log = program.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{log}");
    let logged = log.lines().filter(|line| line.contains("traces can't be sent")).count();
    assert_eq!(logged, 1, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_never_answers_delays_nothing() {
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", deaf.local_addr().expect("it listens"));
    let program = Program::start(&address, &[("OTEL_BSP_SCHEDULE_DELAY", "50")]).await;
    let (way, begun) = (Visitor::new(&program.url), Instant::now());
    for _ in 0..20 {
        way.get("/health/live").await.ok(200);
    }
    let log = program.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(8), "{log}");
    assert!(log.contains("the last traces were not sent"), "{log}");
}
