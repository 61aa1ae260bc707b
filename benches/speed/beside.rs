//! Sign-ins and session reads, compared with the same service on Express and mongoose (`benches/peer`) on the same
//! MongoDB, and with bare loops of the same database calls, which show the maximum of server and driver on this
//! machine.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{DateTime, RawDocumentBuf, doc, rawdoc};
use mongodb::options::{Acknowledgment, ClientOptions, WriteConcern};
use mongodb::{Client, Collection};
use orientation::features::accounts::{Account, Password, Passwords, Session};
use orientation::kernel::{Ids, RandomIds};
use orientation::platform::store::{Access, Document, Store};
use serde_json::json;
use tokio::task::JoinSet;

use crate::load::{self, Load, Outcome};
use crate::peers;
use crate::program::Program;
use crate::seed::{self, SignedIn};
use crate::table::Table;

const CONNECTIONS: [usize; 3] = [1, 16, 64];
const ROUNDS: u32 = 3;
/// Duration of a round for each program.
const RUN: Duration = Duration::from_secs(3);
/// Idle time before memory is measured: twice the interval at which our program returns memory.
const REST: Duration = Duration::from_secs(10);
/// Signed-in students.
const STUDENTS: usize = 500;
/// Students that `benches/peer/seed.js` creates.
const PEERS_STUDENTS: usize = 500;

/// Both programs, each with its own database.
struct Both {
    ours: Program,
    peer: Program,
    students: Arc<Vec<SignedIn>>,
    /// The cookie of a student who is signed in at the peer.
    cookie: String,
    database: String,
    peers_database: String,
}

pub async fn measure(table: &mut Table) {
    let both = Both::start().await;
    for connections in CONNECTIONS {
        both.session_reads(table, connections).await;
    }
    for connections in CONNECTIONS {
        both.sign_ins(table, connections).await;
    }
    both.memory(table, "at the end of the rush", "");
    tokio::time::sleep(REST).await;
    both.memory(table, "after a rest", "20 %");
    both.end().await;
}

impl Both {
    async fn start() -> Self {
        let database = format!("orientation-bench-{}", std::process::id());
        let peers_database = format!("peer-bench-{}", std::process::id());
        let ours = address(&database);
        let store =
            seed::prepared(Store::mongo(&ours, Access::Serving).await.expect("the server is there")).await;
        let students = Arc::new(seed::signed_in(&store, STUDENTS).await);
        drop(store);
        let environment = [("ORIENTATION_MONGODB_URI", ours.as_str()), ("ORIENTATION_LIMITS", "0")];
        let ours = Program::start(&seed::folder(), &environment);
        let peer = peer(&peers_database);
        let cookie = signed_in_at(&peer).await;
        Self { ours, peer, students, cookie, database, peers_database }
    }

    fn memory(&self, table: &mut Table, when: &str, aim: &str) {
        let part = |of: fn(&Program) -> u64| of(&self.ours) as f64 / of(&self.peer) as f64 * 100.0;
        let told =
            |it: &Program| format!("{} MB, {} without pages of files", it.megabytes(), it.own_megabytes());
        let parts = (part(Program::megabytes), part(Program::own_megabytes));
        table.row(&format!("memory of the peer {when}"), told(&self.peer), "");
        table.row(
            &format!("memory of ours {when}"),
            format!("{}  {:.0} % and {:.0} %", told(&self.ours), parts.0, parts.1),
            aim,
        );
    }

    /// Drops the databases after both programs have ended.
    async fn end(self) {
        drop((self.ours, self.peer));
        for database in [self.database, self.peers_database] {
            mongo(&database).await.database(&database).drop().await.expect("dropped");
        }
    }

    /// `GET /v1/me`, compared with the peer's `GET /me` and with the two look-ups alone.
    async fn session_reads(&self, table: &mut Table, connections: usize) {
        let (mut ours, mut peer, mut bare) = (Outcome::default(), Outcome::default(), Outcome::default());
        let theirs = load::get("/me", Some(&self.cookie));
        for _ in 0..ROUNDS {
            let students = self.students.clone();
            let read = move |n: usize| Some(load::get("/v1/me", Some(&students[n % students.len()].cookie)));
            peer.add(Load::same(theirs.clone()).run(self.peer.address, connections, RUN).await);
            ours.add(Load::each(read).run(self.ours.address, connections, RUN).await);
            bare.add(self.two_look_ups(connections).await);
        }
        assert_eq!((ours.refused, peer.refused), (0, 0), "everybody is signed in");
        let name = |what: &str| format!("{what}, {connections} connections");
        let p99 = ours.within(99) / peer.within(99) * 100.0;
        table.row(&name("GET /me of the peer"), peer.told(), "");
        table.row(&name("the two look-ups through the driver"), bare.told(), "");
        table.row(
            &name("GET /v1/me"),
            format!(
                "{}  {} of the peer, its p99 {p99:.0} %; {} of the look-ups",
                ours.told(),
                ours.beside(&peer),
                ours.beside(&bare)
            ),
            "500 % and 20 %, or 50 % of the look-ups",
        );
    }

    /// Reads sessions and their accounts in a loop, in as many tasks as there would be connections.
    async fn two_look_ups(&self, tasks: usize) -> Outcome {
        let students = self.students.clone();
        self.in_a_loop(tasks, move |bare, n| {
            let students = students.clone();
            async move {
                let student = &students[n % students.len()];
                let session = bare.sessions.find_one(doc! { "_id": &student.session }).await;
                let account = bare.accounts.find_one(doc! { "_id": &student.account }).await;
                let both = session.expect("readable").is_some() && account.expect("readable").is_some();
                assert!(both, "they were put there");
            }
        })
        .await
    }

    /// The same with the hash of a sign-in between its two statements.
    async fn hashes_between_statements(&self, tasks: usize) -> Outcome {
        let passwords = Arc::new(Passwords::on_all_cores(Arc::new(RandomIds)));
        self.in_a_loop(tasks, move |bare, n| {
            let passwords = passwords.clone();
            async move {
                let account = bare.accounts.find_one(doc! { "emailKey": seed::email_key(n % STUDENTS) });
                let account = account.await.expect("readable").expect("it was put there");
                let hash = account.get_str("passwordHash").expect("text");
                let fits = passwords.verify(Password::read(seed::PASSWORD), Some(hash)).await;
                assert!(fits.expect("not too many wait"), "it is the password");
                let session = rawdoc! {
                    "_id": RandomIds.next(), "accountId": account.get_str("_id").expect("text"),
                    "passwordVersion": 1, "createdAt": DateTime::now(), "expiresAt": DateTime::MAX,
                };
                bare.sessions.insert_one(session).await.expect("it is new");
            }
        })
        .await
    }

    /// Repeats an operation of the driver on our database, in this number of tasks.
    async fn in_a_loop<F>(
        &self,
        tasks: usize,
        work: impl Fn(Bare, usize) -> F + Send + Sync + 'static,
    ) -> Outcome
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let database = self.database.clone();
        // On its own threads, as many as the service has.
        let looping = std::thread::spawn(move || {
            tokio::runtime::Runtime::new().expect("a runtime").block_on(looped(database, tasks, work))
        });
        tokio::task::spawn_blocking(|| looping.join().expect("no panic")).await.expect("no panic")
    }

    /// Sign-ins, compared with the peer's and with a bare loop of the hash.
    async fn sign_ins(&self, table: &mut Table, connections: usize) {
        let (mut hashes, mut bare) = (0.0, Outcome::default());
        let (mut ours, mut peer) = (Outcome::default(), Outcome::default());
        for _ in 0..ROUNDS {
            let own = Load::each(|n| Some(seed::sign_in(n % STUDENTS)));
            let theirs = Load::each(|n| Some(peers_sign_in(n)));
            hashes += peers::hashes_a_second(RUN) / f64::from(ROUNDS);
            bare.add(self.hashes_between_statements(connections).await);
            peer.add(theirs.run(self.peer.address, connections, RUN).await);
            ours.add(own.run(self.ours.address, connections, RUN).await);
        }
        assert_eq!((ours.refused, peer.refused), (0, 0), "every sign-in is answered 200");
        let name = |what: &str| format!("{what}, {connections} connections");
        let part = |outcome: &Outcome| outcome.a_second() / hashes * 100.0;
        table.row(&name("sign-ins of the peer"), peer.told(), "");
        table.row("a bare loop of the hash, all cores", format!("{hashes:.1} a second"), "");
        table.row(
            &name("the hash between two statements through the driver"),
            format!("{}  {:.0} % of the hashes", bare.told(), part(&bare)),
            "",
        );
        table.row(
            &name("sign-ins on MongoDB"),
            format!(
                "{}  {} of the peer; {:.0} % of the hashes, {} of those between statements",
                ours.told(),
                ours.beside(&peer),
                part(&ours),
                ours.beside(&bare)
            ),
            if connections == 1 { "" } else { "95 % of the hashes" },
        );
    }
}

/// Our collections, through the driver alone.
#[derive(Clone)]
struct Bare {
    sessions: Collection<RawDocumentBuf>,
    accounts: Collection<RawDocumentBuf>,
}

async fn looped<F>(
    database: String,
    tasks: usize,
    work: impl Fn(Bare, usize) -> F + Send + Sync + 'static,
) -> Outcome
where
    F: Future<Output = ()> + Send + 'static,
{
    let client = mongo(&database).await;
    let database = client.database(&database);
    let bare = Bare {
        sessions: database.collection(Session::COLLECTION),
        accounts: database.collection(Account::COLLECTION),
    };
    let (began, work) = (Instant::now(), Arc::new(work));
    let mut loops = JoinSet::new();
    for task in 0..tasks {
        let (bare, work) = (bare.clone(), work.clone());
        loops.spawn(async move {
            let mut times = vec![];
            while began.elapsed() < RUN {
                let asked = Instant::now();
                work(bare.clone(), task + times.len()).await;
                times.push(asked.elapsed());
            }
            times
        });
    }
    let times = loops.join_all().await;
    let took = began.elapsed();
    // Before the runtime ends, because the driver needs it.
    client.shutdown().await;
    Outcome::of(times.concat(), took)
}

pub async fn mongo(database: &str) -> Client {
    let mut options = ClientOptions::parse(address(database)).await.expect("the server's address");
    // As the service writes.
    let durable = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build();
    options.write_concern = Some(durable);
    Client::with_options(options).expect("the server's address")
}

/// The address of a database on the server of `scripts/servers`.
#[expect(clippy::disallowed_methods, reason = "how scripts/bench tells where the server is")]
pub fn address(database: &str) -> String {
    let server = std::env::var("ORIENTATION_TEST_MONGODB").expect("`just bench` starts a MongoDB");
    let mut address = url::Url::parse(&server).expect("an address");
    address.set_path(database);
    address.into()
}

/// The peer with its students, on its own database.
pub fn peer(database: &str) -> Program {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/peer");
    let database = address(database);
    let node = |file: &str| {
        let mut command = Command::new("node");
        command.current_dir(&folder).arg(file).env("NODE_ENV", "production").env("MONGO_URI", &database);
        command
    };
    let seeded = node("seed.js").stdout(Stdio::null()).status().expect("node is there");
    assert!(seeded.success(), "the peer's students are there");
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
    let mut server = node("server.js");
    server.env("PORT", port.to_string());
    Program::listening(server)
}

fn peers_sign_in(n: usize) -> Vec<u8> {
    let email = format!("student{}@example.org", n % PEERS_STUDENTS + 1);
    load::post("/login", None, &json!({ "email": email, "password": "Passw0rd!" }).to_string())
}

/// Signs in at the peer; returns the cookie.
pub async fn signed_in_at(peer: &Program) -> String {
    let answer = load::once(peer.address, &peers_sign_in(0)).await;
    assert_eq!(answer.status, 200, "the peer lets its students in");
    answer.cookie.expect("a session")
}
