//! Port: who takes the money. Adapters: `sandbox` and `stripe`; both tell what happened by the events that `webhook`
//! reads.

mod sandbox;
mod stripe;
mod watched;
mod webhook;

pub use self::stripe::{BadAccount, Patience, Stripe};
pub use sandbox::{
    Press, PressError, Sandbox, SandboxCheckout, SandboxEvent, SandboxRefund, SandboxSecret, SandboxStatus,
};
pub use watched::Watched;
#[cfg(test)]
pub use webhook::sign;
pub use webhook::{BadSecrets, Fact, NotBelieved, Source, Webhook};

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
    /// Without the discount.
    pub price: Money,
    /// The gateway's id of the price, where it keeps one; then it decides what the product is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount: Option<Discount>,
    pub email: EmailAddress,
    pub expires_at: Timestamp,
    pub success_url: String,
    pub cancel_url: String,
}

impl CheckoutRequest {
    /// What is to be paid.
    pub fn due(&self) -> Money {
        self.discount.as_ref().map_or(self.price, |discount| discount.due)
    }
}

/// A coupon that the gateway keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Discount {
    pub coupon: String,
    /// What is left to pay.
    pub due: Money,
}

/// How a checkout stands at the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckoutStatus {
    Open,
    /// Done by the student, money not there yet.
    Unpaid,
    /// Done by the student, and the bank said no.
    Failed,
    Paid,
    Expired,
}

/// A checkout at the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    pub session: String,
    /// Our order and the attempt's number, as it was opened with.
    pub order: Option<String>,
    pub attempt: Option<u32>,
    /// Where the student pays, while they can.
    pub url: Option<String>,
    pub status: CheckoutStatus,
    pub money: Option<Money>,
    /// The gateway's id of the payment, once there is one.
    pub intent: Option<String>,
}

/// A part of a list of checkouts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckoutPage {
    /// The last made first.
    pub items: Vec<Checkout>,
    /// The next page begins after this; none on the last.
    pub next: Option<String>,
}

/// Money to be paid back. The same key must come with the same of everything else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefundRequest {
    pub idempotency_key: String,
    pub order: String,
    /// The gateway's id of the payment.
    pub intent: String,
    pub amount: Money,
}

/// Money that is on its way back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// The gateway's id.
    pub id: String,
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
    /// Pays back money that came, or returns what was done under the same key.
    async fn refund(&self, request: &RefundRequest) -> Result<Refund, GatewayError>;
    /// A page of the checkouts made since then, the last made first, from after the checkout `after` on.
    async fn list(&self, since: Timestamp, after: Option<&str>) -> Result<CheckoutPage, GatewayError>;
    /// Whether it answers and lets us in.
    async fn check(&self) -> Result<(), GatewayError>;
}
