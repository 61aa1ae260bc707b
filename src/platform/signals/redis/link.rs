//! The connection to the server, and whether it may be used.
//!
//! The driver's own `ConnectionManager` finds out that a connection was closed, but not that the server hangs, and
//! its callers wait while it connects again. Here one task connects, listens, sends, and asks once a second; callers
//! get the connection while it is known to be good, and nothing the moment anybody finds that it isn't.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, Msg, PushInfo, PushKind, RedisError};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::limits::Takes;
use super::words::{Message, Outbox, Word};
use crate::platform::signals::SignalsState;
use crate::platform::signals::hub::Hub;

/// To connect, listen and try everything once may take so long.
const CONNECTING: Duration = Duration::from_secs(2);
/// Between two tries to connect: from this to twice as long, so that not all processes come at once.
const PAUSE: Duration = Duration::from_millis(200);
/// How often a connection that is not used is tried.
const BEAT: Duration = Duration::from_secs(1);
/// A server that doesn't answer within this time is away.
pub(super) const PATIENCE: Duration = Duration::from_millis(250);
/// Requests of this process that may wait for the connection to take them up.
const QUEUE: usize = 1024;

/// Keeps one connection to the server.
pub(super) struct Link {
    client: Client,
    channel: String,
    takes: Arc<Takes>,
    hub: Arc<Hub>,
    /// Tells this process from the others.
    me: u64,
    /// What this process has to tell the others.
    pub outbox: Outbox,
    current: RwLock<Current>,
}

enum Current {
    Away(Instant),
    Open(Connection),
}

/// A connection, good until its end is known.
#[derive(Clone)]
pub(super) struct Connection {
    pub wire: MultiplexedConnection,
    end: Arc<End>,
}

/// The end of a connection: known to everybody who uses it, and why.
#[derive(Default)]
struct End {
    why: OnceLock<(Instant, String)>,
    come: CancellationToken,
}

impl End {
    /// The first word on it counts.
    fn declare(&self, why: impl ToString) {
        let _ = self.why.set((Instant::now(), why.to_string()));
        self.come.cancel();
    }
}

impl Connection {
    /// Nobody uses it from now on.
    pub fn lose(&self, why: impl ToString) {
        self.end.declare(why);
    }
}

impl Link {
    pub fn new(client: Client, channel: String, takes: Arc<Takes>, hub: Arc<Hub>) -> Self {
        let current = RwLock::new(Current::Away(Instant::now()));
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
        let away_since = match &*current {
            Current::Away(since) => Some(*since),
            Current::Open(connection) => connection.end.why.get().map(|(since, _)| *since),
        };
        away_since.map_or(SignalsState::Connected, |since| SignalsState::Away { lasting: since.elapsed() })
    }

    /// Connects and tries everything that will be needed.
    ///
    /// # Errors
    /// A sentence on why the server can't be used.
    pub async fn try_once(&self) -> Result<Connection, String> {
        let connecting = timeout(CONNECTING, self.connect()).await;
        connecting.map_err(|_| "it did not answer in time".to_owned())?.map_err(sentence)
    }

    /// The same, and from then on the connection is used.
    pub async fn open(&self) -> Result<Connection, String> {
        let connection = self.try_once().await?;
        // While there was no connection anything may have been missed, here and by the others.
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

    /// Hears what the others tell, and that the connection has ended.
    fn ear(&self, end: Arc<End>) -> impl Fn(PushInfo) -> Result<(), redis::aio::SendError> + use<> {
        let (hub, me) = (self.hub.clone(), self.me);
        move |push| {
            if push.kind == PushKind::Disconnection {
                end.declare("the connection was closed");
            } else if let Some(said) = Msg::from_push_info(push) {
                // What isn't ours is left alone.
                if let Ok(message) = serde_json::from_slice::<Message>(said.get_payload_bytes())
                    && message.from != me
                {
                    message.says.tell(&hub);
                }
            }
            Ok(())
        }
    }

    /// Keeps the connection for ever. `first`: how the first try went.
    pub async fn keep(self: Arc<Self>, first: Result<Connection, String>) {
        let (mut attempt, mut away) = (first, false);
        loop {
            match attempt {
                Ok(connection) => {
                    if std::mem::take(&mut away) {
                        tracing::info!("Redis is back: processes wake each other and share limits again");
                    }
                    let why = self.attend(connection).await;
                    lament(&why);
                    away = true;
                }
                Err(why) if !away => {
                    lament(&why);
                    away = true;
                }
                Err(why) => tracing::debug!(why, "Redis is still away"),
            }
            tokio::time::sleep(PAUSE.mul_f64(1.0 + fastrand::f64())).await;
            attempt = self.open().await;
        }
    }

    /// Serves one connection until it is lost; why it was.
    async fn attend(&self, connection: Connection) -> String {
        tokio::select! {
            Err(why) = self.work(connection.wire.clone()) => connection.lose(why),
            () = connection.end.come.cancelled() => {}
        }
        let (since, why) =
            connection.end.why.get().cloned().unwrap_or_else(|| (Instant::now(), String::new()));
        self.set(Current::Away(since));
        why
    }

    /// Sends what there is to tell, and tries out a server that nobody has asked for a while.
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

/// Waits for an answer, but not long.
pub(super) async fn in_time<T>(answer: impl Future<Output = redis::RedisResult<T>>) -> Result<T, String> {
    let answer = timeout(PATIENCE, answer).await.map_err(|_| "it did not answer in time".to_owned())?;
    answer.map_err(sentence)
}

/// Why, in one line. Of what is no Redis the driver tells the bytes that it stumbled over.
fn sentence(error: RedisError) -> String {
    match error.kind() {
        ErrorKind::Parse | ErrorKind::RESP3NotSupported => {
            "what answers there does not speak RESP3, as Redis 6 and later do".into()
        }
        _ => error.to_string().split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

fn lament(why: &str) {
    tracing::warn!(
        why,
        "Redis is away: wake-ups come with the poll, and each process limits requests by itself"
    );
}
