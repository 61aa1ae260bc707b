//! Port: who takes the money. Adapters: `sandbox`, and Stripe later; both tell what happened by the events that
//! `webhook` reads.

mod sandbox;
mod watched;
mod webhook;

pub use sandbox::{Press, PressError, Sandbox, SandboxCheckout, SandboxEvent, SandboxSecret, SandboxStatus};
pub use watched::Watched;
#[cfg(test)]
pub use webhook::sign;
pub use webhook::{BadSecrets, NotBelieved, Notice, Source, Webhook};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::kernel::{EmailAddress, Money, Timestamp};

/// What a checkout is opened with. The same key must come with the same of everything else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckoutRequest {
    pub idempotency_key: String,
    /// Our order's id: the checkout carries it in `metadata.orderId`.
    pub order: String,
    /// The attempt's number: `metadata.attempt`.
    pub attempt: u32,
    pub product_name: String,
    pub price: Money,
    pub email: EmailAddress,
    pub expires_at: Timestamp,
    pub success_url: String,
    pub cancel_url: String,
}

/// How a checkout stands at the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckoutStatus {
    Open,
    /// Done by the student, money not there yet (or never: then the gateway's event tells).
    Unpaid,
    Paid,
    Expired,
}

/// A checkout at the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    pub session: String,
    /// Where the student pays.
    pub url: String,
    pub status: CheckoutStatus,
    pub money: Option<Money>,
}

/// Why the gateway didn't do it.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// It can't be reached or can't answer now: the same again later.
    #[error("the gateway can't answer now: {0}")]
    Unavailable(String),
    /// It refuses, and will refuse the same again.
    #[error("the gateway refuses: {0}")]
    Refused(String),
}

/// Who takes the money.
#[async_trait]
pub trait Gateway: Send + Sync + 'static {
    /// Opens a checkout, or returns the one that was opened under the same key.
    async fn open(&self, request: &CheckoutRequest) -> Result<Checkout, GatewayError>;
    /// How the checkout stands; `None` if the gateway doesn't know it.
    async fn retrieve(&self, session: &str) -> Result<Option<Checkout>, GatewayError>;
    /// Ends an open checkout, so that it can't be paid any more.
    async fn expire(&self, session: &str) -> Result<(), GatewayError>;
}
