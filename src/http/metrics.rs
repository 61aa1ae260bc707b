//! Where metrics are read: a listener of its own, so that no proxy shows them to strangers by mistake.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use poem::http::header;
use poem::{Response, Route, endpoint, get};

use super::limits::ConnectionLimits;
use super::server::Server;
use crate::platform::metrics::{CONTENT_TYPE, Metrics};

/// Prometheus needs one connection, and whoever looks by hand another.
const CONNECTIONS: usize = 16;

/// The listener of the metrics.
pub struct MetricsPage {
    server: Server,
    metrics: Arc<Metrics>,
}

impl MetricsPage {
    /// Listens on `addr`; port 0 takes a free one.
    ///
    /// # Errors
    /// If that can't be listened on.
    pub async fn bind(addr: SocketAddr, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let limits = ConnectionLimits {
            connections: CONNECTIONS,
            connections_of_a_peer: CONNECTIONS,
            grace: Duration::from_secs(1),
            ..ConnectionLimits::default()
        };
        Ok(Self { server: Server::bind(addr).await?.with_limits(limits), metrics })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Serves `/metrics`, and nothing else, until it is dropped.
    pub async fn serve(self) {
        let metrics = self.metrics;
        let page = endpoint::make(move |_| {
            let metrics = metrics.clone();
            async move {
                let page = Response::builder().content_type(CONTENT_TYPE);
                page.header(header::CACHE_CONTROL, "no-store").body(metrics.text().await)
            }
        });
        self.server.serve(Route::new().at("/metrics", get(page)), std::future::pending()).await;
    }
}
