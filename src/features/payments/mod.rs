//! Orders and their payments.
//!
//! `begin` stores an order in the transaction of the feature that sells something, with the first attempt to pay it and
//! a job that opens the checkout. `open_checkout` opens it between two transactions. The gateway reports by signed
//! events what happened; `receive` verifies them and settles the order in one transaction with everything that follows
//! from it for the feature that sells the product (`Sale`). Each fact takes effect once, whether it arrives twice, late or out of order. Every payment is
//! recorded, including those that were not due.
//!
//! `refunds` waives, cancels and refunds orders. `reconciliation` asks the gateway about events and answers that were lost.
//!
//! `gateway/` is the port to the payment service: Stripe, or a sandbox that simulates it for newcomers and tests. Imports go
//! one way: `service`, `events`, `refunds` and `reconciliation` → `jobs`, `model` and `waiving` → `gateway`.

mod controller;
mod events;
mod gateway;
mod jobs;
mod model;
mod pages;
mod places;
mod reconciliation;
mod refunds;
mod sale;
mod service;
mod subscribers;
mod waiving;

pub use controller::{MoneyBody, NOT_ON_SALE, OrderBody, OrderStateBody, PaymentsController};
pub use events::{ReceiveError, Received};
pub use gateway::{
    BadAccount, BadSecrets, Button, Checkout, CheckoutFact, CheckoutList, CheckoutRequest, CheckoutStatus,
    DeliverSandboxEvent, Discount, Gateway, GatewayError, Measured, Reached, Refund, RefundRequest,
    RetryPolicy, ReversalFact, Sandbox, Source, Stripe, SweepSandbox, Webhook,
};
pub use jobs::{OpenCheckout, ReconcilePayments, SendRefund};
pub use model::{
    AboutOrder, Attempt, AttemptState, Closed, EarlyBird, LONGEST_CHECKOUT, NotRefundable, Order,
    OrderRefund, OrderState, Outcome, Owed, PAYMENT_DECLINED, Payment, PaymentFlag, RefundState, Reversal,
    StripeEvent,
};
pub use places::{BeginError, Place, SoldOut, Stock};
pub use reconciliation::{Finding, Found, ReconcileError, ReconcileScope, Reconciliation, Unfinished};
pub use refunds::{CloseOrderError, RefundError};
pub use sale::{Ended, NextPage, Sale, Words};
pub use service::{GetOrderError, OpenCheckoutError, Payments};
pub use subscribers::{
    OpenCheckouts, Reconciliations, Refunds, SandboxDeliveries, SandboxSweeps, old_events,
};

use std::sync::Arc;

use self::gateway::{SandboxCheckout, SandboxRefund, SandboxSecret};
use super::Feature;
use crate::base::Base;
use crate::platform::store::{Schema, schema};

/// What payments add to the service; `sandbox` is the gateway where no real one is configured.
pub fn feature(
    base: &Base,
    payments: &Arc<Payments>,
    sandbox: Option<&Arc<Sandbox>>,
) -> Feature<PaymentsController> {
    let feature = Feature::new()
        .serves(PaymentsController::new(payments.clone()))
        .shows(pages::pages(&base.page_layout, payments, sandbox))
        .handles(OpenCheckouts(payments.clone()))
        .handles(Refunds(payments.clone()))
        .handles(Reconciliations(payments.clone()))
        .every("*/5 * * * *", |_| ReconcilePayments {})
        .sweeps(base, "17 4 * * *", old_events());
    match sandbox {
        Some(sandbox) => feature
            .handles(SandboxDeliveries(sandbox.clone()))
            .handles(SandboxSweeps(sandbox.clone()))
            .every("* * * * *", |_| SweepSandbox {}),
        None => feature,
    }
}

/// The documents of this feature.
pub fn schemas() -> Vec<Schema> {
    vec![
        schema::<Order>(),
        schema::<Stock>(),
        schema::<StripeEvent>(),
        schema::<SandboxCheckout>(),
        schema::<SandboxRefund>(),
        schema::<SandboxSecret>(),
    ]
}
