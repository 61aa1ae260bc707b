//! `/v1/jobs` and `/v1/job-stats`: what the committee sees of background jobs, and how it repairs them.

use std::time::Duration;

use orientation::features::faq::{FaqQuestion, FaqState};
use orientation::features::payments::Order;
use orientation::features::reports::DailyReport;
use orientation::kernel::{Actor, Clock, Ids, RandomIds, Role, Scope, Timestamp};
use orientation::platform::audit::{Action, AuditEntry};
use orientation::platform::jobs::{self, JOB_DROPPED, JOB_RETRIED, Job, JobState, Payload};
use orientation::platform::mail::{Mail, MailClass, MailState};
use orientation::platform::store::{Filter, Query, StoreError};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::doubles::stripe::Fault;
use crate::support::{NO_ID, PATIENCE, TestApp, Visitor, reaches_all_of, stripe};
use crate::v1_groups::{group_path, to};

/// A kind that nobody handles.
#[derive(Serialize, Deserialize)]
struct Ring {}

impl Payload for Ring {
    const KIND: &'static str = "bell.ring";
}

impl TestApp {
    /// Records a job of a kind, which waits for `wait`.
    pub async fn job(&self, kind: &str, payload: Value, wait: Duration) -> Job {
        let now = self.clock.now();
        let job = Job::new(format!("test:{}", RandomIds.next()), &Ring {}, now).at(now.plus(wait));
        let job = Job { kind: kind.into(), payload, ..job };
        self.store.transact(async |tx| tx.enqueue(&job).await).await.expect("new");
        job
    }

    /// Records dead jobs of a kind.
    async fn dead(&self, kind: &str, count: usize) -> Vec<String> {
        let now = self.clock.now();
        let dead = |_| Job {
            kind: kind.into(),
            state: JobState::Dead,
            attempts: 12,
            finished_at: Some(now),
            error: Some("no bell".into()),
            ..Job::new(format!("test:{}", RandomIds.next()), &Ring {}, now)
        };
        let dead: Vec<_> = (0..count).map(dead).collect();
        let stored: Result<(), StoreError> =
            self.store.transact(async |tx| tx.put_all(&Vec::from_iter(&dead)).await).await;
        stored.expect("new");
        dead.into_iter().map(|job| job.id).collect()
    }

    /// A leader who may manage jobs.
    async fn keeper(&self) -> Visitor {
        let email = format!("{}@mail.example.edu", RandomIds.next());
        self.somebody(&email, Role::Leader, &["jobs:manage"]).await
    }

    /// Who did this to which jobs.
    async fn changes(&self, action: Action) -> Vec<(Actor, Option<String>)> {
        let by_action = Query::new(Filter::eq("action", action.as_str())).limit(1000);
        let entries: Vec<AuditEntry> = self.store.find(by_action).await.expect("readable");
        entries.into_iter().map(|entry| (entry.actor, entry.subject.id)).collect()
    }

    /// Lets hours pass, in each of which due jobs run.
    #[cfg(feature = "faults")]
    async fn pass(&self, hours: u32) {
        for _ in 0..hours {
            self.quiet().await;
            self.clock.advance(Duration::from_secs(3601));
            let woken: Result<(), StoreError> = self
                .store
                .transact(async |tx| {
                    tx.note(jobs::TOPIC).await;
                    Ok(())
                })
                .await;
            woken.expect("the store works");
        }
        self.quiet().await;
    }

    /// Waits until no job is due or running.
    async fn quiet(&self) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !self.jobs_due().await.is_empty() {
            assert!(tokio::time::Instant::now() < deadline, "left over: {:?}", self.jobs_due().await);
            // The service's workers run the jobs: there is no event to wait for from outside.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn path(id: &str) -> String {
    format!("/v1/jobs/{id}")
}

fn ids(list: &Value) -> Vec<&str> {
    list["items"].as_array().expect("a list").iter().map(|job| job["id"].as_str().expect("an id")).collect()
}

/// Every id and number that a kind of job can need: of nothing that exists.
fn payload() -> Value {
    json!({
        "account": NO_ID, "announcement": NO_ID, "attempt": 1, "day": "2026-09-01T13:00:00.000Z", "entry": NO_ID,
        "event": "completed", "id": NO_ID, "mail": NO_ID, "mailing": NO_ID, "order": NO_ID, "plan": NO_ID,
        "question": NO_ID, "refund": 1, "session": NO_ID, "tick": "2026-09-01T13:00:00.000Z",
    })
}

#[cfg(feature = "faults")]
#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_job_of_each_kind_dies_and_has_its_effect_once_when_it_is_retried() {
    use orientation::kernel::faults;

    let app = TestApp::start().await;
    let (keeper, student) = (app.keeper().await, app.student().await);
    let email = |id: &str, class| {
        let (account, to) = (student.account().id.clone(), student.account().email.clone());
        Mail::new(id.into(), "welcome", &to, [("account", account)], app.clock.now()).in_class(class)
    };
    let mails =
        [email("welcome:poisoned", MailClass::Direct), email("welcome:poisoned-bulk", MailClass::Bulk)];
    let mut poisoned: Vec<(String, &str, u32)> = vec![];
    for (kind, limit) in app.job_kinds.clone() {
        let now = app.clock.now();
        let mail = match kind {
            "mail.send" => Some(&mails[0]),
            "mail.send-bulk" => Some(&mails[1]),
            _ => None,
        };
        let id = mail.map_or_else(
            || format!("poisoned:{kind}:{}", RandomIds.next()),
            |mail| format!("mail:{}", mail.id),
        );
        faults::poison(&id);
        let job = Job { kind: kind.into(), payload: payload(), ..Job::new(id.clone(), &Ring {}, now) };
        let recorded: Result<(), StoreError> = app
            .store
            .transact(async |tx| match mail {
                Some(mail) => tx.post(mail).await,
                None => tx.enqueue(&job).await,
            })
            .await;
        recorded.expect("new");
        poisoned.push((id, kind, limit));
    }
    assert!(poisoned.len() > 15, "{poisoned:?}");

    // The longest wait is an hour.
    let most = poisoned.iter().map(|(.., limit)| *limit).max().unwrap_or(0);
    app.pass(most + 1).await;
    for (id, kind, limit) in &poisoned {
        let of_kind = keeper.get(&format!("/v1/jobs?state=dead&kind={kind}")).await.ok(200);
        let job = of_kind["items"].as_array().expect("a list").iter().find(|job| job["id"] == **id);
        let job = job.unwrap_or_else(|| panic!("{kind} is not dead: {of_kind}"));
        assert_eq!((&job["attempts"], &job["error"]), (&json!(limit), &json!("poisoned")), "{kind}");
    }

    for (id, kind, _) in &poisoned {
        faults::cure(id);
        let job = keeper.send(keeper.request(Method::POST, &format!("{}/retry", path(id)))).await.ok(200);
        assert_eq!(job["attempts"], 0, "{kind}");
    }
    app.quiet().await;
    for (id, kind, _) in &poisoned {
        let job = keeper.get(&path(id)).await.ok(200);
        assert_eq!((&job["state"], &job["attempts"]), (&json!("done"), &json!(1)), "{kind}: {job}");
        assert_eq!(job.get("error"), None, "{kind}: {job}");
        let again = keeper.send(keeper.request(Method::POST, &format!("{}/retry", path(id)))).await;
        again.refused(409, "job-not-changeable");
    }
    for mail in &mails {
        let mail: Mail = app.store.get(&mail.id).await.expect("readable").expect("there");
        assert_eq!(mail.state, MailState::Sent, "{}", mail.id);
    }
    assert_eq!(app.mailbox(student.email()).emails().await.len(), mails.len());
    let changes = app.changes(JOB_RETRIED).await;
    assert_eq!(changes.len(), poisoned.len());
    let actor = Actor::Account(keeper.account().id.clone());
    assert!(changes.iter().all(|(by, _)| *by == actor), "{changes:?}");
    app.finish().await;
}

/// What the store and the mailboxes show of the effects of jobs, each by its kind.
#[cfg(feature = "faults")]
struct Effects<'a> {
    app: &'a TestApp,
    /// Who gets a bursary while the gateway is unreachable, before paying.
    applicant: (Visitor, Value),
    /// Who gets a bursary after paying.
    payer: (Visitor, Value),
    /// A mailing that is to start later, and one that was started.
    mailings: [Value; 2],
    /// A plan of two moves.
    plan: Value,
    /// The day of a report.
    day: String,
    /// A question that was deleted long ago.
    question: String,
}

#[cfg(feature = "faults")]
impl Effects<'_> {
    /// How often the job of this kind has had its effect.
    async fn of(&self, kind: &str) -> usize {
        match kind {
            "bursaries.settle" => usize::from(self.order(&self.applicant.1).await.waived_at.is_some()),
            "payments.refund" => {
                let order = self.order(&self.payer.1).await;
                order.reversals.iter().filter(|reversal| reversal.refunded == 13_000).count()
            }
            "mailings.start" => self.emails_of(&self.mailings[0]).await,
            "mailings.send" => self.emails_of(&self.mailings[1]).await,
            "groups.rebalance" => {
                let moved = Filter::eq("action", "student.moved")
                    .and(Filter::eq("detail.plan", text(&self.plan["id"])));
                let moved = self.app.store.count::<AuditEntry>(moved).await.expect("readable");
                // Two moves are one effect.
                usize::try_from(moved).expect("a few") / 2
            }
            "reports.daily" => {
                let of_day = Filter::eq("id", self.day.as_str());
                let reports = self.app.store.count::<DailyReport>(of_day).await.expect("readable");
                usize::try_from(reports).expect("a few")
            }
            "faq.sweep" => {
                let question: Option<FaqQuestion> =
                    self.app.store.get(&self.question).await.expect("readable");
                usize::from(question.is_none())
            }
            other => panic!("nobody counts {other}"),
        }
    }

    async fn order(&self, order: &Value) -> Order {
        self.app.store.get(text(&order["id"])).await.expect("readable").expect("there")
    }

    /// Emails to the administrator, who is the only leader among the recipients.
    async fn emails_of(&self, mailing: &Value) -> usize {
        let sent = Filter::eq("batch", text(&mailing["id"])).and(Filter::eq("state", "sent"));
        usize::try_from(self.app.store.count::<Mail>(sent).await.expect("readable")).expect("a few")
    }
}

#[cfg(feature = "faults")]
fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// Kinds whose jobs have an effect that nothing else has, with the hours after which they are dead. The others are the copies,
/// seals and comparisons that run again anyway, the sweeps, which are this one with other queries, the checkouts, which are
/// replaced before their jobs are dead, and the emails of the test above.
#[cfg(feature = "faults")]
const WITH_EFFECTS: [(u32, &[&str]); 2] = [
    (
        14,
        &[
            "payments.refund",
            "mailings.start",
            "mailings.send",
            "groups.rebalance",
            "reports.daily",
            "faq.sweep",
        ],
    ),
    (61, &["bursaries.settle"]),
];

#[cfg(feature = "faults")]
#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_job_has_no_effect_and_once_it_is_retried_its_effect_once() {
    use orientation::kernel::faults;

    let (app, gateway) = TestApp::start_embedded_with_stripe().await;
    gateway.deliver_to(&app.url);
    let admin = app.administrator().await;
    let mut poisoned = vec![];
    let mut poison = |job: String| {
        faults::poison(&job);
        poisoned.push(job);
    };

    // A plan that moves two of three students out of one group.
    let mut friends = vec![];
    for _ in 0..3 {
        friends.push(app.submitted().await.0);
    }
    let group = friends[0].get("/v1/registration").await.ok(200)["group"]["name"].clone();
    for friend in &friends[1..] {
        admin.put(&group_path(friend), &to(text(&group))).await.ok(204);
    }
    let plan = admin.press("/v1/group-plans").await.ok(201);
    assert_eq!(plan["moves"], 2);
    poison(format!("groups.rebalance:{}", text(&plan["id"])));
    admin.press(&format!("/v1/group-plans/{}/run", text(&plan["id"]))).await.ok(202);

    let (applicant, payer) = (app.applicant().await, app.applicant().await);
    let session = stripe::session(&payer.1);
    gateway.pay(&session).expect("open");
    gateway.all_delivered().await;
    app.quiet().await;
    gateway.fail(Fault::DropBefore, usize::MAX);
    poison(format!("bursaries.settle:{}", applicant.0.account().id));
    poison(format!("payments.refund:{}:1", text(&payer.1["id"])));
    for (student, _) in [&applicant, &payer] {
        admin.press(&format!("/v1/bursaries/{}/approve", student.account().id)).await.ok(200);
    }
    gateway.heal();

    let mut mailings = vec![];
    for (kind, wait) in [("mailings.start", Some(Duration::from_mins(5))), ("mailings.send", None)] {
        let draft = json!({ "subject": "x", "text": "x", "audience": { "for": "leaders" } });
        let mailing = admin.post("/v1/mailings", &draft).await.ok(201);
        poison(format!("{kind}:{}", text(&mailing["id"])));
        let send_at = wait.map(|wait| app.clock.now().plus(wait).rfc3339());
        let path = format!("/v1/mailings/{}/start", text(&mailing["id"]));
        let start = admin.request(Method::POST, &path).header("If-Match", "*");
        let body = match send_at {
            Some(send_at) => json!({ "recipients": 1, "sendAt": send_at }),
            None => json!({ "recipients": 1 }),
        };
        admin.send(start.json(&body)).await.ok(202);
        mailings.push(mailing);
    }
    let in_a_month = app.clock.now().plus(Duration::from_hours(30 * 24));
    let day = DailyReport::id_at(in_a_month, app.config.event.time_zone);
    for (kind, payload) in [("reports.daily", json!({ "tick": in_a_month })), ("faq.sweep", json!({}))] {
        let id = format!("poisoned:{kind}:{}", RandomIds.next());
        poison(id.clone());
        let job = Job { kind: kind.into(), payload, ..Job::new(id, &Ring {}, app.clock.now()) };
        app.store.transact(async |tx| tx.enqueue(&job).await).await.expect("new");
    }

    let long_ago = Timestamp::from_millis(0);
    let question = FaqQuestion {
        state: FaqState::Deleted,
        deleted_at: Some(long_ago),
        ..FaqQuestion::asked(RandomIds.next(), "Old?".into(), long_ago)
    };
    let (mailings, id) = (mailings.try_into().expect("two"), question.id.clone());
    let effects = Effects { app: &app, applicant, payer, mailings, plan, day, question: id };
    for (hours, kinds) in WITH_EFFECTS {
        app.pass(hours).await;
        // The sweep of every night has run meanwhile.
        app.store.insert(&question).await.expect("new");
        let dead = admin.get("/v1/jobs?limit=100").await.ok(200)["items"].clone();
        let dead = dead.as_array().expect("a list");
        assert_eq!(dead.len(), kinds.len(), "{dead:?}");
        for kind in kinds {
            let job =
                dead.iter().find(|job| job["kind"] == *kind).unwrap_or_else(|| panic!("{kind}: {dead:?}"));
            assert_eq!((&job["error"], effects.of(kind).await), (&json!("poisoned"), 0), "{kind}");
        }
        poisoned
            .iter()
            .filter(|job| kinds.iter().any(|kind| job.contains(kind)))
            .for_each(|job| faults::cure(job));
        for job in dead {
            admin.press(&format!("{}/retry", path(text(&job["id"])))).await.ok(200);
        }
        app.quiet().await;
        app.settle().await;
        for kind in kinds {
            assert_eq!(effects.of(kind).await, 1, "{kind}");
        }
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_listed_by_state_and_kind_without_their_data() {
    let app = TestApp::start().await;
    let keeper = app.keeper().await;
    let hours = |hours: u64| Duration::from_secs(3600 * hours);
    let late = app.job("bell.ring", json!({ "account": "secret" }), hours(3)).await.id;
    let early = app.job("bell.ring", json!({ "account": "secret" }), hours(1)).await.id;
    let other = app.job("bell.muffle", json!({}), hours(2)).await.id;
    let dead = app.dead("bell.ring", 1).await.remove(0);
    let listed = keeper.get("/v1/jobs?state=waiting&kind=bell.ring").await.ok(200);
    assert_eq!(ids(&listed), [early.as_str(), late.as_str()]);
    assert!(!listed.to_string().contains("secret"), "{listed}");
    let all = keeper.get("/v1/jobs?state=waiting").await.ok(200);
    let bells: Vec<_> = ids(&all).into_iter().filter(|id| id.starts_with("test:")).collect();
    assert_eq!(bells, [&early, &other, &late]);

    let first = keeper.get("/v1/jobs?state=waiting&kind=bell.ring&limit=1").await.ok(200);
    let cursor = first["nextCursor"].as_str().expect("there is more");
    let rest = keeper.get(&format!("/v1/jobs?state=waiting&kind=bell.ring&limit=1&cursor={cursor}")).await;
    assert_eq!((ids(&rest.ok(200)), ids(&first)), (vec![late.as_str()], vec![early.as_str()]));

    let listed = keeper.get("/v1/jobs").await.ok(200);
    assert_eq!(ids(&listed), [dead.as_str()]);
    let mut job = keeper.get(&path(&dead)).await.ok(200);
    assert_eq!(job, listed["items"][0]);
    for varying in ["id", "createdAt", "runAt", "finishedAt", "age"] {
        assert!(job.as_object_mut().expect("an object").remove(varying).is_some(), "{varying}");
    }
    let expected = json!({
        "kind": "bell.ring", "state": "dead", "attempts": 12, "crashes": 0, "error": "no bell"
    });
    assert_eq!(job, expected);
    for state in ["done", "dying"] {
        keeper.get(&format!("/v1/jobs?state={state}")).await.refused(400, "bad-parameter");
    }

    for id in [&dead, &early] {
        keeper.delete(&path(id)).await.ok(204);
        assert_eq!(keeper.get(&path(id)).await.ok(200)["state"], "done");
        keeper.delete(&path(id)).await.refused(409, "job-not-changeable");
    }
    let by = Actor::Account(keeper.account().id.clone());
    let dropped = app.changes(JOB_DROPPED).await;
    assert_eq!(dropped.len(), 2);
    assert!([dead, early].into_iter().all(|id| dropped.contains(&(by.clone(), Some(id)))), "{dropped:?}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_email_of_a_dropped_job_has_failed_and_can_be_sent_again() {
    let app = TestApp::start().await;
    let keeper = app.keeper().await;
    let now = app.clock.now();
    let later = now.plus(Duration::from_secs(3600));
    for class in [MailClass::Direct, MailClass::Bulk] {
        let to = &keeper.account().email;
        let about = [("account", keeper.account().id.clone())];
        let mail = Mail::new(format!("welcome:{class:?}"), "welcome", to, about, later).in_class(class);
        app.store.transact(async |tx| tx.post(&mail).await).await.expect("new");
        let job = format!("mail:{}", mail.id);
        keeper.delete(&path(&job)).await.ok(204);
        let failed: Mail = app.store.get(&mail.id).await.expect("readable").expect("there");
        assert_eq!(
            (failed.state, failed.reason.as_deref()),
            (MailState::Failed, Some("its job was dropped"))
        );
        app.store.transact(async |tx| tx.retry_mail(&failed, now).await).await.expect("it has failed");
    }
    app.settle().await;
    assert_eq!(app.mailbox(keeper.email()).emails().await.len(), 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_jobs_are_retried_a_hundred_at_a_time() {
    let app = TestApp::start().await;
    let expires_at = app.clock.now().plus(Duration::from_secs(3600));
    let machine = app.machine([Scope::JobsManage], expires_at).await;
    let dead = app.dead("jobs.sweep", 103).await;
    let other = app.dead("bell.ring", 1).await.remove(0);
    let retry = async || machine.post("/v1/jobs/retry", &json!({ "kind": "jobs.sweep" })).await.ok(200);
    assert_eq!(retry().await, json!({ "retried": 100, "left": 3 }));
    assert_eq!(retry().await, json!({ "retried": 3, "left": 0 }));
    assert_eq!(retry().await, json!({ "retried": 0, "left": 0 }));
    app.quiet().await;
    for id in dead {
        assert_eq!(
            app.store.get::<Job>(&id).await.expect("readable").map(|job| job.state),
            Some(JobState::Done)
        );
    }
    assert_eq!(app.changes(JOB_RETRIED).await.len(), 103);
    assert_eq!(ids(&machine.get("/v1/jobs").await.ok(200)), [other.as_str()]);
    machine.delete(&path(&other)).await.ok(204);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_show_numbers_ages_and_times_by_kind() {
    let app = TestApp::start().await;
    let keeper = app.keeper().await;
    let to = keeper.account().email.clone();
    for number in 0..3 {
        let account = ("account", keeper.account().id.clone());
        let mail = Mail::new(format!("welcome:{number}"), "welcome", &to, [account], app.clock.now());
        app.store.transact(async |tx| tx.post(&mail).await).await.expect("new");
    }
    app.settle().await;
    let dead = app.dead("bell.ring", 2).await;
    app.job("bell.ring", json!({}), Duration::from_secs(3600)).await;
    let stats = keeper.get("/v1/job-stats").await.ok(200);
    let kinds = stats["kinds"].as_array().expect("a list");
    let of = |kind: &str| kinds.iter().find(|of_kind| of_kind["kind"] == kind).expect("it has jobs");
    assert_eq!(
        of("bell.ring"),
        &json!({ "kind": "bell.ring", "waiting": 1, "running": 0, "dead": 2, "recent": 0 })
    );
    let sent = of("mail.send");
    assert_eq!((&sent["waiting"], &sent["dead"], &sent["recent"]), (&json!(0), &json!(0), &json!(3)));
    for times in ["latency", "runTime"] {
        let (p50, p95) = (sent[times]["p50"].as_u64().expect("ms"), sent[times]["p95"].as_u64().expect("ms"));
        assert!(p50 <= p95 && p95 < 20_000, "{times}: {sent}");
    }
    let names: Vec<_> = kinds.iter().map(|of_kind| of_kind["kind"].as_str().expect("a name")).collect();
    assert!(names.is_sorted(), "{names:?}");
    for id in dead {
        keeper.delete(&path(&id)).await.ok(204);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_of_the_job_operations_is_reached() {
    reaches_all_of("Jobs", async |reach| {
        let app = reach.start().await;
        let keeper = app.keeper().await;
        keeper.get("/v1/jobs").await.ok(200);
        keeper.get("/v1/job-stats").await.ok(200);
        reach.example(&keeper, "retryJobs").await.ok(200);
        let retry = |id: &str| keeper.request(Method::POST, &format!("{}/retry", path(id)));
        let job = app.dead("jobs.sweep", 1).await.remove(0);
        keeper.get(&path(&job)).await.ok(200);
        keeper.send(retry(&job)).await.ok(200);
        keeper.send(retry(&job)).await.refused(409, "job-not-changeable");
        app.quiet().await;
        keeper.delete(&path(&job)).await.refused(409, "job-not-changeable");
        let job = app.dead("bell.ring", 1).await.remove(0);
        keeper.delete(&path(&job)).await.ok(204);
        keeper.get(&path(NO_ID)).await.refused(404, "no-such-job");
        keeper.delete(&path(NO_ID)).await.refused(404, "no-such-job");
        keeper.send(retry(NO_ID)).await.refused(404, "no-such-job");
        reach.without_a_store(&app, &keeper, &[]).await;
        app.finish().await;
    })
    .await;
}
