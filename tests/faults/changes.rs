//! The program is killed while an administrator changes things. A change and its entry in the audit log are kept together,
//! or neither is.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use orientation::features::accounts::{self, Account, Session, SessionSecret};
use orientation::features::rights::{self, RequestState, RightsRequest};
use orientation::kernel::{Clock, EmailAddress, Ids, RandomIds, Reach, Right, Scope, SystemClock};
use orientation::platform::audit::{self, AuditEntry, SETTLED_AFTER};
use orientation::platform::mail::{self, Mail, Suppression, SuppressionCause};
use orientation::platform::store::{Store, StoreError};
use reqwest::header::COOKIE;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::audit::all;
use crate::leaders::leader;
use crate::program::{PATIENCE, Program, client};

/// Of each kind: rights that are granted, addresses that are taken off the suppression list.
const CHANGES: usize = 150;
const KILLS: usize = 40;
/// Changes under way at a time.
const AT_ONCE: usize = 4;
const SEED: u64 = 2027;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_at_any_moment_keep_a_change_and_its_audit_entry_or_neither() {
    let mut program = Program::new();
    let desk = Arc::new(Desk::new(&program).await);
    let mut chance = fastrand::Rng::with_seed(SEED);
    program.start("").await;
    let (done, mut finished) = mpsc::unbounded_channel();
    let changing = tokio::spawn(desk.clone().change_everything(done));
    let mut cut_short = 0;
    for _ in 0..KILLS {
        for _ in 0..chance.u32(0..=6) {
            timeout(PATIENCE, finished.recv()).await.expect("a change");
        }
        tokio::time::sleep(Duration::from_micros(chance.u64(0..=4_000))).await;
        program.kill().await;
        cut_short += desk.under_way();
        desk.check(&program.store()).await;
        while finished.try_recv().is_ok() {}
        program.start("").await;
    }
    timeout(PATIENCE, changing).await.expect("nobody is stuck").expect("no change is refused");
    program.stop().await;
    desk.check_end(&program.store()).await;
    let report = format!("\nseed {SEED}: {KILLS} kills cut {cut_short} changes short\n");
    std::io::stderr().write_all(report.as_bytes()).expect("written");
    assert!(cut_short > KILLS, "the kills hit too few changes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crashes_at_each_step_of_a_change_keep_it_with_its_audit_entry_or_neither() {
    // A process commits some times until it listens.
    for (point, time) in [("audit.before-entry", 3), ("audit.after-entry", 3), ("store.before-commit", 40)] {
        let mut program = Program::new();
        let desk = Arc::new(Desk::new(&program).await);
        program.start(&format!("crash:{point}:{time}")).await;
        let (done, _finished) = mpsc::unbounded_channel();
        let changing = tokio::spawn(desk.clone().change_everything(done));
        let ended = program.died().await;
        assert!(!ended.success(), "{point}: a crash");
        assert!(desk.under_way() > 0, "{point}");
        desk.check(&program.store()).await;
        program.start("").await;
        timeout(PATIENCE, changing).await.expect(point).expect(point);
        program.stop().await;
        desk.check_end(&program.store()).await;
    }
}

/// A change that an administrator makes by a request.
#[derive(Clone, Debug)]
enum Change {
    /// Grants the right that this request asks for.
    Grant(String),
    /// Takes the address of this entry off the suppression list.
    Unsuppress(String),
}

impl Change {
    /// The id of the document that its audit entry names, and the action.
    fn audited(&self) -> (&str, &'static str) {
        match self {
            Self::Grant(request) => (request, "right.granted"),
            Self::Unsuppress(entry) => (entry, "suppression.removed"),
        }
    }

    fn request(&self, http: &reqwest::Client, url: &str) -> reqwest::RequestBuilder {
        match self {
            Self::Grant(request) => http
                .post(format!("{url}/v1/rights-requests/{request}/grant"))
                .json(&json!({ "reason": "They lead this team." })),
            Self::Unsuppress(entry) => http.delete(format!("{url}/v1/suppressions/{entry}")),
        }
    }
}

/// An administrator, and what is to be changed.
struct Desk {
    http: reqwest::Client,
    url: String,
    lives: watch::Receiver<u32>,
    cookie: String,
    changes: Vec<Change>,
    /// The ids of the changes without an answer, and of those that were answered with success.
    under_way: Mutex<BTreeSet<String>>,
    acknowledged: Mutex<BTreeSet<String>>,
}

impl Desk {
    async fn new(program: &Program) -> Self {
        let store = program.store();
        let schemas = [accounts::schemas(), mail::schemas(), rights::schemas()].concat();
        store.prepare(&schemas).await.expect("the store is new");
        let (cookie, leader) = (administrator(&store).await, leader("leader", &[]));
        store.insert(&leader).await.expect("the store is new");
        let pairs = requests(&store, &leader.id).await.into_iter().zip(suppressions(&store).await);
        Self {
            http: client(),
            url: program.url(),
            lives: program.lives(),
            cookie,
            changes: pairs.flat_map(|(grant, unsuppress)| [grant, unsuppress]).collect(),
            under_way: Mutex::default(),
            acknowledged: Mutex::default(),
        }
    }

    fn under_way(&self) -> usize {
        self.under_way.lock().expect("nobody panics inside").len()
    }

    async fn change_everything(self: Arc<Self>, done: mpsc::UnboundedSender<()>) {
        let changes = futures_util::stream::iter(self.changes.clone()).map(|change| {
            let (desk, done) = (self.clone(), done.clone());
            async move {
                desk.make(&change).await;
                // The test may have stopped listening.
                let _ = done.send(());
            }
        });
        changes.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
    }

    /// Repeats the request until it is answered.
    async fn make(&self, change: &Change) {
        let (id, mut lives) = (change.audited().0.to_owned(), self.lives.clone());
        self.under_way.lock().expect("nobody panics inside").insert(id.clone());
        loop {
            let life = *lives.borrow_and_update();
            match change.request(&self.http, &self.url).header(COOKIE, &self.cookie).send().await {
                Ok(answer) => {
                    // 404 and 409 after a change whose answer was lost.
                    assert!([200, 204, 404, 409].contains(&answer.status().as_u16()), "{answer:?}");
                    break;
                }
                Err(_) => {
                    lives.wait_for(|lives| *lives > life).await.expect("the test outlives its requests");
                }
            }
        }
        self.under_way.lock().expect("nobody panics inside").remove(&id);
        self.acknowledged.lock().expect("nobody panics inside").insert(id);
    }

    /// Every change has one entry in the audit log, and every entry its change.
    async fn check(&self, store: &Store) {
        let acknowledged = self.acknowledged.lock().expect("nobody panics inside").clone();
        let made = made(store).await;
        let mut audited = BTreeMap::<_, u32>::new();
        for entry in all::<AuditEntry>(store).await {
            // The subject of a grant is the leader's account.
            let id = entry.detail.get("request").cloned().or(entry.subject.id).expect("a document");
            *audited.entry((id, entry.action.as_str().to_owned())).or_default() += 1;
        }
        for change in &self.changes {
            let (id, action) = change.audited();
            let entries = audited.remove(&(id.to_owned(), action.to_owned())).unwrap_or(0);
            assert_eq!(entries, u32::from(made.contains(id)), "{change:?}: entries in the audit log");
            assert!(entries == 1 || !acknowledged.contains(id), "{change:?} was acknowledged");
        }
        assert!(audited.is_empty(), "entries of no change: {audited:?}");
    }

    /// Everything was changed once, and the log is intact.
    async fn check_end(&self, store: &Store) {
        self.check(store).await;
        assert_eq!(made(store).await.len(), self.changes.len());
        audit::seal(store, SystemClock.now().plus(SETTLED_AFTER * 2)).await.expect("sealed");
        let intact = audit::verify(store, None, |_| {}).await.expect("intact");
        assert_eq!((intact.head.number, intact.unsealed), (self.changes.len() as u64, 0));
    }
}

/// The ids of the changes that were made: of granted requests, whose right the leader holds and whose email is recorded,
/// and of removed entries.
async fn made(store: &Store) -> BTreeSet<String> {
    let leader = all::<Account>(store).await.into_iter().find(|account| !account.reach.is_empty());
    let held = leader.map(|leader| leader.reach).unwrap_or_default();
    let mails: BTreeSet<_> = all::<Mail>(store).await.into_iter().map(|mail| mail.id).collect();
    let mut made = BTreeSet::new();
    for request in all::<RightsRequest>(store).await {
        let Right::Reach(reach) = &request.right else { panic!("{request:?}") };
        let granted = request.state == RequestState::Granted;
        assert_eq!(granted, held.contains(reach), "{request:?}");
        assert_eq!(granted, mails.contains(&format!("right-granted:{}", request.id)), "{request:?}");
        if granted {
            made.insert(request.id);
        }
    }
    let left: BTreeSet<_> = all::<Suppression>(store).await.into_iter().map(|entry| entry.id).collect();
    made.extend(suppressed_ids().filter(|id| !left.contains(id)));
    made
}

/// A signed-in administrator's cookie.
pub async fn administrator(store: &Store) -> String {
    let account = leader("chair", &[Right::Scope(Scope::AdminAll)]);
    let secret = SessionSecret::new(RandomIds.secret());
    let session = Session::open(secret.session_id(), &account, SystemClock.now());
    let stored: Result<(), StoreError> = store
        .transact(async |tx| {
            tx.insert(&account).await?;
            tx.insert(&session).await
        })
        .await;
    stored.expect("the store is new");
    format!("orientation_session={}", secret.cookie())
}

/// Open requests of the leader, each for another hunt team.
async fn requests(store: &Store, leader: &str) -> Vec<Change> {
    let request = |team: usize| {
        let right = Right::Reach(Reach::HuntTeam(u16::try_from(team).expect("few teams")));
        RightsRequest::open(RandomIds.next(), leader, right, "I lead this team.".into(), SystemClock.now())
    };
    let requests: Vec<_> = (0..CHANGES).map(request).collect();
    let stored: Vec<_> = requests.iter().collect();
    store.transact(async |tx| tx.put_all(&stored).await).await.expect("the store is new");
    requests.into_iter().map(|request| Change::Grant(request.id)).collect()
}

fn suppressed_ids() -> impl Iterator<Item = String> {
    (0..CHANGES).map(|number| format!("suppression-{number}"))
}

/// New entries of the suppression list.
async fn suppressions(store: &Store) -> Vec<Change> {
    let entry = |id: String| {
        let address = EmailAddress::parse(&format!("{id}@example.org")).expect("an address");
        Suppression::new(id, &address, SuppressionCause::Bounce, SystemClock.now())
    };
    let entries: Vec<_> = suppressed_ids().map(entry).collect();
    let stored: Vec<_> = entries.iter().collect();
    store.transact(async |tx| tx.put_all(&stored).await).await.expect("the store is new");
    entries.into_iter().map(|entry| Change::Unsuppress(entry.id)).collect()
}
