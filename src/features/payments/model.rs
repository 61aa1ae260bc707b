//! Orders: what is owed, the attempts to pay it, the money that came.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::gateway::{Checkout, CheckoutRequest};
use crate::config::Product;
use crate::kernel::{EmailAddress, Money, Timestamp};
use crate::platform::store::{Document, Index};

/// How long a checkout can be paid: Stripe's default and most, 24 hours, less a minute in which the two clocks
/// may differ and a first try may fail.
pub const CHECKOUT_LIFETIME: Duration = Duration::from_secs(24 * 3600 - 60);

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
    /// None: it settled the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flag: Option<PaymentFlag>,
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
    pub price: Money,
    /// Given to the gateway for its receipt.
    pub email: EmailAddress,
    pub state: OrderState,
    /// Never empty; the last is the one that counts.
    pub attempts: Vec<Attempt>,
    pub payments: Vec<Payment>,
    pub created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paid_at: Option<Timestamp>,
}

impl Document for Order {
    const COLLECTION: &'static str = "orders";
    const INDEXES: &'static [Index] = &[Index::on("orders_by_account", &["account"])];
    fn id(&self) -> &str {
        &self.id
    }
}

/// An event that took effect: its id stands for having been seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StripeEvent {
    /// The gateway's id of the event.
    pub id: String,
    pub order: String,
    pub received_at: Timestamp,
}

impl Document for StripeEvent {
    const COLLECTION: &'static str = "stripe_events";
    fn id(&self) -> &str {
        &self.id
    }
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
    fn new(order: &str, number: u32, return_to: Option<Url>, now: Timestamp) -> Self {
        Self {
            number,
            idempotency_key: format!("{order}:{number}"),
            expires_at: now.plus(CHECKOUT_LIFETIME),
            return_to,
            state: AttemptState::Live,
            session: None,
            url: None,
            opened_at: None,
            ended_at: None,
        }
    }
}

impl Order {
    /// An order of `product` for `account`, with its first attempt.
    pub fn open(id: String, account: &str, product: &Product, email: EmailAddress, now: Timestamp) -> Self {
        Self {
            attempts: vec![Attempt::new(&id, 1, None, now)],
            id,
            account: account.to_owned(),
            product: product.id.clone(),
            product_name: product.name.clone(),
            price: product.price,
            email,
            state: OrderState::Open,
            payments: vec![],
            created_at: now,
            paid_at: None,
        }
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
            let number = self.attempt().number + 1;
            self.attempts.push(Attempt::new(&self.id, number, Some(pages.clone()), now));
            self.state = OrderState::Open;
        }
    }

    /// Puts another attempt in the place of attempt `number`, which the gateway refused to open: nothing can be
    /// paid by that one.
    pub fn replace_refused(&mut self, number: u32, pages: &Url, now: Timestamp) {
        if matches!(self.step(), Ok(Step::Unopened(attempt)) if attempt.number == number) {
            self.attempts.pop();
            self.attempts.push(Attempt::new(&self.id, number + 1, Some(pages.clone()), now));
        }
    }

    /// Keeps the checkout that the gateway opened for attempt `number`.
    pub fn opened(&mut self, number: u32, checkout: &Checkout, now: Timestamp) {
        let attempt = self.attempts.iter_mut().find(|attempt| attempt.number == number);
        if let Some(attempt) = attempt.filter(|attempt| attempt.url.is_none()) {
            attempt.session = Some(checkout.session.clone());
            attempt.url = Some(checkout.url.clone());
            attempt.opened_at = Some(now);
        }
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
            price: self.price,
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
            return Ok(self.keep(event, self.fault_of(event), now));
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

    fn fault_of(&self, event: &PaymentEvent) -> Option<PaymentFlag> {
        if event.money != Some(self.price) {
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
            flag,
        });
        if let Some(flag) = flag {
            return Outcome::Flagged(flag);
        }
        self.state = OrderState::Paid;
        self.paid_at = Some(now);
        Outcome::Paid
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn time(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    fn money(amount: i64, currency: &str) -> Money {
        Money { amount, currency: currency.to_owned().try_into().unwrap() }
    }

    fn pages() -> Url {
        "https://orientation.example.org".parse().unwrap()
    }

    fn order() -> Order {
        let price = money(13_000, "CAD");
        let product = Product { id: "orientation".into(), name: "Orientation ticket".into(), price };
        let email = EmailAddress::parse("ana@example.org").unwrap();
        let mut order = Order::open("o".into(), "a", &product, email, time(0));
        order.lead_back_to(&pages());
        order.opened(1, &checkout("cs_1"), time(1));
        order
    }

    fn checkout(session: &str) -> Checkout {
        Checkout {
            session: session.into(),
            url: format!("https://pay.example/{session}"),
            status: super::super::gateway::CheckoutStatus::Open,
            money: None,
        }
    }

    fn event(attempt: u32, reached: AttemptState) -> PaymentEvent {
        PaymentEvent {
            id: format!("evt_{attempt}_{reached:?}"),
            order: "o".into(),
            session: format!("cs_{attempt}"),
            attempt: Some(attempt),
            reached,
            money: Some(money(13_000, "CAD")),
        }
    }

    fn settle(order: &mut Order, attempt: u32, reached: AttemptState) -> Outcome {
        order.settle(&event(attempt, reached), time(9)).unwrap()
    }

    use AttemptState::{Expired, Failed, Live, Paid, Processing};

    #[test]
    fn what_comes_in_any_order_ends_where_it_must() {
        let cases: &[(&[AttemptState], OrderState, &[Outcome])] = &[
            (&[Paid], OrderState::Paid, &[Outcome::Paid]),
            (&[Paid, Paid], OrderState::Paid, &[Outcome::Paid, Outcome::Unchanged]),
            (&[Processing], OrderState::Processing, &[Outcome::Processing]),
            (&[Processing, Paid], OrderState::Paid, &[Outcome::Processing, Outcome::Paid]),
            (&[Paid, Processing], OrderState::Paid, &[Outcome::Paid, Outcome::Unchanged]),
            (&[Processing, Failed], OrderState::Open, &[Outcome::Processing, Outcome::Reopened]),
            (&[Failed, Processing], OrderState::Open, &[Outcome::Reopened, Outcome::Unchanged]),
            (&[Expired], OrderState::Expired, &[Outcome::Expired]),
            (&[Expired, Expired], OrderState::Expired, &[Outcome::Expired, Outcome::Unchanged]),
            (&[Paid, Expired], OrderState::Paid, &[Outcome::Paid, Outcome::Unchanged]),
            (&[Expired, Paid], OrderState::Paid, &[Outcome::Expired, Outcome::Paid]),
            (&[Processing, Expired], OrderState::Processing, &[Outcome::Processing, Outcome::Unchanged]),
            (
                &[Expired, Processing, Failed],
                OrderState::Open,
                &[Outcome::Expired, Outcome::Processing, Outcome::Reopened],
            ),
        ];
        for (events, state, outcomes) in cases {
            let mut order = order();
            let told: Vec<_> = events.iter().map(|reached| settle(&mut order, 1, *reached)).collect();
            assert_eq!((order.state, &told[..]), (*state, *outcomes), "{events:?}");
        }
    }

    #[test]
    fn the_live_checkout_is_the_one_until_it_ends_and_then_comes_another() {
        let mut order = order();
        assert_eq!(order.checkout_url(), Some("https://pay.example/cs_1"));
        order.try_again(&pages(), time(2));
        assert_eq!(order.attempts.len(), 1, "one at a time");
        settle(&mut order, 1, Expired);
        assert_eq!((order.step(), order.checkout_url()), (Ok(Step::Ended), None));
        order.try_again(&pages(), time(3));
        assert_eq!((order.state, order.attempt().number), (OrderState::Open, 2));
        assert_eq!(order.attempt().idempotency_key, "o:2");
        assert!(matches!(order.step(), Ok(Step::Unopened(_))));
        order.opened(2, &checkout("cs_2"), time(4));
        assert_eq!(order.checkout_url(), Some("https://pay.example/cs_2"));
    }

    #[test]
    fn late_news_of_an_older_attempt_changes_nothing_unless_it_is_money() {
        let mut order = order();
        settle(&mut order, 1, Failed);
        order.try_again(&pages(), time(3));
        order.opened(2, &checkout("cs_2"), time(4));
        assert_eq!(settle(&mut order, 1, Processing), Outcome::Unchanged);
        assert_eq!(settle(&mut order, 1, Expired), Outcome::Unchanged);
        assert_eq!(order.checkout_url(), Some("https://pay.example/cs_2"));
        assert_eq!(settle(&mut order, 1, Paid), Outcome::Paid);
        assert_eq!(settle(&mut order, 2, Paid), Outcome::Flagged(PaymentFlag::NotOwed));
        assert_eq!(order.state, OrderState::Paid);
        let flags: Vec<_> = order.payments.iter().map(|payment| payment.flag).collect();
        assert_eq!(flags, [None, Some(PaymentFlag::NotOwed)], "the second payment is kept");
    }

    #[test]
    fn money_that_does_not_match_is_kept_and_settles_nothing() {
        for wrong in [Some(money(12_999, "CAD")), Some(money(13_000, "USD")), None] {
            let mut order = order();
            let odd = PaymentEvent { money: wrong, ..event(1, Paid) };
            let flagged = Outcome::Flagged(PaymentFlag::AmountDiffers);
            assert_eq!(order.settle(&odd, time(9)), Ok(flagged));
            assert_eq!((order.state, order.paid_at, order.payments.len()), (OrderState::Open, None, 1));
            assert_eq!(order.step(), Err(Closed::UnderReview), "nobody is asked to pay again");
        }
    }

    #[test]
    fn a_checkout_that_nobody_kept_is_known_by_its_attempt() {
        let mut unheard = order();
        unheard.attempts = vec![Attempt::new("o", 1, None, time(0))];
        assert_eq!(settle(&mut unheard, 1, Paid), Outcome::Paid);
        assert_eq!(unheard.attempt().session.as_deref(), Some("cs_1"));
    }

    #[test]
    fn a_checkout_of_nobody_brings_nothing_but_money_for_review() {
        let mut order = order();
        let strange = |reached| PaymentEvent { session: "cs_x".into(), ..event(1, reached) };
        let before = order.clone();
        for reached in [Processing, Failed, Expired] {
            assert_eq!(order.settle(&strange(reached), time(9)), Err(NotOurs));
        }
        assert_eq!(order, before);
        let flagged = Outcome::Flagged(PaymentFlag::UnknownSession);
        assert_eq!(order.settle(&strange(Paid), time(9)), Ok(flagged));
        let other = PaymentEvent { order: "p".into(), ..event(1, Paid) };
        assert_eq!(order.settle(&other, time(9)), Err(NotOurs));
    }

    #[test]
    fn nothing_is_opened_for_what_is_not_owed() {
        let cases = [
            (OrderState::Paid, Closed::Paid),
            (OrderState::PartiallyRefunded, Closed::Paid),
            (OrderState::Refunded, Closed::Paid),
            (OrderState::Disputed, Closed::Paid),
            (OrderState::Processing, Closed::Processing),
            (OrderState::Cancelled, Closed::NotOwed),
            (OrderState::Waived, Closed::NotOwed),
        ];
        for (state, closed) in cases {
            let mut order = Order { state, ..order() };
            assert_eq!(order.step(), Err(closed));
            order.try_again(&pages(), time(2));
            assert_eq!((order.attempts.len(), order.checkout_url()), (1, None));
        }
    }

    #[test]
    fn money_for_what_is_not_owed_is_kept_for_a_refund() {
        for state in [OrderState::Cancelled, OrderState::Waived, OrderState::Refunded] {
            let mut order = Order { state, ..order() };
            assert_eq!(settle(&mut order, 1, Paid), Outcome::Flagged(PaymentFlag::NotOwed));
            assert_eq!((order.state, order.payments.len()), (state, 1));
        }
    }

    #[test]
    fn a_request_is_the_same_every_time_and_a_refused_one_makes_way() {
        let mut order = order();
        settle(&mut order, 1, Failed);
        order.try_again(&pages(), time(3));
        let request = order.request(order.attempt());
        order.lead_back_to(&"https://elsewhere.example.org".parse().unwrap());
        assert_eq!(order.request(order.attempt()), request);
        assert_eq!(request.success_url, "https://orientation.example.org/checkout/done?order=o");
        order.replace_refused(2, &pages(), time(4));
        order.replace_refused(2, &pages(), time(4));
        let numbers: Vec<_> = order.attempts.iter().map(|attempt| attempt.number).collect();
        assert_eq!(numbers, [1, 3], "what was never opened leaves no row, and its key is not used again");
    }

    #[test]
    fn an_order_reads_back_as_it_was_written() {
        let mut order = order();
        settle(&mut order, 1, Paid);
        let text = serde_json::to_string(&order).unwrap();
        assert_eq!(serde_json::from_str::<Order>(&text).unwrap(), order);
        assert!(!text.contains("null"), "{text}");
    }

    proptest! {
        /// Two attempts, any of their events, each up to twice, in any order: the end is always the same, the order
        /// is paid once if any money came, and every payment is kept.
        #[test]
        fn every_order_of_events_ends_the_same(
            seed in proptest::collection::vec(
                (1u32..=2, prop_oneof![Just(Expired), Just(Processing), Just(Failed), Just(Paid)]), 0..8),
            shuffled in any::<u64>(),
        ) {
            let start = || {
                let mut order = order();
                settle(&mut order, 1, Failed);
                order.try_again(&pages(), time(3));
                order.opened(2, &checkout("cs_2"), time(4));
                order
            };
            let run = |events: &[(u32, AttemptState)]| {
                let mut order = start();
                let outcomes: Vec<_> =
                    events.iter().map(|(attempt, reached)| settle(&mut order, *attempt, *reached)).collect();
                (order, outcomes)
            };
            let mut other = [seed.clone(), seed.clone()].concat();
            let mut random = shuffled;
            for i in (1..other.len()).rev() {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                other.swap(i, usize::try_from(random >> 33).unwrap() % (i + 1));
            }
            let ((one, told), (two, told_again)) = (run(&seed), run(&other));
            prop_assert_eq!(one.state, two.state);
            let states = |order: &Order| order.attempts.iter().map(|a| a.state).collect::<Vec<_>>();
            prop_assert_eq!(states(&one), states(&two));
            let paying = [1, 2].iter().filter(|n| seed.contains(&(**n, Paid))).count();
            for (order, told) in [(&one, &told), (&two, &told_again)] {
                prop_assert_eq!(order.payments.len(), paying);
                prop_assert_eq!(order.payments.iter().filter(|p| p.flag.is_none()).count(), paying.min(1));
                prop_assert_eq!(told.iter().filter(|o| **o == Outcome::Paid).count(), paying.min(1));
                prop_assert_eq!(order.state == OrderState::Paid, paying > 0);
            }
        }
    }

    #[test]
    fn an_attempt_only_goes_up() {
        let states = [Live, Expired, Processing, Failed, Paid];
        assert!(states.is_sorted());
    }
}
