//! Use cases: receive the gateway's events and apply them to orders.

use std::time::Duration;

use super::gateway::{CheckoutFact, Fact, ReversalFact, Untrusted};
use super::model::{
    AboutOrder, NotOurs, Order, OrderState, Outcome, Owed, PAYMENT_DECLINED, PaymentFlag, StripeEvent,
};
use super::sale::Ended;
use super::service::Payments;
use crate::features::accounts::Account;
use crate::kernel::{Timestamp, faults};
use crate::platform::mail::Mail;
use crate::platform::store::{Filter, Query, StoreError, Tx};

/// How long the gateway is asked to retry an event about an unknown payment. By then the payment has been reported, was
/// retrieved, or belongs to somebody else.
const MAY_BE_OURS: Duration = Duration::from_secs(3600);

/// The kind under which facts are stored that the gateway reported when asked.
pub(super) const RETRIEVED: &str = "asked";

/// Why a late payment is refunded, for the people who keep the books.
const SOLD_OUT: &str = "It was paid after the checkout had ended, and no place was left.";

/// The result of an event.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// It was applied.
    Applied(Outcome),
    /// It had been applied before.
    Duplicate,
    /// It is not about one of our orders.
    NotOurs,
}

/// Why an event was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// Nothing was stored, so that the gateway sends it again.
    #[error("it is about a payment that is not known yet")]
    Early,
    #[error(transparent)]
    Store(#[from] StoreError),
}

enum ApplyError {
    NotOurs,
    Store(StoreError),
}

impl From<StoreError> for ApplyError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<NotOurs> for ApplyError {
    fn from(_: NotOurs) -> Self {
        Self::NotOurs
    }
}

impl Payments {
    /// Receives an event from the gateway.
    ///
    /// # Errors
    /// [`ReceiveError`] if the signature is wrong, or if the event can't be applied now (the gateway sends it again).
    pub async fn receive(&self, body: &[u8], signature: Option<&str>) -> Result<Received, ReceiveError> {
        let verified = self.0.webhook.read(body, signature, self.0.clock.now()).inspect_err(|reason| {
            tracing::warn!(%reason, bytes = body.len(), "an event was rejected");
        })?;
        let received = match &verified.fact {
            Fact::Checkout(fact) => self.apply_checkout_fact(&verified.kind, fact).await?,
            Fact::Reversal(fact) => self.apply_reversal(&verified.kind, fact, verified.created).await?,
            Fact::Other => self.record_ignored(&verified.id, &verified.kind).await?,
        };
        let (event, kind) = (&*verified.id, &*verified.kind);
        match (&verified.fact, &received) {
            (Fact::Other, _) => tracing::info!(event, kind, "an event was ignored"),
            (_, Received::NotOurs) => tracing::warn!(event, kind, "an event is not about one of our orders"),
            (_, Received::Applied(Outcome::Flagged(PaymentFlag::Declined))) => {
                tracing::info!(event, kind, "a late payment is refunded");
            }
            (_, Received::Applied(Outcome::Flagged(flag))) => {
                tracing::error!(event, kind, ?flag, "a payment needs review");
            }
            (Fact::Reversal(ReversalFact { disputed: true, .. }), _) => {
                tracing::error!(event, kind, "a dispute needs an answer");
            }
            (_, outcome) => tracing::info!(event, kind, ?outcome, "an event was received"),
        }
        Ok(received)
    }

    /// Applies a fact about a checkout, whether an event reported it or the gateway was asked.
    pub(super) async fn apply_checkout_fact(
        &self,
        kind: &str,
        fact: &CheckoutFact,
    ) -> Result<Received, StoreError> {
        self.apply_event(&fact.id, kind, &fact.order, &Change::Checkout(fact)).await
    }

    /// Applies a refund or a dispute. An event that doesn't name our order names the payment.
    async fn apply_reversal(
        &self,
        kind: &str,
        fact: &ReversalFact,
        created: Option<Timestamp>,
    ) -> Result<Received, ReceiveError> {
        let now = self.0.clock.now();
        let order = match &fact.order {
            Some(order) => Some(order.clone()),
            None => self.order_of_payment(&fact.intent).await?,
        };
        let Some(order) = order else {
            if created.is_some_and(|created| now.since(created) < MAY_BE_OURS) {
                tracing::info!(event = fact.id, kind, "an event is about a payment that is not known yet");
                return Err(ReceiveError::Early);
            }
            return Ok(self.record_ignored(&fact.id, kind).await?);
        };
        Ok(self.apply_event(&fact.id, kind, &order, &Change::Reversal(fact)).await?)
    }

    /// The order that received this payment. An index finds the payments that settled an order; the others, which needed
    /// review, are few and are found by a scan.
    async fn order_of_payment(&self, intent: &str) -> Result<Option<String>, StoreError> {
        for filter in [Filter::eq("paidIntent", intent), Filter::has("intents", intent)] {
            let found = self.0.store.find::<Order>(Query::new(filter).limit(1)).await?.pop();
            if let Some(order) = found {
                return Ok(Some(order.id));
            }
        }
        Ok(None)
    }

    /// Stores the event's id, changes the order and lets the product's feature act, in one transaction. The id prevents the
    /// same event from being applied again.
    async fn apply_event(
        &self,
        event: &str,
        kind: &str,
        order: &str,
        change: &Change<'_>,
    ) -> Result<Received, StoreError> {
        let now = self.0.clock.now();
        let Some(known) = self.0.store.get::<Order>(order).await? else {
            return self.record_ignored(event, kind).await;
        };
        let seen = seen(event, kind, Some(order), now);
        faults::point("pay.before-settle");
        let applied = self
            .0
            .store
            .transact_at(&self.guards(&known), async |tx| {
                let mut order = self.claim(&tx, &seen, order).await?.ok_or(ApplyError::NotOurs)?;
                let (before, refunds) = (order.state, order.refunds.len());
                let outcome = self.apply_change(&tx, &mut order, change, now).await?;
                self.save(&tx, &mut order, now).await?;
                faults::point("pay.while-settling");
                self.schedule_refunds(&tx, &order, refunds, now).await?;
                self.run_sale(&tx, before, &order, outcome, now).await?;
                Ok(outcome)
            })
            .await;
        faults::point("pay.after-settle");
        match applied {
            Ok(outcome) => Ok(Received::Applied(outcome)),
            Err(ApplyError::NotOurs) => self.record_ignored(event, kind).await,
            Err(ApplyError::Store(error)) => self.seen_before(event, error).await,
        }
    }

    async fn apply_change(
        &self,
        tx: &Tx,
        order: &mut Order,
        change: &Change<'_>,
        now: Timestamp,
    ) -> Result<Outcome, ApplyError> {
        match change {
            Change::Reversal(fact) => {
                let outcome = order.reverse(fact)?;
                if outcome == Outcome::Reversed {
                    order.refund_rest_if_waived(&fact.intent, now);
                }
                Ok(outcome)
            }
            Change::Checkout(fact) => {
                let owed = match self.sale(order) {
                    _ if !order.would_settle(fact) => Owed::Honour,
                    _ if !self.has_place_for(tx, order, now).await? => Owed::Refund(SOLD_OUT.into()),
                    Some(sale) => sale.owed(tx, order, now).await?,
                    None => Owed::Honour,
                };
                Ok(order.settle(fact, &owed, now)?)
            }
        }
    }

    /// Stores an event that is not about one of our orders.
    async fn record_ignored(&self, event: &str, kind: &str) -> Result<Received, StoreError> {
        let seen = seen(event, kind, None, self.0.clock.now());
        match self.0.store.insert(&seen).await {
            Ok(()) => Ok(Received::NotOurs),
            Err(error) => self.seen_before(event, error).await,
        }
    }

    /// The order, after the event's id has been stored so that the event is applied once.
    async fn claim(&self, tx: &Tx, event: &StripeEvent, order: &str) -> Result<Option<Order>, StoreError> {
        if !faults::guarded("pay.event-once") {
            return self.0.store.get(order).await;
        }
        tx.insert(event).await?;
        tx.get(order).await
    }

    async fn seen_before(&self, event: &str, error: StoreError) -> Result<Received, StoreError> {
        let duplicate = matches!(error, StoreError::Duplicate { .. });
        if duplicate && self.0.store.get::<StripeEvent>(event).await?.is_some() {
            return Ok(Received::Duplicate);
        }
        Err(error)
    }

    /// Lets the product's feature act on an order that was in the state `before`.
    pub(super) async fn run_sale(
        &self,
        tx: &Tx,
        before: OrderState,
        order: &Order,
        outcome: Outcome,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(sale) = self.sale(order) else {
            let (order, product) = (order.id.clone(), order.product.clone());
            tx.once_committed(move || tracing::error!(order, product, "no feature sells this product")).await;
            return Ok(());
        };
        match outcome {
            Outcome::Paid => sale.paid(tx, order, now).await?,
            Outcome::Expired => sale.ended(tx, order, Ended::Expired, now).await?,
            Outcome::Reopened => sale.ended(tx, order, Ended::Declined, now).await?,
            Outcome::Flagged(PaymentFlag::Declined) => post_declined(tx, order, now).await?,
            _ => {}
        }
        match order.state {
            // A refund or dispute may be reported before the payment: then both follow at once.
            state if state == before => Ok(()),
            // A waived order keeps what it bought.
            OrderState::Refunded if order.is_waived() => Ok(()),
            OrderState::Refunded => sale.ended(tx, order, Ended::Refunded, now).await,
            OrderState::Disputed => sale.ended(tx, order, Ended::Disputed, now).await,
            _ => Ok(()),
        }
    }
}

/// A change that an event makes to an order.
enum Change<'a> {
    Checkout(&'a CheckoutFact),
    Reversal(&'a ReversalFact),
}

/// Tells the buyer why the payment that has just arrived is refunded.
async fn post_declined(tx: &Tx, order: &Order, now: Timestamp) -> Result<(), StoreError> {
    let (Some(payment), Some(_)) = (order.payments.last(), order.refunds.last()) else { return Ok(()) };
    let Some(account) = tx.get::<Account>(&order.account).await? else { return Ok(()) };
    let about = AboutOrder { account: account.id, order: order.id.clone() };
    tx.post(&Mail::named(PAYMENT_DECLINED, &payment.session, &account.email, &about, now)).await
}

fn seen(event: &str, kind: &str, order: Option<&str>, now: Timestamp) -> StripeEvent {
    let order = order.map(str::to_owned);
    StripeEvent { id: event.to_owned(), kind: kind.to_owned(), order, received_at: now }
}
