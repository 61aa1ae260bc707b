//! A mailing to thousands, during which the program is killed three times, people unsubscribe, addresses bounce, and
//! somebody asks for a new password.
//!
//! `ORIENTATION_TEST_RECIPIENTS` is the number of recipients; by default a smaller one, whose test takes half a minute.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use orientation::features::accounts::{self, Account, Names, SignUp};
use orientation::kernel::{Clock, EmailAddress, Ids, RandomIds, Role, SystemClock};
use orientation::platform::keys::{self, Keys, Sealer, UNSUBSCRIBE};
use orientation::platform::mail::{self, Suppression, SuppressionCause};
use orientation::platform::store::{Store, StoreError};
use reqwest::header::{COOKIE, IF_MATCH};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::changes::administrator;
use crate::doubles::ses::Ses;
use crate::emails::in_state;
use crate::program::{Program, client};
use crate::servers;

/// Recipients, unless the environment says otherwise.
const RECIPIENTS: usize = 2_000;
/// Emails per second.
const RATE: f64 = 200.0;
/// SES's response time.
const LATENCY: Duration = Duration::from_millis(40);
/// Shares of the recipients after which the program is killed.
const KILLS: [f64; 3] = [0.2, 0.45, 0.7];
/// How many have unsubscribed, and how many addresses are suppressed: before the start, and again while it runs.
const LEFT: usize = 25;
/// A password reset leaves within this time.
const RESET: Duration = Duration::from_secs(2);
/// Memory may grow by this much after the first emails, in MiB, however many recipients there are.
const GROWTH: u64 = 48;
/// Emails that one process hands to SES at a time, and some that are being recorded.
const IN_FLIGHT: u64 = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mailing_to_thousands_survives_three_kills() {
    let outcome = Run::new(Program::new(), "", recipients()).await.go().await;
    outcome.report("SQLite");
    outcome.assert_right();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_check_at_rendering_those_who_left_meanwhile_get_it() {
    let outcome = Run::new(Program::new(), "off:mailing-unsubscribed", 600).await.go().await;
    let got = outcome.left.iter().filter(|email| outcome.times.contains_key(*email)).count();
    assert!(got >= LEFT, "{got} of those who unsubscribed while it ran got the mailing");
}

mod mongo {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_mailing_to_thousands_survives_three_kills() {
        let name = format!("mailings_{}", RandomIds.next().replace('-', ""));
        let program = Program::on_mongodb(servers::mongodb_database(&name));
        let outcome = Run::new(program, "", recipients()).await.go().await;
        outcome.report("MongoDB");
        outcome.assert_right();
    }
}

/// The slowest usual rate: that of a new SES account.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_reset_overtakes_a_mailing_at_fourteen_a_second() {
    let ses = Ses::start(LATENCY);
    let mut program = Program::new().with(by_ses(&ses, 14.0));
    let store = program.store();
    let everybody = seed(&store, 400).await;
    let desk = Desk { http: client(), url: program.url(), cookie: administrator(&store).await };
    program.start("").await;
    desk.start_mailing(400 + 1).await;
    let mut slowest = Duration::ZERO;
    for account in &everybody[..5] {
        tokio::time::sleep(Duration::from_millis(700)).await;
        slowest = slowest.max(desk.reset_password(&ses, account.email.as_str()).await);
    }
    let sent = ses.taken().len();
    write(&format!("\na password reset left within {slowest:.1?} while {sent} of 401 emails had left\n"));
    assert!(slowest < RESET && sent < 200, "{slowest:?}, {sent}");
}

#[expect(clippy::disallowed_methods, reason = "how scripts/test chooses the number")]
fn recipients() -> usize {
    let number = std::env::var("ORIENTATION_TEST_RECIPIENTS").ok();
    number.map_or(RECIPIENTS, |number| number.parse().expect("ORIENTATION_TEST_RECIPIENTS is a number"))
}

fn by_ses(ses: &Ses, rate: f64) -> Vec<(&'static str, String)> {
    ses.allow(rate);
    [
        ("ORIENTATION_REHEARSAL", "yes"),
        ("ORIENTATION_MAIL_FROM", "Orientation Week <orientation@example.edu>"),
        ("ORIENTATION_MAIL_RATE", &rate.to_string()),
        ("AWS_REGION", "ca-central-1"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "key"),
        ("AWS_ENDPOINT_URL_SESV2", ses.url()),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into()
}

/// Accounts of students, in the order of their ids: that of the emails.
async fn seed(store: &Store, number: usize) -> Vec<Account> {
    let schemas = [accounts::schemas(), mail::schemas(), keys::schemas()].concat();
    store.prepare(&schemas).await.expect("the store is new");
    let mut accounts: Vec<_> = (0..number).map(somebody).collect();
    accounts.sort_by(|one, other| one.id.cmp(&other.id));
    for some in accounts.chunks(250) {
        let some: Vec<_> = some.iter().collect();
        let stored: Result<(), StoreError> = store.transact(async |tx| tx.put_all(&some).await).await;
        stored.expect("new");
    }
    accounts
}

fn somebody(n: usize) -> Account {
    let email = EmailAddress::parse(&format!("student{n}@example.org")).expect("an address");
    let now = SystemClock.now();
    let sign_up = SignUp {
        client: None,
        id: RandomIds.next(),
        email_key: email.key(),
        email,
        names: Names { first: format!("Student {n}"), last: None, preferred: None },
        role: Role::Student,
        password_hash: String::new(),
        created_at: now,
        expires_at: now,
    };
    Account::confirmed(&sign_up, now)
}

/// An administrator, who writes the mailing.
#[derive(Clone)]
struct Desk {
    http: reqwest::Client,
    url: String,
    cookie: String,
}

impl Desk {
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).header(COOKIE, &self.cookie)
    }

    /// Starts a mailing to everybody, who are this number. Returns its id.
    async fn start_mailing(&self, recipients: usize) -> String {
        let draft = json!({
            "subject": "What to bring, {firstName}", "text": "Dear {firstName},\n\nbring **water**.",
            "audience": { "for": "everyone" },
        });
        let created = self.request(Method::POST, "/v1/mailings").json(&draft).send().await.expect("it lives");
        assert_eq!(created.status(), 201);
        let mailing: Value = created.json().await.expect("JSON");
        let id = mailing["id"].as_str().expect("an id").to_owned();
        let start = self.request(Method::POST, &format!("/v1/mailings/{id}/start")).header(IF_MATCH, "*");
        let started = start.json(&json!({ "recipients": recipients })).send().await.expect("it lives");
        assert_eq!(started.status(), 202, "{:?}", started.text().await);
        id
    }

    /// The progress of the mailing. `None` while the program is dead.
    async fn progress(&self, mailing: &str) -> Option<(String, BTreeMap<String, u64>)> {
        let answer = self.request(Method::GET, &format!("/v1/mailings/{mailing}")).send().await.ok()?;
        let mailing: Value = answer.json().await.ok()?;
        let progress = serde_json::from_value(mailing["progress"].clone()).ok()?;
        Some((mailing["state"].as_str()?.to_owned(), progress))
    }

    /// How long it takes from the request until SES has the email.
    async fn reset_password(&self, ses: &Ses, email: &str) -> Duration {
        let of_reset = |ses: &Ses| ses.taken_of("password-reset:");
        let (before, begun) = (of_reset(ses), Instant::now());
        let request = self.http.post(format!("{}/v1/password-resets", self.url));
        let asked = request.json(&json!({ "email": email })).send().await.expect("it lives");
        assert_eq!(asked.status(), 202);
        while of_reset(ses) == before {
            assert!(begun.elapsed() < RESET * 10, "the password reset doesn't leave");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        begun.elapsed()
    }

    /// What a mail program sends.
    async fn unsubscribe(&self, keys: &Keys, account: &str) {
        let token = keys.seal(UNSUBSCRIBE, account);
        let request = self.http.post(format!("{}/unsubscribe?token={token}", self.url));
        let answer = request.form(&[("List-Unsubscribe", "One-Click")]).send().await.expect("it lives");
        assert_eq!(answer.status(), 200);
    }
}

/// A mailing that is about to start.
struct Run {
    program: Program,
    store: Store,
    off: &'static str,
    ses: Arc<Ses>,
    desk: Desk,
    everybody: Vec<Account>,
}

/// What was seen of the mailing while it ran.
#[derive(Default)]
struct Watched {
    reads: AtomicU64,
    sent: AtomicU64,
    peak: AtomicU64,
    pid: AtomicU64,
}

struct Outcome {
    recipients: usize,
    took: Duration,
    /// How often each address got the mailing.
    times: BTreeMap<String, usize>,
    /// Emails that went twice, that are marked, and that were in flight at a kill.
    twice: BTreeSet<String>,
    marked: BTreeSet<String>,
    in_flight: BTreeSet<String>,
    /// Addresses of those who unsubscribed or were suppressed before or while it ran.
    early: BTreeSet<String>,
    left: BTreeSet<String>,
    suppressed: BTreeSet<String>,
    expected: BTreeSet<String>,
    progress: BTreeMap<String, u64>,
    reads: u64,
    reset: Duration,
    /// Memory after the first emails and at most, in MiB.
    memory: (u64, u64),
}

impl Run {
    async fn new(program: Program, off: &'static str, recipients: usize) -> Self {
        let ses = Arc::new(Ses::start(LATENCY));
        let program = program.with(by_ses(&ses, RATE));
        let store = program.any_store().await;
        let everybody = seed(&store, recipients + 2 * LEFT).await;
        let desk = Desk { http: client(), url: program.url(), cookie: administrator(&store).await };
        Self { program, store, off, ses, desk, everybody }
    }

    async fn go(mut self) -> Outcome {
        let (store, desk, ses) = (self.store.clone(), self.desk.clone(), self.ses.clone());
        // The first have left before the start; the last leave while it runs.
        let (unsubscribed, rest) = self.everybody.split_at(LEFT);
        let (suppressed, rest) = rest.split_at(LEFT);
        let (others, last) = rest.split_at(rest.len() - 2 * LEFT);
        let (leaving, bouncing) = last.split_at(LEFT);
        unsubscribe_in(&store, unsubscribed).await;
        suppress(&store, suppressed).await;
        let addresses = |accounts: &[Account]| {
            accounts.iter().map(|account| account.email.to_string()).collect::<BTreeSet<_>>()
        };
        let early = addresses(unsubscribed).into_iter().chain(addresses(suppressed)).collect();
        let (left, suppressed) = (addresses(leaving), addresses(bouncing));
        let (expected, leaving, bouncing) = (addresses(others), leaving.to_vec(), bouncing.to_vec());
        let resetting = others[0].email.to_string();
        let recipients = rest.len() + 1;

        self.program.start(self.off).await;
        let keys = Keys::load(&store, &RandomIds, SystemClock.now(), &[]).await.expect("readable");
        let begun = Instant::now();
        let mailing = desk.start_mailing(recipients).await;
        let watched = Arc::new(Watched::default());
        watched.pid.store(self.program.pid().into(), Ordering::Relaxed);
        let watching = watch(desk.clone(), ses.clone(), watched.clone(), mailing.clone());
        let (mut in_flight, mut reset, mut at_first) = (BTreeSet::new(), Duration::ZERO, 0);
        for (kill, share) in KILLS.into_iter().enumerate() {
            self.until_taken((recipients as f64 * share) as usize).await;
            if kill == 0 {
                at_first = watched.peak.load(Ordering::Relaxed);
                for account in &leaving {
                    desk.unsubscribe(&keys, &account.id).await;
                }
                suppress(&store, &bouncing).await;
                reset = desk.reset_password(&ses, &resetting).await;
            }
            watched.pid.store(0, Ordering::Relaxed);
            self.program.kill().await;
            in_flight.extend(in_state(&store, "sending").await);
            self.program.start(self.off).await;
            watched.pid.store(self.program.pid().into(), Ordering::Relaxed);
        }
        let progress = tokio::time::timeout(Duration::from_secs(600), watching).await.expect("it ends");
        let progress = progress.expect("it was true whenever it was read");
        let took = begun.elapsed();
        self.program.stop().await;
        Outcome {
            recipients,
            took,
            early,
            left,
            suppressed,
            expected,
            progress,
            reset,
            in_flight: of_mailing(in_flight),
            marked: of_mailing(in_state(&store, "sentPossiblyTwice").await),
            twice: of_mailing(self.twice()),
            times: self.times(),
            reads: watched.reads.load(Ordering::Relaxed),
            memory: (at_first, watched.peak.load(Ordering::Relaxed)),
        }
    }

    async fn until_taken(&self, number: usize) {
        let begun = Instant::now();
        while self.ses.times().len() < number {
            assert!(begun.elapsed() < Duration::from_secs(300), "{}", self.program.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn twice(&self) -> BTreeSet<String> {
        self.ses.times().into_iter().filter(|(_, times)| *times > 1).map(|(mail, _)| mail).collect()
    }

    fn times(&self) -> BTreeMap<String, usize> {
        let mut times = BTreeMap::new();
        for taken in self.ses.taken().into_iter().filter(|taken| taken.mail.starts_with("mailing:")) {
            *times.entry(taken.to).or_default() += 1;
        }
        times
    }
}

fn of_mailing(mails: BTreeSet<String>) -> BTreeSet<String> {
    mails.into_iter().filter(|mail| mail.starts_with("mailing:")).collect()
}

async fn unsubscribe_in(store: &Store, accounts: &[Account]) {
    let left = |account: &Account| Account { unsubscribed_at: Some(SystemClock.now()), ..account.clone() };
    let left: Vec<_> = accounts.iter().map(left).collect();
    let stored: Result<(), StoreError> =
        store.transact(async |tx| tx.put_all(&left.iter().collect::<Vec<_>>()).await).await;
    stored.expect("changed");
}

async fn suppress(store: &Store, accounts: &[Account]) {
    let entry = |account: &Account| {
        Suppression::new(RandomIds.next(), &account.email, SuppressionCause::Bounce, SystemClock.now())
    };
    let entries: Vec<_> = accounts.iter().map(entry).collect();
    let stored: Result<(), StoreError> =
        store.transact(async |tx| tx.put_all(&entries.iter().collect::<Vec<_>>()).await).await;
    stored.expect("new");
}

/// Reads progress and memory until the mailing is finished. Fails if the progress is not true.
fn watch(
    desk: Desk,
    ses: Arc<Ses>,
    watched: Arc<Watched>,
    mailing: String,
) -> JoinHandle<BTreeMap<String, u64>> {
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if let Some(memory) = memory_of(watched.pid.load(Ordering::Relaxed)) {
                watched.peak.fetch_max(memory, Ordering::Relaxed);
            }
            let before = mails_taken(&ses);
            let Some((state, progress)) = desk.progress(&mailing).await else { continue };
            let after = mails_taken(&ses);
            let all: u64 = progress.iter().filter(|(name, _)| *name != "recipients").map(|(_, n)| n).sum();
            assert_eq!(all, progress["recipients"], "each recipient is counted once: {progress:?}");
            let sent = progress["sent"] + progress["possiblyTwice"];
            assert!(sent >= watched.sent.swap(sent, Ordering::Relaxed), "it goes on: {progress:?}");
            assert!(sent <= after, "nothing is counted that did not leave: {after}, {progress:?}");
            let unrecorded = IN_FLIGHT * (KILLS.len() as u64 + 1);
            assert!(before <= sent + unrecorded, "what left is counted: {before}, {progress:?}");
            watched.reads.fetch_add(1, Ordering::Relaxed);
            if state == "finished" {
                return progress;
            }
        }
    })
}

/// Number of recipients whose email of the mailing SES has.
fn mails_taken(ses: &Ses) -> u64 {
    ses.times().keys().filter(|mail| mail.starts_with("mailing:")).count() as u64
}

/// Resident memory of a process, in MiB.
fn memory_of(pid: u64) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}

impl Outcome {
    fn report(&self, store: &str) {
        let Self { recipients, took, twice, marked, in_flight, reset, memory, reads, progress, .. } = self;
        write(&format!(
            "\n{store}: {recipients} recipients at {RATE} a second, {} kills: {:.1} s; {} were in flight at a kill, {} are \
             marked, {} went twice; a password reset left within {reset:.1?}; memory {} MiB at first, {} at most; \
             the progress was true {reads} times; at the end {progress:?}\n",
            KILLS.len(),
            took.as_secs_f64(),
            in_flight.len(),
            marked.len(),
            twice.len(),
            memory.0,
            memory.1,
        ));
    }

    fn assert_right(&self) {
        let got: BTreeSet<_> = self.times.keys().cloned().collect();
        assert!(self.expected.is_subset(&got), "left out: {:?}", self.expected.difference(&got).next());
        for gone in [&self.early, &self.left, &self.suppressed] {
            assert_eq!(got.intersection(gone).next(), None, "they get none");
        }
        assert_eq!(got.len(), self.expected.len() + 1, "the others are the administrator");
        assert!(self.twice.is_subset(&self.marked), "what went twice is marked");
        assert!(self.marked.is_subset(&self.in_flight), "only what was in flight is marked");
        let ended = ["unsubscribed", "suppressed", "failed", "obsolete", "queued"];
        let left = LEFT as u64;
        assert_eq!(ended.map(|name| self.progress[name]), [left, left, 0, 0, 0]);
        assert_eq!(self.progress["possiblyTwice"], self.marked.len() as u64);
        assert!(self.reset < RESET, "{:?}", self.reset);
        let (first, most) = self.memory;
        assert!(most < first + GROWTH, "memory grew from {first} to {most} MiB");
    }
}

/// Not by a macro, which shows nothing when the test passes.
fn write(report: &str) {
    std::io::stderr().write_all(report.as_bytes()).expect("somebody reads it");
}
