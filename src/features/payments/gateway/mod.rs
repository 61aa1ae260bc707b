//! The port to the payment service, and all values that cross it.
//!
//! Adapters: `stripe`, and `sandbox`, which simulates Stripe for newcomers and tests. Both report what happened to a
//! checkout through signed events, which `webhook` verifies and reads.

mod measured;
mod sandbox;
mod stored_amounts;
mod stripe;
mod webhook;

pub use self::stripe::{BadAccount, RetryPolicy, Stripe};
pub use measured::Measured;
pub use sandbox::{
    Button, DeliverSandboxEvent, PressError, Sandbox, SandboxCheckout, SandboxRefund, SandboxSecret,
    SandboxStatus, SweepSandbox,
};
pub use stored_amounts::in_whole_units;
#[cfg(test)]
pub use webhook::sign;
pub use webhook::{BadSecrets, Fact, Source, Untrusted, Webhook};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::kernel::{EmailAddress, Money, Timestamp};

/// The parameters of a new checkout. Requests under the same key must be equal in everything else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckoutRequest {
    pub idempotency_key: String,
    /// Our order's id, sent as `metadata.orderId`.
    pub order: String,
    /// The attempt's number, sent as `metadata.attempt`.
    pub attempt: u32,
    pub product_name: String,
    /// The price before the discount.
    pub price: Money,
    /// The gateway's id of the price, if the price is kept there; the gateway then supplies the product's name.
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
    /// The amount to pay: the price less the discount.
    pub fn due(&self) -> Money {
        self.discount.as_ref().map_or(self.price, |discount| discount.due)
    }
}

/// A coupon that the gateway keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Discount {
    pub coupon: String,
    /// The amount to pay after the discount.
    pub due: Money,
}

/// The state of a checkout at the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckoutStatus {
    Open,
    /// The student has completed it; the bank has not answered yet.
    Unpaid,
    /// The student has completed it, and the bank declined.
    Failed,
    Paid,
    Expired,
}

/// A checkout at the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    /// The gateway's id.
    pub session: String,
    /// Our order's id and the attempt's number, as given when it was opened.
    pub order: Option<String>,
    pub attempt: Option<u32>,
    /// The page where the student pays, while it can be paid.
    pub url: Option<String>,
    pub status: CheckoutStatus,
    pub money: Option<Money>,
    /// The gateway's id of the payment, once there is one.
    pub intent: Option<String>,
}

/// One page of the gateway's list of checkouts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckoutList {
    /// Newest first.
    pub items: Vec<Checkout>,
    /// The cursor of the next page; none on the last.
    pub next: Option<String>,
}

/// A refund to make. Requests under the same key must be equal in everything else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefundRequest {
    pub idempotency_key: String,
    pub order: String,
    /// The gateway's id of the payment.
    pub intent: String,
    pub amount: Money,
}

/// A refund that the gateway has accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// The gateway's id.
    pub id: String,
}

/// A stage of a checkout that the gateway reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    Expired,
    /// The student has completed it; the bank has not answered yet.
    Processing,
    Failed,
    Paid,
}

/// What the gateway reports about one checkout, by an event or when asked.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckoutFact {
    /// The event's id. The same fact always has the same id.
    pub id: String,
    /// Our order's id.
    pub order: String,
    /// The gateway's id of the checkout.
    pub session: String,
    /// The attempt's number, as given when the checkout was opened.
    pub attempt: Option<u32>,
    pub reached: Reached,
    pub money: Option<Money>,
    /// The gateway's id of the payment, once there is one.
    pub intent: Option<String>,
}

/// What the gateway reports about money that came: a refund or a dispute.
#[derive(Clone, Debug, PartialEq)]
pub struct ReversalFact {
    /// The event's id.
    pub id: String,
    /// Our order's id, if the event names it; otherwise the payment identifies the order.
    pub order: Option<String>,
    /// The gateway's id of the payment.
    pub intent: String,
    /// The total refunded so far, in minor units.
    pub refunded: i64,
    pub disputed: bool,
}

/// Why a call to the gateway failed.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Temporary: the same call may succeed later.
    #[error("the gateway is unavailable: {0}")]
    Unavailable(String),
    /// Permanent: the gateway will reject the same call again.
    #[error("the gateway rejected the request: {0}")]
    Refused(String),
}

/// The payment service.
#[async_trait]
pub trait Gateway: Send + Sync + 'static {
    /// Opens a checkout, or returns the one that was opened under the same key.
    async fn open(&self, request: &CheckoutRequest) -> Result<Checkout, GatewayError>;
    /// The checkout's current state; `None` if the gateway doesn't know it.
    async fn retrieve(&self, session: &str) -> Result<Option<Checkout>, GatewayError>;
    /// Expires an open checkout, so that it can no longer be paid.
    async fn expire(&self, session: &str) -> Result<(), GatewayError>;
    /// Refunds a payment, or returns the refund that was made under the same key.
    async fn refund(&self, request: &RefundRequest) -> Result<Refund, GatewayError>;
    /// A page of the checkouts created since `since`, newest first, starting after the checkout `after`.
    async fn list(&self, since: Timestamp, after: Option<&str>) -> Result<CheckoutList, GatewayError>;
    /// Checks that the gateway answers and accepts our key.
    async fn check(&self) -> Result<(), GatewayError>;
}
