//! Job handlers: open checkouts, send refunds, reconcile, deliver the sandbox's events, sweep.

use std::sync::Arc;

use async_trait::async_trait;

use super::gateway::{DeliverSandboxEvent, Sandbox, SweepSandbox};
use super::jobs::{OpenCheckout, ReconcilePayments, SendRefund};
use super::model::StripeEvent;
use super::reconciliation::{Finding, Found, ReconcileError, ReconcileScope, Unfinished};
use super::refunds::SendRefundError;
use super::service::{OpenCheckoutError, Payments};
use crate::kernel::Actor;
use crate::platform::jobs::{JobError, Payload, Run, Subscriber, Sweep, sweep};
use crate::platform::store::{Dir, Filter, Query};

/// Handles [`OpenCheckout`].
pub struct OpenCheckouts(pub Arc<Payments>);

#[async_trait]
impl Subscriber for OpenCheckouts {
    type Payload = OpenCheckout;

    async fn handle(&self, payload: OpenCheckout, _: Run) -> Result<(), JobError> {
        match self.0.finish_opening(&payload).await {
            Ok(())
            | Err(
                OpenCheckoutError::NotFound
                | OpenCheckoutError::Closed(_)
                | OpenCheckoutError::SaleOver
                | OpenCheckoutError::SoldOut(_),
            ) => Ok(()),
            Err(error @ (OpenCheckoutError::Unavailable | OpenCheckoutError::TooMany(_))) => {
                Err(JobError::Retry(error.to_string()))
            }
            Err(OpenCheckoutError::Store(error)) => Err(error.into()),
        }
    }
}

/// Handles [`SendRefund`].
pub struct Refunds(pub Arc<Payments>);

#[async_trait]
impl Subscriber for Refunds {
    type Payload = SendRefund;

    async fn handle(&self, payload: SendRefund, _: Run) -> Result<(), JobError> {
        match self.0.send_refund(&payload).await {
            Ok(_) => Ok(()),
            Err(error @ SendRefundError::Unavailable) => Err(JobError::Retry(error.to_string())),
            Err(SendRefundError::Store(error)) => Err(error.into()),
        }
    }
}

/// Handles [`DeliverSandboxEvent`].
pub struct SandboxDeliveries(pub Arc<Sandbox>);

#[async_trait]
impl Subscriber for SandboxDeliveries {
    type Payload = DeliverSandboxEvent;

    async fn handle(&self, payload: DeliverSandboxEvent, _: Run) -> Result<(), JobError> {
        self.0.deliver(&payload).await.map_err(|error| JobError::Retry(error.to_string()))
    }
}

/// Handles [`SweepSandbox`].
pub struct SandboxSweeps(pub Arc<Sandbox>);

#[async_trait]
impl Subscriber for SandboxSweeps {
    type Payload = SweepSandbox;

    async fn handle(&self, _: SweepSandbox, _: Run) -> Result<(), JobError> {
        Ok(self.0.sweep().await?)
    }
}

/// Handles [`ReconcilePayments`].
pub struct Reconciliations(pub Arc<Payments>);

#[async_trait]
impl Subscriber for Reconciliations {
    type Payload = ReconcilePayments;
    const CONCURRENCY: usize = 1;

    async fn handle(&self, _: ReconcilePayments, _: Run) -> Result<(), JobError> {
        let actor = Actor::System(ReconcilePayments::KIND.into());
        let (result, failed) = match self.0.reconcile(&actor, ReconcileScope::Due).await {
            Ok(result) => (result, None),
            Err(Unfinished { found, why }) => (found, Some(why)),
        };
        for Finding { order, attempt, found } in &result.findings {
            match found {
                Found::Flagged(flag) => {
                    tracing::error!(order, attempt, ?flag, "a payment needs review");
                }
                _ => tracing::warn!(order, attempt, ?found, "reconciliation found a missing event"),
            }
        }
        match failed {
            None => Ok(()),
            // The next run is at most five minutes away.
            Some(ReconcileError::Gateway(error)) => {
                tracing::warn!(%error, "reconciliation is incomplete: the gateway is unavailable");
                Ok(())
            }
            Some(ReconcileError::Store(error)) => Err(error.into()),
        }
    }
}

/// Deletes events that the gateway will not send again.
pub fn old_events() -> Sweep {
    sweep::<StripeEvent>("payments.sweep", |now| {
        Query::new(Filter::Lt("receivedAt".into(), now.minus(StripeEvent::KEPT).into()))
            .sort("receivedAt", Dir::Asc)
    })
}
