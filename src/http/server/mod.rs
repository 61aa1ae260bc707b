//! Accepts connections, and closes those that keep others waiting.
//!
//! poem's own server has no deadline for a request head and no limit on connections. This one keeps a
//! [`ConnectionTable`], and checks it four times a second: a connection that has sent nothing, or has not completed a
//! request head in time, is closed. Accepting never waits: when the table is full, the connection that has been idle
//! longest is closed. The total size of bodies still being received is capped as well; above the cap, the connection that
//! holds the most is closed. A request costs one clock reading and an atomic store.

mod connection;
mod table;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::server::graceful::GracefulShutdown;
use poem::Endpoint;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub(super) use self::connection::BadHost;
use self::connection::Connection;
use self::table::ConnectionTable;
use super::limits::ConnectionLimits;
use crate::platform::metrics::Connections;

/// Time to wait after a failed accept, so that a lasting error doesn't use all of a core.
const AFTER_ERROR: Duration = Duration::from_millis(20);

/// A listening socket and the limits on its connections.
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    limits: ConnectionLimits,
    connections: Connections,
}

impl Server {
    /// Listens on `addr`. Port 0 chooses a free one.
    pub async fn bind(addr: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let local_addr = listener.local_addr()?;
        let (limits, connections) = (ConnectionLimits::default(), Connections::default());
        Ok(Self { listener, local_addr, limits, connections })
    }

    /// Sets the limits.
    pub fn with_limits(self, limits: ConnectionLimits) -> Self {
        Self { limits, ..self }
    }

    /// Sets the metrics that count the connections.
    pub fn counted_by(self, connections: Connections) -> Self {
        Self { connections, ..self }
    }

    /// The address that the socket listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves `endpoint` until `shutdown` completes. Then accepts no more connections, and gives running requests
    /// [`ConnectionLimits::grace`] to finish.
    pub async fn serve<E: Endpoint + 'static>(self, endpoint: E, shutdown: impl Future<Output = ()>) {
        let Self { listener, local_addr, limits, connections } = self;
        let (graceful, stopped) = (GracefulShutdown::new(), CancellationToken::new());
        let (endpoint, table) = (Arc::new(endpoint), Arc::new(ConnectionTable::new(limits, connections)));
        let accepting = async {
            loop {
                let Some((stream, peer)) = accept(&listener, &table).await else { continue };
                let Some(slot) = table.add(peer.ip()) else { continue };
                let (slot, watcher) = (Arc::new(slot), graceful.watcher());
                let connection = Connection { stream, peer, local_addr, slot, limits, watcher };
                tokio::spawn(stopped.clone().run_until_cancelled_owned(connection.run(endpoint.clone())));
            }
        };
        tokio::select! {
            () = accepting => {}
            () = table.enforce_deadlines() => {}
            () = shutdown => {}
        }
        drop(listener);
        table.close_silent();
        tokio::select! {
            () = graceful.shutdown() => {}
            () = table.enforce_deadlines() => {}
            () = tokio::time::sleep(limits.grace) => tracing::warn!("shutdown cancelled running requests"),
        }
        stopped.cancel();
    }
}

/// The next connection. If accepting fails, the process may be out of file descriptors, so an idle connection is closed.
async fn accept(listener: &TcpListener, table: &ConnectionTable) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            tracing::warn!(%error, "a connection was not accepted");
            table.make_room(|_| true);
            tokio::time::sleep(AFTER_ERROR).await;
            None
        }
    }
}
