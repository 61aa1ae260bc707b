//! Signals between any number of processes, through Redis 6 or newer.
//!
//! One channel carries the messages between processes; listeners in this process get them at once, without waiting
//! for the server. A limit is applied by one script on the server. The server may be lost at any moment: then
//! this process applies the limits alone and wake-ups from others are replaced by polling the store. When the server is
//! reachable again all listeners are woken once, because wake-ups may have been missed.

mod limits;
mod link;
mod messages;

use std::sync::Arc;

use async_trait::async_trait;
use redis::{Client, ConnectionAddr, IntoConnectionInfo, ProtocolVersion};
use tokio_util::task::AbortOnDropHandle;

use super::{Feed, InProcess, Limit, Listener, Remaining, Signals, SignalsState, TooMany};
use crate::kernel::Secret;
use crate::platform::tls;
use limits::Takes;
use link::{Link, in_time};

/// Signals that reach other processes while the server is reachable.
pub struct Redis {
    /// The fallback within this process.
    own: InProcess,
    takes: Arc<Takes>,
    link: Arc<Link>,
    _keeper: AbortOnDropHandle<()>,
}

/// Why Redis can't be used. Contains no password.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedisError {
    #[error(
        "is not a valid Redis address such as redis://:password@host:6379/0 (in a password /, ?, # and % \
         are written %2F, %3F, %23 and %25)"
    )]
    BadUrl,
    #[error("ends in #insecure, which would turn off the check of the server's certificate")]
    Insecure,
    #[error("Redis can't be used: {0}")]
    Unusable(String),
}

impl Redis {
    /// Signals through the server at `url`, within a tokio runtime. Returns after the first try to connect, which takes two
    /// seconds at most; an unreachable server is retried in the background. All names on the server begin with `prefix`.
    /// `factor` multiplies the quota of every limit; 0 turns limits off. `pepper` is a secret that all processes
    /// share: the keys of limits are hashed with it.
    ///
    /// # Errors
    /// If the address is not valid.
    pub async fn connect(
        url: &Secret<String>,
        prefix: &str,
        factor: f64,
        pepper: Secret<String>,
    ) -> Result<Self, RedisError> {
        let own = InProcess::new(factor);
        let takes = Arc::new(Takes::new(prefix, pepper));
        let link = Link::new(client(url)?, format!("{prefix}signals"), takes.clone(), own.hub().clone());
        let link = Arc::new(link);
        let keeper = tokio::spawn(link.clone().keep(link.open().await));
        Ok(Self { own, takes, link, _keeper: AbortOnDropHandle::new(keeper) })
    }

    /// Tries everything that signals need at the server at `url` once: limits (a script that writes), subscribing,
    /// publishing.
    ///
    /// # Errors
    /// Names what the server refuses, and why.
    pub async fn check(url: &Secret<String>, prefix: &str) -> Result<(), RedisError> {
        let takes = Arc::new(Takes::new(prefix, Secret::new(String::new())));
        let link = Link::new(client(url)?, format!("{prefix}signals"), takes, Arc::default());
        let mut connection = link.try_once().await.map_err(RedisError::Unusable)?;
        link.try_publishing(&mut connection.wire).await.map_err(RedisError::Unusable)
    }
}

/// Uses RESP3, which carries answers and messages over one connection.
fn client(url: &Secret<String>) -> Result<Client, RedisError> {
    let server = url.expose().as_str().into_connection_info().map_err(|_| RedisError::BadUrl)?;
    match server.addr() {
        ConnectionAddr::TcpTls { insecure: true, .. } => return Err(RedisError::Insecure),
        ConnectionAddr::TcpTls { .. } => tls::choose_cryptography(),
        _ => {}
    }
    let settings = server.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Client::open(server.set_redis_settings(settings)).map_err(|_| RedisError::BadUrl)
}

#[async_trait]
impl Signals for Redis {
    fn wake(&self, topic: &'static str) {
        self.own.wake(topic);
        self.link.outbox.wake(topic);
    }

    fn listen(&self, topic: &'static str) -> Listener {
        self.own.listen(topic)
    }

    fn publish(&self, topic: &'static str, payload: &str) {
        self.own.publish(topic, payload);
        self.link.outbox.publish(topic, payload);
    }

    fn subscribe(&self, topic: &'static str) -> Feed {
        self.own.subscribe(topic)
    }

    async fn take(&self, limit: Limit, key: &str) -> Result<Remaining, TooMany> {
        let (Some(in_force), Some(mut connection)) = (self.in_force(limit), self.link.connection()) else {
            return self.own.take(limit, key).await;
        };
        match in_time(self.takes.take(&mut connection.wire, in_force, key)).await {
            Ok(taken) => taken,
            Err(why) => {
                connection.lose(why);
                self.own.take(limit, key).await
            }
        }
    }

    fn in_force(&self, limit: Limit) -> Option<Limit> {
        self.own.in_force(limit)
    }

    fn state(&self) -> SignalsState {
        self.link.state()
    }
}
