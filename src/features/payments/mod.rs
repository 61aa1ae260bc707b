//! Orders and their money.
//!
//! `begin` records an order in the transaction of whoever sells something, with its first attempt and the job
//! that would finish the rest. `open_checkout` asks the gateway for a checkout between two transactions. The
//! gateway tells by signed events what became of it; `receive` believes them, and settles the order in one
//! transaction with everything that follows (`Fulfilment`). Each fact takes effect once, whatever comes twice,
//! late or out of order. Money that came is kept as a row, also where it wasn't owed.
//!
//! What the gateway never told (an event lost, an answer lost) `reconciliation` asks for.
//!
//! `gateway/` is the port to who takes the money: Stripe, or a sandbox that plays it for newcomers and tests.

mod controller;
mod gateway;
mod model;
mod pages;
mod reconciliation;
mod service;
mod subscribers;

pub use controller::{MoneyBody, OrderBody, OrderStateBody, PaymentsController};
pub use gateway::{
    BadAccount, BadSecrets, Checkout, CheckoutPage, CheckoutRequest, CheckoutStatus, Discount, Gateway,
    GatewayError, Patience, Press, Refund, RefundRequest, Sandbox, Source, Stripe, Watched, Webhook,
};
pub use model::{
    Attempt, AttemptState, Closed, EarlyBird, Order, OrderState, Outcome, Payment, PaymentEvent, PaymentFlag,
    Return, ReturnEvent, StripeEvent,
};
pub use pages::routes;
pub use reconciliation::{Finding, Found, ReconcileError, Reconciliation, Scope, Unfinished};
pub use service::{Fulfilment, GetOrderError, OpenCheckoutError, Parts, Payments, ReceiveError, Received};
pub use subscribers::{
    DeliverSandboxEvent, EventSweeps, OpenCheckout, OpenCheckouts, ReconcilePayments, Reconciliations,
    SandboxDeliveries, SandboxSweeps, SweepEvents, SweepSandbox,
};

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
