//! The rate, and exactly which emails are sent when workers die: several sets of workers on one store.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use orientation::config::Event;
use orientation::kernel::{Clock, EmailAddress, RandomIds, SystemClock, Timestamp, faults};
use orientation::platform::jobs::{self, Crons, Running, Subscribers, Workers};
use orientation::platform::mail::{
    self, Email, Mail, MailState, Mailer, RenderError, Sample, Ses, Template, Templates,
};
use orientation::platform::signals::InProcess;
use orientation::platform::store::{Access, Filter, Query, Store, StoreError};
use tempfile::TempDir;

use super::ses::account;
use super::{email, sender};
use crate::doubles::ses::{self as ses_double, Fault};

const RATE: f64 = 50.0;
/// Simulated response time of SES.
const LATENCY: Duration = Duration::from_millis(100);

pub struct Hello;

#[async_trait]
impl Template for Hello {
    fn name(&self) -> &'static str {
        "hello"
    }

    async fn render(&self, _: &Mail) -> Result<Email, RenderError> {
        Ok(email())
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        Ok(vec![])
    }
}

/// A store with emails to be sent, and SES's double.
struct Office {
    store: Store,
    double: ses_double::Ses,
    _folder: TempDir,
}

impl Office {
    async fn with_emails(count: usize) -> Self {
        let folder = tempfile::tempdir().expect("there is room for it");
        let store = Store::sqlite(&folder.path().join("store.db"), Access::Serving).expect("it opens");
        store.prepare(&[jobs::schemas(), mail::schemas()].concat()).await.expect("it is new");
        let mails: Vec<_> = (0..count).map(mail_to).collect();
        for some in mails.chunks(200) {
            let posted: Result<(), StoreError> = store
                .transact(async |tx| {
                    for mail in some {
                        tx.post(mail).await?;
                    }
                    Ok(())
                })
                .await;
            posted.expect("new");
        }
        Self { store, double: ses_double::Ses::start(LATENCY), _folder: folder }
    }

    /// What one process does. Dropped, it is as if the process had died.
    async fn worker(&self) -> Running {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let ses = Arc::new(Ses::new(&account(self.double.url(), sender()), Arc::new(SystemClock)).await);
        let templates = Templates::new(vec![Arc::new(Hello)]).expect("one");
        let mailer = Mailer::new(self.store.clone(), clock.clone(), templates, ses).at_rate(RATE);
        let subscribers = Subscribers::new().with(Arc::new(mailer));
        let crons = Crons::new(event().time_zone, []);
        let signals = Arc::new(InProcess::new(0.0));
        Workers::new(self.store.clone(), signals, clock, Arc::new(RandomIds), subscribers, crons).start()
    }

    async fn in_state(&self, state: &'static str) -> Vec<Mail> {
        let query = Query::new(Filter::eq("state", state)).limit(10_000);
        self.store.find(query).await.expect("readable")
    }

    async fn until_all_went(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        loop {
            let open = self.in_state("queued").await.len() + self.in_state("sending").await.len();
            if open == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "{open} emails are not sent");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

pub fn mail_to(n: usize) -> Mail {
    let to = EmailAddress::parse(&format!("student{n}@example.org")).expect("an address");
    Mail::new(format!("hello:{n}"), "hello", &to, [], SystemClock.now())
}

pub fn event() -> Event {
    Event::parse(include_str!("../../../event.toml")).expect("the shipped one is good")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_emails_by_two_workers_that_die_three_times() {
    const EMAILS: usize = 2000;
    let office = Office::with_emails(EMAILS).await;
    let mut workers = [Some(office.worker().await), Some(office.worker().await)];
    let (begun, mut in_flight) = (Instant::now(), BTreeSet::new());
    for (kill, at) in [6, 15, 24].into_iter().enumerate() {
        tokio::time::sleep_until((begun + Duration::from_secs(at)).into()).await;
        workers[kill % 2] = None;
        // What is aborted ends at its next step.
        tokio::time::sleep(Duration::from_millis(300)).await;
        in_flight.extend(office.in_state("sending").await.into_iter().map(|mail| mail.id));
        workers[kill % 2] = Some(office.worker().await);
    }
    office.until_all_went(Duration::from_secs(120)).await;

    let times = office.double.times();
    let twice: BTreeSet<_> =
        times.iter().filter(|(_, times)| **times > 1).map(|(id, _)| id.clone()).collect();
    let marked: BTreeSet<_> =
        office.in_state("sentPossiblyTwice").await.into_iter().map(|mail| mail.id).collect();
    let report = format!(
        "{EMAILS} emails in {:.1} s, at most {} in a second; {} went twice, {} are marked, {} were in flight\n",
        begun.elapsed().as_secs_f64(),
        office.double.most_in_a_second(),
        twice.len(),
        marked.len(),
        in_flight.len(),
    );
    std::io::Write::write_all(&mut std::io::stderr(), report.as_bytes()).expect("somebody reads it");
    assert_eq!(times.len(), EMAILS, "every email is sent");
    assert!(times.values().all(|times| *times <= 4));
    assert!(twice.is_subset(&marked), "emails that were sent twice are marked");
    assert!(marked.is_subset(&in_flight), "only emails that were in flight are marked");
    assert!(office.double.most_in_a_second() <= 50, "the rate");
    for worker in workers.into_iter().flatten() {
        worker.drain(Duration::from_secs(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_slots_in_the_store_emails_are_sent_faster() {
    let went = |guarded: bool| async move {
        let folder = tempfile::tempdir().expect("there is room for it");
        let store = Store::sqlite(&folder.path().join("store.db"), Access::Serving).expect("it opens");
        store.prepare(&[jobs::schemas(), mail::schemas()].concat()).await.expect("it is new");
        let double = ses_double::Ses::start(Duration::ZERO);
        let mut emails = tokio::task::JoinSet::new();
        for process in 0..3 {
            let ses = Arc::new(Ses::new(&account(double.url(), sender()), Arc::new(SystemClock)).await);
            let templates = Templates::new(vec![Arc::new(Hello)]).expect("one");
            let mailer = Mailer::new(store.clone(), Arc::new(SystemClock), templates, ses).at_rate(20.0);
            let mailer = Arc::new(mailer);
            for n in 0..20 {
                let (mail, mailer, store) = (mail_to(process * 20 + n), mailer.clone(), store.clone());
                let sending = async move {
                    store.transact(async |tx| tx.post(&mail).await).await.expect("new");
                    send(&mailer, &mail).await;
                };
                match guarded {
                    true => emails.spawn(sending),
                    false => emails.spawn(faults::without("mail-rate", sending)),
                };
            }
        }
        emails.join_all().await;
        double.most_in_a_second()
    };
    let (with, without) = (went(true).await, went(false).await);
    assert!(with <= 20, "{with} in a second");
    assert!(without > 25, "{without} in a second: the guard is what holds the rate");
}

async fn send(mailer: &Mailer, mail: &Mail) {
    use orientation::platform::jobs::{Run, Subscriber};
    let run = Run { job_id: String::new(), attempt: 1, crashes: 0 };
    mailer.handle(mail::SendMail { mail: mail.id.clone() }, run).await.expect("sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn emails_that_ses_throttles_are_sent_later_and_those_without_an_answer_are_marked() {
    let office = Office::with_emails(30).await;
    let throttle = Fault::Refuse(429, "TooManyRequestsException", "Maximum sending rate exceeded.");
    office.double.fail([throttle, throttle, Fault::DropAfter, Fault::DropBefore]);
    let worker = office.worker().await;
    office.until_all_went(Duration::from_secs(60)).await;
    let marked = office.in_state("sentPossiblyTwice").await;
    assert_eq!(marked.len(), 2, "two had no answer");
    assert!(
        marked.iter().all(|mail| mail.state == MailState::SentPossiblyTwice
            && mail.sent_at > Some(Timestamp::from_millis(0)))
    );
    let times = office.double.times();
    assert_eq!(times.len(), 30);
    assert_eq!(times.values().filter(|times| **times == 2).count(), 1, "one of them had been sent");
    worker.drain(Duration::from_secs(5)).await;
}
