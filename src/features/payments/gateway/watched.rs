//! A gateway whose work is measured.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use tracing::Instrument;

use super::{Checkout, CheckoutPage, CheckoutRequest, Gateway, GatewayError, Refund, RefundRequest};
use crate::kernel::Timestamp;
use crate::platform::metrics::GatewayCalls;
use crate::platform::traces;

/// A [`Gateway`] of which each call is counted and timed, and stands in its trace.
pub struct Watched {
    gateway: Arc<dyn Gateway>,
    calls: GatewayCalls,
}

impl Watched {
    /// The same gateway, watched.
    pub fn over(gateway: Arc<dyn Gateway>, calls: GatewayCalls) -> Arc<dyn Gateway> {
        Arc::new(Self { gateway, calls })
    }

    async fn watch<T>(
        &self,
        method: &'static str,
        span: &'static str,
        call: impl Future<Output = Result<T, GatewayError>>,
    ) -> Result<T, GatewayError> {
        let (span, begun) = (traces::call(span), Instant::now());
        let answer = call.instrument(span.clone()).await;
        self.calls.note(method, word(&answer), begun.elapsed());
        traces::ended(&span, word(&answer), answer.is_ok());
        answer
    }
}

#[async_trait]
impl Gateway for Watched {
    async fn open(&self, request: &CheckoutRequest) -> Result<Checkout, GatewayError> {
        self.watch("open", "gateway.open", self.gateway.open(request)).await
    }

    async fn retrieve(&self, session: &str) -> Result<Option<Checkout>, GatewayError> {
        self.watch("retrieve", "gateway.retrieve", self.gateway.retrieve(session)).await
    }

    async fn expire(&self, session: &str) -> Result<(), GatewayError> {
        self.watch("expire", "gateway.expire", self.gateway.expire(session)).await
    }

    async fn refund(&self, request: &RefundRequest) -> Result<Refund, GatewayError> {
        self.watch("refund", "gateway.refund", self.gateway.refund(request)).await
    }

    async fn list(&self, since: Timestamp, after: Option<&str>) -> Result<CheckoutPage, GatewayError> {
        self.watch("list", "gateway.list", self.gateway.list(since, after)).await
    }

    async fn check(&self) -> Result<(), GatewayError> {
        self.watch("check", "gateway.check", self.gateway.check()).await
    }
}

/// What metrics and traces call it.
fn word<T>(answer: &Result<T, GatewayError>) -> &'static str {
    match answer {
        Ok(_) => "done",
        Err(GatewayError::Unavailable(_)) => "unavailable",
        Err(GatewayError::Refused(_)) => "refused",
    }
}
