//! Acknowledged requests survive `kill -9`.

use std::collections::BTreeSet;

use orientation::features::accounts::SignUp;
use orientation::features::payments::Order;
use orientation::kernel::{Ids, RandomIds};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::audit::all;
use crate::endings::email_to;
use crate::program::{Program, client};
use crate::students::{Student, seed};

/// Concurrent sign-ups in each run of the program.
const AT_ONCE: usize = 6;

#[tokio::test]
async fn acknowledged_sign_ups_survive_kill_9_and_their_emails_are_sent() {
    let mut program = Program::new();
    let mut answered = BTreeSet::new();
    for life in 0..4 {
        program.start("").await;
        answered.extend(answered_before_the_kill(&mut program, 1 + life).await);
    }
    assert!(answered.len() >= 4, "{answered:?}");
    let store = program.store();
    let kept: BTreeSet<_> =
        all::<SignUp>(&store).await.into_iter().map(|sign_up| sign_up.email_key).collect();
    assert!(answered.is_subset(&kept), "lost: {:?}", answered.difference(&kept));
    drop(store);
    program.start("").await;
    for email in &answered {
        email_to(&program, email).await;
    }
    program.stop().await;
}

/// Kills the program after this number of responses; returns the addresses that were acknowledged by then.
async fn answered_before_the_kill(program: &mut Program, answers: usize) -> Vec<String> {
    let mut asking = JoinSet::new();
    for _ in 0..AT_ONCE {
        asking.spawn(sign_up(program.url(), format!("{}@example.org", RandomIds.next())));
    }
    let mut answered = vec![];
    while answered.len() < answers {
        answered.extend(asking.join_next().await.expect("all six are answered").expect("no panic"));
    }
    program.kill().await;
    while let Some(last) = asking.join_next().await {
        answered.extend(last.expect("no panic"));
    }
    answered
}

/// The address, if the response was 202.
async fn sign_up(url: String, email: String) -> Option<String> {
    let body = json!({
        "email": email, "password": "nine slow barges upstream", "firstName": "Ana", "lastName": "García",
    });
    let answer = client().post(format!("{url}/v1/accounts")).json(&body).send().await.ok()?;
    assert_eq!(answer.status(), 202);
    Some(email)
}

/// Commits slow enough that a response before the commit would be noticed.
const SLOW_DISK: &str = "slow:store.before-commit:100";

/// Concurrent registrations in each run of the program.
const CROWD: usize = 24;

#[tokio::test]
async fn acknowledged_registrations_survive_kill_9() {
    let (answered, lost) = registrations_lost(4, SLOW_DISK).await;
    assert!(answered >= 4 * 2, "only {answered} were answered");
    assert_eq!(lost, 0, "of {answered}");
}

#[tokio::test]
async fn registrations_acknowledged_before_the_commit_are_lost() {
    let (answered, lost) = registrations_lost(4, &format!("{SLOW_DISK},off:store-acknowledge-late")).await;
    assert!(lost > 0, "the guard was off and none of {answered} was lost: the test above shows nothing");
}

/// Number of acknowledged registrations in this number of runs, and number of those that are not stored as
/// acknowledged. Stops at the first loss.
async fn registrations_lost(lives: usize, faults: &str) -> (usize, usize) {
    let mut program = Program::new();
    let students = seed(&program.store(), lives * CROWD).await;
    let mut all_answered = 0;
    // The first start generates keys and reads them back, which fails on a store that acknowledges before the commit.
    program.start("").await;
    program.stop().await;
    for (life, crowd) in students.chunks(CROWD).enumerate() {
        program.start(faults).await;
        let mut asking = JoinSet::new();
        for student in crowd {
            asking.spawn(register(program.url(), student.clone()));
        }
        let mut answered = vec![];
        while answered.len() < 2 + life % 8 {
            answered.extend(asking.join_next().await.expect("all are answered").expect("no panic"));
        }
        program.kill().await;
        answered.extend(asking.join_all().await.into_iter().flatten());
        let lost = not_kept(&program, &answered).await;
        all_answered += answered.len();
        if lost > 0 {
            return (all_answered, lost);
        }
    }
    (all_answered, 0)
}

/// The order, if the response was 201.
async fn register(url: String, student: Student) -> Option<Value> {
    let request = client().post(format!("{url}/v1/registration")).header("cookie", student.cookie);
    let answer = request.json(&student.form).send().await.ok()?;
    assert_eq!(answer.status(), 201);
    let mut answer: Value = answer.json().await.ok()?;
    Some(answer["order"].take())
}

/// Number of these orders that are lost, or lack the checkout of the response.
async fn not_kept(program: &Program, answered: &[Value]) -> usize {
    let store = program.store();
    let mut lost = 0;
    for told in answered {
        let order: Option<Order> = store.get(told["id"].as_str().expect("an id")).await.expect("readable");
        let kept = order.as_ref().map(Order::checkout_url);
        lost += usize::from(kept != Some(told["checkoutUrl"].as_str()));
    }
    lost
}

#[test]
fn this_build_has_the_crash_points() {
    // `scripts/test` fails if the shipped program contains it.
    let program = std::fs::read(env!("CARGO_BIN_EXE_orientation")).expect("it is built");
    let word = b"ORIENTATION_FAULTS";
    assert!(program.windows(word.len()).any(|bytes| bytes == word));
}
