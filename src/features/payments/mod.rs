//! Orders and their payments.
//!
//! `begin` stores an order in the transaction of the feature that sells something, with the first attempt to pay it and
//! a job that opens the checkout. `open_checkout` opens it between two transactions. The gateway reports by signed
//! events what happened; `receive` verifies them and settles the order in one transaction with everything that follows
//! from it (`Fulfilment`). Each fact takes effect once, whether it arrives twice, late or out of order. Every payment is
//! recorded, including those that were not due.
//!
//! `reconciliation` asks the gateway about events and answers that were lost.
//!
//! `gateway/` is the port to the payment service: Stripe, or a sandbox that plays it for newcomers and tests. Imports go
//! one way: `service`, `events` and `reconciliation` → `jobs`, `model` → `gateway`.

mod controller;
mod events;
mod gateway;
mod jobs;
mod model;
mod pages;
mod reconciliation;
mod service;
mod subscribers;

pub use controller::{MoneyBody, OrderBody, OrderStateBody, PaymentsController};
pub use events::{ReceiveError, Received};
pub use gateway::{
    BadAccount, BadSecrets, Button, Checkout, CheckoutFact, CheckoutList, CheckoutRequest, CheckoutStatus,
    DeliverSandboxEvent, Discount, Gateway, GatewayError, Measured, Reached, Refund, RefundRequest,
    RetryPolicy, ReversalFact, Sandbox, Source, Stripe, SweepSandbox, Webhook,
};
pub use jobs::{OpenCheckout, ReconcilePayments, SweepEvents};
pub use model::{
    Attempt, AttemptState, Closed, EarlyBird, Order, OrderState, Outcome, Payment, PaymentFlag, Reversal,
    StripeEvent,
};
pub use pages::routes;
pub use reconciliation::{Finding, Found, ReconcileError, ReconcileScope, Reconciliation, Unfinished};
pub use service::{Fulfilment, GetOrderError, OpenCheckoutError, Parts, Payments};
pub use subscribers::{EventSweeps, OpenCheckouts, Reconciliations, SandboxDeliveries, SandboxSweeps};

use self::gateway::{SandboxCheckout, SandboxRefund, SandboxSecret};
use crate::platform::store::{Schema, schema};

/// The documents of this feature.
pub fn schemas() -> Vec<Schema> {
    vec![
        schema::<Order>(),
        schema::<StripeEvent>(),
        schema::<SandboxCheckout>(),
        schema::<SandboxRefund>(),
        schema::<SandboxSecret>(),
    ]
}
