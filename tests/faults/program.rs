//! The program with its own folder and port, and its faults.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use bson::doc;
use futures_util::TryStreamExt;
use orientation::kernel::{Clock, SystemClock};
use orientation::platform::jobs::Job;
use orientation::platform::store::{Access, Filter, Query, Store, StoreError};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

/// How long tests wait for an event, even on a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The file of the store in the program's folder.
pub const STORE: &str = "orientation.db";

/// The program, which is started and killed repeatedly with one folder and one port.
pub struct Program {
    folder: TempDir,
    port: u16,
    child: Option<Child>,
    lives: watch::Sender<u32>,
    /// The address of its database in MongoDB. `None`: its store is in the folder.
    mongodb: Option<String>,
    /// Further variables of its environment.
    variables: Vec<(&'static str, String)>,
}

impl Program {
    /// A folder and a port without a process.
    pub fn new() -> Self {
        let lives = watch::Sender::new(0);
        let variables = vec![];
        Self { folder: new_folder(), port: free_port(), child: None, lives, mongodb: None, variables }
    }

    /// The same with its store in this database of MongoDB.
    pub fn on_mongodb(address: String) -> Self {
        Self { mongodb: Some(address), ..Self::new() }
    }

    /// The same with these variables in its environment.
    pub fn with(self, variables: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        Self { variables: variables.into_iter().collect(), ..self }
    }

    /// The id of the process that runs.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().and_then(Child::id).expect("it lives")
    }

    /// Its address, the same in every run.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Number of runs; increases once it listens again.
    pub fn lives(&self) -> watch::Receiver<u32> {
        self.lives.subscribe()
    }

    /// The store, while the program runs or after its end, wherever it is.
    pub async fn any_store(&self) -> Store {
        match &self.mongodb {
            Some(address) => Store::mongo(address, Access::Beside).await.expect("the server is there"),
            None => self.store(),
        }
    }

    /// The store in the folder, while the program runs or after its end.
    pub fn store(&self) -> Store {
        Store::sqlite(&self.folder.path().join(STORE), Access::Beside).expect("the file can be opened")
    }

    /// The store's file, byte for byte.
    pub fn stored(&self) -> Vec<u8> {
        std::fs::read(self.folder.path().join(STORE)).expect("it has run, or was opened")
    }

    /// The standard error of all runs.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).expect("each life appends to it")
    }

    /// A command of the program on the same folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(self.folder.path());
        command.env("ORIENTATION_LISTEN", format!("127.0.0.1:{}", self.port)).args(arguments);
        command.envs(self.mongodb.iter().map(|address| ("ORIENTATION_MONGODB_URI", address)));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts it with these faults, and waits until it listens.
    pub async fn start(&mut self, faults: &str) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.folder.path().join("log"));
        let mut child = self
            .command(&[])
            .env("ORIENTATION_FAULTS", faults)
            .stdout(Stdio::piped())
            .stderr(log.expect("the folder is ours"))
            .spawn()
            .expect("the program is built");
        let mut first = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        timeout(PATIENCE, out.read_line(&mut first)).await.expect("it says where it listens").expect("text");
        assert_eq!(first.trim_end().trim_end_matches('/'), self.url(), "{}", self.log());
        self.child = Some(child);
        self.lives.send_modify(|lives| *lives += 1);
    }

    /// Waits until it has crashed.
    pub async fn died(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it lives");
        timeout(PATIENCE, child.wait()).await.expect("it dies").expect("it is our child")
    }

    /// Waits until it crashes. Other than with [`died`](Self::died), it still counts as alive while nobody waits.
    pub async fn crashes(&mut self) {
        let child = self.child.as_mut().expect("it lives");
        child.wait().await.expect("it is our child");
        self.child = None;
    }

    /// `kill -9`.
    pub async fn kill(&mut self) {
        self.child.as_mut().expect("it lives").start_kill().expect("it is our child");
        self.died().await;
    }

    /// `kill -TERM`.
    pub fn ask_to_stop(&self) {
        let id = self.child.as_ref().and_then(Child::id).expect("it lives").to_string();
        let sent = std::process::Command::new("kill").args(["-TERM", &id]).status();
        assert!(sent.expect("every system has kill").success());
    }

    /// Asks it to stop and waits for its end.
    pub async fn stop(&mut self) {
        self.ask_to_stop();
        let ended = self.died().await;
        assert!(ended.success(), "{ended}: {}", self.log());
    }

    /// Changes the store as if a minute had passed: waiting jobs are due, leases have expired, and MongoDB has ended the
    /// transactions of dead processes. The banks of the sandbox keep their time, see [`is_of_a_bank`]. Not while the program
    /// runs.
    pub async fn a_minute_passes(&self) {
        const MINUTE: Duration = Duration::from_secs(60);
        if let Some(address) = &self.mongodb {
            end_transactions_of_the_dead(address).await;
        }
        let store = self.any_store().await;
        let mut jobs = jobs(&store, unfinished()).await;
        jobs.retain(|job| !is_of_a_bank(job));
        for job in &mut jobs {
            job.run_at = job.run_at.minus(MINUTE);
            job.lease_until = job.lease_until.map(|until| until.minus(MINUTE));
        }
        for job in &jobs {
            let changed: Result<(), StoreError> = store.transact(async |tx| tx.put(job).await).await;
            changed.expect("nobody else writes");
        }
    }
}

/// Ends the transactions that killed processes left open in this database, and forgets the processes.
async fn end_transactions_of_the_dead(address: &str) {
    let client = mongodb::Client::with_uri_str(address).await.expect("an address");
    let database = client.default_database().expect("the address names it");
    let processes = database.collection::<bson::Document>("_processes");
    let dead: Vec<_> =
        processes.find(doc! {}).await.expect("an answer").try_collect().await.expect("readable");
    for process in dead {
        if let Ok(sessions) = process.get_array("sessions") {
            let end = doc! { "killSessions": sessions.clone() };
            client.database("admin").run_command(end).await.expect("our own sessions");
        }
        processes.delete_one(process).await.expect("deleted");
    }
}

/// Whether the job delivers the answer of a bank. Its checkout says when the bank answers.
pub fn is_of_a_bank(job: &Job) -> bool {
    job.payload["event"].as_str().is_some_and(|event| event.starts_with("asyncPayment"))
}

/// Jobs that are due or running.
pub async fn due(store: &Store) -> Vec<Job> {
    let due = Filter::eq("state", "waiting").and(Filter::Le("runAt".into(), SystemClock.now().into()));
    jobs(store, Filter::Or(vec![due, Filter::eq("state", "running")])).await
}

/// A new, empty folder that is deleted when the test ends.
pub fn new_folder() -> TempDir {
    tempfile::tempdir().expect("there is room for it")
}

/// The program in this folder, with no configuration except the folder and an unused port.
pub fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orientation"));
    command
        .env_clear()
        .env("ORIENTATION_DATA", folder)
        .env("ORIENTATION_EVENT", concat!(env!("CARGO_MANIFEST_DIR"), "/event.toml"))
        .env("ORIENTATION_LISTEN", "127.0.0.1:0")
        .env("ORIENTATION_LIMITS", "0")
        .env("ORIENTATION_LOG", "warn")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// An HTTP client for a program that may have crashed since the last request.
pub fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        // A connection of an earlier run must not be reused.
        .pool_max_idle_per_host(0)
        .timeout(Duration::from_secs(30))
        .build()
        .expect("it needs nothing that could be missing")
}

/// Runs a command to its end with `input` as its standard input.
pub async fn run(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program is built");
    let mut stdin = child.stdin.take().expect("piped");
    // One that ends without reading closes the pipe.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").expect("it is our child")
}

/// All jobs that match.
pub async fn jobs(store: &Store, filter: Filter) -> Vec<Job> {
    store.find(Query::new(filter).limit(10_000)).await.expect("the store can be read")
}

/// Jobs that are waiting or running.
pub fn unfinished() -> Filter {
    Filter::Or(vec![Filter::eq("state", "waiting"), Filter::eq("state", "running")])
}

/// Descriptions of jobs that have been due for more than ten seconds, and of dead ones.
pub async fn neglected(store: &Store) -> Vec<String> {
    let long_ago = SystemClock.now().minus(Duration::from_secs(10));
    let due = Filter::eq("state", "waiting").and(Filter::Le("runAt".into(), long_ago.into()));
    let left = Filter::eq("state", "running").and(Filter::Le("leaseUntil".into(), long_ago.into()));
    let filter = Filter::Or(vec![due, left, Filter::eq("state", "dead")]);
    let told = |job: &Job| format!("{} {:?} due {} error {:?}", job.id, job.state, job.run_at, job.error);
    jobs(store, filter).await.iter().map(told).collect()
}

/// A port that stays unused between two runs: below the range of ports for clients.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 11_000).expect("below 11,000");
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
