//! The program is killed while it makes the moves of a plan. After the restart the plan is finished: everybody was moved once
//! and got one email.

use std::collections::BTreeMap;
use std::time::Duration;

use orientation::features::grouping::{self, Rebalance};
use orientation::features::groups::{self, GroupBook};
use orientation::features::registration::{self, Form, Registration};
use orientation::kernel::{Clock, SystemClock};
use orientation::platform::audit::AuditEntry;
use orientation::platform::mail::Mail;
use orientation::platform::store::{Store, StoreError};
use reqwest::header::COOKIE;
use serde_json::Value;
use tokio::time::timeout;

use crate::audit::all;
use crate::changes::administrator;
use crate::program::{PATIENCE, Program, client, due};
use crate::students::{Student, seed};

/// All of them are in one of the twenty groups at first, so that all but four move.
const STUDENTS: usize = 80;
const MOVES: u32 = 76;

#[tokio::test]
async fn a_plan_whose_moves_are_interrupted_is_finished_and_moves_nobody_twice() {
    let mut program = Program::new();
    let students = crowded(&program.store(), &seed(&program.store(), STUDENTS).await).await;
    let cookie = administrator(&program.store()).await;
    // In the first step, in the middle of a later one, and at a commit of a step or of an email.
    program.start("crash:rebalance.after-move:10").await;
    let plan = run_a_plan(&program, &cookie).await;
    for next in ["crash:rebalance.after-move:40", "crash:mail.before-send:5", ""] {
        let ended = program.died().await;
        assert!(!ended.success(), "a crash: {}", program.log());
        is_exact(&program.store()).await;
        program.a_minute_passes().await;
        program.start(next).await;
    }
    timeout(PATIENCE, finished(&program.store(), &plan)).await.expect("the plan is finished");
    program.stop().await;

    let store = program.store();
    let run: Rebalance = store.get(&plan).await.expect("readable").expect("there");
    assert_eq!((run.moved, run.skipped), (MOVES, 0));
    let sizes = is_exact(&store).await;
    assert!(sizes.len() == 20 && sizes.values().all(|size| *size == 4), "{sizes:?}");
    let entries: Vec<AuditEntry> = all(&store).await;
    let moved = entries.iter().filter(|entry| entry.action.as_str() == "student.moved");
    let mut moved: Vec<_> = moved.filter_map(|entry| entry.subject.id.clone()).collect();
    moved.sort();
    moved.dedup();
    assert_eq!(moved.len(), MOVES as usize, "one entry for each student who was moved");
    let mails: Vec<Mail> = all(&store).await;
    let mut addresses: Vec<_> = mails.iter().map(|mail| mail.to.as_str()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!((mails.len(), addresses.len()), (MOVES as usize, MOVES as usize), "one email each");
    assert!(students.iter().all(|student| student.group == "Alpha"));
}

/// Registers all students, who are put into one group.
async fn crowded(store: &Store, students: &[Student]) -> Vec<Registration> {
    let schemas = [grouping::schemas(), groups::schemas(), registration::schemas()].concat();
    store.prepare(&schemas).await.expect("the store is new");
    let (mut book, mut registrations) = (GroupBook::default(), vec![]);
    let alpha = [orientation::config::GroupConfig { name: "Alpha".into(), symbol: "α".into() }];
    for student in students {
        let form: Form = serde_json::from_value(student.form.clone()).expect("a form");
        let group = book.take_place(&alpha, form.traits()).expect("a group");
        registrations.push(Registration::submit(&student.id, form, group, &student.id, SystemClock.now()));
    }
    let stored: Result<(), StoreError> = store
        .transact(async |tx| {
            tx.put(&book).await?;
            tx.put_all(&registrations.iter().collect::<Vec<_>>()).await
        })
        .await;
    stored.expect("the students differ");
    registrations
}

/// Makes a plan and runs it. Returns its id.
async fn run_a_plan(program: &Program, cookie: &str) -> String {
    let post = async |path: &str| {
        let request = client().post(format!("{}{path}", program.url())).header(COOKIE, cookie);
        request.send().await.expect("it listens")
    };
    let plan: Value = post("/v1/group-plans").await.json().await.expect("JSON");
    assert_eq!(plan["moves"], MOVES, "{plan}");
    let id = plan["id"].as_str().expect("an id").to_owned();
    assert_eq!(post(&format!("/v1/group-plans/{id}/run")).await.status(), 202);
    id
}

/// Waits until the moves are made and the emails sent. The program shows neither from outside.
async fn finished(store: &Store, plan: &str) {
    loop {
        let run: Option<Rebalance> = store.get(plan).await.expect("readable");
        if run.is_some_and(|run| run.finished_at.is_some()) && due(store).await.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The counts of the group book equal those of the registrations. Returns the sizes of the groups.
async fn is_exact(store: &Store) -> BTreeMap<String, u32> {
    let mut sizes = BTreeMap::new();
    for registration in all::<Registration>(store).await {
        *sizes.entry(registration.group).or_default() += 1;
    }
    let book: GroupBook = store.get(GroupBook::ID).await.expect("readable").expect("there");
    let counted = book.groups.into_iter().map(|tally| (tally.name, tally.members));
    assert_eq!(counted.filter(|(_, members)| *members > 0).collect::<BTreeMap<_, _>>(), sizes);
    sizes
}
