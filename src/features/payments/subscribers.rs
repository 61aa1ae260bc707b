//! Jobs: finish openings that died, ask for what never arrived, deliver what the sandbox tells, sweep.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::gateway::{Sandbox, SandboxEvent};
use super::reconciliation::{Finding, Found, ReconcileError, Scope, Unfinished};
use super::service::{OpenCheckoutError, Payments};
use crate::platform::jobs::{JobError, Payload, Run, Subscriber};

/// Opens the checkout of an order's attempt, if that has not been done.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenCheckout {
    pub order: String,
    pub attempt: u32,
}

impl OpenCheckout {
    pub(super) fn key_of(order: &str, attempt: u32) -> String {
        format!("{order}:{attempt}")
    }
}

impl Payload for OpenCheckout {
    const KIND: &'static str = "payments.open-checkout";
    fn key(&self) -> Option<String> {
        Some(Self::key_of(&self.order, self.attempt))
    }
}

/// Handles [`OpenCheckout`].
pub struct OpenCheckouts(pub Arc<Payments>);

#[async_trait]
impl Subscriber for OpenCheckouts {
    type Payload = OpenCheckout;

    async fn handle(&self, payload: OpenCheckout, _: Run) -> Result<(), JobError> {
        match self.0.finish_opening(&payload).await {
            Ok(()) | Err(OpenCheckoutError::NotFound | OpenCheckoutError::Closed(_)) => Ok(()),
            Err(error @ (OpenCheckoutError::Unavailable | OpenCheckoutError::TooMany { .. })) => {
                Err(JobError::Retry(error.to_string()))
            }
            Err(OpenCheckoutError::Store(error)) => Err(error.into()),
        }
    }
}

/// Tells the webhook of one event of a sandbox checkout.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliverSandboxEvent {
    pub session: String,
    pub event: SandboxEvent,
}

impl DeliverSandboxEvent {
    pub(super) fn key_of(session: &str, event: SandboxEvent) -> String {
        format!("{session}:{event:?}")
    }
}

impl Payload for DeliverSandboxEvent {
    const KIND: &'static str = "sandbox.deliver";
    fn key(&self) -> Option<String> {
        Some(Self::key_of(&self.session, self.event))
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

/// Ends the sandbox's checkouts whose time is over. Runs every minute.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SweepSandbox {}

impl Payload for SweepSandbox {
    const KIND: &'static str = "sandbox.sweep";
    fn key(&self) -> Option<String> {
        Some("all".into())
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

/// Asks the gateway for what never arrived. Comes every five minutes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReconcilePayments {}

impl Payload for ReconcilePayments {
    const KIND: &'static str = "payments.reconcile";
    fn key(&self) -> Option<String> {
        Some("all".into())
    }
}

/// Handles [`ReconcilePayments`].
pub struct Reconciliations(pub Arc<Payments>);

#[async_trait]
impl Subscriber for Reconciliations {
    type Payload = ReconcilePayments;
    const CONCURRENCY: usize = 1;

    async fn handle(&self, _: ReconcilePayments, _: Run) -> Result<(), JobError> {
        let (result, failed) = match self.0.reconcile(Scope::Due).await {
            Ok(result) => (result, None),
            Err(Unfinished { found, why }) => (found, Some(why)),
        };
        for Finding { order, attempt, found } in &result.findings {
            match found {
                Found::Flagged(flag) => {
                    tracing::error!(order, attempt, ?flag, "a payment somebody has to look at");
                }
                _ => tracing::warn!(order, attempt, ?found, "the gateway knew what it had not told"),
            }
        }
        match failed {
            None => Ok(()),
            // The next run is never far.
            Some(ReconcileError::Gateway(error)) => {
                tracing::warn!(%error, "the gateway can't be asked for all that never arrived");
                Ok(())
            }
            Some(ReconcileError::Store(error)) => Err(error.into()),
        }
    }
}

/// Forgets events of which nobody will be told again. Comes once a day.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SweepEvents {}

impl Payload for SweepEvents {
    const KIND: &'static str = "payments.sweep";
    fn key(&self) -> Option<String> {
        Some("all".into())
    }
}

/// Handles [`SweepEvents`].
pub struct EventSweeps(pub Arc<Payments>);

#[async_trait]
impl Subscriber for EventSweeps {
    type Payload = SweepEvents;
    const CONCURRENCY: usize = 1;

    async fn handle(&self, _: SweepEvents, _: Run) -> Result<(), JobError> {
        Ok(self.0.sweep().await?)
    }
}
