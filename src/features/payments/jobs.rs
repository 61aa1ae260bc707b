//! Payloads of the jobs that concern orders. The sandbox has its own.

use serde::{Deserialize, Serialize};

use super::model::Order;
use crate::kernel::Timestamp;
use crate::platform::jobs::{Job, Payload};

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

/// Sends a recorded refund to the gateway, if that has not been done.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendRefund {
    pub order: String,
    /// The refund's number.
    pub refund: u32,
}

impl SendRefund {
    pub(super) fn of(order: &Order, refund: u32) -> Self {
        Self { order: order.id.clone(), refund }
    }

    pub(super) fn key_of(order: &str, refund: u32) -> String {
        format!("{order}:{refund}")
    }

    pub(super) fn job(&self, now: Timestamp) -> Job {
        Job::new(format!("refund:{}:{}", self.order, self.refund), self, now)
    }
}

impl Payload for SendRefund {
    const KIND: &'static str = "payments.refund";
    fn key(&self) -> Option<String> {
        Some(Self::key_of(&self.order, self.refund))
    }
}

/// Asks the gateway about events that did not arrive. Runs every five minutes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReconcilePayments {}

impl Payload for ReconcilePayments {
    const KIND: &'static str = "payments.reconcile";
    fn key(&self) -> Option<String> {
        Some("all".into())
    }
}
