//! The whole service in this process, with its own store and port.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use orientation::app::App;
use orientation::config::Config;
use orientation::features::accounts::{
    Account, Approval, Names, Password, Passwords, Session, SessionSecret, SignUp,
};
use orientation::features::api_keys::{ApiKey, Key};
use orientation::http::{ConnectionLimits, Server};
use orientation::kernel::{Actor, Clock, EmailAddress, Ids, RandomIds, Right, Role, Scope, Timestamp};
use orientation::platform::jobs::Job;
use orientation::platform::store::{Access, Filter, Query, Store, StoreError};
use tokio::sync::{OnceCell, oneshot};
use tokio::task::JoinHandle;

use super::document::Seen;
use super::parts::{Parts, charge_with};
use super::{Mailbox, ShiftedClock, Visitor};
use crate::doubles::sns::Sns;
use crate::doubles::stripe::Stripe;

/// The password of every account that a test creates.
pub const PASSWORD: &str = "seven quiet herons at dawn";

/// How long a test waits for something to happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running service. Must be [finished](TestApp::finish).
pub struct TestApp {
    pub url: String,
    pub store: Store,
    pub clock: Arc<ShiftedClock>,
    pub config: Config,
    /// What the operations responded.
    pub seen: Seen,
    /// The kinds of jobs, each with the number of failures after which a job is dead.
    pub job_kinds: Vec<(&'static str, u32)>,
    parts: Parts,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
    unfinished: Unfinished,
}

/// Fails the test that drops it, because a service that isn't finished is not searched for leftover jobs.
struct Unfinished;

impl Unfinished {
    fn finish(self) {
        std::mem::forget(self);
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "`TestApp::finish` was not called");
    }
}

impl TestApp {
    /// The service as shipped, without rate limits.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// The same with a changed configuration.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_new(change, ConnectionLimits::default()).await
    }

    /// The same with other limits on connections.
    pub async fn start_behind(limits: ConnectionLimits) -> Self {
        Self::start_new(|_| {}, limits).await
    }

    /// The same on the embedded adapters, whatever the other tests of this run use.
    pub async fn start_embedded() -> Self {
        Self::run(configured(|_| {}), Parts::Embedded, ConnectionLimits::default(), Arc::default()).await
    }

    /// The same with a double of Stripe.
    pub async fn start_embedded_with_stripe() -> (Self, Stripe) {
        let clock = Arc::<ShiftedClock>::default();
        let stripe = Stripe::start_with(clock.clone()).await;
        let config = configured(|config| charge_with(config, &stripe));
        (Self::run(config, Parts::Embedded, ConnectionLimits::default(), clock).await, stripe)
    }

    /// The same on the embedded adapters, except for the store that `change` sets, at the time `now`.
    pub async fn start_at(now: Timestamp, change: impl FnOnce(&mut Config)) -> Self {
        let clock = Arc::new(ShiftedClock::at(now));
        Self::run(configured(change), Parts::Embedded, ConnectionLimits::default(), clock).await
    }

    async fn start_new(change: impl FnOnce(&mut Config), limits: ConnectionLimits) -> Self {
        let (mut config, clock) = (configured(change), Arc::default());
        let parts = Parts::prepare(&mut config, &clock).await;
        Self::run(config, parts, limits, clock).await
    }

    async fn run(config: Config, parts: Parts, limits: ConnectionLimits, clock: Arc<ShiftedClock>) -> Self {
        let server = Server::bind(([127, 0, 0, 1], 0).into()).await.expect("a free port").with_limits(limits);
        let config = config.with_listen_addr(server.local_addr());
        let app = App::assemble_among(
            config.clone(),
            Access::Serving,
            clock.clone(),
            Arc::new(RandomIds),
            Sns::new(),
        )
        .await
        .expect("the service starts");
        let (url, store) = (format!("http://{}", server.local_addr()), app.store.clone());
        let job_kinds = app.job_kinds();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(app.run(server, async move { stopped.await.unwrap_or_default() }));
        parts.served_at(&url);
        let (seen, unfinished) = (Seen::default(), Unfinished);
        Self { url, store, clock, config, seen, job_kinds, parts, stop, running, unfinished }
    }

    /// The same, whose responses are recorded in `seen` from now on.
    pub fn recorded_in(self, seen: &Seen) -> Self {
        Self { seen: seen.clone(), ..self }
    }

    /// Stops the service and starts it again with the same adapters, at another address.
    pub async fn restart(self) -> Self {
        let Self { store, clock, config, parts, stop, running, unfinished, .. } = self;
        unfinished.finish();
        let _ = stop.send(());
        running.await.expect("it ends without a panic");
        drop(store);
        Self::run(config, parts, ConnectionLimits::default(), clock).await
    }

    /// Makes the store unavailable: reads and writes fail until [`TestApp::bring_store_back`].
    pub fn take_store_away(&self) {
        self.parts.take_store_away(&self.config.data);
    }

    /// Makes it available again, and waits until the service has noticed: a driver looks for its server a few times per
    /// second.
    pub async fn bring_store_back(&self) {
        self.parts.bring_store_back(&self.config.data);
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while let Err(error) = self.store.count::<Job>(Filter::All).await {
            assert!(tokio::time::Instant::now() < deadline, "the store is still unavailable: {error}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// A client without a session.
    pub fn anonymous(&self) -> Visitor {
        Visitor::new(&self.url).recorded_in(&self.seen)
    }

    /// A signed-in student.
    pub async fn student(&self) -> Visitor {
        let name = RandomIds.next();
        self.somebody(&format!("{name}@mail.example.edu"), Role::Student, &[]).await
    }

    /// A signed-in leader, approved and without scopes.
    pub async fn leader(&self) -> Visitor {
        let name = RandomIds.next();
        self.somebody(&format!("{name}@mail.example.edu"), Role::Leader, &[]).await
    }

    /// A signed-in leader, approved and with these rights.
    pub async fn leader_with(&self, rights: impl IntoIterator<Item = Right>) -> Visitor {
        let email = format!("{}@mail.example.edu", RandomIds.next());
        let mut account = account(&email, Role::Leader, self.clock.now()).await;
        account.approval = Approval::Approved;
        account.set_rights(rights);
        self.signed_in(account).await
    }

    /// A signed-in administrator.
    pub async fn administrator(&self) -> Visitor {
        let name = RandomIds.next();
        self.somebody(&format!("{name}@mail.example.edu"), Role::Leader, &["admin:all"]).await
    }

    /// A signed-in leader who waits for approval.
    pub async fn waiting_leader(&self) -> Visitor {
        let email = format!("{}@mail.example.edu", RandomIds.next());
        self.signed_in(account(&email, Role::Leader, self.clock.now()).await).await
    }

    /// Changes the account of a visitor.
    pub async fn change(&self, visitor: &Visitor, change: impl Fn(&mut Account) + Send + Sync) {
        let id = visitor.account().id.as_str();
        let changed: Result<(), StoreError> = self
            .store
            .transact(async |tx| {
                let mut account = tx.get::<Account>(id).await?.expect("there");
                change(&mut account);
                tx.put(&account).await
            })
            .await;
        changed.expect("changed");
    }

    /// A signed-in account, approved.
    pub async fn somebody(&self, email: &str, role: Role, scopes: &[&str]) -> Visitor {
        let mut account = account(email, role, self.clock.now()).await;
        account.approval = Approval::Approved;
        account.scopes = scopes.iter().map(|scope| Scope::parse(scope).expect("a scope")).collect();
        self.signed_in(account).await
    }

    /// Signs in a new account. Account and session are written to the store, so that no password is hashed.
    async fn signed_in(&self, account: Account) -> Visitor {
        let secret = SessionSecret::new(RandomIds.secret());
        let session = Session::open(secret.session_id(), &account, self.clock.now());
        let stored: Result<(), StoreError> = self
            .store
            .transact(async |tx| {
                tx.insert(&account).await?;
                tx.insert(&session).await
            })
            .await;
        stored.expect("a new address");
        Visitor::signed_in(&self.url, account, &secret.cookie()).recorded_in(&self.seen)
    }

    /// A machine with an API key that has these scopes. The key is written to the store.
    pub async fn machine(&self, scopes: impl IntoIterator<Item = Scope>, expires_at: Timestamp) -> Visitor {
        let key = Key::new(RandomIds.secret());
        let document = ApiKey {
            id: key.hash(),
            key_id: RandomIds.next(),
            name: "A machine".into(),
            start: key.start().to_owned(),
            scopes: scopes.into_iter().collect(),
            student_fields: BTreeSet::new(),
            reach: BTreeSet::new(),
            created_by: Actor::Account(RandomIds.next()),
            created_at: self.clock.now(),
            expires_at,
            revoked_at: None,
            last_used_at: None,
        };
        self.store.insert(&document).await.expect("a new key");
        let mut machine = self.anonymous();
        machine.key = Some(key);
        machine
    }

    /// The emails to this address.
    pub fn mailbox(&self, email: &str) -> Mailbox {
        self.parts.mailbox(&self.url, email)
    }

    /// Waits until no job is due. Fails if one is dead, or after [`PATIENCE`].
    pub async fn settle(&self) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        // Stripe can send an event after the job that caused it has ended, so look twice.
        let mut quiet = 0;
        while quiet < 2 {
            self.parts.all_delivered().await;
            let due = self.jobs_due().await;
            if due.is_empty() {
                quiet += 1;
                continue;
            }
            quiet = 0;
            assert!(tokio::time::Instant::now() < deadline, "left over: {due:?}");
            // The service's workers run the jobs: there is no event to wait for from outside.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let dead = self.store.find::<Job>(Query::new(Filter::eq("state", "dead"))).await.expect("readable");
        assert!(dead.is_empty(), "dead: {dead:?}");
    }

    /// Jobs that are due or running.
    pub async fn jobs_due(&self) -> Vec<Job> {
        let due = Filter::eq("state", "waiting").and(Filter::Le("runAt".into(), self.clock.now().into()));
        let unfinished = Filter::Or(vec![due, Filter::eq("state", "running")]);
        self.store.find::<Job>(Query::new(unfinished)).await.expect("readable")
    }

    /// Stops the service. Fails if a job is left over.
    pub async fn finish(self) {
        self.settle().await;
        let _ = self.stop.send(());
        self.running.await.expect("it ends without a panic");
        drop(self.store);
        self.parts.remove().await;
        let _ = std::fs::remove_dir_all(self.config.data);
        self.unfinished.finish();
    }
}

/// The shipped configuration without rate limits, with its own folder.
fn configured(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::from_env(&BTreeMap::new()).expect("the shipped configuration is good");
    config.limits = 0.0;
    // Most tests count emails, and some of them let days pass.
    config.event.report_recipients = vec![];
    config.data = std::env::temp_dir().join(format!("orientation-api-{}", RandomIds.next()));
    change(&mut config);
    config
}

/// An account with [`PASSWORD`].
async fn account(email: &str, role: Role, now: Timestamp) -> Account {
    let email = EmailAddress::parse(email).expect("an address");
    let names = Names { first: "Ana".into(), last: Some("García".into()), preferred: None };
    let sign_up = SignUp {
        client: None,
        id: RandomIds.next(),
        email_key: email.key(),
        email,
        names,
        role,
        password_hash: hash().await,
        created_at: now,
        expires_at: now,
    };
    Account::confirmed(&sign_up, now)
}

/// The hash of [`PASSWORD`], computed once.
async fn hash() -> String {
    static HASH: OnceCell<String> = OnceCell::const_new();
    let passwords = Passwords::on_all_cores(Arc::new(RandomIds));
    let hash = HASH.get_or_init(|| async {
        passwords.hash(Password::read(PASSWORD)).await.expect("the queue is empty")
    });
    hash.await.clone()
}

#[test]
#[should_panic(expected = "`TestApp::finish` was not called")]
fn a_test_that_does_not_finish_its_service_fails() {
    drop(Unfinished);
}
