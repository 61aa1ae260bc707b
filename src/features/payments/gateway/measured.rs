//! A gateway whose calls are measured and traced.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use tracing::Instrument;

use super::{Checkout, CheckoutList, CheckoutRequest, Gateway, GatewayError, Refund, RefundRequest};
use crate::kernel::Timestamp;
use crate::platform::metrics::GatewayCalls;
use crate::platform::traces;

/// Counts, times and traces every call to a [`Gateway`].
pub struct Measured {
    gateway: Arc<dyn Gateway>,
    calls: GatewayCalls,
}

impl Measured {
    /// Wraps `gateway`.
    pub fn over(gateway: Arc<dyn Gateway>, calls: GatewayCalls) -> Arc<dyn Gateway> {
        Arc::new(Self { gateway, calls })
    }

    async fn measure<T>(
        &self,
        method: &'static str,
        span: &'static str,
        call: impl Future<Output = Result<T, GatewayError>>,
    ) -> Result<T, GatewayError> {
        let (span, begun) = (traces::call(span), Instant::now());
        let answer = call.instrument(span.clone()).await;
        self.calls.note(method, label(&answer), begun.elapsed());
        traces::ended(&span, label(&answer), answer.is_ok());
        answer
    }
}

#[async_trait]
impl Gateway for Measured {
    async fn open(&self, request: &CheckoutRequest) -> Result<Checkout, GatewayError> {
        self.measure("open", "gateway.open", self.gateway.open(request)).await
    }

    async fn retrieve(&self, session: &str) -> Result<Option<Checkout>, GatewayError> {
        self.measure("retrieve", "gateway.retrieve", self.gateway.retrieve(session)).await
    }

    async fn expire(&self, session: &str) -> Result<(), GatewayError> {
        self.measure("expire", "gateway.expire", self.gateway.expire(session)).await
    }

    async fn refund(&self, request: &RefundRequest) -> Result<Refund, GatewayError> {
        self.measure("refund", "gateway.refund", self.gateway.refund(request)).await
    }

    async fn list(&self, since: Timestamp, after: Option<&str>) -> Result<CheckoutList, GatewayError> {
        self.measure("list", "gateway.list", self.gateway.list(since, after)).await
    }

    async fn check(&self) -> Result<(), GatewayError> {
        self.measure("check", "gateway.check", self.gateway.check()).await
    }
}

/// The outcome as metrics and traces name it.
fn label<T>(answer: &Result<T, GatewayError>) -> &'static str {
    match answer {
        Ok(_) => "done",
        Err(GatewayError::Unavailable(_)) => "unavailable",
        Err(GatewayError::Refused(_)) => "refused",
    }
}
