//! Orders: what is owed, the attempts to pay it, the money that came.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::gateway::{Checkout, CheckoutRequest, Discount};
use crate::config::Product;
use crate::kernel::{EmailAddress, Money, Timestamp};
use crate::platform::store::{Document, Index, Migration};

/// How long a checkout can be paid: Stripe's default and most, 24 hours, less a minute in which the two clocks
/// may differ and a first try may fail.
pub const CHECKOUT_LIFETIME: Duration = Duration::from_secs(24 * 3600 - 60);

/// How long the gateway's events are waited for before it is asked.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OrderState {
    /// Can be paid.
    Open,
    /// The student has done their part; the bank has not answered yet.
    Processing,
    Paid,
    /// The checkout ended unpaid. It can be paid again with another.
    Expired,
    Cancelled,
    /// Not owed any more: a bursary was approved.
    Waived,
    PartiallyRefunded,
    Refunded,
    /// The payer asks their bank for the money back.
    Disputed,
}

/// How far an attempt has come. It only ever goes up: whatever comes twice, late or out of order finds it there
/// already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AttemptState {
    /// Not ended, as far as the gateway has told.
    Live,
    Expired,
    Processing,
    Failed,
    Paid,
}

/// One try to be paid. All that is sent to the gateway is fixed when it is made, so that it can be sent again
/// unchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// `<order>:<number>`.
    pub idempotency_key: String,
    pub expires_at: Timestamp,
    /// What is to come by it.
    pub price: Money,
    /// The gateway's coupon that makes it so much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coupon: Option<String>,
    /// The base of the addresses to which the checkout leads back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_to: Option<Url>,
    pub state: AttemptState,
    /// The gateway's id of the checkout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Where the student pays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

/// Why money that came was kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PaymentFlag {
    /// Amount or currency is not what the order asks for: somebody has to look.
    AmountDiffers,
    /// The order needed no money any more: to be refunded.
    NotOwed,
    /// It came by a checkout that the order doesn't know: somebody has to look.
    UnknownSession,
}

/// Money that came. Never removed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    /// The checkout by which it came: one payment each.
    pub session: String,
    /// The event that told.
    pub event: String,
    /// As the gateway said; none if it didn't say or named a currency that isn't one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub money: Option<Money>,
    pub received_at: Timestamp,
    /// The gateway's id of the payment itself, by which refunds and disputes name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// None: it settled the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flag: Option<PaymentFlag>,
}

/// What became of money after it came. Kept apart from the payments, since it may be told before them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Return {
    /// As [`Payment::intent`].
    pub intent: String,
    /// How much of it was paid back, in minor units. It only goes up.
    pub refunded: i64,
    /// Somebody asked their bank for it.
    pub disputed: bool,
}

/// A lower price for those who order early.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EarlyBird {
    /// The gateway's id of the coupon.
    pub coupon: String,
    /// What is left to pay with it.
    pub price: Money,
    /// It counts for attempts made before.
    pub until: Timestamp,
}

/// Something that is sold to an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    pub id: String,
    /// Whose it is.
    pub account: String,
    /// The product's id in `event.toml`.
    pub product: String,
    /// Its name when it was ordered.
    pub product_name: String,
    /// What is asked now, or was paid.
    pub price: Money,
    /// What it costs without a coupon.
    pub full_price: Money,
    /// The gateway's id of the price, where it keeps one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_bird: Option<EarlyBird>,
    /// Given to the gateway for its receipt.
    pub email: EmailAddress,
    pub state: OrderState,
    /// Never empty; the last is the one that counts.
    pub attempts: Vec<Attempt>,
    pub payments: Vec<Payment>,
    /// The payments' own ids at the gateway.
    pub intents: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub returns: Vec<Return>,
    /// If nothing is told until then, the gateway is asked.
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

/// Version 2: what is to come is fixed in the attempt, and the gateway is asked about what it didn't tell.
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

/// An event that was believed: its id stands for having been seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StripeEvent {
    /// The gateway's id of the event.
    pub id: String,
    /// Such as `checkout.session.completed`.
    pub kind: String,
    /// Left out where it is about none of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    pub received_at: Timestamp,
}

impl StripeEvent {
    /// How long its id is kept: Stripe tells for three days by itself, and for thirty when somebody asks it to.
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

/// Version 2: the kind of an event is kept; of the older ones it is not known.
fn with_kind(mut event: serde_json::Value) -> serde_json::Value {
    event["kind"] = "".into();
    event
}

/// What the gateway tells about one checkout.
#[derive(Clone, Debug, PartialEq)]
pub struct PaymentEvent {
    pub id: String,
    pub order: String,
    pub session: String,
    /// The attempt's number, which we gave to the checkout.
    pub attempt: Option<u32>,
    /// How far the checkout has come.
    pub reached: AttemptState,
    pub money: Option<Money>,
    /// The gateway's id of the payment, once there is one.
    pub intent: Option<String>,
}

/// What the gateway tells about money that came.
#[derive(Clone, Debug, PartialEq)]
pub struct ReturnEvent {
    pub id: String,
    /// Our order, where the event names it; otherwise it is found by the payment.
    pub order: Option<String>,
    /// The payment, as [`Payment::intent`].
    pub intent: String,
    /// How much of it has been paid back altogether, in minor units.
    pub refunded: i64,
    pub disputed: bool,
}

/// What an event did to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Paid,
    Processing,
    /// The payment failed: it can be tried again.
    Reopened,
    Expired,
    /// Money was kept apart.
    Flagged(PaymentFlag),
    /// Money went back, or is asked back.
    Returned,
    /// The order stays as it is.
    Unchanged,
}

/// An event is not about this order.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event is about another order or another checkout")]
pub struct NotOurs;

/// Why an order is not to be paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    #[error("the order is paid")]
    Paid,
    #[error("a payment is on its way")]
    Processing,
    #[error("the order is cancelled or waived")]
    NotOwed,
    #[error("a payment came that somebody has to look at")]
    UnderReview,
}

/// What the way to a checkout needs next.
#[derive(Debug, PartialEq)]
pub enum Step<'a> {
    /// Here it is.
    Ready(&'a Attempt),
    /// The gateway is to be asked for it.
    Unopened(&'a Attempt),
    /// The last attempt has ended: another is to be made.
    Ended,
}

impl Attempt {
    /// When it was made.
    pub fn made_at(&self) -> Timestamp {
        self.expires_at.minus(CHECKOUT_LIFETIME)
    }
}

impl Order {
    /// An order of `product` for `account`, with its first attempt.
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
            returns: vec![],
            ask_at: now.plus(PATIENCE),
            created_at: now,
            paid_at: None,
        };
        order.make_attempt(1, None, now);
        order
    }

    /// Fixes what the gateway will be asked for. The price is that of this moment.
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
        self.ask_at = now.plus(PATIENCE);
    }

    /// The attempt that counts: the last one.
    pub fn attempt(&self) -> &Attempt {
        self.attempts.last().expect("an order has an attempt from the start")
    }

    /// Where it can be paid now.
    pub fn checkout_url(&self) -> Option<&str> {
        match self.step() {
            Ok(Step::Ready(attempt)) => attempt.url.as_deref(),
            _ => None,
        }
    }

    /// What the way to its checkout needs next.
    ///
    /// # Errors
    /// [`Closed`] if it is not to be paid.
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

    /// Fixes where the checkout leads back to, before the gateway is asked for the first time.
    pub fn lead_back_to(&mut self, pages: &Url) {
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.return_to.get_or_insert_with(|| pages.clone());
        }
    }

    /// Makes the next attempt where the last has ended; otherwise nothing.
    pub fn try_again(&mut self, pages: &Url, now: Timestamp) {
        if self.step() == Ok(Step::Ended) {
            self.make_attempt(self.attempt().number + 1, Some(pages.clone()), now);
            self.state = OrderState::Open;
        }
    }

    /// Puts another attempt in the place of attempt `number`, which the gateway refused to open: nothing can be
    /// paid by that one.
    pub fn replace_refused(&mut self, number: u32, pages: &Url, now: Timestamp) {
        if matches!(self.step(), Ok(Step::Unopened(attempt)) if attempt.number == number) {
            self.attempts.pop();
            self.make_attempt(number + 1, Some(pages.clone()), now);
        }
    }

    /// Keeps the checkout that the gateway opened for attempt `number`.
    pub fn opened(&mut self, number: u32, checkout: &Checkout, now: Timestamp) {
        let attempt = self.attempts.iter_mut().find(|attempt| attempt.number == number);
        if let Some(attempt) = attempt.filter(|attempt| attempt.url.is_none()) {
            attempt.session = Some(checkout.session.clone());
            attempt.url = checkout.url.clone();
            attempt.opened_at = Some(now);
        }
    }

    /// The gateway was asked and had nothing new: the longer it has been like that, the later it is asked again.
    pub fn ask_later(&mut self, now: Timestamp) {
        let waited = now.since(self.attempt().made_at());
        self.ask_at = now.plus(PATIENCE.max(waited / 4));
    }

    /// What the gateway is asked for `attempt`. The same every time.
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

    /// Takes in what the gateway tells. Each fact takes effect once, whatever comes twice, late or out of order:
    /// an attempt only goes up, and a checkout brings money once.
    ///
    /// # Errors
    /// [`NotOurs`] if it is about another order, or without money about a checkout that is none of ours.
    pub fn settle(&mut self, event: &PaymentEvent, now: Timestamp) -> Result<Outcome, NotOurs> {
        if event.order != self.id {
            return Err(NotOurs);
        }
        let Some(index) = self.position(event) else {
            return match event.reached {
                AttemptState::Paid => Ok(self.keep(event, Some(PaymentFlag::UnknownSession), now)),
                _ => Err(NotOurs),
            };
        };
        let attempt = &mut self.attempts[index];
        attempt.session.get_or_insert_with(|| event.session.clone());
        if event.reached <= attempt.state {
            return Ok(Outcome::Unchanged);
        }
        attempt.state = event.reached;
        attempt.ended_at = (event.reached != AttemptState::Processing).then_some(now);
        if event.reached == AttemptState::Paid {
            let asked = attempt.price;
            return Ok(self.keep(event, self.fault_of(event, asked), now));
        }
        let counts = index + 1 == self.attempts.len() && self.awaits_money();
        Ok(if counts { self.follow_attempt() } else { Outcome::Unchanged })
    }

    /// The attempt that the event is about. One whose checkout we never heard of (the process died in between)
    /// is known by the number that we gave to the checkout.
    fn position(&self, event: &PaymentEvent) -> Option<usize> {
        let known = |attempt: &Attempt| attempt.session.as_deref() == Some(&*event.session);
        let unheard = |attempt: &Attempt| attempt.session.is_none() && event.attempt == Some(attempt.number);
        self.attempts.iter().position(known).or_else(|| self.attempts.iter().position(unheard))
    }

    fn awaits_money(&self) -> bool {
        matches!(self.state, OrderState::Open | OrderState::Processing | OrderState::Expired)
    }

    fn fault_of(&self, event: &PaymentEvent, asked: Money) -> Option<PaymentFlag> {
        if event.money != Some(asked) {
            return Some(PaymentFlag::AmountDiffers);
        }
        (!self.awaits_money()).then_some(PaymentFlag::NotOwed)
    }

    fn keep(&mut self, event: &PaymentEvent, flag: Option<PaymentFlag>, now: Timestamp) -> Outcome {
        if self.payments.iter().any(|payment| payment.session == event.session) {
            return Outcome::Unchanged;
        }
        self.payments.push(Payment {
            session: event.session.clone(),
            event: event.id.clone(),
            money: event.money,
            received_at: now,
            intent: event.intent.clone(),
            flag,
        });
        self.intents.extend(event.intent.clone());
        if let Some(flag) = flag {
            return Outcome::Flagged(flag);
        }
        self.price = event.money.unwrap_or(self.price);
        self.paid_at = Some(now);
        self.state = self.state_of_money();
        Outcome::Paid
    }

    /// Takes in that money went back or is asked back. It may be told before the money itself, twice, or in any
    /// order: what is kept only goes up.
    ///
    /// # Errors
    /// [`NotOurs`] if it is about another order.
    pub fn give_back(&mut self, event: &ReturnEvent) -> Result<Outcome, NotOurs> {
        if event.order.as_ref().is_some_and(|order| *order != self.id) {
            return Err(NotOurs);
        }
        let before = (self.returns.clone(), self.state);
        let position = self.returns.iter().position(|kept| kept.intent == event.intent);
        let position = position.unwrap_or_else(|| {
            self.returns.push(Return { intent: event.intent.clone(), refunded: 0, disputed: false });
            self.returns.len() - 1
        });
        let kept = &mut self.returns[position];
        kept.refunded = kept.refunded.max(event.refunded);
        kept.disputed |= event.disputed;
        if self.paid_at.is_some() {
            self.state = self.state_of_money();
        }
        Ok(if before == (self.returns.clone(), self.state) { Outcome::Unchanged } else { Outcome::Returned })
    }

    /// Where an order stands whose money came, by what is left of it.
    fn state_of_money(&self) -> OrderState {
        let settling = self.payments.iter().find(|payment| payment.flag.is_none());
        let intent = settling.and_then(|payment| payment.intent.as_ref());
        match self.returns.iter().find(|kept| Some(&kept.intent) == intent) {
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

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
