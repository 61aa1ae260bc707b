//! Orders: the amount due, the attempts to pay it, and the payments received.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::gateway::{
    Checkout, CheckoutFact, CheckoutRequest, CheckoutStatus, Discount, Reached, ReversalFact,
};
use crate::config::Product;
use crate::kernel::{EmailAddress, Money, Timestamp};
use crate::platform::store::{Document, Index, Migration};

/// How long a checkout can be paid: Stripe's default and maximum of 24 hours, less a minute for clock skew and a failed
/// first try.
pub const CHECKOUT_LIFETIME: Duration = Duration::from_secs(24 * 3600 - 60);

/// How long we wait for the gateway's events before we ask it.
const EVENT_DELAY: Duration = Duration::from_secs(5 * 60);

/// The state of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OrderState {
    /// Can be paid.
    Open,
    /// The student has completed the checkout; the bank has not answered yet.
    Processing,
    Paid,
    /// The checkout ended unpaid. The order can be paid with another checkout.
    Expired,
    Cancelled,
    /// Nothing to pay any more, for example after a bursary was approved.
    Waived,
    PartiallyRefunded,
    Refunded,
    /// The payer disputes the payment at their bank.
    Disputed,
}

/// The state of an attempt, in ascending order. It only ever moves up, so that events may arrive twice, late or out of
/// order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AttemptState {
    /// Not ended, as far as the gateway has reported.
    Live,
    Expired,
    Processing,
    Failed,
    Paid,
}

/// One attempt to pay an order. Everything that is sent to the gateway is fixed when the attempt is made, so that it can
/// be sent again unchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// `<order>:<number>`.
    pub idempotency_key: String,
    pub expires_at: Timestamp,
    /// The amount to pay.
    pub price: Money,
    /// The gateway's id of the coupon that leads to this price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coupon: Option<String>,
    /// The base of the addresses that the checkout returns to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_to: Option<Url>,
    pub state: AttemptState,
    /// The gateway's id of the checkout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The page where the student pays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

/// Why a payment did not settle the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PaymentFlag {
    /// The amount or currency differs from the order: needs review.
    AmountDiffers,
    /// Nothing was due any more: to be refunded.
    NotOwed,
    /// The order has no such checkout: needs review.
    UnknownSession,
}

/// A payment received. Never removed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    /// The checkout that it was made with. A checkout brings one payment.
    pub session: String,
    /// The event that reported it.
    pub event: String,
    /// The amount that the gateway reported; none if it reported none, or an unknown currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub money: Option<Money>,
    pub received_at: Timestamp,
    /// The gateway's id of the payment. Refunds and disputes refer to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// None if it settled the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flag: Option<PaymentFlag>,
}

/// The refunds and disputes of one payment. Kept apart from the payments, because they may be reported first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reversal {
    /// As [`Payment::intent`].
    pub intent: String,
    /// The total refunded, in minor units. It only goes up.
    pub refunded: i64,
    pub disputed: bool,
}

/// A lower price for early orders.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EarlyBird {
    /// The gateway's id of the coupon.
    pub coupon: String,
    /// The price with the coupon.
    pub price: Money,
    /// Applies to attempts made before this time.
    pub until: Timestamp,
}

/// A product ordered by an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    pub id: String,
    /// The owner's account id.
    pub account: String,
    /// The product's id in `event.toml`.
    pub product: String,
    /// The product's name at the time of the order.
    pub product_name: String,
    /// The amount due now, or the amount paid.
    pub price: Money,
    /// The price without a coupon.
    pub full_price: Money,
    /// The gateway's id of the price, if the price is kept there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_bird: Option<EarlyBird>,
    /// Sent to the gateway for its receipt.
    pub email: EmailAddress,
    pub state: OrderState,
    /// Never empty; the last one is current.
    pub attempts: Vec<Attempt>,
    pub payments: Vec<Payment>,
    /// The gateway's ids of all payments.
    pub intents: Vec<String>,
    #[serde(rename = "returns", default, skip_serializing_if = "Vec::is_empty")]
    pub reversals: Vec<Reversal>,
    /// When to ask the gateway if no event arrives.
    pub ask_at: Timestamp,
    pub created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paid_at: Option<Timestamp>,
}

impl Document for Order {
    const COLLECTION: &'static str = "orders";
    const VERSION: u32 = 2;
    const MIGRATIONS: &'static [Migration] = &[with_prices_of_attempts];
    const INDEXES: &'static [Index] =
        &[Index::on("orders_by_account", &["account"]), Index::on("orders_to_ask", &["state", "askAt"])];
    fn id(&self) -> &str {
        &self.id
    }
}

/// Version 2: attempts have their own price, and orders the time to ask the gateway.
fn with_prices_of_attempts(mut order: serde_json::Value) -> serde_json::Value {
    let (price, made) = (order["price"].clone(), order["createdAt"].clone());
    for attempt in order["attempts"].as_array_mut().into_iter().flatten() {
        attempt["price"] = price.clone();
    }
    order["fullPrice"] = price;
    order["askAt"] = made;
    order["intents"] = serde_json::json!([]);
    order
}

/// An accepted event. Its id prevents the event from being applied twice.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StripeEvent {
    /// The gateway's id of the event.
    pub id: String,
    /// Such as `checkout.session.completed`.
    pub kind: String,
    /// Absent if the event is not about one of our orders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    pub received_at: Timestamp,
}

impl StripeEvent {
    /// How long an event is kept. Stripe retries for three days, and sends events again on request for thirty.
    pub const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);
}

impl Document for StripeEvent {
    const COLLECTION: &'static str = "stripe_events";
    const VERSION: u32 = 2;
    const MIGRATIONS: &'static [Migration] = &[with_kind];
    const INDEXES: &'static [Index] = &[Index::on("stripe_events_by_age", &["receivedAt"])];
    fn id(&self) -> &str {
        &self.id
    }
}

/// Version 2: the event's kind, unknown for older events.
fn with_kind(mut event: serde_json::Value) -> serde_json::Value {
    event["kind"] = "".into();
    event
}

/// The effect of an event on an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Paid,
    Processing,
    /// The payment failed. The order can be paid again.
    Reopened,
    Expired,
    /// A payment was recorded that did not settle the order.
    Flagged(PaymentFlag),
    /// A refund or a dispute was recorded.
    Reversed,
    /// None.
    Unchanged,
}

/// The event is not about this order.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event is about another order or another checkout")]
pub struct NotOurs;

/// Why an order can't be paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    #[error("the order is paid")]
    Paid,
    #[error("a payment is being processed")]
    Processing,
    #[error("the order is cancelled or waived")]
    NotOwed,
    #[error("a payment is under review")]
    UnderReview,
}

/// The next step towards a checkout that can be paid.
#[derive(Debug, PartialEq)]
pub enum Step<'a> {
    /// The attempt has a checkout.
    Ready(&'a Attempt),
    /// The attempt's checkout has yet to be opened.
    Unopened(&'a Attempt),
    /// The last attempt has ended; the next one has yet to be made.
    Ended,
}

impl Attempt {
    /// When it was made.
    pub fn made_at(&self) -> Timestamp {
        self.expires_at.minus(CHECKOUT_LIFETIME)
    }
}

impl Order {
    /// A new order of `product` for `account`, with its first attempt.
    pub fn open(id: String, account: &str, product: &Product, email: EmailAddress, now: Timestamp) -> Self {
        let early_bird = product.early_bird.as_ref().map(|early| EarlyBird {
            coupon: early.coupon.clone(),
            price: early.price,
            until: early.until,
        });
        let mut order = Self {
            id,
            account: account.to_owned(),
            product: product.id.clone(),
            product_name: product.name.clone(),
            price: product.price,
            full_price: product.price,
            price_id: product.stripe_price.clone(),
            early_bird,
            email,
            state: OrderState::Open,
            attempts: vec![],
            payments: vec![],
            intents: vec![],
            reversals: vec![],
            ask_at: now.plus(EVENT_DELAY),
            created_at: now,
            paid_at: None,
        };
        order.make_attempt(1, None, now);
        order
    }

    /// Adds an attempt with the price that applies now.
    fn make_attempt(&mut self, number: u32, return_to: Option<Url>, now: Timestamp) {
        let early = self.early_bird.as_ref().filter(|early| now < early.until);
        let attempt = Attempt {
            number,
            idempotency_key: format!("{}:{number}", self.id),
            expires_at: now.plus(CHECKOUT_LIFETIME),
            price: early.map_or(self.full_price, |early| early.price),
            coupon: early.map(|early| early.coupon.clone()),
            return_to,
            state: AttemptState::Live,
            session: None,
            url: None,
            opened_at: None,
            ended_at: None,
        };
        self.price = attempt.price;
        self.attempts.push(attempt);
        self.ask_at = now.plus(EVENT_DELAY);
    }

    /// The current attempt: the last one.
    pub fn attempt(&self) -> &Attempt {
        self.attempts.last().expect("an order has an attempt from the start")
    }

    /// The page where it can be paid now.
    pub fn checkout_url(&self) -> Option<&str> {
        match self.step() {
            Ok(Step::Ready(attempt)) => attempt.url.as_deref(),
            _ => None,
        }
    }

    /// The next step towards a checkout that can be paid.
    ///
    /// # Errors
    /// [`Closed`] if the order can't be paid.
    pub fn step(&self) -> Result<Step<'_>, Closed> {
        match self.state {
            OrderState::Paid
            | OrderState::PartiallyRefunded
            | OrderState::Refunded
            | OrderState::Disputed => Err(Closed::Paid),
            OrderState::Processing => Err(Closed::Processing),
            OrderState::Cancelled | OrderState::Waived => Err(Closed::NotOwed),
            OrderState::Open | OrderState::Expired if !self.payments.is_empty() => Err(Closed::UnderReview),
            OrderState::Open | OrderState::Expired => Ok(match self.attempt() {
                attempt if attempt.state != AttemptState::Live => Step::Ended,
                attempt if attempt.url.is_none() => Step::Unopened(attempt),
                attempt => Step::Ready(attempt),
            }),
        }
    }

    /// Sets the base of the addresses that the current checkout returns to, if none is set.
    pub fn set_return_url(&mut self, pages: &Url) {
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.return_to.get_or_insert_with(|| pages.clone());
        }
    }

    /// Makes the next attempt if the last one has ended.
    pub fn try_again(&mut self, pages: &Url, now: Timestamp) {
        if self.step() == Ok(Step::Ended) {
            self.make_attempt(self.attempt().number + 1, Some(pages.clone()), now);
            self.state = OrderState::Open;
        }
    }

    /// Replaces attempt `number`, whose checkout the gateway rejected: nothing can be paid with that one.
    pub fn replace_refused(&mut self, number: u32, pages: &Url, now: Timestamp) {
        if matches!(self.step(), Ok(Step::Unopened(attempt)) if attempt.number == number) {
            self.attempts.pop();
            self.make_attempt(number + 1, Some(pages.clone()), now);
        }
    }

    /// Records the checkout that the gateway opened for attempt `number`.
    pub fn opened(&mut self, number: u32, checkout: &Checkout, now: Timestamp) {
        let attempt = self.attempts.iter_mut().find(|attempt| attempt.number == number);
        if let Some(attempt) = attempt.filter(|attempt| attempt.url.is_none()) {
            attempt.session = Some(checkout.session.clone());
            attempt.url = checkout.url.clone();
            attempt.opened_at = Some(now);
        }
    }

    /// Schedules the next question to the gateway. The older the attempt, the longer the pause.
    pub fn ask_later(&mut self, now: Timestamp) {
        let waited = now.since(self.attempt().made_at());
        self.ask_at = now.plus(EVENT_DELAY.max(waited / 4));
    }

    /// The checkout request for `attempt`. It is the same every time.
    pub fn request(&self, attempt: &Attempt) -> CheckoutRequest {
        let back = |page: &str| {
            let base = attempt.return_to.as_ref().map_or("", |url| url.as_str().trim_end_matches('/'));
            format!("{base}/checkout/{page}?order={}", self.id)
        };
        CheckoutRequest {
            idempotency_key: attempt.idempotency_key.clone(),
            order: self.id.clone(),
            attempt: attempt.number,
            product_name: self.product_name.clone(),
            price: self.full_price,
            price_id: self.price_id.clone(),
            discount: attempt
                .coupon
                .as_ref()
                .map(|coupon| Discount { coupon: coupon.clone(), due: attempt.price }),
            email: self.email.clone(),
            expires_at: attempt.expires_at,
            success_url: back("done"),
            cancel_url: back("back"),
        }
    }

    /// Applies a fact about a checkout. Each fact takes effect once, whether it arrives twice, late or out of order: an
    /// attempt only moves up, and a checkout brings one payment.
    ///
    /// # Errors
    /// [`NotOurs`] if the fact is about another order, or about an unknown checkout without a payment.
    pub fn settle(&mut self, fact: &CheckoutFact, now: Timestamp) -> Result<Outcome, NotOurs> {
        if fact.order != self.id {
            return Err(NotOurs);
        }
        let Some(index) = self.position(fact) else {
            return match fact.reached {
                Reached::Paid => Ok(self.record_payment(fact, Some(PaymentFlag::UnknownSession), now)),
                _ => Err(NotOurs),
            };
        };
        let attempt = &mut self.attempts[index];
        attempt.session.get_or_insert_with(|| fact.session.clone());
        let reached = AttemptState::from(fact.reached);
        if reached <= attempt.state {
            return Ok(Outcome::Unchanged);
        }
        attempt.state = reached;
        attempt.ended_at = (reached != AttemptState::Processing).then_some(now);
        if reached == AttemptState::Paid {
            let due = attempt.price;
            return Ok(self.record_payment(fact, self.flag_for(fact, due), now));
        }
        let is_current = index + 1 == self.attempts.len() && self.awaits_payment();
        Ok(if is_current { self.follow_attempt() } else { Outcome::Unchanged })
    }

    /// The attempt that the fact is about. An attempt whose checkout was opened but never recorded (the process died in
    /// between) is found by its number.
    fn position(&self, fact: &CheckoutFact) -> Option<usize> {
        let recorded = |attempt: &Attempt| attempt.session.as_deref() == Some(&*fact.session);
        let unrecorded =
            |attempt: &Attempt| attempt.session.is_none() && fact.attempt == Some(attempt.number);
        self.attempts.iter().position(recorded).or_else(|| self.attempts.iter().position(unrecorded))
    }

    fn awaits_payment(&self) -> bool {
        matches!(self.state, OrderState::Open | OrderState::Processing | OrderState::Expired)
    }

    fn flag_for(&self, fact: &CheckoutFact, due: Money) -> Option<PaymentFlag> {
        if fact.money != Some(due) {
            return Some(PaymentFlag::AmountDiffers);
        }
        (!self.awaits_payment()).then_some(PaymentFlag::NotOwed)
    }

    fn record_payment(&mut self, fact: &CheckoutFact, flag: Option<PaymentFlag>, now: Timestamp) -> Outcome {
        if self.payments.iter().any(|payment| payment.session == fact.session) {
            return Outcome::Unchanged;
        }
        self.payments.push(Payment {
            session: fact.session.clone(),
            event: fact.id.clone(),
            money: fact.money,
            received_at: now,
            intent: fact.intent.clone(),
            flag,
        });
        self.intents.extend(fact.intent.clone());
        if let Some(flag) = flag {
            return Outcome::Flagged(flag);
        }
        self.price = fact.money.unwrap_or(self.price);
        self.paid_at = Some(now);
        self.state = self.state_of_payment();
        Outcome::Paid
    }

    /// Applies a refund or a dispute. It may arrive before the payment, twice, or in any order: the record only goes up.
    ///
    /// # Errors
    /// [`NotOurs`] if the fact is about another order.
    pub fn reverse(&mut self, fact: &ReversalFact) -> Result<Outcome, NotOurs> {
        if fact.order.as_ref().is_some_and(|order| *order != self.id) {
            return Err(NotOurs);
        }
        let before = (self.reversals.clone(), self.state);
        let position = self.reversals.iter().position(|kept| kept.intent == fact.intent);
        let position = position.unwrap_or_else(|| {
            self.reversals.push(Reversal { intent: fact.intent.clone(), refunded: 0, disputed: false });
            self.reversals.len() - 1
        });
        let kept = &mut self.reversals[position];
        kept.refunded = kept.refunded.max(fact.refunded);
        kept.disputed |= fact.disputed;
        if self.paid_at.is_some() {
            self.state = self.state_of_payment();
        }
        Ok(if before == (self.reversals.clone(), self.state) {
            Outcome::Unchanged
        } else {
            Outcome::Reversed
        })
    }

    /// The state of a paid order, by what is left of the payment that settled it.
    fn state_of_payment(&self) -> OrderState {
        let settling = self.payments.iter().find(|payment| payment.flag.is_none());
        let intent = settling.and_then(|payment| payment.intent.as_ref());
        match self.reversals.iter().find(|kept| Some(&kept.intent) == intent) {
            Some(kept) if kept.disputed => OrderState::Disputed,
            Some(kept) if kept.refunded >= self.price.amount => OrderState::Refunded,
            Some(kept) if kept.refunded > 0 => OrderState::PartiallyRefunded,
            _ => OrderState::Paid,
        }
    }

    fn follow_attempt(&mut self) -> Outcome {
        let (state, outcome) = match self.attempt().state {
            AttemptState::Live | AttemptState::Paid => return Outcome::Unchanged,
            AttemptState::Expired => (OrderState::Expired, Outcome::Expired),
            AttemptState::Processing => (OrderState::Processing, Outcome::Processing),
            AttemptState::Failed => (OrderState::Open, Outcome::Reopened),
        };
        self.state = state;
        outcome
    }
}

impl From<Reached> for AttemptState {
    fn from(reached: Reached) -> Self {
        match reached {
            Reached::Expired => Self::Expired,
            Reached::Processing => Self::Processing,
            Reached::Failed => Self::Failed,
            Reached::Paid => Self::Paid,
        }
    }
}

/// The fact about attempt `number` that the gateway's answer amounts to, with the same id as long as the state is the
/// same. `None` while nothing has happened.
pub fn fact_of(order: &str, number: u32, checkout: &Checkout) -> Option<CheckoutFact> {
    let reached = match checkout.status {
        CheckoutStatus::Open => return None,
        CheckoutStatus::Unpaid => Reached::Processing,
        CheckoutStatus::Failed => Reached::Failed,
        CheckoutStatus::Paid => Reached::Paid,
        CheckoutStatus::Expired => Reached::Expired,
    };
    Some(CheckoutFact {
        id: format!("retrieved:{}:{reached:?}", checkout.session),
        order: order.to_owned(),
        session: checkout.session.clone(),
        attempt: Some(number),
        reached,
        money: checkout.money,
        intent: checkout.intent.clone(),
    })
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
