//! An SMTP server that keeps the emails it accepts, with the faults of such servers.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// A fault for one email. A reply is sent unchanged, with a line break after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This reply to the recipient.
    Recipient(&'static str),
    /// This reply to the sender.
    Sender(&'static str),
    /// This reply to DATA.
    Begin(&'static str),
    /// This reply to the message, which is not kept.
    Email(&'static str),
    /// The message is kept, and these bytes are the reply, without a line break.
    Accept(&'static [u8]),
    /// The same, and the connection is closed.
    AcceptAndDrop(&'static [u8]),
    /// The same, and nothing on the connection is answered any more.
    AcceptAndHang(&'static [u8]),
    /// The connection is closed before the message is sent.
    DropBefore,
    /// The message is kept, and the connection is closed.
    DropAfter,
}

/// An email that was kept.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    pub from: String,
    pub to: Vec<String>,
    /// Header and body as received.
    pub message: String,
}

/// The server's replies to all clients, as bytes.
#[derive(Clone, Copy)]
pub struct Manners {
    pub greeting: &'static [u8],
    pub hello: &'static [u8],
    /// The reply to RSET and QUIT.
    pub goodbye: &'static [u8],
}

impl Manners {
    pub const USUAL: Self = Self {
        greeting: b"220 double ESMTP\r\n",
        hello: b"250-double\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n",
        goodbye: b"250 ok\r\n",
    };
}

struct State {
    manners: Manners,
    taken: Vec<Taken>,
    faults: VecDeque<Fault>,
    connections: usize,
    /// Number of connections, from the first on, that get no more replies.
    silent: usize,
}

type Shared = Arc<Mutex<State>>;

/// A running server. It ends when it is dropped.
pub struct Smtp {
    port: u16,
    state: Shared,
    serving: AbortHandle,
}

impl Smtp {
    pub async fn start() -> Self {
        Self::with(Manners::USUAL).await
    }

    pub async fn with(manners: Manners) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let (taken, faults) = (vec![], VecDeque::new());
        let state = Arc::new(Mutex::new(State { manners, taken, faults, connections: 0, silent: 0 }));
        let serving = tokio::spawn(serve(listener, state.clone())).abort_handle();
        Self { port, state, serving }
    }

    /// Its address: `ORIENTATION_SMTP_URL`.
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// Injects these faults into the next emails, one each.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.state).faults.extend(faults);
    }

    /// Stops replying on all open connections, as if a firewall had dropped them. New ones are accepted as before.
    pub fn falls_silent(&self) {
        let mut state = lock(&self.state);
        state.silent = state.connections;
    }

    pub fn taken(&self) -> Vec<Taken> {
        lock(&self.state).taken.clone()
    }

    /// Number of connections so far.
    pub fn connections(&self) -> usize {
        lock(&self.state).connections
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, state: Shared) {
    while let Ok((stream, _)) = listener.accept().await {
        let number = {
            let mut state = lock(&state);
            state.connections += 1;
            state.connections
        };
        tokio::spawn(converse(stream, number, state.clone()));
    }
}

/// `None` when the connection ends.
async fn converse(stream: TcpStream, number: usize, state: Shared) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let manners = lock(&state).manners;
    stream.write_all(manners.greeting).await.ok()?;
    let (mut email, mut fault) = (Taken::default(), None);
    loop {
        let line = line(&mut stream).await?;
        if number <= lock(&state).silent {
            return pending().await;
        }
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_uppercase();
        let answer = match (verb.as_str(), fault) {
            ("EHLO", _) => {
                stream.write_all(manners.hello).await.ok()?;
                continue;
            }
            ("MAIL", _) => {
                fault = lock(&state).faults.pop_front();
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
                    lock(&state).taken.push(email.clone());
                    match fault {
                        Some(Fault::DropAfter) => return None,
                        Some(Fault::Accept(reply)) => {
                            stream.write_all(reply).await.ok()?;
                            continue;
                        }
                        Some(Fault::AcceptAndDrop(reply)) => return stream.write_all(reply).await.ok(),
                        Some(Fault::AcceptAndHang(reply)) => {
                            stream.write_all(reply).await.ok()?;
                            return pending().await;
                        }
                        _ => "250 taken",
                    }
                }
            }
            ("RSET" | "QUIT", _) => {
                stream.write_all(manners.goodbye).await.ok()?;
                continue;
            }
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

/// The text in angle brackets.
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
