//! Frequent questions and announcements, compared with the same on Express and mongoose (`benches/peer`): with the cache, and
//! with a read of the store for each request; and the time until an edit shows, in the same process and in another one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use orientation::platform::store::{Access, Store};
use reqwest::Method;
use serde_json::{Value, json};

use crate::beside;
use crate::load::{self, Load, Outcome};
use crate::program::Program;
use crate::seed;
use crate::table::Table;

const CONNECTIONS: [usize; 3] = [1, 16, 64];
const ROUNDS: u32 = 3;
/// Duration of a round for each list of each program.
const RUN: Duration = Duration::from_secs(3);
/// Signed-in students, who read in turn.
const STUDENTS: usize = 500;
/// As many texts of the same length as the peer has.
const QUESTIONS: usize = 100;
const ANNOUNCEMENTS: usize = 30;
const SENTENCE: &str = "A sentence of about one hundred and twenty characters, so that an answer has the length that people write. ";
/// Edits of each list whose appearance is awaited.
const EDITS: usize = 30;

const FAQ: &str = "/v1/faq";
/// All questions, too; each request reads them from the store.
const UNCACHED_FAQ: &str = "/v1/faq?category=General";
const LIST: &str = "/v1/announcements?limit=30";

/// Ours on one store, with its texts.
struct Ours {
    store: &'static str,
    program: Program,
    /// The cookie of an administrator.
    administrator: String,
    /// Cookies of students.
    students: Arc<Vec<String>>,
    /// Paths of a question and of an announcement.
    question: String,
    announcement: String,
}

/// A list: its name, our path and the peer's, whether it needs a session, and the aims as multiples of the peer's rate and as
/// a percentage of its p99.
struct List {
    name: &'static str,
    path: &'static str,
    peers_path: &'static str,
    signed_in: bool,
    aim: &'static str,
}

const LISTS: [List; 3] = [
    List { name: "FAQ of 100", path: FAQ, peers_path: "/faqs", signed_in: false, aim: "1500 % and 20 %" },
    List {
        name: "FAQ of 100, read from the store",
        path: UNCACHED_FAQ,
        peers_path: "/faqs",
        signed_in: false,
        aim: "500 %",
    },
    List {
        name: "30 announcements with a session",
        path: LIST,
        peers_path: "/announcements",
        signed_in: true,
        aim: "1500 % and 20 %",
    },
];

pub async fn measure(table: &mut Table) {
    let database = format!("orientation-texts-{}", std::process::id());
    let peers_database = format!("peer-texts-{}", std::process::id());
    let (address, redis) = (beside::address(&database), redis());
    let among = [
        ("ORIENTATION_MONGODB_URI", address.as_str()),
        ("ORIENTATION_REDIS_URL", redis.as_str()),
        ("ORIENTATION_LIMITS", "0"),
    ];
    let peer = beside::peer(&peers_database);
    let cookie = beside::signed_in_at(&peer).await;
    let folder = seed::folder();
    let alone = Ours::start("SQLite", seed::store(&folder).await, || {
        Program::start(&folder, &[("ORIENTATION_LIMITS", "0")])
    });
    let alone = alone.await;
    let store = Store::mongo(&address, Access::Serving).await.expect("the server is there");
    let one = Ours::start("MongoDB + Redis", seed::prepared(store).await, || {
        Program::start(&seed::folder(), &among)
    });
    let one = one.await;
    for list in &LISTS {
        for connections in CONNECTIONS {
            beside_the_peer(table, list, [&alone, &one], (&peer, &cookie), connections).await;
        }
    }
    let other = Program::start(&seed::folder(), &among);
    edits(table, "an edit in the process that made it, SQLite", &alone, alone.program.address, "at once")
        .await;
    edits(table, "an edit in another process, MongoDB + Redis", &one, other.address, "below 100 ms").await;
    drop((alone, one, other, peer));
    for database in [database, peers_database] {
        beside::mongo(&database).await.database(&database).drop().await.expect("dropped");
    }
}

/// The address of the Redis of `scripts/servers`.
#[expect(clippy::disallowed_methods, reason = "how scripts/bench tells where the server is")]
fn redis() -> String {
    std::env::var("ORIENTATION_TEST_REDIS").expect("`just bench` starts a Redis")
}

/// One list of both of ours and of the peer, in alternating rounds.
async fn beside_the_peer(
    table: &mut Table,
    list: &List,
    ours: [&Ours; 2],
    (peer, cookie): (&Program, &str),
    connections: usize,
) {
    let (mut theirs, mut own) = (Outcome::default(), [Outcome::default(), Outcome::default()]);
    let asked = load::get(list.peers_path, list.signed_in.then_some(cookie));
    for _ in 0..ROUNDS {
        theirs.add(Load::same(asked.clone()).run(peer.address, connections, RUN).await);
        for (ours, outcome) in ours.iter().zip(&mut own) {
            outcome.add(ours.reads(list).run(ours.program.address, connections, RUN).await);
        }
    }
    let refused = theirs.refused + own.iter().map(|outcome| outcome.refused).sum::<usize>();
    assert_eq!(refused, 0, "every list is answered 200");
    let name = |of: &str| format!("{}, {of}, {connections} connections", list.name);
    table.row(&name("the peer"), theirs.told(), "");
    for (ours, outcome) in ours.iter().zip(&own) {
        let p99 = outcome.within(99) / theirs.within(99) * 100.0;
        let figure =
            format!("{}  {} of the peer, its p99 {p99:.0} %", outcome.told(), outcome.beside(&theirs));
        table.row(&name(ours.store), figure, list.aim);
    }
}

/// The time from the response to an edit until a process at `reader` shows it, for a question and for an announcement.
async fn edits(table: &mut Table, what: &str, ours: &Ours, reader: SocketAddr, aim: &str) {
    for (name, edited, property, listed) in
        [("question", &ours.question, "question", FAQ), ("announcement", &ours.announcement, "title", LIST)]
    {
        let (mut times, mut by_the_first) = (vec![], 0);
        for number in 0..EDITS {
            let text = format!("Edit {number} of {}", std::process::id());
            let body = json!({ property: text });
            ours.ask(Method::PATCH, edited, &body).await;
            let began = Instant::now();
            let mut reads = 1;
            let list = load::get(listed, Some(&ours.administrator));
            while !contains(&load::once(reader, &list).await.body, &text) {
                assert!(began.elapsed() < Duration::from_secs(30), "the edit shows");
                reads += 1;
            }
            times.push(began.elapsed());
            by_the_first += usize::from(reads == 1);
        }
        times.sort();
        let [median, longest] = [EDITS / 2, EDITS - 1].map(|at| times[at].as_secs_f64() * 1e3);
        let figure = format!(
            "{by_the_first} of {EDITS} by the first read, p50 {median:.1} ms, longest {longest:.1} ms"
        );
        table.row(&format!("{what}: {name}"), figure, aim);
    }
}

fn contains(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|part| part == text.as_bytes())
}

impl Ours {
    /// The program over a new store with students, questions and announcements.
    async fn start(name: &'static str, store: Store, start: impl FnOnce() -> Program) -> Self {
        let students = seed::signed_in(&store, STUDENTS).await.into_iter().map(|student| student.cookie);
        let students = Arc::new(students.collect());
        let administrator = seed::administrator(&store).await;
        drop(store);
        let (program, empty) = (start(), String::new());
        let mut ours = Self {
            store: name,
            program,
            administrator,
            students,
            question: empty.clone(),
            announcement: empty,
        };
        for number in 1..=QUESTIONS {
            let question = json!({ "question": format!("Question {number}? {SENTENCE}") });
            let asked = ours.ask(Method::POST, "/v1/faq/questions", &question).await;
            ours.question = format!("/v1/faq/questions/{}", id(&asked));
            let answer = json!({ "answer": SENTENCE.repeat(2) });
            ours.ask(Method::PUT, &format!("{}/answer", ours.question), &answer).await;
        }
        for number in 1..=ANNOUNCEMENTS {
            let text = json!({
                "title": format!("Announcement {number}"), "text": SENTENCE.repeat(4), "audience": { "for": "everyone" },
            });
            let written = ours.ask(Method::POST, "/v1/announcements", &text).await;
            ours.announcement = format!("/v1/announcements/{}", id(&written));
        }
        ours.check().await;
        ours
    }

    /// Fails unless the lists have everything: a shorter one would be faster.
    async fn check(&self) {
        for (path, number) in [(FAQ, QUESTIONS), (UNCACHED_FAQ, QUESTIONS), (LIST, ANNOUNCEMENTS)] {
            let list = load::once(self.program.address, &load::get(path, Some(&self.students[0]))).await;
            let list: Value = serde_json::from_slice(&list.body).expect("JSON");
            assert_eq!(list["items"].as_array().map(Vec::len), Some(number), "{path}");
        }
    }

    /// Requests for a list.
    fn reads(&self, list: &List) -> Load {
        let (students, path, signed_in) = (self.students.clone(), list.path, list.signed_in);
        Load::each(move |number| {
            let cookie = signed_in.then(|| students[number % students.len()].as_str());
            Some(load::get(path, cookie))
        })
    }

    /// What the administrator does: the body of the answer.
    async fn ask(&self, method: Method, path: &str, body: &Value) -> Value {
        let request =
            reqwest::Client::new().request(method, format!("http://{}{path}", self.program.address));
        let request = request.header("cookie", &self.administrator).header("if-match", "*").json(body);
        let answer = request.send().await.expect("it answers");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.expect("JSON")
    }
}

fn id(answer: &Value) -> &str {
    answer["id"].as_str().expect("an id")
}
