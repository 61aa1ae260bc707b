//! Finding, counting and exporting students, on SQLite and on MongoDB: latency at 10,000 students, how the cost grows with
//! their number, and the memory and time of exports.

use std::time::{Duration, Instant};

use orientation::features::registration::{Form, Registration};
use orientation::kernel::{Clock, EmailAddress, SystemClock};
use orientation::platform::store::{Access, Store, StoreError};
use serde_json::Value;

use crate::beside;
use crate::load::{self, Load};
use crate::program::Program;
use crate::seed;
use crate::table::Table;

const STUDENTS: usize = 10_000;
const CONNECTIONS: [usize; 2] = [1, 16];
const RUN: Duration = Duration::from_secs(3);
/// Numbers of students of the curve.
const CURVE: [usize; 3] = [1_000, 10_000, 100_000];
const IN_ONE_TRANSACTION: usize = 500;

/// What the committee asks all day, by name.
const QUESTIONS: [(&str, &str); 5] = [
    ("list by name, 50 of them", "/v1/students?sort=legalName&limit=50"),
    ("search for two words", "/v1/students?search=an%20ma"),
    ("filter by allergy", "/v1/students?filter=dietary:contains:Nut%20allergy&sort=legalName"),
    ("count by discipline and pronouns", "/v1/students/counts?by=discipline&by=pronouns"),
    ("sort by shirt size", "/v1/students?sort=-shirtSize&fields=shirtSize"),
];

pub async fn measure(table: &mut Table) {
    let folder = seed::folder();
    let store = seed::store(&folder).await;
    let cookie = filled(&store, STUDENTS).await;
    drop(store);
    let program = Program::start(&folder, &[("ORIENTATION_LIMITS", "0")]);
    answers(table, "SQLite", &program, &cookie).await;
    drop(program);
    for students in CURVE {
        curve(table, students).await;
    }
    let database = format!("orientation-find-{}", std::process::id());
    let address = beside::address(&database);
    let store = Store::mongo(&address, Access::Serving).await.expect("the server is there");
    let store = seed::prepared(store).await;
    let cookie = filled(&store, STUDENTS).await;
    drop(store);
    let environment = [("ORIENTATION_MONGODB_URI", address.as_str()), ("ORIENTATION_LIMITS", "0")];
    let program = Program::start(&seed::folder(), &environment);
    answers(table, "MongoDB", &program, &cookie).await;
    drop(program);
    beside::mongo(&database).await.database(&database).drop().await.expect("dropped");
}

/// The latency of each question at 10,000 students, and the time of an export.
async fn answers(table: &mut Table, store: &str, program: &Program, cookie: &str) {
    for (name, path) in QUESTIONS {
        for connections in CONNECTIONS {
            let outcome =
                Load::same(load::get(path, Some(cookie))).run(program.address, connections, RUN).await;
            assert_eq!(outcome.refused, 0, "{path}");
            let row = format!("{store}: {name}, {STUDENTS} students, {connections} connections");
            table.row(&row, outcome.told(), "p99 below 50 ms");
        }
    }
    let (took, bytes) = export(program, "/v1/students.xlsx", cookie).await;
    table.row(&format!("{store}: XLSX of {STUDENTS}"), format!("{took:.2?}, {bytes} bytes"), "below 2 s");
}

/// What indexed questions cost with this number of students, and what exports of all of them need.
async fn curve(table: &mut Table, students: usize) {
    let folder = seed::folder();
    let store = seed::store(&folder).await;
    let cookie = filled(&store, students).await;
    drop(store);
    let program = Program::start(&folder, &[("ORIENTATION_LIMITS", "0")]);
    let first =
        load::once(program.address, &load::get("/v1/students?sort=legalName&fields=id", Some(&cookie))).await;
    let first: Value = serde_json::from_slice(&first.body).expect("JSON");
    let next = first["nextCursor"].as_str().expect("there are more");
    let questions = [
        ("a page by name", format!("/v1/students?sort=legalName&fields=id&cursor={next}")),
        ("a student by number", "/v1/students?search=x0000500&fields=id".to_owned()),
    ];
    for (name, path) in questions {
        let outcome = Load::same(load::get(&path, Some(&cookie))).run(program.address, 1, RUN).await;
        assert_eq!(outcome.refused, 0, "{path}");
        table.row(&format!("SQLite: {name} among {students}"), outcome.told(), "within 20 % of 1,000");
    }
    let before = program.own_megabytes();
    let (took, bytes) = export(&program, "/v1/students.csv", &cookie).await;
    let told = format!(
        "{took:.2?}, {bytes} bytes, memory {before} MB before and {} MB after",
        program.own_megabytes()
    );
    table.row(&format!("SQLite: CSV of {students}"), told, "constant memory");
}

/// The duration and the size of an export.
async fn export(program: &Program, path: &str, cookie: &str) -> (Duration, usize) {
    let began = Instant::now();
    let response = reqwest::Client::new()
        .get(format!("http://{}{path}", program.address))
        .header("cookie", cookie)
        .send()
        .await
        .expect("it answers");
    assert!(response.status().is_success(), "{path}: {}", response.status());
    let mut response = response;
    let mut bytes = 0;
    while let Some(piece) = response.chunk().await.expect("all of it arrives") {
        bytes += piece.len();
    }
    (began.elapsed(), bytes)
}

/// Fills the store with registered students, and returns the cookie of an administrator.
async fn filled(store: &Store, students: usize) -> String {
    let rows = include_str!("../../tests/data/students.jsonl");
    let rows: Vec<Value> = rows.lines().map(|row| serde_json::from_str(row).expect("JSON")).collect();
    let now = SystemClock.now();
    let document = |n: usize| {
        let row = &rows[n % rows.len()];
        let form: Form = serde_json::from_value(row["form"].clone()).expect("a form");
        let form = Form { student_id: format!("x{n:07}"), ..form };
        let group = ["Alpha", "Beta", "Iota", "Phi", "Psi"][n % 5].to_owned();
        let id = format!("019f0000-0000-7000-8000-{n:012}");
        let mut student = Registration::submit(&id, form.clone(), group, "order", now);
        student.email = EmailAddress::parse(&format!("student{n}@mail.example.edu")).ok();
        student.set_form(form);
        student.register(now);
        student
    };
    let numbers: Vec<usize> = (0..students).collect();
    for some in numbers.chunks(IN_ONE_TRANSACTION) {
        let documents: Vec<_> = some.iter().map(|n| document(*n)).collect();
        let stored: Result<(), StoreError> =
            store.transact(async |tx| tx.put_all(&documents.iter().collect::<Vec<_>>()).await).await;
        stored.expect("a new store");
    }
    seed::administrator(store).await
}
