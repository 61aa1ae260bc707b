//! The listener for metrics. It has its own address, so that a proxy doesn't publish metrics by mistake.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use poem::http::header;
use poem::{IntoResponse, Request, Response, Route, endpoint, get};

use super::kinds;
use super::limits::ConnectionLimits;
use super::server::{BadHost, Server};
use crate::platform::monitoring::{CONTENT_TYPE, Metrics};

/// Maximum number of connections: Prometheus needs one, an operator another.
const CONNECTIONS: usize = 16;

/// Serves the metrics.
pub struct MetricsPage {
    server: Server,
    metrics: Arc<Metrics>,
}

impl MetricsPage {
    /// Listens on `addr`. Port 0 chooses a free one.
    ///
    /// # Errors
    /// If the address can't be used.
    pub async fn bind(addr: SocketAddr, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let limits = ConnectionLimits {
            connections: CONNECTIONS,
            connections_of_a_peer: CONNECTIONS,
            grace: Duration::from_secs(1),
            ..ConnectionLimits::default()
        };
        Ok(Self { server: Server::bind(addr).await?.with_limits(limits), metrics })
    }

    /// The address that it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Serves `/metrics` until it is dropped.
    pub async fn serve(self) {
        let metrics = self.metrics;
        let page = endpoint::make(move |request: Request| {
            let metrics = metrics.clone();
            async move {
                if request.data::<BadHost>().is_some() {
                    return kinds::bad_host().into_response();
                }
                let page = Response::builder().content_type(CONTENT_TYPE);
                page.header(header::CACHE_CONTROL, "no-store").body(metrics.text().await)
            }
        });
        self.server.serve(Route::new().at("/metrics", get(page)), std::future::pending()).await;
    }
}
