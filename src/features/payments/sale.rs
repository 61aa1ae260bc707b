//! What the feature that sells a product decides and does about its orders.

use async_trait::async_trait;

use super::model::{Order, Owed};
use crate::kernel::Timestamp;
use crate::platform::store::{StoreError, Tx};

/// Why an order ended without a payment, or lost it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The current checkout ended unpaid. The order can still be paid with another one.
    Expired,
    /// The bank has declined the payment. The order can still be paid with another checkout.
    Declined,
    /// The order was cancelled. It may have been reported as expired before.
    Cancelled,
    /// The whole payment was refunded.
    Refunded,
    /// The payer disputes the payment. The bank has not decided yet.
    Disputed,
}

/// Sentences about a product for pages, in plain English.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// What a payment means for the student: follows "Your payment has arrived."
    pub paid: &'static str,
    /// What happens while the order is not paid: follows "Nothing was paid."
    pub unpaid: &'static str,
    /// The next page after the payment, if there is one.
    pub next: Option<NextPage>,
}

/// A link to the next page after a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextPage {
    /// The text of the link.
    pub label: &'static str,
    /// The path on this service.
    pub path: &'static str,
    /// A sentence below the link.
    pub note: &'static str,
}

impl Default for Words {
    /// For any product.
    fn default() -> Self {
        Self {
            paid: "Your order is complete.",
            unpaid: "Your order is kept, and you can still pay it.",
            next: None,
        }
    }
}

/// The decisions and actions of the feature that sells a product. All methods that take a transaction run in the one
/// that settles or ends the order, so that both happen or neither does.
#[async_trait]
pub trait Sale: Send + Sync + 'static {
    /// Guards of the documents that many orders of the product write, such as the groups or the remaining places, for
    /// [`Store::transact_at`](crate::platform::store::Store::transact_at).
    fn guards(&self, order: &Order) -> Vec<String>;

    /// Decides whether a payment settles the order, which has a place or can get one again. Called with the order as it was before the payment: an *expired* order
    /// means that the payment is late.
    ///
    /// # Errors
    /// [`StoreError`]: then nothing is settled, and the gateway sends its event again.
    async fn owed(&self, tx: &Tx, order: &Order, now: Timestamp) -> Result<Owed, StoreError>;

    /// The order has just been paid or waived. Called once for each: an order that was paid, and perhaps refunded, can be
    /// waived afterwards.
    ///
    /// # Errors
    /// [`StoreError`]: then nothing is settled.
    async fn paid(&self, tx: &Tx, order: &Order, now: Timestamp) -> Result<(), StoreError>;

    /// The order has just ended. Called once for each reason, and for *expired* once per checkout. The refund of a waived
    /// order doesn't end it.
    ///
    /// # Errors
    /// [`StoreError`]: then nothing is changed.
    async fn ended(&self, tx: &Tx, order: &Order, why: Ended, now: Timestamp) -> Result<(), StoreError>;

    /// What pages say about the product.
    fn words(&self) -> Words;
}
