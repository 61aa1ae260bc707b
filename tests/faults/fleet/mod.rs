//! A fleet as a faculty runs it: two processes that serve and two that work, behind a load balancer, with MongoDB,
//! Redis, and doubles of Stripe and SES. Each process is killed, Redis is killed, and the network in front of MongoDB
//! is cut, while 300 students register and pay.

mod balancer;
mod deck;
mod processes;
mod road;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use orientation::platform::mail::{Mail, MailState};
use orientation::platform::store::{Access, Store};
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use self::balancer::Balancer;
use self::deck::Fault;
use self::processes::{Process, Redis};
use self::road::{Faults, Seen, ToTheFleet};
use crate::audit::{all, all_is_well};
use crate::doubles::proxy::Weather;
use crate::doubles::ses::Ses;
use crate::doubles::stripe::{SECRET_KEY, Stripe, WEBHOOK_SECRET};
use crate::emails::in_state;
use crate::program::{PATIENCE, free_port, neglected, new_folder};
use crate::servers;
use crate::students::{Student, seed};
use crate::way::{Patience, Way};

const STUDENTS: usize = 300;
/// The first half serves, the second half works.
const PROCESSES: usize = 4;
/// SES's response time: long enough for kills in between.
const SES_THINKS: Duration = Duration::from_millis(20);
/// Picks the order and duration of the faults.
const SEED: u64 = 2027;
/// Milliseconds between two faults.
const PAUSE: std::ops::Range<u64> = 0..1000;
/// After a fault, delayed data arrives at MongoDB within this time. It is shorter than the lease of a killed worker, so
/// that an interrupted email still counts as being sent.
const ON_THE_WAY: Duration = Duration::from_millis(100);
/// After the last fault, everything recovers within this time, and no job is due for longer.
const WELL_AGAIN: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_whose_processes_redis_and_network_fail_loses_nothing() {
    let mut fleet = Fleet::start().await;
    let students = seed(&fleet.store, STUDENTS).await;
    fleet.everybody_up().await;
    let (way, _) = Way::along(fleet.road.clone(), Patience::Asks);
    let way = Arc::new(way);
    let released = Arc::new(Semaphore::new(0));
    let walking = tokio::spawn(everybody(way.clone(), students.clone(), released.clone()));

    let mut chance = fastrand::Rng::with_seed(SEED);
    let deck = deck::shuffled(&mut chance);
    let mut table = Table::default();
    for (n, fault) in deck.iter().enumerate() {
        released.add_permits(STUDENTS * (n + 1) / deck.len() - STUDENTS * n / deck.len());
        fleet.befall(*fault, &mut chance).await;
        sleep(Duration::from_millis(chance.u64(PAUSE))).await;
        table.note(*fault, fleet.road.take_seen());
    }
    let last_fault = Instant::now();
    let answered = timeout(WELL_AGAIN, fleet.answers(&students[0].cookie)).await;
    let answered = answered.map(|()| last_fault.elapsed());
    let worked = timeout(WELL_AGAIN, fleet.nothing_is_late()).await.map(|()| last_fault.elapsed());
    sleep((last_fault + WELL_AGAIN).saturating_duration_since(Instant::now())).await;
    let late = neglected(&fleet.store).await;
    let walked = timeout(PATIENCE, walking).await;
    walked.unwrap_or_else(|_| panic!("stuck: {:?}", way.doing())).expect("nobody is refused");
    fleet.stripe.all_delivered().await;
    timeout(PATIENCE, fleet.nothing_is_left()).await.expect("all jobs are done");
    table.note_after(fleet.road.take_seen());

    let Posted { marked, twice } = posted(&fleet.store, &fleet.ses).await;
    let report = format!(
        "\nseed {SEED}: {STUDENTS} students, {} faults\n{table}\nafter the last fault all answer after {answered:?}, \
         and no job is late after {worked:?} (late then: {late:?})\n{STUDENTS} emails, {} in flight at a fault, {} marked as sent possibly \
         twice, {} sent twice\n",
        deck.len(),
        fleet.in_flight.len(),
        marked.len(),
        twice.len(),
    );
    // Not by a macro, which shows nothing when the test passes.
    std::io::stderr().write_all(report.as_bytes()).expect("somebody reads it");
    if !late.is_empty() {
        let complaints: String = fleet.processes.iter().map(Process::complaints).collect();
        std::io::stderr().write_all(complaints.as_bytes()).expect("somebody reads it");
    }

    answered.expect("requests are answered soon after the last fault");
    worked.expect("no job is late soon after the last fault");
    assert_eq!(late, Vec::<String>::new(), "late {WELL_AGAIN:?} after the last fault");
    assert_eq!(
        fleet.road.lies(),
        Vec::<String>::new(),
        "told to come again, and sent away again without a fault"
    );
    assert_within(&twice, &marked, "what went twice is marked");
    assert_within(&marked, &fleet.in_flight, "only what was in flight at a fault is marked");
    fleet.stop().await;
    all_is_well(&fleet.store, &students, &way.told()).await;
    paid_once_at_stripe(&fleet.stripe, &students);
    fleet.remove().await;
}

/// Starts as many students as are released.
async fn everybody(way: Arc<Way>, students: Vec<Student>, released: Arc<Semaphore>) {
    let mut walking = JoinSet::new();
    for student in students {
        released.acquire().await.expect("never closed").forget();
        let way = way.clone();
        walking.spawn(async move {
            way.register_and_pay(&student).await;
            way.await_ticket(&student).await;
        });
    }
    while let Some(ended) = walking.join_next().await {
        ended.expect("nobody is refused");
    }
}

/// The fleet and its servers, for one test.
struct Fleet {
    store: Store,
    processes: Vec<Process>,
    redis: Redis,
    stripe: Stripe,
    ses: Arc<Ses>,
    road: Arc<ToTheFleet>,
    /// Emails that were being sent during a fault that can interrupt them.
    in_flight: BTreeSet<String>,
    database: String,
    _balancer: Balancer,
    folder: TempDir,
}

impl Fleet {
    /// Everything but the processes.
    async fn start() -> Self {
        let folder = new_folder();
        let database = format!("orientation-fleet-{}", std::process::id());
        let mongodb = servers::mongodb_database(&database);
        let store = Store::mongo(&mongodb, Access::Beside).await.expect("the server is there");
        let (redis, stripe) = (Redis::start().await, Stripe::start().await);
        let ses = Arc::new(Ses::start(SES_THINKS));
        let ports = [free_port(), free_port()];
        let balancer = Balancer::before(ports.to_vec()).await;
        stripe.deliver_to(&balancer.url());
        let environment = environment(&balancer.url(), &redis, &stripe, &ses);
        let mut processes = vec![];
        for n in 0..PROCESSES {
            let (name, port) = match ports.get(n) {
                Some(port) => (format!("serve {}", n + 1), Some(*port)),
                None => (format!("work {}", n + 1 - ports.len()), None),
            };
            processes.push(Process::new(&name, port, folder.path(), &mongodb, &environment).await);
        }
        let road = ToTheFleet::new(balancer.url(), ses.clone(), Arc::new(Faults::default()));
        let (road, in_flight) = (Arc::new(road), BTreeSet::new());
        Self { store, processes, redis, stripe, ses, road, in_flight, database, _balancer: balancer, folder }
    }

    /// Starts all processes at the same time.
    async fn everybody_up(&mut self) {
        futures_util::future::join_all(self.processes.iter_mut().map(Process::start)).await;
    }

    /// Injects a fault and ends it after its duration.
    async fn befall(&mut self, fault: Fault, chance: &mut fastrand::Rng) {
        self.road.faults.begin();
        self.begin(fault).await;
        self.note_in_flight(fault).await;
        sleep(fault.lasts(chance)).await;
        self.put_right(fault).await;
        self.road.faults.end();
        sleep(ON_THE_WAY).await;
        self.note_in_flight(fault).await;
        self.processes.iter_mut().for_each(Process::assert_lives);
    }

    async fn begin(&mut self, fault: Fault) {
        match fault {
            Fault::Kill(process) => self.processes[process].kill().await,
            Fault::KillRedis => self.redis.kill().await,
            Fault::Network(whose, weather) => {
                self.networks(whose).for_each(|process| process.network.turns(weather));
            }
            Fault::Reset(whose) => self.networks(whose).for_each(|process| process.network.reset()),
        }
    }

    async fn put_right(&mut self, fault: Fault) {
        match fault {
            Fault::Kill(process) => self.processes[process].start().await,
            Fault::KillRedis => self.redis.restart().await,
            Fault::Network(whose, _) => {
                self.networks(whose).for_each(|process| process.network.turns(Weather::Fair));
            }
            Fault::Reset(_) => {}
        }
    }

    /// Records which emails are being sent now, over the test's own connection to MongoDB, which has no faults.
    async fn note_in_flight(&mut self, fault: Fault) {
        if fault.cuts_emails_short() {
            self.in_flight.extend(in_state(&self.store, "sending").await);
        }
    }

    fn networks(&self, whose: Option<usize>) -> impl Iterator<Item = &Process> {
        self.processes
            .iter()
            .enumerate()
            .filter(move |(n, _)| whose.is_none_or(|one| one == *n))
            .map(|(_, p)| p)
    }

    /// Waits until each serving process answers directly.
    async fn answers(&self, cookie: &str) {
        let serving = self.processes.iter().filter(|process| process.port.is_some());
        futures_util::future::join_all(serving.map(|process| process.answers(cookie))).await;
    }

    async fn nothing_is_late(&self) {
        while !neglected(&self.store).await.is_empty() {
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until no job is due or running.
    async fn nothing_is_left(&self) {
        while !crate::program::due(&self.store).await.is_empty() {
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn stop(&mut self) {
        for process in &mut self.processes {
            process.stop().await;
        }
    }

    async fn remove(self) {
        let client = mongodb::Client::with_uri_str(servers::mongodb()).await.expect("the server's address");
        client.database(&self.database).drop().await.expect("dropped");
        drop(self.folder);
    }
}

/// The configuration of all processes.
fn environment(public_url: &str, redis: &Redis, stripe: &Stripe, ses: &Ses) -> Vec<(&'static str, String)> {
    vec![
        ("ORIENTATION_PUBLIC_URL", public_url.to_owned()),
        // Every request checks its limits, and none reaches them.
        ("ORIENTATION_LIMITS", "1000".to_owned()),
        ("ORIENTATION_REDIS_URL", redis.url()),
        ("STRIPE_SECRET_KEY", SECRET_KEY.to_owned()),
        ("STRIPE_WEBHOOK_SECRETS", WEBHOOK_SECRET.to_owned()),
        ("STRIPE_API_BASE", stripe.url().to_owned()),
        ("ORIENTATION_MAIL_FROM", "orientation@mail.example.edu".to_owned()),
        ("ORIENTATION_MAIL_RATE", "200".to_owned()),
        ("AWS_REGION", "ca-central-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "AKIATEST".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "looked at by nobody".to_owned()),
        ("AWS_ENDPOINT_URL_SESV2", ses.url().to_owned()),
    ]
}

/// Ids of emails that may have been sent more than once.
struct Posted {
    /// They are marked as sent possibly twice.
    marked: BTreeSet<String>,
    /// They were sent more than once.
    twice: BTreeSet<String>,
}

/// Checks that every ticket was sent.
async fn posted(store: &Store, ses: &Ses) -> Posted {
    let (mails, times): (Vec<Mail>, _) = (all(store).await, ses.times());
    assert_eq!((mails.len(), times.len()), (STUDENTS, STUDENTS), "mails and emails");
    for mail in &mails {
        let gone = matches!(mail.state, MailState::Sent | MailState::SentPossiblyTwice);
        assert!(gone, "{} is {:?}: {:?}", mail.id, mail.state, mail.reason);
        assert!(times.contains_key(&mail.id), "{} was never sent", mail.id);
    }
    let marked = mails.into_iter().filter(|mail| mail.state == MailState::SentPossiblyTwice);
    Posted {
        marked: marked.map(|mail| mail.id).collect(),
        twice: times.into_iter().filter(|(_, times)| *times > 1).map(|(id, _)| id).collect(),
    }
}

fn assert_within(some: &BTreeSet<String>, all: &BTreeSet<String>, rule: &str) {
    let beyond: Vec<_> = some.difference(all).collect();
    assert!(beyond.is_empty(), "{rule}, but not {beyond:?}");
}

/// Each order has exactly one paid checkout.
fn paid_once_at_stripe(stripe: &Stripe, students: &[Student]) {
    let checkouts = stripe.sessions();
    let mut orders = BTreeMap::new();
    for checkout in &checkouts {
        assert_eq!((&checkout["status"], &checkout["payment_status"]), (&"complete".into(), &"paid".into()));
        *orders.entry(checkout["metadata"]["orderId"].to_string()).or_insert(0) += 1;
    }
    assert_eq!((checkouts.len(), orders.len()), (students.len(), students.len()), "checkouts and orders");
}

/// The responses during each kind of fault.
#[derive(Default)]
struct Table {
    rows: BTreeMap<String, (usize, Seen)>,
    after: Seen,
}

impl Table {
    fn note(&mut self, fault: Fault, seen: Seen) {
        let (times, sum) = self.rows.entry(fault.to_string()).or_default();
        *times += 1;
        sum.answered += seen.answered;
        sum.come_again += seen.come_again;
        sum.lost += seen.lost;
        sum.slowest = std::mem::take(&mut sum.slowest).max(seen.slowest);
    }

    fn note_after(&mut self, seen: Seen) {
        self.after = seen;
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "times  answered  503  lost  slowest  fault                                       the slowest"
        )?;
        let after = (1, self.after.clone());
        let rows =
            self.rows.iter().map(|(fault, row)| (fault.as_str(), row)).chain([("after all of them", &after)]);
        for (fault, (times, Seen { answered, come_again, lost, slowest: (took, asked) })) in rows {
            let took = took.as_millis();
            writeln!(
                f,
                "{times:5}  {answered:8}  {come_again:3}  {lost:4}  {took:4} ms  {fault:42}  {asked}"
            )?;
        }
        Ok(())
    }
}
