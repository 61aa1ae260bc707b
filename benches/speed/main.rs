//! `just bench`: a table of the size and speed of the shipped program, each figure next to its peer's from the same
//! run.
//!
//! Nothing passes or fails: figures differ between machines, and ratios of one run differ less. This process generates
//! the load on the same machine and uses a share of the cores.

mod beside;
mod finding;
mod load;
mod peers;
mod program;
mod seed;
mod table;
mod texts;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use load::{Load, Outcome};
use orientation::features::grouping::{Member, moves};
use orientation::features::groups::Traits;
use program::Program;
use table::Table;

/// Connections in runs with many of them.
const CONNECTIONS: usize = 64;
const RUN: Duration = Duration::from_secs(8);

fn main() {
    if let Some(peer) = peers::asked_for() {
        return peer.run();
    }
    // `cargo bench` passes `--bench`; anything else names the parts to run.
    let chosen: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let wanted = |part: &str| chosen.is_empty() || chosen.iter().any(|one| one == part);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut table = Table::new();
        if wanted("start") {
            start(&mut table).await;
        }
        if wanted("event") {
            event(&mut table).await;
        }
        if wanted("registrations") {
            registrations(&mut table).await;
        }
        if wanted("sign-ins") {
            sign_ins(&mut table).await;
        }
        if wanted("students") {
            students(&mut table);
        }
        if wanted("finding") {
            finding::measure(&mut table).await;
        }
        if wanted("plan") {
            plan(&mut table);
        }
        if wanted("peer") {
            beside::measure(&mut table).await;
        }
        if wanted("texts") {
            texts::measure(&mut table).await;
        }
        println!("{table}");
    });
}

/// Time from the start to the first response, and idle memory.
async fn start(table: &mut Table) {
    let mut times = vec![];
    for _ in 0..10 {
        let began = Instant::now();
        let program = Program::start(&seed::folder(), &[]);
        load::once(program.address, &load::get("/health/live", None)).await;
        times.push(began.elapsed());
    }
    times.sort();
    table.row(
        "start-up to the first answer",
        format!("{} ms", times[times.len() / 2].as_millis()),
        "below 500 ms",
    );
    let program = Program::start(&seed::folder(), &[]);
    load::once(program.address, &load::get("/v1/event", None)).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    table.row("memory at rest", format!("{} MB", program.megabytes()), "below 50 MB");
}

/// `getEvent`, compared with a bare poem handler that returns the same bytes.
async fn event(table: &mut Table) {
    let request = load::get("/v1/event", None);
    let logged = Program::start(&seed::folder(), &[]);
    let bytes = load::once(logged.address, &request).await.body;
    let bare = peers::bare(&bytes);
    let quiet = Program::start(&seed::folder(), &[("ORIENTATION_LOG", "info,orientation::access=off")]);
    // Rounds alternate, so that other load on the machine affects all alike.
    let (mut a, mut b, mut c) = (Outcome::default(), Outcome::default(), Outcome::default());
    for _ in 0..3 {
        a.add(Load::same(request.clone()).run(bare.address, CONNECTIONS, RUN / 3).await);
        b.add(Load::same(request.clone()).run(logged.address, CONNECTIONS, RUN / 3).await);
        c.add(Load::same(request.clone()).run(quiet.address, CONNECTIONS, RUN / 3).await);
    }
    table.row("a bare poem handler with the same bytes", a.told(), "");
    table.row("getEvent, everything on", format!("{}  {}", b.told(), b.beside(&a)), "50 %");
    table.row("getEvent, access log off", format!("{}  {}", c.told(), c.beside(&a)), "80 %");
}

/// Durable registrations over HTTP, and whether their cost stays constant.
async fn registrations(table: &mut Table) {
    let folder = seed::folder();
    let many = 10_000 + 4 * seed::WINDOW;
    let cookies = Arc::new(seed::students(&folder, many).await);
    let program = Program::start(&folder, &[("ORIENTATION_LIMITS", "0")]);
    let mut cost = vec![];
    let mut all = Outcome::default();
    // A window after 100 students, and another one after 10,000.
    for (from, to, measured) in [
        (0, 100, false),
        (100, 100 + 2 * seed::WINDOW, true),
        (100 + 2 * seed::WINDOW, 10_000, false),
        (10_000, 10_000 + 2 * seed::WINDOW, true),
    ] {
        let before = program.cpu();
        let cookies = cookies.clone();
        let load = Load::each(move |n| seed::registration(n, cookies.get(n)?)).from(from).to(to);
        let outcome = load.run(program.address, CONNECTIONS, Duration::from_secs(600)).await;
        assert_eq!(outcome.refused, 0, "every registration is answered 201");
        if measured {
            cost.push(((program.cpu() - before) / (to - from) as u32, outcome.told()));
        }
        all.add(outcome);
    }
    table.row("registrations, 64 connections, all", all.told(), "2,000 a second, p99 below 100 ms");
    table.row("the same after 100 students", cost[0].1.clone(), "");
    table.row("the same after 10,000 students", cost[1].1.clone(), "");
    let flat = cost[1].0.as_secs_f64() / cost[0].0.as_secs_f64() * 100.0;
    table.row(
        "processor time of one, at 100 and at 10,000",
        format!("{} µs, {} µs ({flat:.0} %)", cost[0].0.as_micros(), cost[1].0.as_micros()),
        "80 to 120 %",
    );
}

/// Sign-ins, compared with a bare loop of the same hash on all cores.
async fn sign_ins(table: &mut Table) {
    let folder = seed::folder();
    let bodies = seed::sign_ins(&folder).await;
    let program = Program::start(&folder, &[("ORIENTATION_LIMITS", "0")]);
    let (mut hashes, mut signed_in) = (0.0, Outcome::default());
    for _ in 0..3 {
        hashes += peers::hashes_a_second(RUN / 3) / 3.0;
        let bodies = bodies.clone();
        let load = Load::each(move |n| Some(bodies[n % bodies.len()].clone()));
        signed_in.add(load.run(program.address, 16, RUN / 3).await);
    }
    assert_eq!(signed_in.refused, 0, "every sign-in is answered 200");
    table.row("a bare loop of the hash, all cores", format!("{hashes:.1} a second"), "");
    let part = signed_in.a_second() / hashes * 100.0;
    table.row("sign-ins, 16 connections", format!("{}  {part:.0} %", signed_in.told()), "95 %");
}

/// 2,000 students from sign-up to ticket, and the memory afterwards.
fn students(table: &mut Table) {
    let program = Program::start(&seed::folder(), &[("ORIENTATION_LIMITS", "0")]);
    let began = Instant::now();
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/students.jsonl");
    program.demo(&file);
    table.row("2,000 students, the whole way", format!("{:.0} s", began.elapsed().as_secs_f64()), "");
    table.row("memory after 2,000 students", format!("{} MB", program.megabytes()), "below 150 MB");
}

/// The plan that evens out 40 groups of 5,000 students, all of whom are in the first one: no plan has more moves.
fn plan(table: &mut Table) {
    let names = |mark: &str, number: usize| (0..number).map(|n| format!("{mark}{n:04}")).collect::<Vec<_>>();
    let (ids, groups) = (names("s", 5000), names("g", 40));
    let (disciplines, pronouns) = (names("d", 9), names("p", 5));
    let member = |(n, student): (usize, _)| {
        let (discipline, pronouns) =
            (disciplines[n * n % 61 % 9].as_str(), pronouns[n * n % 53 % 5].as_str());
        Member { student, group: groups[0].as_str(), traits: Traits { discipline, pronouns }, bound: false }
    };
    let members: Vec<_> = ids.iter().map(String::as_str).enumerate().map(member).collect();
    let offered: Vec<_> = groups.iter().map(String::as_str).collect();
    let began = Instant::now();
    let moves = moves(&offered, &members).len();
    let took = began.elapsed().as_millis();
    table.row("a plan of 5,000 students, 40 groups", format!("{moves} moves in {took} ms"), "below 2 s");
}
