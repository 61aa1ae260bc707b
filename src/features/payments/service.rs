//! Use cases: begin an order, open its checkout, take in what the gateway tells.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use url::Url;

use super::gateway::{Checkout, CheckoutStatus, Fact, Gateway, GatewayError, NotBelieved, Webhook};
use super::model::{
    AttemptState, Closed, NotOurs, Order, Outcome, PaymentEvent, ReturnEvent, Step, StripeEvent,
};
use super::subscribers::OpenCheckout;
use crate::kernel::{Clock, Timestamp, faults};
use crate::platform::jobs::Job;
use crate::platform::signals::{Limit, Signals, Verdict};
use crate::platform::store::{Dir, Filter, Query, StoreError, Tx, Value};

/// How often an account may ask for checkouts: a person who tries again and again, not a program.
const OPEN_CHECKOUT: Limit = Limit { name: "open-checkout", quota: 60, window: Duration::from_secs(3600) };

/// The job that would finish an opening waits as long as a slow gateway may take.
const FINISH_AFTER: Duration = Duration::from_secs(60);

/// Our clock and the gateway's may differ by so much.
pub(super) const SKEW: Duration = Duration::from_secs(5 * 60);

/// How long an event about a payment that we don't know is sent again: by then the payment itself was told, or asked
/// for, or is somebody else's.
const MAY_BE_OURS: Duration = Duration::from_secs(3600);

/// Orders on one page of a list.
const MOST_ORDERS: u32 = 100;

/// What follows when an order of a product is paid, or its checkout ends unpaid. Called in the transaction that
/// settles the order, once each.
#[async_trait]
pub trait Fulfilment: Send + Sync + 'static {
    /// Names the document that all of these write, for [`Store::transact_at`](crate::platform::store::Store::transact_at).
    fn guard(&self) -> &'static str;
    /// The order has just been paid.
    async fn paid(&self, tx: &Tx, order: &Order, now: Timestamp) -> Result<(), StoreError>;
    /// The order's last checkout has just ended unpaid.
    async fn expired(&self, tx: &Tx, order: &Order, now: Timestamp) -> Result<(), StoreError>;
}

/// Why there is no checkout.
#[derive(Debug, thiserror::Error)]
pub enum OpenCheckoutError {
    #[error("there is no such order")]
    NotFound,
    #[error(transparent)]
    Closed(#[from] Closed),
    #[error("asked for too often")]
    TooMany { retry_after: Duration },
    /// The gateway can't be reached, or refuses what is right as far as we know (logged).
    #[error("the gateway did not open it")]
    Unavailable,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an order can't be read.
#[derive(Debug, thiserror::Error)]
pub enum GetOrderError {
    #[error("there is no such order")]
    NotFound,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What became of an event.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// It took effect.
    Settled(Outcome),
    /// It had come before.
    Again,
    /// It is about nothing of ours.
    NotOurs,
}

/// Why an event was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    #[error(transparent)]
    NotBelieved(#[from] NotBelieved),
    /// Nothing was kept: it is to be sent again.
    #[error("it is about a payment that is not known yet")]
    Early,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What `Payments` is made of.
pub struct Parts {
    pub store: crate::platform::store::Store,
    pub clock: Arc<dyn Clock>,
    pub signals: Arc<dyn Signals>,
    pub gateway: Arc<dyn Gateway>,
    pub webhook: Webhook,
    /// Where checkouts lead back to: `Config::pages_url`.
    pub pages: Url,
    /// By product id.
    pub fulfilments: HashMap<String, Arc<dyn Fulfilment>>,
}

/// Orders and their money.
pub struct Payments(pub(super) Parts);

enum SettleError {
    NotOurs,
    Store(StoreError),
}

impl From<StoreError> for SettleError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<NotOurs> for SettleError {
    fn from(_: NotOurs) -> Self {
        Self::NotOurs
    }
}

impl Payments {
    pub fn new(parts: Parts) -> Self {
        Self(parts)
    }

    /// Records an order in the caller's transaction, with the job that opens its checkout a minute later if
    /// [`open_checkout`](Self::open_checkout) has not done it by then.
    pub async fn begin(&self, tx: &Tx, order: &Order) -> Result<(), StoreError> {
        let mut order = order.clone();
        order.lead_back_to(&self.0.pages);
        tx.insert(&order).await?;
        self.finish_later(tx, &order, order.created_at).await
    }

    async fn finish_later(&self, tx: &Tx, order: &Order, now: Timestamp) -> Result<(), StoreError> {
        let open = OpenCheckout { order: order.id.clone(), attempt: order.attempt().number };
        let job = Job::new(format!("checkout:{}:{}", open.order, open.attempt), &open, now);
        tx.enqueue(&job.at(now.plus(FINISH_AFTER))).await
    }

    /// Opens the checkout of an order of `account`, or returns the one that can be paid.
    ///
    /// # Errors
    /// [`OpenCheckoutError`]; an order of another account is not found.
    pub async fn open_own_checkout(&self, account: &str, order: &str) -> Result<Order, OpenCheckoutError> {
        if let Verdict::Refused { retry_after } = self.0.signals.take(OPEN_CHECKOUT, account).await {
            return Err(OpenCheckoutError::TooMany { retry_after });
        }
        match self.order(account, order).await {
            Ok(order) => self.open_checkout(&order.id).await,
            Err(GetOrderError::NotFound) => Err(OpenCheckoutError::NotFound),
            Err(GetOrderError::Store(error)) => Err(error.into()),
        }
    }

    /// Opens the order's checkout, or returns the one that can be paid: one at a time. After one has ended, the
    /// next attempt is made.
    ///
    /// # Errors
    /// [`OpenCheckoutError`]; with `Unavailable` the job carries on.
    pub async fn open_checkout(&self, order: &str) -> Result<Order, OpenCheckoutError> {
        let mut order = self.0.store.get::<Order>(order).await?.ok_or(OpenCheckoutError::NotFound)?;
        // Each turn comes one step further: ended → another attempt → opened or refused → another → opened.
        for _ in 0..5 {
            let now = self.0.clock.now();
            let next = match order.step()? {
                Step::Ready(attempt) if attempt.expires_at > now => return Ok(order),
                Step::Ready(attempt) => match attempt.session.clone() {
                    Some(session) => self.ask_gateway(&order, &session).await?,
                    None => return Ok(order),
                },
                Step::Unopened(_) => self.open_attempt(&order).await?,
                Step::Ended => self.try_again(&order.id, now).await?,
            };
            order = next.ok_or(OpenCheckoutError::NotFound)?;
        }
        tracing::error!(order = order.id, "the gateway opens no checkout for this order");
        Err(OpenCheckoutError::Unavailable)
    }

    /// Finishes what [`begin`](Self::begin) began, if nobody else has.
    pub(super) async fn finish_opening(&self, open: &OpenCheckout) -> Result<(), OpenCheckoutError> {
        let Some(order) = self.0.store.get::<Order>(&open.order).await? else { return Ok(()) };
        match order.step() {
            Ok(Step::Unopened(attempt)) if attempt.number == open.attempt => {
                self.open_checkout(&open.order).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Asks the gateway for the last attempt's checkout, between two transactions. `None` if the order is gone.
    async fn open_attempt(&self, order: &Order) -> Result<Option<Order>, OpenCheckoutError> {
        let attempt = order.attempt();
        faults::point("pay.before-open");
        let answer = self.0.gateway.open(&order.request(attempt)).await;
        faults::point("pay.after-open");
        let (number, now) = (attempt.number, self.0.clock.now());
        match answer {
            Ok(checkout) => {
                let keep = |order: &mut Order| order.opened(number, &checkout, now);
                let kept = self.change(&order.id, Some(number), now, keep).await?;
                faults::point("pay.after-keep");
                Ok(kept)
            }
            Err(GatewayError::Unavailable(reason)) => {
                tracing::warn!(order = order.id, reason, "the gateway can't open a checkout now");
                Err(OpenCheckoutError::Unavailable)
            }
            Err(GatewayError::Refused(reason)) => {
                tracing::error!(order = order.id, number, reason, "the gateway refused to open a checkout");
                let replace = |order: &mut Order| order.replace_refused(number, &self.0.pages, now);
                Ok(self.change(&order.id, Some(number), now, replace).await?)
            }
        }
    }

    async fn try_again(&self, order: &str, now: Timestamp) -> Result<Option<Order>, StoreError> {
        self.change(order, None, now, |order| order.try_again(&self.0.pages, now)).await
    }

    /// The checkout's time is over by our clock; whether it has ended the gateway says. `None` if the order is gone.
    async fn ask_gateway(&self, order: &Order, session: &str) -> Result<Option<Order>, OpenCheckoutError> {
        let answer = self.0.gateway.retrieve(session).await.map_err(|error| {
            tracing::warn!(order = order.id, %error, "the gateway doesn't tell how a checkout stands");
            OpenCheckoutError::Unavailable
        })?;
        let told = match answer {
            Some(checkout) => told(&order.id, order.attempt().number, &checkout),
            None => self.told_nothing(order, session),
        };
        let event = told.ok_or(OpenCheckoutError::Unavailable)?;
        self.settle(ASKED, &event).await?;
        Ok(self.0.store.get(&order.id).await?)
    }

    /// The gateway doesn't know the last attempt's checkout, which it gave us. Once it can't be paid there any more it
    /// counts as ended for whoever wants to pay, or the order could never be paid; one whose money is on its way stays.
    fn told_nothing(&self, order: &Order, session: &str) -> Option<PaymentEvent> {
        say_unknown(order);
        let attempt = order.attempt();
        let over = self.0.clock.now() > attempt.expires_at.plus(SKEW);
        (over && attempt.state == AttemptState::Live).then(|| PaymentEvent {
            id: format!("unknown:{session}"),
            order: order.id.clone(),
            session: session.to_owned(),
            attempt: Some(attempt.number),
            reached: AttemptState::Expired,
            money: None,
            intent: None,
        })
    }

    /// Changes the order by `rule` in one transaction. The job that would have opened attempt `answered` goes,
    /// and a new attempt gets one. `None` if the order is gone.
    pub(super) async fn change(
        &self,
        order: &str,
        answered: Option<u32>,
        now: Timestamp,
        rule: impl Fn(&mut Order) + Send + Sync,
    ) -> Result<Option<Order>, StoreError> {
        self.0
            .store
            .transact(async |tx| {
                let Some(mut order) = tx.get::<Order>(order).await? else { return Ok(None) };
                let attempt = order.attempt().number;
                rule(&mut order);
                tx.put(&order).await?;
                if let Some(number) = answered {
                    tx.withdraw::<OpenCheckout>(&OpenCheckout::key_of(&order.id, number)).await?;
                }
                if order.attempt().number != attempt {
                    self.finish_later(&tx, &order, now).await?;
                }
                Ok(Some(order))
            })
            .await
    }

    /// An order of `account`.
    ///
    /// # Errors
    /// [`GetOrderError`]; an order of another account is not found.
    pub async fn order(&self, account: &str, order: &str) -> Result<Order, GetOrderError> {
        let order = self.0.store.get::<Order>(order).await?;
        order.filter(|order| order.account == account).ok_or(GetOrderError::NotFound)
    }

    /// The order, whosever it is: for pages that show nothing of it but its state.
    pub(super) async fn any_order(&self, order: &str) -> Result<Option<Order>, StoreError> {
        self.0.store.get(order).await
    }

    /// Orders of `account` in the order in which they were made, from after the order `after` on, at most
    /// `limit` (and 100); and whether there are more.
    pub async fn orders(
        &self,
        account: &str,
        after: Option<String>,
        limit: u32,
    ) -> Result<(Vec<Order>, bool), StoreError> {
        let limit = limit.clamp(1, MOST_ORDERS);
        let mut query = Query::new(Filter::eq("account", account)).limit(limit + 1);
        if let Some(after) = after {
            query = query.after(vec![Value::Text(after)]);
        }
        let mut orders = self.0.store.find::<Order>(query).await?;
        let more = orders.len() > limit as usize;
        orders.truncate(limit as usize);
        Ok((orders, more))
    }

    /// Takes in an event as the gateway sent it.
    ///
    /// # Errors
    /// [`ReceiveError`] if it isn't believed, or can't be kept now (then the gateway sends it again).
    pub async fn receive(&self, body: &[u8], signature: Option<&str>) -> Result<Received, ReceiveError> {
        let notice = self.0.webhook.read(body, signature, self.0.clock.now()).inspect_err(|reason| {
            tracing::warn!(%reason, bytes = body.len(), "an event that is not believed");
        })?;
        let received = match &notice.fact {
            Fact::Checkout(event) => self.settle(&notice.kind, event).await?,
            Fact::Return(event) => self.take_back(&notice.kind, event, notice.created).await?,
            Fact::Other => self.note(&notice.id, &notice.kind).await?,
        };
        let (event, kind) = (&*notice.id, &*notice.kind);
        match (&notice.fact, &received) {
            (Fact::Other, _) => tracing::info!(event, kind, "an event that we don't act on"),
            (_, Received::NotOurs) => tracing::warn!(event, kind, "an event for an order that is not ours"),
            (_, Received::Settled(Outcome::Flagged(flag))) => {
                tracing::error!(event, kind, ?flag, "a payment somebody has to look at");
            }
            (Fact::Return(ReturnEvent { disputed: true, .. }), _) => {
                tracing::error!(event, kind, "a dispute somebody has to answer");
            }
            (_, outcome) => tracing::info!(event, kind, ?outcome, "an event from the gateway"),
        }
        Ok(received)
    }

    /// Takes in how far a checkout has come, whether the gateway told or was asked.
    pub(super) async fn settle(&self, kind: &str, event: &PaymentEvent) -> Result<Received, StoreError> {
        let now = self.0.clock.now();
        let rule = |order: &mut Order| order.settle(event, now);
        self.take_in(&event.id, kind, &event.order, now, rule).await
    }

    /// Takes in that money went back or is asked back. An event that doesn't name our order names the payment.
    async fn take_back(
        &self,
        kind: &str,
        event: &ReturnEvent,
        created: Option<Timestamp>,
    ) -> Result<Received, ReceiveError> {
        let now = self.0.clock.now();
        let order = match &event.order {
            Some(order) => Some(order.clone()),
            None => {
                let by_intent = Query::new(Filter::has("intents", event.intent.as_str())).limit(1);
                self.0.store.find::<Order>(by_intent).await?.pop().map(|order| order.id)
            }
        };
        let Some(order) = order else {
            if created.is_some_and(|created| now.since(created) < MAY_BE_OURS) {
                tracing::info!(event = event.id, kind, "an event about a payment that is not known yet");
                return Err(ReceiveError::Early);
            }
            return Ok(self.note(&event.id, kind).await?);
        };
        let rule = |order: &mut Order| order.give_back(event);
        Ok(self.take_in(&event.id, kind, &order, now, rule).await?)
    }

    /// The event's id, the order, and what follows: one transaction. The same event again finds its id.
    async fn take_in(
        &self,
        event: &str,
        kind: &str,
        order: &str,
        now: Timestamp,
        rule: impl Fn(&mut Order) -> Result<Outcome, NotOurs> + Send + Sync,
    ) -> Result<Received, StoreError> {
        let seen = seen(event, kind, Some(order), now);
        let guard = self.guard(order).await?;
        faults::point("pay.before-settle");
        let settled = self
            .0
            .store
            .transact_at(guard, async |tx| {
                let mut order = self.claim(&tx, &seen, order).await?.ok_or(SettleError::NotOurs)?;
                let outcome = rule(&mut order)?;
                tx.put(&order).await?;
                faults::point("pay.while-settling");
                self.follow(&tx, &order, outcome, now).await?;
                Ok(outcome)
            })
            .await;
        faults::point("pay.after-settle");
        match settled {
            Ok(outcome) => Ok(Received::Settled(outcome)),
            Err(SettleError::NotOurs) => self.note(event, kind).await,
            Err(SettleError::Store(error)) => self.seen_before(event, error).await,
        }
    }

    /// What settling this order writes and many others write, too; of one that isn't ours the order alone.
    async fn guard<'a>(&'a self, order: &'a str) -> Result<&'a str, StoreError> {
        let product = self.0.store.get::<Order>(order).await?.map(|order| order.product);
        let fulfilment = product.and_then(|product| self.0.fulfilments.get(&product));
        Ok(fulfilment.map_or(order, |fulfilment| fulfilment.guard()))
    }

    /// Keeps an event that is about nothing of ours.
    async fn note(&self, event: &str, kind: &str) -> Result<Received, StoreError> {
        let seen = seen(event, kind, None, self.0.clock.now());
        match self.0.store.insert(&seen).await {
            Ok(()) => Ok(Received::NotOurs),
            Err(error) => self.seen_before(event, error).await,
        }
    }

    /// The order, with the event's id laid down so that it is taken in once.
    async fn claim(&self, tx: &Tx, event: &StripeEvent, order: &str) -> Result<Option<Order>, StoreError> {
        if !faults::guarded("pay.event-once") {
            return self.0.store.get(order).await;
        }
        tx.insert(event).await?;
        tx.get(order).await
    }

    /// Forgets events of which nobody will be told again.
    ///
    /// # Errors
    /// [`StoreError`]; what has been forgotten by then stays so.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        let before = self.0.clock.now().minus(StripeEvent::KEPT);
        let old = Filter::Lt("receivedAt", before.into());
        self.0.store.sweep::<StripeEvent>(Query::new(old).sort("receivedAt", Dir::Asc)).await.map(drop)
    }

    async fn seen_before(&self, event: &str, error: StoreError) -> Result<Received, StoreError> {
        let twice = matches!(error, StoreError::Duplicate { .. });
        if twice && self.0.store.get::<StripeEvent>(event).await?.is_some() {
            return Ok(Received::Again);
        }
        Err(error)
    }

    async fn follow(
        &self,
        tx: &Tx,
        order: &Order,
        outcome: Outcome,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(fulfilment) = self.0.fulfilments.get(&order.product) else {
            let (order, product) = (order.id.clone(), order.product.clone());
            tx.once_committed(move || tracing::error!(order, product, "nothing follows from this product"))
                .await;
            return Ok(());
        };
        match outcome {
            Outcome::Paid => fulfilment.paid(tx, order, now).await,
            Outcome::Expired => fulfilment.expired(tx, order, now).await,
            Outcome::Processing
            | Outcome::Reopened
            | Outcome::Flagged(_)
            | Outcome::Returned
            | Outcome::Unchanged => Ok(()),
        }
    }
}

/// The kind of what the gateway said when it was asked.
pub(super) const ASKED: &str = "asked";

/// What the gateway says of a checkout, as an event about attempt `number` would tell it. The same standing has the
/// same id; none while nothing has happened.
pub(super) fn told(order: &str, number: u32, checkout: &Checkout) -> Option<PaymentEvent> {
    let reached = match checkout.status {
        CheckoutStatus::Open => return None,
        CheckoutStatus::Unpaid => AttemptState::Processing,
        CheckoutStatus::Failed => AttemptState::Failed,
        CheckoutStatus::Paid => AttemptState::Paid,
        CheckoutStatus::Expired => AttemptState::Expired,
    };
    Some(PaymentEvent {
        id: format!("retrieved:{}:{reached:?}", checkout.session),
        order: order.to_owned(),
        session: checkout.session.clone(),
        attempt: Some(number),
        reached,
        money: checkout.money,
        intent: checkout.intent.clone(),
    })
}

fn seen(event: &str, kind: &str, order: Option<&str>, now: Timestamp) -> StripeEvent {
    let order = order.map(str::to_owned);
    StripeEvent { id: event.to_owned(), kind: kind.to_owned(), order, received_at: now }
}

/// The key is of another account, or of another mode, than the one that opened the checkout. What was paid there nobody
/// here can see: somebody has to look.
pub(super) fn say_unknown(order: &Order) {
    let (order, attempt) = (&order.id, order.attempt().number);
    tracing::error!(order, attempt, "the gateway doesn't know the checkout of an order");
}

#[cfg(test)]
#[path = "service_tests.rs"]
pub(super) mod tests;
