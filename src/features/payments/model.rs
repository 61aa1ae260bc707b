//! Orders: the amount due, the attempts to pay it, and the payments received.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::gateway::{
    Checkout, CheckoutFact, CheckoutRequest, CheckoutStatus, Discount, Reached, RefundRequest, ReversalFact,
    in_whole_units,
};
use super::places::Place;
use super::waiving::REFUNDED_AS_WAIVED;
use crate::config::{Event, Product};
use crate::kernel::{EmailAddress, Money, Timestamp, faults};
use crate::platform::audit::Action;
use crate::platform::mail::Sample;
use crate::platform::store::{Class, Document, Index, Keep, Migration, Owner, Personal, PersonalField};

/// An unpaid order was cancelled.
pub const ORDER_CANCELLED: Action = Action::new("order.cancelled");

/// An order was waived: nothing has to be paid.
pub const ORDER_WAIVED: Action = Action::new("order.waived");

/// The gateway was asked about all open orders.
pub const ORDERS_RECONCILED: Action = Action::new("orders.reconciled");

/// A refund was recorded, to be sent to the gateway.
pub const REFUND_REQUESTED: Action = Action::new("refund.requested");

/// The longest time for which a checkout can be paid: Stripe's maximum of 24 hours, less a minute for clock skew and a
/// failed first try.
pub const LONGEST_CHECKOUT: Duration = Duration::from_secs(24 * 3600 - 60);

/// The shortest time: Stripe's minimum of 30 minutes, and two more for clock skew and the job that opens a checkout a
/// minute later.
pub const SHORTEST_CHECKOUT: Duration = Duration::from_secs(32 * 60);

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
    /// Waived before it was paid. An order that is waived later keeps its state: see [`Order::waived_at`].
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
    pub made_at: Timestamp,
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
    /// The product's feature declined it, for example because nothing was left to sell. It is refunded automatically.
    Declined,
    /// It arrived after the order was waived. It is refunded automatically.
    Waived,
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

/// A refund that we ask the gateway for. Everything that is sent is fixed when the refund is recorded, so that it can be
/// sent again unchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderRefund {
    /// From 1.
    pub number: u32,
    /// `<order>:refund:<number>`.
    pub idempotency_key: String,
    /// As [`Payment::intent`].
    pub intent: String,
    pub amount: Money,
    /// Why, in a few words, for the people who keep the books.
    pub reason: String,
    pub state: RefundState,
    pub requested_at: Timestamp,
    /// The gateway's id of the refund, once it has accepted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

/// The state of a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RefundState {
    /// Recorded; the gateway has not answered yet.
    Requested,
    /// The gateway has accepted it: the money is on its way back.
    Accepted,
    /// The gateway has rejected it: nothing was refunded.
    Rejected,
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

/// Name of the email about a payment that was declined, `payment-declined:<session>`, which `features::products` renders.
pub const PAYMENT_DECLINED: &str = "payment-declined";

/// What an email about an order is about.
#[derive(Serialize, Deserialize)]
pub struct AboutOrder {
    /// Id of the account that has the order.
    pub account: String,
    /// Id of the order.
    pub order: String,
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
    /// The place that it has, also of a product without a capacity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Never empty; the last one is current.
    pub attempts: Vec<Attempt>,
    pub payments: Vec<Payment>,
    /// The gateway's ids of all payments.
    pub intents: Vec<String>,
    /// The gateway's id of the payment that settled the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paid_intent: Option<String>,
    #[serde(rename = "returns", default, skip_serializing_if = "Vec::is_empty")]
    pub reversals: Vec<Reversal>,
    /// The refunds that we asked for, in ascending order of their numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refunds: Vec<OrderRefund>,
    /// When to ask the gateway if no event arrives.
    pub ask_at: Timestamp,
    pub created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paid_at: Option<Timestamp>,
    /// When it was waived. From then on nothing is owed: what was paid before is refunded, and what arrives later, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waived_at: Option<Timestamp>,
}

impl Document for Order {
    const COLLECTION: &'static str = "orders";
    const VERSION: u32 = 4;
    const MIGRATIONS: &'static [Migration] = &[with_prices_of_attempts, with_times_of_attempts, with_place];
    const INDEXES: &'static [Index] = &[
        Index::on("orders_by_account", &["account"]),
        Index::on("orders_to_ask", &["state", "askAt"]),
        Index::on("orders_by_paid_intent", &["paidIntent"]),
        Index::on("orders_by_product", &["product", "id"]),
    ];
    const PERSONAL: Personal = Personal::Of(
        Owner::Account("account"),
        &[
            PersonalField::new("email", Class::Contact),
            PersonalField::new("product", Class::Payment),
            PersonalField::new("place", Class::Payment),
            PersonalField::new("productName", Class::Payment),
            PersonalField::new("price", Class::Payment),
            PersonalField::new("fullPrice", Class::Payment),
            PersonalField::new("attempts", Class::Payment),
            PersonalField::new("intents", Class::Payment),
            PersonalField::new("paidIntent", Class::Payment),
            PersonalField::new("payments", Class::Payment),
            PersonalField::new("returns", Class::Payment),
            PersonalField::new("refunds", Class::Payment),
            PersonalField::new("createdAt", Class::Activity),
            PersonalField::new("paidAt", Class::Activity),
            PersonalField::new("waivedAt", Class::Activity),
        ],
    );
    const KEEP: Keep =
        Keep::until_disposal("the books: what was owed, paid and refunded; amounts stay without the person");

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

/// Version 3: attempts have the time when they were made, orders the payment that settled them, and amounts are in the
/// units that people write.
fn with_times_of_attempts(mut order: serde_json::Value) -> serde_json::Value {
    for attempt in order["attempts"].as_array_mut().into_iter().flatten() {
        // Until this version every checkout had the same lifetime.
        let expires_at = serde_json::from_value::<Timestamp>(attempt["expiresAt"].clone());
        attempt["madeAt"] = expires_at.map_or_else(
            |_| attempt["expiresAt"].clone(),
            |expires_at| expires_at.minus(LONGEST_CHECKOUT).rfc3339().into(),
        );
    }
    let payments = order["payments"].as_array().into_iter().flatten();
    let paid =
        payments.filter(|payment| payment.get("flag").is_none()).find_map(|payment| payment.get("intent"));
    if let Some(intent) = paid.cloned() {
        order["paidIntent"] = intent;
    }
    in_whole_units(order)
}

/// Version 4: the place that the order has.
fn with_place(mut order: serde_json::Value) -> serde_json::Value {
    let live =
        order["attempts"].as_array().and_then(|all| all.last()).is_some_and(|last| last["state"] == "live");
    let place = match order["state"].as_str().unwrap_or_default() {
        "open" if live => "held",
        // A payment under review.
        "open" if order["payments"].as_array().is_some_and(|all| !all.is_empty()) => "held",
        "processing" => "held",
        "paid" | "partiallyRefunded" | "disputed" | "waived" => "sold",
        "refunded" if order.get("waivedAt").is_some() => "sold",
        _ => return order,
    };
    order["place"] = place.into();
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
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep =
        Keep::lasting(Self::KEPT, "an event takes effect once; Stripe can send it again for 30 days");

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
    #[error("the payment was refunded")]
    Refunded,
    #[error("a payment is under review")]
    UnderReview,
}

/// The decision of a product's feature about a payment that would settle an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owed {
    /// The payment settles the order.
    Honour,
    /// The payment is refunded, for this reason.
    Refund(String),
}

/// How an order is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Only an unpaid order can be cancelled.
    Cancelled,
    /// Nothing is owed any more: the product's feature proceeds as if the order was paid, and payments are refunded.
    Waived,
}

/// Why an order can't be refunded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRefundable {
    #[error("the order is not paid")]
    NotPaid,
    #[error("the payment is disputed: the bank decides")]
    Disputed,
    #[error("nothing is left to refund")]
    NothingLeft,
    #[error("the gateway never reported the payment's id")]
    NoPayment,
    #[error("the amount must be chargeable and at most {left}")]
    BadAmount { left: Money },
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

impl Order {
    /// A new order of `product` for `account`, with its first attempt. [`Payments::begin`](super::Payments::begin) sets the
    /// lifetime of the product's checkouts.
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
            place: None,
            attempts: vec![],
            payments: vec![],
            intents: vec![],
            paid_intent: None,
            reversals: vec![],
            refunds: vec![],
            ask_at: now.plus(EVENT_DELAY),
            created_at: now,
            paid_at: None,
            waived_at: None,
        };
        order.make_attempt(1, None, LONGEST_CHECKOUT, now);
        order
    }

    /// An order of the orientation ticket for samples of emails, of nobody.
    pub fn sample(event: &Event, now: Timestamp) -> Self {
        let product = event.product(Product::ORIENTATION).expect("every event sells the orientation ticket");
        let email = EmailAddress::parse(Sample::ADDRESS).expect("an address");
        Self::open("01997c00-0000-7000-8000-00000000abcd".into(), "", product, email, now)
    }

    /// Adds an attempt with the price that applies now.
    fn make_attempt(&mut self, number: u32, return_to: Option<Url>, lifetime: Duration, now: Timestamp) {
        let early = self.early_bird.as_ref().filter(|early| now < early.until);
        let attempt = Attempt {
            number,
            idempotency_key: format!("{}:{number}", self.id),
            made_at: now,
            expires_at: now.plus(lifetime.clamp(SHORTEST_CHECKOUT, LONGEST_CHECKOUT)),
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
            OrderState::Paid | OrderState::PartiallyRefunded | OrderState::Disputed => Err(Closed::Paid),
            OrderState::Refunded => Err(Closed::Refunded),
            OrderState::Processing => Err(Closed::Processing),
            OrderState::Cancelled | OrderState::Waived => Err(Closed::NotOwed),
            OrderState::Open | OrderState::Expired if self.has_unsettled_payment() => {
                Err(Closed::UnderReview)
            }
            OrderState::Open | OrderState::Expired => Ok(self.next_step()),
        }
    }

    /// Whether its checkout has ended unpaid, so that the next one can be opened.
    pub fn can_be_reopened(&self) -> bool {
        self.step() == Ok(Step::Ended)
    }

    /// Until when its checkout can be paid and keeps a place.
    pub fn hold_ends_at(&self) -> Option<Timestamp> {
        match self.step() {
            Ok(Step::Ready(attempt) | Step::Unopened(attempt)) => Some(attempt.expires_at),
            _ => None,
        }
    }

    /// The next step as far as the current attempt tells, whatever the state of the order.
    fn next_step(&self) -> Step<'_> {
        match self.attempt() {
            attempt if attempt.state != AttemptState::Live => Step::Ended,
            attempt if attempt.url.is_none() => Step::Unopened(attempt),
            attempt => Step::Ready(attempt),
        }
    }

    /// Whether a payment arrived that did not settle the order and has not been refunded.
    pub(super) fn has_unsettled_payment(&self) -> bool {
        self.payments.iter().filter(|payment| payment.flag.is_some()).any(|payment| {
            let refunded = payment.intent.as_ref().map_or(0, |intent| self.refunded(intent));
            payment.money.is_none_or(|money| refunded < money.amount)
        })
    }

    /// Sets the base of the addresses that the first checkout returns to, and how long it can be paid, before the gateway
    /// is asked for it.
    pub fn prepare(&mut self, pages: &Url, lifetime: Duration) {
        let lifetime = lifetime.clamp(SHORTEST_CHECKOUT, LONGEST_CHECKOUT);
        if let Some(attempt) = self.attempts.last_mut().filter(|attempt| attempt.return_to.is_none()) {
            attempt.return_to = Some(pages.clone());
            attempt.expires_at = attempt.made_at.plus(lifetime);
        }
    }

    /// Makes the next attempt if the last one has ended.
    pub fn try_again(&mut self, pages: &Url, lifetime: Duration, now: Timestamp) {
        if self.step() == Ok(Step::Ended) {
            self.make_attempt(self.attempt().number + 1, Some(pages.clone()), lifetime, now);
            self.state = OrderState::Open;
        }
    }

    /// Replaces attempt `number`, whose checkout the gateway rejected: nothing can be paid with that one.
    pub fn replace_rejected(&mut self, number: u32, pages: &Url, lifetime: Duration, now: Timestamp) {
        if matches!(self.step(), Ok(Step::Unopened(attempt)) if attempt.number == number) {
            self.attempts.pop();
            self.make_attempt(number + 1, Some(pages.clone()), lifetime, now);
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
        let waited = now.since(self.attempt().made_at);
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
    /// attempt only moves up, and a checkout brings one payment. `owed` is the decision of the product's feature about a
    /// payment that [would settle](Self::would_settle) the order.
    ///
    /// # Errors
    /// [`NotOurs`] if the fact is about another order, or about an unknown checkout without a payment.
    pub fn settle(&mut self, fact: &CheckoutFact, owed: &Owed, now: Timestamp) -> Result<Outcome, NotOurs> {
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
            let flag = self.flag_for(fact, due, owed);
            let outcome = self.record_payment(fact, flag, now);
            if self.state == OrderState::Processing {
                // The bank has answered, although the payment doesn't settle the order.
                self.state = if self.is_waived() { OrderState::Waived } else { OrderState::Open };
            }
            if let (Outcome::Flagged(PaymentFlag::Declined), Owed::Refund(reason)) = (outcome, owed) {
                self.refund_last_payment(reason, now);
            }
            return Ok(outcome);
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

    /// Whether the fact reports a payment that settles the order, if the product's feature honours it.
    pub fn would_settle(&self, fact: &CheckoutFact) -> bool {
        let attempt = self.position(fact).map(|index| &self.attempts[index]);
        fact.reached == Reached::Paid
            && !self.is_waived()
            && attempt.is_some_and(|attempt| {
                attempt.state != AttemptState::Paid
                    && self.flag_for(fact, attempt.price, &Owed::Honour).is_none()
            })
    }

    fn awaits_payment(&self) -> bool {
        matches!(self.state, OrderState::Open | OrderState::Processing | OrderState::Expired)
    }

    fn flag_for(&self, fact: &CheckoutFact, due: Money, owed: &Owed) -> Option<PaymentFlag> {
        match owed {
            _ if fact.money != Some(due) => Some(PaymentFlag::AmountDiffers),
            _ if !self.awaits_payment() => Some(PaymentFlag::NotOwed),
            Owed::Refund(_) => Some(PaymentFlag::Declined),
            Owed::Honour => None,
        }
    }

    fn record_payment(&mut self, fact: &CheckoutFact, flag: Option<PaymentFlag>, now: Timestamp) -> Outcome {
        if self.payments.iter().any(|payment| payment.session == fact.session) {
            return Outcome::Unchanged;
        }
        let flag = if self.is_waived() { Some(PaymentFlag::Waived) } else { flag };
        self.payments.push(Payment {
            session: fact.session.clone(),
            event: fact.id.clone(),
            money: fact.money,
            received_at: now,
            intent: fact.intent.clone(),
            flag,
        });
        self.intents.extend(fact.intent.clone());
        if flag == Some(PaymentFlag::Waived) && faults::guarded("pay.refund-waived") {
            self.refund_last_payment(REFUNDED_AS_WAIVED, now);
        }
        if let Some(flag) = flag {
            return Outcome::Flagged(flag);
        }
        self.price = fact.money.unwrap_or(self.price);
        self.paid_at = Some(now);
        self.paid_intent.clone_from(&fact.intent);
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
        Ok(self.record_reversal(&fact.intent, fact.refunded, fact.disputed))
    }

    fn record_reversal(&mut self, intent: &str, refunded: i64, disputed: bool) -> Outcome {
        let before = (self.reversals.clone(), self.state);
        let position = self.reversals.iter().position(|reversal| reversal.intent == intent);
        let position = position.unwrap_or_else(|| {
            self.reversals.push(Reversal { intent: intent.to_owned(), refunded: 0, disputed: false });
            self.reversals.len() - 1
        });
        let reversal = &mut self.reversals[position];
        reversal.refunded = reversal.refunded.max(refunded);
        reversal.disputed |= disputed;
        if self.paid_at.is_some() {
            self.state = self.state_of_payment();
        }
        if before == (self.reversals.clone(), self.state) { Outcome::Unchanged } else { Outcome::Reversed }
    }

    /// The total refunded of a payment.
    pub(super) fn refunded(&self, intent: &str) -> i64 {
        self.reversals
            .iter()
            .find(|reversal| reversal.intent == intent)
            .map_or(0, |reversal| reversal.refunded)
    }

    /// Whether the payment that settled the order was refunded in full.
    pub(super) fn is_refunded_in_full(&self) -> bool {
        self.paid_intent.as_ref().is_some_and(|intent| self.refunded(intent) >= self.price.amount)
    }

    /// The state of a paid order, by what is left of the payment that settled it.
    fn state_of_payment(&self) -> OrderState {
        let reversal =
            self.reversals.iter().find(|reversal| Some(&reversal.intent) == self.paid_intent.as_ref());
        match reversal {
            Some(reversal) if reversal.disputed => OrderState::Disputed,
            Some(reversal) if reversal.refunded >= self.price.amount => OrderState::Refunded,
            Some(reversal) if reversal.refunded > 0 => OrderState::PartiallyRefunded,
            _ => OrderState::Paid,
        }
    }

    /// Closes the order as `ending`. `expired` is the checkout that the gateway has just expired. Returns false if a
    /// checkout may still be paid: it has to be expired first.
    ///
    /// # Errors
    /// [`Closed`] if the order can't be cancelled.
    pub fn close(&mut self, ending: Ending, expired: Option<&str>, now: Timestamp) -> Result<bool, Closed> {
        let over = match self.step_to_close(ending)? {
            Step::Ended => true,
            Step::Ready(attempt) => attempt.session.is_some() && attempt.session.as_deref() == expired,
            Step::Unopened(_) => false,
        };
        if over {
            if let Some(attempt) =
                self.attempts.last_mut().filter(|attempt| attempt.state == AttemptState::Live)
            {
                attempt.state = AttemptState::Expired;
                attempt.ended_at = Some(now);
            }
            match ending {
                Ending::Cancelled => self.state = OrderState::Cancelled,
                Ending::Waived => self.waive(now),
            }
        }
        Ok(over)
    }

    /// The next step towards a checkout that can be paid, which must be over before the order is closed as `ending`.
    ///
    /// # Errors
    /// [`Closed`] if the order can't be cancelled.
    pub fn step_to_close(&self, ending: Ending) -> Result<Step<'_>, Closed> {
        match ending {
            Ending::Cancelled => self.step(),
            Ending::Waived => Ok(self.next_step()),
        }
    }

    /// Records a refund of the payment that settled the order: `amount`, or all that is left. Returns its number.
    ///
    /// # Errors
    /// [`NotRefundable`]
    pub fn request_refund(
        &mut self,
        amount: Option<Money>,
        reason: &str,
        now: Timestamp,
    ) -> Result<u32, NotRefundable> {
        match self.state {
            OrderState::Paid | OrderState::PartiallyRefunded => {}
            OrderState::Refunded => return Err(NotRefundable::NothingLeft),
            OrderState::Disputed => return Err(NotRefundable::Disputed),
            _ => return Err(NotRefundable::NotPaid),
        }
        let intent = self.paid_intent.clone().ok_or(NotRefundable::NoPayment)?;
        let left = self.left_of(&intent, self.price);
        let amount = amount.unwrap_or(left);
        if left.amount <= 0 {
            return Err(NotRefundable::NothingLeft);
        }
        if amount.currency != left.currency
            || amount.amount > left.amount
            || amount.check_chargeable().is_err()
        {
            return Err(NotRefundable::BadAmount { left });
        }
        Ok(self.record_refund(intent, amount, reason, now))
    }

    /// The part of a payment of `money` that has been neither refunded nor requested.
    pub(super) fn left_of(&self, intent: &str, money: Money) -> Money {
        let requested =
            |refund: &&OrderRefund| refund.intent == intent && refund.state == RefundState::Requested;
        let requested: i64 = self.refunds.iter().filter(requested).map(|refund| refund.amount.amount).sum();
        Money { amount: money.amount - self.refunded(intent) - requested, ..money }
    }

    pub(super) fn record_refund(
        &mut self,
        intent: String,
        amount: Money,
        reason: &str,
        now: Timestamp,
    ) -> u32 {
        let number = self.refunds.last().map_or(1, |last| last.number + 1);
        self.refunds.push(OrderRefund {
            number,
            idempotency_key: format!("{}:refund:{number}", self.id),
            intent,
            amount,
            reason: reason.to_owned(),
            state: RefundState::Requested,
            requested_at: now,
            gateway_id: None,
            ended_at: None,
        });
        number
    }

    /// The request for refund `number`, if the gateway has not answered it. It is the same every time.
    pub fn refund_request(&self, number: u32) -> Option<RefundRequest> {
        let refund = self.refunds.iter().find(|refund| refund.number == number)?;
        (refund.state == RefundState::Requested).then(|| RefundRequest {
            idempotency_key: refund.idempotency_key.clone(),
            order: self.id.clone(),
            intent: refund.intent.clone(),
            amount: refund.amount,
        })
    }

    /// Records the gateway's answer to refund `number`: the id of the refund, or `None` if it was rejected.
    pub fn refund_answered(&mut self, number: u32, gateway_id: Option<&str>, now: Timestamp) -> Outcome {
        let requested =
            |refund: &&mut OrderRefund| refund.number == number && refund.state == RefundState::Requested;
        let Some(refund) = self.refunds.iter_mut().find(requested) else { return Outcome::Unchanged };
        refund.state = if gateway_id.is_some() { RefundState::Accepted } else { RefundState::Rejected };
        refund.gateway_id = gateway_id.map(str::to_owned);
        refund.ended_at = Some(now);
        if gateway_id.is_none() {
            return Outcome::Unchanged;
        }
        let intent = refund.intent.clone();
        // Refunds made in the gateway's own dashboard come on top, by event.
        let accepted =
            |refund: &&OrderRefund| refund.intent == intent && refund.state == RefundState::Accepted;
        let accepted = self.refunds.iter().filter(accepted).map(|refund| refund.amount.amount).sum();
        self.record_reversal(&intent, accepted, false)
    }

    fn follow_attempt(&mut self) -> Outcome {
        if self.is_waived() {
            return self.follow_attempt_of_waived();
        }
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
pub(super) mod tests;
