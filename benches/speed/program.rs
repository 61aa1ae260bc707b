//! The shipped program as a process.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_orientation");

/// A running process that has printed its address. It is killed when this value is dropped.
pub struct Program {
    child: Child,
    pub address: SocketAddr,
}

impl Program {
    /// Starts the program on this folder. Its log is written to a file, as under a supervisor.
    pub fn start(folder: &Path, environment: &[(&str, &str)]) -> Self {
        std::fs::create_dir_all(folder).expect("a folder for the data");
        let log = File::create(folder.join("log")).expect("a file for the log");
        let mut command = Command::new(PROGRAM);
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        command.env("ORIENTATION_LISTEN", "127.0.0.1:0").env("ORIENTATION_DATA", folder);
        command.envs(environment.iter().copied()).stderr(log);
        Self::listening(command)
    }

    /// Starts a command that prints its address as its first line.
    pub fn listening(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("its first line");
        // The peer prints "listening on http://…".
        let address = line.trim().rsplit("http://").next().unwrap_or_default().trim_end_matches('/');
        Self { address: address.parse().expect("the address that it listens on"), child }
    }

    /// Simulates the students of a file.
    pub fn demo(&self, file: &Path) {
        let url = format!("http://{}", self.address);
        let status = Command::new(PROGRAM)
            .args(["demo", "--url", &url, "--at-once", "32", "--from"])
            .arg(file)
            .stdout(Stdio::null())
            .status();
        assert!(status.expect("it starts").success(), "all students get through");
    }

    /// Resident memory.
    pub fn megabytes(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The private part of it: without the pages of its files, which processes of one program share and which the
    /// system drops when it needs memory.
    pub fn own_megabytes(&self) -> u64 {
        self.status("RssAnon:")
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("Linux");
        let line = status.lines().find(|line| line.starts_with(name)).expect("a process has memory");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") / 1024
    }

    /// Processor time used so far, by all threads.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("Linux");
        let fields: Vec<&str> = stat.rsplit(')').next().expect("a line").split_whitespace().collect();
        let ticks: u64 = [11, 12].iter().map(|i| fields[*i].parse::<u64>().expect("a number")).sum();
        // The kernel reports hundredths of a second, whatever its own unit.
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
