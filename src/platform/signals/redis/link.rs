//! The connection to the server and its state.
//!
//! The driver's own `ConnectionManager` notices a closed connection, but not a server that hangs, and
//! its callers wait while it reconnects. Here one task connects, listens, sends, and pings once a second. Callers
//! get the connection while it is known to be good, and none as soon as any user finds that it isn't.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, Msg, PushInfo, PushKind, RedisError};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::limits::Takes;
use super::messages::{Message, Outbox, Word};
use crate::platform::signals::SignalsState;
use crate::platform::signals::hub::Hub;

/// Time limit for connecting, subscribing and trying everything once.
const CONNECTING: Duration = Duration::from_secs(2);
/// Pause between two tries to connect: between this and twice as long, so that processes don't reconnect all at once.
const PAUSE: Duration = Duration::from_millis(200);
/// How often an unused connection is checked.
const BEAT: Duration = Duration::from_secs(1);
/// A server that doesn't answer within this time is unreachable.
pub(super) const PATIENCE: Duration = Duration::from_millis(250);
/// Requests of this process that may wait to be sent.
const QUEUE: usize = 1024;

/// Keeps one connection to the server.
pub(super) struct Link {
    client: Client,
    channel: String,
    takes: Arc<Takes>,
    hub: Arc<Hub>,
    /// Identifies this process among the others.
    me: u64,
    /// The messages to be sent to the other processes.
    pub outbox: Outbox,
    current: RwLock<Current>,
}

enum Current {
    Unreachable(Instant),
    Open(Connection),
}

/// A connection, good until its end is declared.
#[derive(Clone)]
pub(super) struct Connection {
    pub wire: MultiplexedConnection,
    end: Arc<End>,
}

/// The end of a connection and its reason, known to all its users.
#[derive(Default)]
struct End {
    why: OnceLock<(Instant, String)>,
    come: CancellationToken,
}

impl End {
    /// The first reason is kept.
    fn declare(&self, why: impl ToString) {
        let _ = self.why.set((Instant::now(), why.to_string()));
        self.come.cancel();
    }
}

impl Connection {
    /// Declares the connection lost.
    pub fn lose(&self, why: impl ToString) {
        self.end.declare(why);
    }
}

impl Link {
    pub fn new(client: Client, channel: String, takes: Arc<Takes>, hub: Arc<Hub>) -> Self {
        let current = RwLock::new(Current::Unreachable(Instant::now()));
        Self { client, channel, takes, hub, me: fastrand::u64(..), outbox: Outbox::default(), current }
    }

    /// The connection, while it is good.
    pub fn connection(&self) -> Option<Connection> {
        match &*self.current.read().unwrap_or_else(PoisonError::into_inner) {
            Current::Open(connection) if connection.end.why.get().is_none() => Some(connection.clone()),
            _ => None,
        }
    }

    pub fn state(&self) -> SignalsState {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let unreachable_since = match &*current {
            Current::Unreachable(since) => Some(*since),
            Current::Open(connection) => connection.end.why.get().map(|(since, _)| *since),
        };
        unreachable_since
            .map_or(SignalsState::Connected, |since| SignalsState::Unreachable { lasting: since.elapsed() })
    }

    /// Connects and tries everything that will be needed.
    ///
    /// # Errors
    /// A sentence on why the server can't be used.
    pub async fn try_once(&self) -> Result<Connection, String> {
        let connecting = timeout(CONNECTING, self.connect()).await;
        connecting.map_err(|_| "it did not answer in time".to_owned())?.map_err(sentence)
    }

    /// [`try_once`](Self::try_once), and then uses the connection.
    pub async fn open(&self) -> Result<Connection, String> {
        let connection = self.try_once().await?;
        // While there was no connection, messages may have been missed here and by the others.
        self.outbox.take_now();
        self.set(Current::Open(connection.clone()));
        self.hub.gap();
        Ok(connection)
    }

    async fn connect(&self) -> redis::RedisResult<Connection> {
        let end = Arc::<End>::default();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE)
            .set_push_sender(self.ear(end.clone()));
        let mut wire = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        wire.subscribe(&self.channel).await?;
        self.takes.try_out(&mut wire).await?;
        Ok(Connection { wire, end })
    }

    /// Publishes an empty message, which other processes ignore.
    ///
    /// # Errors
    /// Why the server refuses it.
    pub async fn try_publishing(&self, wire: &mut MultiplexedConnection) -> Result<(), String> {
        let mut publish = redis::cmd("PUBLISH");
        let published = in_time(publish.arg(&self.channel).arg("").query_async::<u64>(wire)).await;
        published.map(drop).map_err(|why| format!("it refuses to publish wake-ups (PUBLISH): {why}"))
    }

    /// Receives the messages of other processes and the end of the connection.
    fn ear(&self, end: Arc<End>) -> impl Fn(PushInfo) -> Result<(), redis::aio::SendError> + use<> {
        let (hub, me) = (self.hub.clone(), self.me);
        move |push| {
            if push.kind == PushKind::Disconnection {
                end.declare("the connection was closed");
            } else if let Some(said) = Msg::from_push_info(push) {
                // Messages that aren't ours are ignored.
                if let Ok(message) = serde_json::from_slice::<Message>(said.get_payload_bytes())
                    && message.from != me
                {
                    message.says.tell(&hub);
                }
            }
            Ok(())
        }
    }

    /// Keeps the connection, and reconnects whenever it is lost. `first` is the result of the first try.
    pub async fn keep(self: Arc<Self>, first: Result<Connection, String>) {
        let (mut attempt, mut away) = (first, false);
        loop {
            match attempt {
                Ok(connection) => {
                    if std::mem::take(&mut away) {
                        tracing::info!("Redis is reachable again: wake-ups and rate limits are shared");
                    }
                    let why = self.attend(connection).await;
                    warn_unreachable(&why);
                    away = true;
                }
                Err(why) if !away => {
                    warn_unreachable(&why);
                    away = true;
                }
                Err(why) => tracing::debug!(why, "Redis is still unreachable"),
            }
            tokio::time::sleep(PAUSE.mul_f64(1.0 + fastrand::f64())).await;
            attempt = self.open().await;
        }
    }

    /// Serves one connection until it is lost; returns why.
    async fn attend(&self, connection: Connection) -> String {
        tokio::select! {
            Err(why) = self.work(connection.wire.clone()) => connection.lose(why),
            () = connection.end.come.cancelled() => {}
        }
        let (since, why) =
            connection.end.why.get().cloned().unwrap_or_else(|| (Instant::now(), String::new()));
        self.set(Current::Unreachable(since));
        why
    }

    /// Sends the waiting messages, and checks a connection that has been idle for a while.
    async fn work(&self, mut wire: MultiplexedConnection) -> Result<Infallible, String> {
        self.send(&mut wire, &[Word::Gap]).await?;
        loop {
            tokio::select! {
                words = self.outbox.take() => self.send(&mut wire, &words).await?,
                () = tokio::time::sleep(BEAT) => in_time(self.takes.try_out(&mut wire)).await?,
            }
        }
    }

    fn set(&self, current: Current) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = current;
    }

    async fn send(&self, wire: &mut MultiplexedConnection, words: &[Word]) -> Result<(), String> {
        let mut pipe = redis::pipe();
        for word in words {
            let message = Message { from: self.me, says: word.clone() };
            let text = serde_json::to_vec(&message).map_err(|error| error.to_string())?;
            pipe.cmd("PUBLISH").arg(&self.channel).arg(text).ignore();
        }
        in_time(pipe.exec_async(wire)).await
    }
}

/// Waits a short time for an answer.
pub(super) async fn in_time<T>(answer: impl Future<Output = redis::RedisResult<T>>) -> Result<T, String> {
    let answer = timeout(PATIENCE, answer).await.map_err(|_| "it did not answer in time".to_owned())?;
    answer.map_err(sentence)
}

/// The reason in one line. For a server that isn't Redis the driver would quote the bytes that it received.
fn sentence(error: RedisError) -> String {
    match error.kind() {
        ErrorKind::Parse | ErrorKind::RESP3NotSupported => {
            "the server does not speak RESP3, which Redis 6 and later do".into()
        }
        _ if error.code() == Some("OOM") => "its memory is full, so it refuses writes (OOM)".into(),
        _ => error.to_string().split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

fn warn_unreachable(why: &str) {
    tracing::warn!(why, "Redis is unreachable: falling back to polling and per-process rate limits");
}
