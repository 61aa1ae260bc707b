//! A server that speaks SMTP and keeps the emails that it is given, with the faults that such servers have.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// What can befall an email.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This answer to the recipient.
    Recipient(&'static str),
    /// This answer to the sender.
    Sender(&'static str),
    /// This answer to the question whether the email may be given.
    Begin(&'static str),
    /// This answer to the whole email.
    Email(&'static str),
    /// The connection is closed before the email is given.
    DropBefore,
    /// The email is taken, and the connection is closed.
    DropAfter,
}

/// An email that was taken.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    pub from: String,
    pub to: Vec<String>,
    /// Header and body as they came.
    pub message: String,
}

#[derive(Default)]
struct State {
    taken: Vec<Taken>,
    faults: VecDeque<Fault>,
    connections: usize,
    /// How many of them, the first ones, are no longer answered.
    silent: usize,
}

/// A running server. It ends when it is dropped.
pub struct Smtp {
    port: u16,
    state: Arc<Mutex<State>>,
    serving: AbortHandle,
}

impl Smtp {
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let state = Arc::<Mutex<State>>::default();
        let serving = tokio::spawn(serve(listener, state.clone())).abort_handle();
        Self { port, state, serving }
    }

    /// Where it is: `ORIENTATION_SMTP_URL`.
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// The next emails meet these faults.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).faults.extend(faults);
    }

    /// From now on nothing is answered on the connections that there are, as where a firewall has forgotten them. New
    /// ones are taken as before.
    pub fn falls_silent(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.silent = state.connections;
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).taken.clone()
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).connections
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let number = {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.connections += 1;
            state.connections
        };
        tokio::spawn(converse(stream, number, state.clone()));
    }
}

/// `None` when the connection ends.
async fn converse(stream: TcpStream, number: usize, state: Arc<Mutex<State>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    say(&mut stream, "220 double ESMTP").await?;
    let (mut email, mut fault) = (Taken::default(), None);
    loop {
        let line = line(&mut stream).await?;
        if number <= state.lock().unwrap_or_else(PoisonError::into_inner).silent {
            return pending().await;
        }
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_uppercase();
        let answer = match (verb.as_str(), fault) {
            ("EHLO", _) => "250-double\r\n250-8BITMIME\r\n250 SMTPUTF8",
            ("MAIL", _) => {
                fault = state.lock().unwrap_or_else(PoisonError::into_inner).faults.pop_front();
                email = Taken { from: address(&line), ..Taken::default() };
                if let Some(Fault::Sender(answer)) = fault { answer } else { "250 ok" }
            }
            ("RCPT", Some(Fault::Recipient(answer))) => answer,
            ("RCPT", _) => {
                email.to.push(address(&line));
                "250 ok"
            }
            ("DATA", Some(Fault::DropBefore)) => return None,
            ("DATA", Some(Fault::Begin(answer))) => answer,
            ("DATA", _) => {
                say(&mut stream, "354 go on").await?;
                email.message = message(&mut stream).await?;
                if let Some(Fault::Email(answer)) = fault {
                    answer
                } else {
                    state.lock().unwrap_or_else(PoisonError::into_inner).taken.push(email.clone());
                    if fault == Some(Fault::DropAfter) {
                        return None;
                    }
                    "250 taken"
                }
            }
            ("RSET" | "NOOP", _) => "250 ok",
            ("QUIT", _) => return say(&mut stream, "221 bye").await,
            _ => "502 what?",
        };
        say(&mut stream, answer).await?;
    }
}

async fn say(stream: &mut BufReader<TcpStream>, answer: &str) -> Option<()> {
    stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()
}

async fn line(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    let read = stream.read_line(&mut line).await.ok()?;
    (read > 0).then(|| line.trim_end().to_owned())
}

/// What is in angle brackets.
fn address(line: &str) -> String {
    line.split(['<', '>']).nth(1).unwrap_or_default().to_owned()
}

async fn message(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut message = String::new();
    loop {
        let line = line(stream).await?;
        if line == "." {
            return Some(message);
        }
        message.push_str(line.strip_prefix('.').unwrap_or(&line));
        message.push_str("\r\n");
    }
}
