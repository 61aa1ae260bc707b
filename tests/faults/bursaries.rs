//! A bursary is approved while the student pays, and the program is killed: 100 seeds on each store.
//!
//! Each seed is a student. It decides which button the student presses on the checkout page, how long the press and the
//! approval wait, and at which step or moment the program dies. The next run of the program is that of the next seed, so
//! that work that was cut short continues beside it. Whatever happens, the student is registered and has paid nothing at
//! the end.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use orientation::features::bursary_requests::{Bursary, BursaryState};
use orientation::features::outbox::StoredEmail;
use orientation::features::payments::{Order, OrderState, RefundState};
use orientation::features::registration::{Registration, RegistrationState};
use orientation::kernel::{Ids, RandomIds};
use orientation::platform::audit::AuditEntry;
use orientation::platform::jobs::Job;
use orientation::platform::mail::{Mail, MailState};
use orientation::platform::store::{Document, Keep, Personal, Store};
use reqwest::header::COOKIE;
use reqwest::{RequestBuilder, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::audit::all;
use crate::changes::administrator;
use crate::program::{PATIENCE, Program, client, due, is_of_a_bank, jobs, unfinished};
use crate::servers;
use crate::students::{Student, seed};
use crate::way::answer;

const SEEDS: usize = 100;
/// Enough to show that a test without the guard fails.
const SEEDS_WITHOUT: usize = 12;
/// How long the press and the approval wait, in microseconds.
const WAIT: std::ops::Range<u64> = 0..30_000;
/// How long the program lives after them, in microseconds, if it isn't to die at a step.
const LIFE: std::ops::Range<u64> = 0..60_000;

/// Interval for polling the jobs.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// The jobs that approvals and payments cause.
const JOBS: [&str; 4] = ["bursaries.settle", "mail.send", "payments.refund", "sandbox.deliver"];

/// Number of seeds after which the program rests.
const REST_AFTER: usize = 10;

/// The steps at which the program dies.
const STEPS: [&str; 15] = [
    "bursary.after-decision",
    "bursary.after-settlement",
    "bursary.after-waiver",
    "pay.after-closing",
    "pay.after-expire",
    "pay.after-refund",
    "pay.after-settle",
    "pay.before-expire",
    "pay.before-refund",
    "pay.before-settle",
    "pay.while-closing",
    "pay.while-settling",
    "sandbox.after-press",
    "mail.after-send",
    "audit.after-entry",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_and_a_payment_and_a_kill_at_once_have_one_outcome() {
    let outcome = Race::new(Program::new(), SEEDS, "", Plan::of_seed).await.run().await;
    outcome.report("SQLite");
    assert_eq!(outcome.wrong, Vec::<String>::new());
    outcome.assert_varied();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_job_of_the_approval_a_kill_leaves_students_unregistered() {
    let dies =
        |_| Plan { button: "later-fails", dies: Death::At("bursary.after-decision", 1), ..Plan::of_seed(0) };
    let outcome = Race::new(Program::new(), SEEDS_WITHOUT, "off:bursary.job", dies).await.run().await;
    assert!(outcome.wrong.iter().any(|wrong| wrong.contains("not registered")), "{:?}", outcome.wrong);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_refunds_of_late_payments_money_is_kept() {
    let late = |seed| Plan { button: "later-succeeds", press: Duration::ZERO, ..Plan::of_seed(seed) };
    let outcome = Race::new(Program::new(), SEEDS_WITHOUT, "off:pay.refund-waived", late).await.run().await;
    assert!(outcome.wrong.iter().any(|wrong| wrong.contains("kept by the gateway")), "{:?}", outcome.wrong);
}

mod mongo {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_approval_and_a_payment_and_a_kill_at_once_have_one_outcome() {
        let name = format!("bursaries_{}", RandomIds.next().replace('-', ""));
        let program = Program::on_mongodb(servers::mongodb_database(&name));
        let outcome = Race::new(program, SEEDS, "", Plan::of_seed).await.run().await;
        outcome.report("MongoDB");
        assert_eq!(outcome.wrong, Vec::<String>::new());
        outcome.assert_varied();
    }
}

fn is_ours(job: &Job) -> bool {
    JOBS.contains(&job.kind.as_str())
}

/// How the program dies.
#[derive(Clone, Copy, Debug)]
enum Death {
    /// By itself, when it reaches the step for this time.
    At(&'static str, u32),
    /// By `kill -9`, this long after the requests.
    After(Duration),
}

/// What happens to one student.
#[derive(Clone, Copy, Debug)]
struct Plan {
    button: &'static str,
    press: Duration,
    approve: Duration,
    dies: Death,
}

impl Plan {
    fn of_seed(seed: usize) -> Self {
        let mut chance = fastrand::Rng::with_seed(seed as u64);
        let mut wait = |range: std::ops::Range<u64>| Duration::from_micros(chance.u64(range));
        let (press, approve, life) = (wait(WAIT), wait(WAIT), wait(LIFE));
        let button = chance.choice(["pay", "pay", "later-succeeds", "later-fails"]).expect("one");
        let step = chance.choice(STEPS).expect("one");
        let dies = if chance.bool() { Death::At(step, chance.u32(1..=2)) } else { Death::After(life) };
        Self { button, press, approve, dies }
    }

    /// The faults of the run of this seed.
    fn faults(&self, off: &str) -> String {
        match self.dies {
            Death::At(step, time) => format!("crash:{step}:{time},{off}"),
            Death::After(_) => off.to_owned(),
        }
    }
}

/// A committee member and the students, before the program.
struct Race {
    program: Program,
    store: Store,
    off: &'static str,
    plans: Vec<Plan>,
    students: Vec<Student>,
    desk: Arc<Desk>,
}

impl Race {
    async fn new(program: Program, seeds: usize, off: &'static str, plan: impl Fn(usize) -> Plan) -> Self {
        let store = program.any_store().await;
        let students = seed(&store, seeds).await;
        let cookie = administrator(&store).await;
        let desk = Desk { http: client(), url: program.url(), lives: program.lives(), cookie };
        Self { program, store, off, plans: (0..seeds).map(plan).collect(), students, desk: Arc::new(desk) }
    }

    async fn run(mut self) -> Outcome {
        let begun = Instant::now();
        self.program.start(self.off).await;
        let pages = self.everybody_asks().await;
        self.program.kill().await;
        let (mut racing, mut crashes) = (JoinSet::new(), 0);
        for (seed, page) in pages.into_iter().enumerate() {
            crashes += u32::from(self.race(seed, page, &mut racing).await);
            if (seed + 1).is_multiple_of(REST_AFTER) {
                self.rest().await;
            }
        }
        self.program.a_minute_passes().await;
        self.program.start(self.off).await;
        timeout(PATIENCE, racing.join_all()).await.expect("nobody is stuck");
        self.until_quiet().await;
        self.program.stop().await;
        Outcome { crashes, took: begun.elapsed(), ..self.judge().await }
    }

    /// A run of the program in which the student of this seed pays and is approved. Both go on in the next runs if they get
    /// no answer. Returns whether the program crashed at its step.
    async fn race(&mut self, seed: usize, page: String, racing: &mut JoinSet<()>) -> bool {
        let (student, plan) = (self.students[seed].clone(), self.plans[seed]);
        self.program.a_minute_passes().await;
        self.program.start(&plan.faults(self.off)).await;
        let answered = Arc::new(Semaphore::new(0));
        let (desk, done) = (self.desk.clone(), answered.clone());
        racing.spawn(async move {
            sleep(plan.press).await;
            desk.press(&page, plan.button).await;
            done.add_permits(1);
        });
        let (desk, done) = (self.desk.clone(), answered.clone());
        racing.spawn(async move {
            sleep(plan.approve).await;
            desk.approve(&student.id).await;
            done.add_permits(1);
        });
        self.dies(plan, &answered).await
    }

    /// Waits until the program has died. Returns whether it crashed at its step; if it doesn't reach the step, it is killed
    /// once both requests are answered.
    async fn dies(&mut self, plan: Plan, answered: &Semaphore) -> bool {
        let life = async {
            match plan.dies {
                Death::After(life) => sleep(life).await,
                Death::At(..) => drop(answered.acquire_many(2).await.expect("never closed")),
            }
        };
        let crashed = tokio::select! {
            () = self.program.crashes() => true,
            () = life => false,
        };
        if !crashed {
            self.program.kill().await;
        }
        crashed
    }

    /// Every student submits a form that asks for a bursary. The checkout pages, in the order of the students.
    async fn everybody_asks(&self) -> Vec<String> {
        let pages = futures_util::stream::iter(self.students.clone()).map(|mut student| {
            let desk = self.desk.clone();
            async move {
                student.form["bursaryRequested"] = true.into();
                let request = desk.http.post(format!("{}/v1/registration", desk.url));
                let request = request.header(COOKIE, &student.cookie).json(&student.form);
                let (status, _, body) = answer(request).await.expect("an answer");
                assert_eq!(status, 201, "{body}");
                body["order"]["checkoutUrl"].as_str().expect("a checkout").to_owned()
            }
        });
        pages.buffered(4).collect().await
    }

    /// Lets a run of the program finish what is due. A job whose workers die too often is given up.
    async fn rest(&mut self) {
        self.program.a_minute_passes().await;
        self.program.start(self.off).await;
        self.until_nothing_is_due().await;
        self.program.kill().await;
    }

    async fn until_nothing_is_due(&self) {
        let begun = Instant::now();
        while due(&self.store).await.iter().any(is_ours) {
            assert!(begun.elapsed() < PATIENCE, "jobs are left over");
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Waits until all jobs of these features are done.
    async fn until_quiet(&mut self) {
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < PATIENCE, "jobs are left over");
            self.until_nothing_is_due().await;
            let left: Vec<_> = jobs(&self.store, unfinished()).await.into_iter().filter(is_ours).collect();
            if left.is_empty() {
                return;
            }
            if left.iter().all(is_of_a_bank) {
                sleep(LOOK_AGAIN).await;
                continue;
            }
            self.program.kill().await;
            self.program.a_minute_passes().await;
            self.program.start(self.off).await;
        }
    }

    async fn judge(&self) -> Outcome {
        let seen = Seen::in_store(&self.store).await;
        let mut outcome = Outcome::default();
        for (seed, student) in self.students.iter().enumerate() {
            let order = seen.order_of(&student.id);
            *outcome
                .states
                .entry(format!("{:?}, {} refunds", order.state, order.refunds.len()))
                .or_default() += 1;
            let wrong = seen.wrong(&student.id, order);
            outcome.wrong.extend(
                wrong.into_iter().map(|wrong| format!("seed {seed}: {wrong} ({:?})", self.plans[seed])),
            );
        }
        outcome
    }
}

/// Who sends the requests. A request without an answer is repeated in the next run of the program, and one that was
/// answered with 503 after a moment, as the answer says.
struct Desk {
    http: reqwest::Client,
    url: String,
    lives: watch::Receiver<u32>,
    cookie: String,
}

impl Desk {
    /// The committee member approves. 409: an earlier request took effect, and its answer was lost.
    async fn approve(&self, student: &str) {
        let url = format!("{}/v1/bursaries/{student}/approve", self.url);
        let (status, body) = self.surely(|| self.http.post(&url).header(COOKIE, &self.cookie)).await;
        assert!(status == 200 || body["type"] == "/problems/bursary-decided", "{status} {body}");
    }

    /// The student presses a button. 409: the checkout has ended, or an earlier press took effect.
    async fn press(&self, page: &str, button: &str) {
        let (status, body) = self.surely(|| self.http.post(page).form(&[("press", button)])).await;
        assert!([303, 409].contains(&status), "{status} {body}");
    }

    async fn surely(&self, request: impl Fn() -> RequestBuilder) -> (u16, Value) {
        let mut lives = self.lives.clone();
        loop {
            let life = *lives.borrow_and_update();
            if let Ok((status, _, body)) = answer(request()).await {
                if status != StatusCode::SERVICE_UNAVAILABLE {
                    return (status.as_u16(), body);
                }
                sleep(LOOK_AGAIN).await;
                continue;
            }
            lives.wait_for(|now| *now > life).await.expect("the program outlives its clients");
        }
    }
}

/// What the test found.
#[derive(Default)]
struct Outcome {
    wrong: Vec<String>,
    /// Number of students by the state of their order.
    states: BTreeMap<String, u32>,
    /// Runs that ended at a step; the others were killed.
    crashes: u32,
    took: Duration,
}

impl Outcome {
    fn report(&self, store: &str) {
        let Self { states, crashes, took, .. } = self;
        let report = format!(
            "\nbursaries on {store}: {SEEDS} seeds in {:.0} s, {crashes} crashes at a step, {} kills\n{states:#?}\n",
            took.as_secs_f64(),
            SEEDS - *crashes as usize,
        );
        // Not by a macro, which shows nothing when the test passes.
        std::io::stderr().write_all(report.as_bytes()).expect("somebody reads it");
    }

    fn assert_varied(&self) {
        assert!(self.crashes as usize > SEEDS / 5, "only {} crashes at a step", self.crashes);
        assert!(
            self.states.len() >= 2 && self.states.values().all(|number| *number > 0),
            "{:?}",
            self.states
        );
    }
}

/// The store at the end.
struct Seen {
    bursaries: Vec<Bursary>,
    registrations: Vec<Registration>,
    orders: Vec<Order>,
    checkouts: Vec<CheckoutRecord>,
    mails: Vec<Mail>,
    emails: BTreeSet<String>,
    audited: BTreeMap<(String, String), u32>,
}

impl Seen {
    async fn in_store(store: &Store) -> Self {
        let mut audited = BTreeMap::new();
        for entry in all::<AuditEntry>(store).await {
            let subject = entry.subject.id.unwrap_or_default();
            *audited.entry((entry.action.as_str().to_owned(), subject)).or_default() += 1;
        }
        Self {
            bursaries: all(store).await,
            registrations: all(store).await,
            orders: all(store).await,
            checkouts: all(store).await,
            mails: all(store).await,
            emails: all::<StoredEmail>(store).await.into_iter().map(|email| email.id).collect(),
            audited,
        }
    }

    fn order_of(&self, student: &str) -> &Order {
        self.orders.iter().find(|order| order.account == student).expect("everybody has submitted a form")
    }

    /// What is wrong about this student.
    fn wrong(&self, student: &str, order: &Order) -> Vec<String> {
        let mut wrong = vec![];
        let mut check = |good: bool, what: String| {
            if !good {
                wrong.push(what);
            }
        };
        let registration =
            self.registrations.iter().find(|registration| registration.id == student).expect("there");
        check(registration.state == RegistrationState::Registered, "not registered".into());
        let bursary = self.bursaries.iter().find(|bursary| bursary.id == student).expect("there");
        let settled = bursary.state == BursaryState::Approved && bursary.settled_at.is_some();
        check(settled, format!("{bursary:?}"));
        let ended = matches!(order.state, OrderState::Waived | OrderState::Refunded);
        check(ended && order.is_waived(), format!("the order is {:?}", order.state));
        let accepted = order.refunds.iter().all(|refund| refund.state == RefundState::Accepted);
        check(accepted && order.refunds.len() <= 1, format!("{:?}", order.refunds));
        let kept: i64 = self
            .checkouts
            .iter()
            .filter(|checkout| checkout.order == order.id)
            .map(CheckoutRecord::kept)
            .sum();
        check(kept == 0, format!("{kept} kept by the gateway"));
        for kind in ["ticket", "bursary-approved"] {
            let sent: Vec<_> = self
                .mails
                .iter()
                .filter(|mail| mail.template == kind && mail.about["account"] == student)
                .collect();
            let once =
                matches!(sent[..], [mail] if mail.state == MailState::Sent && self.emails.contains(&mail.id));
            check(once, format!("{kind}: {sent:?}"));
        }
        for (action, subject) in [("bursary.approved", student), ("order.waived", &order.id)] {
            let entries = self.audited.get(&(action.to_owned(), subject.to_owned())).copied().unwrap_or(0);
            check(entries == 1, format!("{entries} entries of {action}"));
        }
        wrong
    }
}

/// A checkout in the books of the sandbox, as far as this test reads it.
#[derive(Serialize, Deserialize)]
struct CheckoutRecord {
    id: String,
    order: String,
    price: Value,
    status: String,
    press: Option<String>,
    refunded: i64,
}

impl Document for CheckoutRecord {
    const COLLECTION: &'static str = "sandbox_checkouts";
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = Keep::with_store("read only");

    fn id(&self) -> &str {
        &self.id
    }
}

impl CheckoutRecord {
    /// Money received and not refunded.
    fn kept(&self) -> i64 {
        let pays = matches!(self.press.as_deref(), Some("pay" | "later-succeeds"));
        let received =
            if pays && self.status == "complete" { self.price["amount"].as_i64() } else { Some(0) };
        received.expect("a whole number") - self.refunded
    }
}
