//! The program crashes at each step, three times.

use std::sync::Arc;

use tokio::time::timeout;

use crate::audit::{all_is_well, one_ticket_each};
use crate::program::{PATIENCE, Program};
use crate::students::seed;
use crate::way::{Patience, Way};

/// One for each of the three crashes, and some more for the times between.
const STUDENTS: usize = 6;

#[tokio::test]
async fn crashes_at_each_step_of_a_registration_lose_nothing() {
    for point in [
        "register.while-submitting",
        "register.after-first-tx",
        "pay.before-open",
        "pay.after-open",
        "pay.after-keep",
        "register.after-checkout",
    ] {
        crashes_three_times(point).await;
    }
}

#[tokio::test]
async fn crashes_at_each_step_of_a_payment_lose_nothing() {
    for point in [
        "sandbox.after-press",
        "pay.before-settle",
        "pay.while-settling",
        "pay.after-settle",
        "sandbox.after-delivery",
        "sandbox.after-withdrawal",
    ] {
        crashes_three_times(point).await;
    }
}

#[tokio::test]
async fn crashes_at_each_step_of_an_email_lose_nothing() {
    for point in ["mail.before-start", "mail.before-send", "mail.after-send", "mail.after-finish"] {
        crashes_three_times(point).await;
    }
}

/// Students register and pay one after the other. The program crashes when it first reaches `point`, in its next run at
/// the second time, then at the third.
async fn crashes_three_times(point: &str) {
    let mut program = Program::new();
    let students = seed(&program.store(), STUDENTS).await;
    let (way, _) = Way::through(&program, Patience::Waits);
    let way = Arc::new(way);
    program.start(&format!("crash:{point}:1")).await;
    let walking = tokio::spawn({
        let (way, students) = (way.clone(), students.clone());
        async move {
            for student in &students {
                way.register_and_pay(student).await;
                way.await_ticket(student).await;
            }
        }
    });
    for death in 1..=3 {
        let ended = program.died().await;
        assert!(!ended.success(), "{point}: a crash");
        let deaths = program.log().matches(&format!("faults: the process ends at {point}")).count();
        assert_eq!(deaths, death, "{point}: {}", program.log());
        program.a_minute_passes().await;
        let next = if death < 3 { format!("crash:{point}:{}", death + 1) } else { String::new() };
        program.start(&next).await;
    }
    timeout(PATIENCE, walking).await.unwrap_or_else(|_| panic!("{point}: a student is stuck")).expect(point);
    program.stop().await;
    println!("{point}: crashed 3 times");
    let store = program.store();
    all_is_well(&store, &students, &way.told()).await;
    one_ticket_each(&store, &students).await;
}
