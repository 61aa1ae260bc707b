//! A server for one test, which the test can kill.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::signals::until;

pub struct Server {
    port: u16,
    folder: TempDir,
    options: Vec<String>,
    running: Option<Child>,
}

impl Server {
    /// Not started yet; nothing listens at its address.
    pub fn new(options: &[&str]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        let options = options.iter().map(ToString::to_string).collect();
        Self { port, folder: TempDir::new().unwrap(), options, running: None }
    }

    pub async fn started(options: &[&str]) -> Self {
        let mut server = Self::new(options);
        server.start().await;
        server
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts it, or starts it again: at the same address and without its data.
    pub async fn start(&mut self) {
        let port = self.port.to_string();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no"]);
        command.args(&self.options).current_dir(self.folder.path()).stdout(Stdio::null());
        self.running =
            Some(command.spawn().expect("redis-server is installed (Debian's package redis-server)"));
        until("the server should answer", || TcpStream::connect(("127.0.0.1", self.port)).is_ok()).await;
    }

    /// Kills it with `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Makes it hang: connections stay open, and nothing is answered.
    pub fn hang(&self) {
        self.signal("-STOP");
    }

    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.running.as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Another client of the same server.
    pub async fn client(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.url()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
