//! Two thousand emails, sent by two workers that are killed meanwhile.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use orientation::features::accounts::{Account, Names, SignUp};
use orientation::kernel::{Clock, EmailAddress, Ids, RandomIds, Role, SystemClock};
use orientation::platform::mail::{Mail, MailState};
use orientation::platform::store::{Filter, Query, Store, StoreError};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::doubles::ses::Ses;
use crate::program::{command, new_folder};

const EMAILS: usize = 2000;
const RATE: usize = 50;
/// SES's response time.
const LATENCY: Duration = Duration::from_millis(100);
/// Seconds after the start at which one of the two workers is killed.
const KILLS: [u64; 3] = [8, 17, 26];
/// The longest allowed duration: by the rate, plus a lease for each kill.
const PATIENCE: Duration = Duration::from_secs(180);

mod mongo {
    use orientation::platform::store::Access;

    use super::*;
    use crate::servers;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_thousand_emails_are_sent_by_two_workers_that_are_killed_three_times() {
        let address = servers::mongodb_database(&format!("emails_{}", RandomIds.next().replace('-', "")));
        let store = Store::mongo(&address, Access::Beside).await.expect("it answers");
        go(&store, &address).await;
    }
}

async fn go(store: &Store, mongodb: &str) {
    let (folder, ses) = (new_folder(), Ses::start(LATENCY));
    let mut processes = [worker(&folder, mongodb, ses.url(), 0), worker(&folder, mongodb, ses.url(), 1)];
    until_prepared(store).await;
    let posting = post(store, EMAILS);
    let (begun, mut in_flight) = (Instant::now(), BTreeSet::new());
    posting.await;
    for (kill, at) in KILLS.into_iter().enumerate() {
        tokio::time::sleep_until((begun + Duration::from_secs(at)).into()).await;
        let process = &mut processes[kill % 2];
        process.start_kill().expect("it is our child");
        process.wait().await.expect("it is our child");
        in_flight.extend(in_state(store, "sending").await);
        *process = worker(&folder, mongodb, ses.url(), kill + 2);
    }
    until_all_went(store).await;
    report_and_judge(store, &ses, &in_flight, begun.elapsed()).await;
}

async fn report_and_judge(store: &Store, ses: &Ses, in_flight: &BTreeSet<String>, took: Duration) {
    let times = ses.times();
    let twice: BTreeSet<_> =
        times.iter().filter(|(_, times)| **times > 1).map(|(id, _)| id.clone()).collect();
    let marked = in_state(store, "sentPossiblyTwice").await;
    let most = ses.most_in_a_second();
    // Not by a macro, which shows nothing when the test passes.
    let report = format!(
        "\n{EMAILS} emails at {RATE} a second, {} kills: {:.1} s, at most {most} in a second; {} were in flight at a \
         kill, {} are marked, {} went twice\n",
        KILLS.len(),
        took.as_secs_f64(),
        in_flight.len(),
        marked.len(),
        twice.len(),
    );
    std::io::stderr().write_all(report.as_bytes()).expect("somebody reads it");
    assert_eq!(times.len(), EMAILS, "nobody is left out");
    assert!(twice.is_subset(&marked), "what went twice is marked");
    assert!(marked.is_subset(in_flight), "only what was in flight is marked");
    assert!(most <= RATE, "{most} in a second");
}

/// A worker process, killed when it is dropped.
fn worker(folder: &TempDir, mongodb: &str, ses: &str, number: usize) -> Child {
    let log = std::fs::File::create(folder.path().join(format!("{number}.log"))).expect("the folder is ours");
    let mut command: Command = command(&folder.path().join(number.to_string()));
    command.arg("work").envs([
        ("ORIENTATION_MONGODB_URI", mongodb),
        ("ORIENTATION_REHEARSAL", "yes"),
        ("ORIENTATION_MAIL_FROM", "Orientation Week <orientation@example.edu>"),
        ("ORIENTATION_MAIL_RATE", &RATE.to_string()),
        ("ORIENTATION_PUBLIC_URL", "http://127.0.0.1:1"),
        ("AWS_REGION", "ca-central-1"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "key"),
        ("AWS_ENDPOINT_URL_SESV2", ses),
    ]);
    command.stdout(Stdio::null()).stderr(log).spawn().expect("the program is built")
}

/// Waits until the processes have created the collections.
async fn until_prepared(store: &Store) {
    let begun = Instant::now();
    while store.count::<orientation::platform::keys::KeyRing>(Filter::All).await.unwrap_or(0) == 0 {
        assert!(begun.elapsed() < PATIENCE, "nobody prepares the store");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Posts an email to each of this number of new accounts.
async fn post(store: &Store, count: usize) {
    let people: Vec<_> = (0..count).map(somebody).collect();
    for some in people.chunks(50) {
        let posted: Result<(), StoreError> = store
            .transact(async |tx| {
                for (account, mail) in some {
                    tx.insert(account).await?;
                    tx.post(mail).await?;
                }
                Ok(())
            })
            .await;
        posted.expect("new");
    }
}

fn somebody(n: usize) -> (Account, Mail) {
    let email = EmailAddress::parse(&format!("student{n}@example.org")).expect("an address");
    let now = SystemClock.now();
    let sign_up = SignUp {
        client: None,
        id: RandomIds.next(),
        email_key: email.key(),
        email: email.clone(),
        names: Names { first: format!("Student {n}"), last: Some("Example".into()), preferred: None },
        role: Role::Student,
        password_hash: String::new(),
        created_at: now,
        expires_at: now,
    };
    let account = Account::confirmed(&sign_up, now);
    let about = [("account", account.id.clone())];
    let mail = Mail::new(format!("welcome:{}", account.id), "welcome", &email, about, now);
    (account, mail)
}

/// Ids of the emails in this state.
pub async fn in_state(store: &Store, state: &'static str) -> BTreeSet<String> {
    let query = Query::new(Filter::eq("state", state)).limit(10_000);
    let emails = store.find::<Mail>(query).await.expect("readable");
    emails.into_iter().map(|mail| mail.id).collect()
}

async fn until_all_went(store: &Store) {
    let begun = Instant::now();
    loop {
        let gone = [MailState::Sent, MailState::SentPossiblyTwice];
        let mut open = 0;
        for mail in store.find::<Mail>(Query::new(Filter::All).limit(10_000)).await.expect("readable") {
            open += usize::from(!gone.contains(&mail.state));
        }
        if open == 0 {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{open} emails have not gone");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
