//! The program is killed a hundred times, at any moment, while two hundred students register, pay and get their
//! tickets.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use orientation::features::outbox::StoredEmail;
use orientation::features::payments::{DeliverSandboxEvent, Order, OrderState};
use orientation::features::registration::Registration;
use orientation::kernel::{Clock, SystemClock, Timestamp};
use orientation::platform::jobs::Payload;
use orientation::platform::mail::{Mail, MailState};
use orientation::platform::store::{Filter, Store};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::audit::{all_is_well, one_ticket_each};
use crate::program::{PATIENCE, Program, jobs};
use crate::students::{Student, seed};
use crate::way::{Patience, Step, Way};

const STUDENTS: usize = 200;
const KILLS: usize = 100;
/// Concurrent students between form and payment; those who wait for the email are not counted.
const AT_ONCE: usize = 4;
/// Picks the moments: the same seed kills after the same steps.
const SEED: u64 = 2026;
/// Number of students' steps in this run before a kill …
const STEPS: RangeInclusive<u32> = 0..=6;
/// … and milliseconds after them.
const MILLIS: RangeInclusive<u64> = 0..=40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_kills_lose_nothing() {
    let mut program = Program::new();
    let students = seed(&program.store(), STUDENTS).await;
    let (way, mut steps) = Way::through(&program, Patience::Asks);
    let way = Arc::new(way);
    let mut chance = fastrand::Rng::with_seed(SEED);
    let mut table = Table::default();
    program.start("").await;
    let walking = tokio::spawn(everybody(way.clone(), students.clone()));
    for kill in 0..KILLS {
        let born = SystemClock.now();
        for _ in 0..chance.u32(STEPS) {
            timeout(PATIENCE, steps.recv()).await.expect("a step");
        }
        tokio::time::sleep(Duration::from_millis(chance.u64(MILLIS))).await;
        let doing = way.doing();
        assert!(!doing.is_empty(), "all students had finished after {kill} kills");
        program.kill().await;
        while steps.try_recv().is_ok() {}
        table.note(steps_hit(&program.store(), &doing, born).await);
        program.start("").await;
    }
    timeout(PATIENCE * 2, walking).await.expect("nobody is stuck").expect("nobody is refused");
    // Not by a macro, which shows nothing when the test passes.
    let report = format!("\nseed {SEED}: {KILLS} kills, {STUDENTS} students\n{table}");
    std::io::stderr().write_all(report.as_bytes()).expect("written");
    assert!(table.rows.len() >= 6, "the kills hit too few of the steps");
    program.stop().await;
    let store = program.store();
    all_is_well(&store, &students, &way.told()).await;
    one_ticket_each(&store, &students).await;
}

async fn everybody(way: Arc<Way>, students: Vec<Student>) {
    let mut waiting = JoinSet::new();
    let paid = futures_util::stream::iter(students).map(|student| {
        let way = way.clone();
        async move {
            way.register_and_pay(&student).await;
            student
        }
    });
    let mut paid = paid.buffer_unordered(AT_ONCE);
    while let Some(student) = paid.next().await {
        let way = way.clone();
        waiting.spawn(async move { way.await_ticket(&student).await });
    }
    waiting.join_all().await;
}

/// The steps that a kill interrupted, derived from the store.
async fn steps_hit(store: &Store, doing: &BTreeMap<String, Step>, born: Timestamp) -> Vec<&'static str> {
    let mut hit = vec![];
    for (student, step) in doing {
        match step {
            Step::Registering => hit.push(while_registering(store, student).await),
            Step::AtTheCheckout => hit.push("3 at the checkout page"),
            Step::Paying => hit.push(while_paying(store, student).await),
            Step::AwaitingTheTicket => {}
        }
    }
    hit.extend(emails_cut_short(store, born).await);
    hit
}

async fn while_registering(store: &Store, student: &str) -> &'static str {
    match order_of(store, student).await {
        None => "0 registering: nothing stored yet",
        Some(order) if order.attempts[0].session.is_none() => "1 registering: stored, no checkout yet",
        Some(_) => "2 registering: checkout open, no response yet",
    }
}

async fn while_paying(store: &Store, student: &str) -> &'static str {
    let Some(order) = order_of(store, student).await else { return "4 paying: not pressed yet" };
    let session = order.attempts[0].session.clone().unwrap_or_default();
    let telling =
        Filter::eq("kind", DeliverSandboxEvent::KIND).and(Filter::eq("key", format!("{session}:Completed")));
    let telling = !jobs(store, telling).await.is_empty();
    match (order.state == OrderState::Paid, telling) {
        (false, false) => "4 paying: not pressed yet",
        (false, true) => "5 paying: pressed, not settled yet",
        (true, true) => "6 paying: settled, delivery not recorded yet",
        (true, false) => "7 paying: all done, no response yet",
    }
}

/// Emails whose job was running when the program was killed.
async fn emails_cut_short(store: &Store, born: Timestamp) -> Vec<&'static str> {
    let running = Filter::eq("kind", "mail.send").and(Filter::eq("state", "running"));
    let mut hit = vec![];
    for job in jobs(store, running).await.iter().filter(|job| job.started_at >= Some(born)) {
        let id = job.payload["mail"].as_str().expect("the email's id");
        let mail: Option<Mail> = store.get(id).await.expect("readable");
        let kept = store.get::<StoredEmail>(id).await.expect("readable").is_some();
        hit.push(match mail.map(|mail| mail.state) {
            Some(MailState::Queued) | None => "8 email: claimed, not taken up yet",
            Some(MailState::Sending) if !kept => "9 email: being drawn and carried",
            Some(MailState::Sending) => "An email: carried, not settled yet",
            Some(_) => "B email: settled, its job not yet",
        });
    }
    hit
}

async fn order_of(store: &Store, student: &str) -> Option<Order> {
    let registration: Registration = store.get(student).await.expect("readable")?;
    store.get(&registration.order_id).await.expect("readable")
}

/// Number of kills in each step, and number of students in it.
#[derive(Default)]
struct Table {
    rows: BTreeMap<&'static str, (u32, u32)>,
    between: u32,
}

impl Table {
    fn note(&mut self, mut hit: Vec<&'static str>) {
        self.between += u32::from(hit.is_empty());
        for step in &hit {
            self.rows.entry(step).or_default().1 += 1;
        }
        hit.sort_unstable();
        hit.dedup();
        for step in hit {
            self.rows.entry(step).or_default().0 += 1;
        }
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "kills  times  step")?;
        for (step, (kills, times)) in &self.rows {
            writeln!(f, "{kills:5}  {times:5}  {}", &step[2..])?;
        }
        writeln!(f, "{:5}         between all of them", self.between)
    }
}
