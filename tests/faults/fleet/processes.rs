//! The processes of the fleet, the Redis that they share, and the network between them and MongoDB.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::doubles::proxy::Proxy;
use crate::program::{PATIENCE, client, command, free_port};

/// A process of the program, which is started and killed repeatedly, with its own network to MongoDB.
pub struct Process {
    /// Such as `serve 1`.
    pub name: String,
    pub network: Proxy,
    /// Its port, if it serves.
    pub port: Option<u16>,
    command: Command,
    child: Option<Child>,
    log: PathBuf,
}

impl Process {
    /// `serve` on this port, or `work` if there is none, with this environment and its log in `folder`.
    pub async fn new(
        name: &str,
        port: Option<u16>,
        folder: &Path,
        mongodb: &str,
        environment: &[(&str, String)],
    ) -> Self {
        let (network, mongodb) = Proxy::before_url(mongodb).await;
        let mut command = command(&folder.join(name));
        command.arg(if port.is_some() { "serve" } else { "work" });
        command.env("ORIENTATION_LISTEN", format!("127.0.0.1:{}", port.unwrap_or_default()));
        command.env("ORIENTATION_MONGODB_URI", mongodb).envs(environment.iter().cloned());
        let log = folder.join(format!("{name}.log"));
        let kept = OpenOptions::new().create(true).append(true).open(&log).expect("the folder is ours");
        command.stdout(Stdio::piped()).stderr(kept);
        Self { name: name.to_owned(), network, port, command, child: None, log }
    }

    /// Starts it, and waits until it logs that it serves or works.
    pub async fn start(&mut self) {
        let mut child = self.command.spawn().expect("the program is built");
        let mut first = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        timeout(PATIENCE, out.read_line(&mut first)).await.expect("it says something").expect("text");
        assert!(!first.is_empty(), "{} doesn't start: {}", self.name, self.log());
        self.child = Some(child);
    }

    /// The standard error of all runs.
    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("each life appends to it")
    }

    /// The warnings of all runs.
    pub fn complaints(&self) -> String {
        let log = self.log();
        let complaints = log.lines().filter(|line| line.contains(r#""WARN""#) || line.contains(r#""ERROR""#));
        complaints.map(|line| format!("{}: {line}\n", self.name)).collect()
    }

    /// `kill -9`.
    pub async fn kill(&mut self) {
        let mut child = self.child.take().expect("it lives");
        child.kill().await.expect("it is our child");
    }

    /// Asks it to stop, and waits for its end.
    pub async fn stop(&mut self) {
        let mut child = self.child.take().expect("it lives");
        let id = child.id().expect("it lives").to_string();
        let sent = std::process::Command::new("kill").args(["-TERM", &id]).status();
        assert!(sent.expect("every system has kill").success());
        let ended = timeout(PATIENCE, child.wait()).await.expect("it ends").expect("it is our child");
        assert!(ended.success(), "{}: {ended}: {}", self.name, self.log());
    }

    /// Fails if it has crashed.
    pub fn assert_lives(&mut self) {
        let ended = self.child.as_mut().expect("it lives").try_wait().expect("it is our child");
        assert_eq!(ended, None, "{} died by itself: {}", self.name, self.log());
    }

    /// Waits until it is ready and answers a signed-in student.
    pub async fn answers(&self, cookie: &str) {
        let url = format!("http://127.0.0.1:{}", self.port.expect("it serves"));
        for path in ["/health/ready", "/v1/me"] {
            let ask = || client().get(format!("{url}{path}")).header("cookie", cookie).send();
            while !ask().await.is_ok_and(|answer| answer.status().is_success()) {
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// The fleet's own Redis, without persistence.
pub struct Redis {
    port: u16,
    child: Child,
}

impl Redis {
    pub async fn start() -> Self {
        Self::start_on(free_port()).await
    }

    async fn start_on(port: u16) -> Self {
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"])
            .arg(port.to_string());
        let child = command.stdout(Stdio::null()).kill_on_drop(true).spawn();
        let child = child.expect("redis-server is installed (apt-get install redis-server)");
        timeout(PATIENCE, listens(port)).await.expect("it takes connections");
        Self { port, child }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// `kill -9`.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("it is our child");
    }

    /// Starts it again on the same port.
    pub async fn restart(&mut self) {
        *self = Self::start_on(self.port).await;
    }
}

async fn listens(port: u16) {
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        sleep(Duration::from_millis(20)).await;
    }
}
