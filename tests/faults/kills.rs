//! Killed a hundred times, at any moment, while two hundred students register, pay and get their tickets.

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
/// Between the form and the payment; who waits for the email is counted apart.
const AT_ONCE: usize = 4;
/// Picks the moments: another run of the same seed kills after the same steps.
const SEED: u64 = 2026;
/// A kill comes after so many steps that students have done in this life …
const STEPS: RangeInclusive<u32> = 0..=6;
/// … and so many milliseconds.
const MILLIS: RangeInclusive<u64> = 0..=40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_a_hundred_times_nobody_loses_anything() {
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
            timeout(PATIENCE, steps.recv()).await.expect("somebody goes on");
        }
        tokio::time::sleep(Duration::from_millis(chance.u64(MILLIS))).await;
        let doing = way.doing();
        assert!(!doing.is_empty(), "everybody was through after {kill} kills");
        program.kill().await;
        while steps.try_recv().is_ok() {}
        table.note(steps_hit(&program.store(), &doing, born).await);
        program.start("").await;
    }
    timeout(PATIENCE * 2, walking).await.expect("nobody is stuck").expect("nobody is refused");
    // Not by a macro: the report is to be read when the test passes, too.
    let report = format!("\nseed {SEED}: {KILLS} kills, {STUDENTS} students\n{table}");
    std::io::stderr().write_all(report.as_bytes()).expect("somebody reads it");
    assert!(table.rows.len() >= 6, "the kills fell in too few of the steps");
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

/// The steps that a kill fell in, as the store tells afterwards.
async fn steps_hit(store: &Store, doing: &BTreeMap<String, Step>, born: Timestamp) -> Vec<&'static str> {
    let mut hit = vec![];
    for (student, step) in doing {
        match step {
            Step::Registering => hit.push(while_registering(store, student).await),
            Step::AtTheCheckout => hit.push("3 at the checkout's page"),
            Step::Paying => hit.push(while_paying(store, student).await),
            Step::AwaitingTheTicket => {}
        }
    }
    hit.extend(emails_cut_short(store, born).await);
    hit
}

async fn while_registering(store: &Store, student: &str) -> &'static str {
    match order_of(store, student).await {
        None => "0 registering: nothing was kept yet",
        Some(order) if order.attempts[0].session.is_none() => "1 registering: kept, no checkout yet",
        Some(_) => "2 registering: the checkout was open, no answer yet",
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
        (true, true) => "6 paying: settled, the delivery not noted yet",
        (true, false) => "7 paying: all done, no answer yet",
    }
}

/// Emails whose job was under way in the life that has just ended.
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

/// How many kills fell in each step, and how many students were in it.
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
