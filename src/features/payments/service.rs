//! Use cases: begin an order, open its checkout, take in what the gateway tells.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use url::Url;

use super::gateway::{CheckoutStatus, Gateway, GatewayError, NotBelieved, Notice, Webhook};
use super::model::{AttemptState, Closed, NotOurs, Order, Outcome, PaymentEvent, Step, StripeEvent};
use super::subscribers::OpenCheckout;
use crate::kernel::{Clock, Timestamp, faults};
use crate::platform::jobs::Job;
use crate::platform::signals::{Limit, Signals, Verdict};
use crate::platform::store::{Filter, Query, StoreError, Tx, Value};

/// How often an account may ask for checkouts: a person who tries again and again, not a program.
const OPEN_CHECKOUT: Limit = Limit { name: "open-checkout", quota: 60, window: Duration::from_secs(3600) };

/// The job that would finish an opening waits as long as a slow gateway may take.
const FINISH_AFTER: Duration = Duration::from_secs(60);

/// Orders on one page of a list.
const MOST_ORDERS: u32 = 100;

/// What follows when an order of a product is paid, or its checkout ends unpaid. Called in the transaction that
/// settles the order, once each.
#[async_trait]
pub trait Fulfilment: Send + Sync + 'static {
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
pub struct Payments(Parts);

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
            order = match order.step()? {
                Step::Ready(attempt) if attempt.expires_at > now => return Ok(order),
                Step::Ready(attempt) => match attempt.session.clone() {
                    Some(session) => self.ask_gateway(order, &session).await?,
                    None => return Ok(order),
                },
                Step::Unopened(_) => self.open_attempt(order).await?,
                Step::Ended => self.try_again(&order.id, now).await?,
            };
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

    /// Asks the gateway for the last attempt's checkout, between two transactions.
    async fn open_attempt(&self, order: Order) -> Result<Order, OpenCheckoutError> {
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
                self.change(&order.id, Some(number), now, replace).await
            }
        }
    }

    async fn try_again(&self, order: &str, now: Timestamp) -> Result<Order, OpenCheckoutError> {
        self.change(order, None, now, |order| order.try_again(&self.0.pages, now)).await
    }

    /// The checkout's time is over by our clock; whether it has ended the gateway says.
    async fn ask_gateway(&self, order: Order, session: &str) -> Result<Order, OpenCheckoutError> {
        let answer = self.0.gateway.retrieve(session).await.map_err(|error| {
            tracing::warn!(order = order.id, %error, "the gateway doesn't tell how a checkout stands");
            OpenCheckoutError::Unavailable
        })?;
        let Some(checkout) = answer else { return Err(OpenCheckoutError::Unavailable) };
        let reached = match checkout.status {
            CheckoutStatus::Open => return Err(OpenCheckoutError::Unavailable),
            CheckoutStatus::Unpaid => AttemptState::Processing,
            CheckoutStatus::Paid => AttemptState::Paid,
            CheckoutStatus::Expired => AttemptState::Expired,
        };
        let event = PaymentEvent {
            id: format!("retrieved:{session}:{reached:?}"),
            order: order.id.clone(),
            session: session.to_owned(),
            attempt: Some(order.attempt().number),
            reached,
            money: checkout.money,
        };
        self.settle(&event).await?;
        self.0.store.get::<Order>(&order.id).await?.ok_or(OpenCheckoutError::NotFound)
    }

    /// Changes the order by `rule` in one transaction. The job that would have opened attempt `answered` goes,
    /// and a new attempt gets one.
    async fn change(
        &self,
        order: &str,
        answered: Option<u32>,
        now: Timestamp,
        rule: impl Fn(&mut Order) + Send + Sync,
    ) -> Result<Order, OpenCheckoutError> {
        self.0
            .store
            .transact(async |tx| {
                let mut order = tx.get::<Order>(order).await?.ok_or(OpenCheckoutError::NotFound)?;
                let attempt = order.attempt().number;
                rule(&mut order);
                tx.put(&order).await?;
                if let Some(number) = answered {
                    tx.withdraw::<OpenCheckout>(&OpenCheckout::key_of(&order.id, number)).await?;
                }
                if order.attempt().number != attempt {
                    self.finish_later(&tx, &order, now).await?;
                }
                Ok(order)
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
        let received = match &notice {
            Notice::Payment(event) => self.settle(event).await?,
            Notice::Other { .. } => Received::NotOurs,
        };
        match (&notice, &received) {
            (Notice::Other { id, kind }, _) => {
                tracing::info!(event = id, kind, "an event that we don't act on")
            }
            (Notice::Payment(event), Received::NotOurs) => {
                tracing::warn!(event = event.id, "an event for an order that is not ours");
            }
            (Notice::Payment(event), Received::Settled(Outcome::Flagged(flag))) => {
                tracing::error!(
                    event = event.id,
                    order = event.order,
                    ?flag,
                    "a payment somebody has to look at"
                );
            }
            (Notice::Payment(event), outcome) => {
                tracing::info!(event = event.id, order = event.order, ?outcome, "an event from the gateway");
            }
        }
        Ok(received)
    }

    /// The event's id, the order, and what follows: one transaction. The same event again finds its id.
    async fn settle(&self, event: &PaymentEvent) -> Result<Received, StoreError> {
        let now = self.0.clock.now();
        let seen = StripeEvent { id: event.id.clone(), order: event.order.clone(), received_at: now };
        faults::point("pay.before-settle");
        let settled = self
            .0
            .store
            .transact(async |tx| {
                let mut order = self.claim(&tx, &seen).await?.ok_or(SettleError::NotOurs)?;
                let outcome = order.settle(event, now)?;
                tx.put(&order).await?;
                self.follow(&tx, &order, outcome, now).await?;
                Ok(outcome)
            })
            .await;
        faults::point("pay.after-settle");
        match settled {
            Ok(outcome) => Ok(Received::Settled(outcome)),
            Err(SettleError::NotOurs) => Ok(Received::NotOurs),
            Err(SettleError::Store(error)) => self.seen_before(&event.id, error).await,
        }
    }

    /// The order, with the event's id laid down so that it is taken in once.
    async fn claim(&self, tx: &Tx, event: &StripeEvent) -> Result<Option<Order>, StoreError> {
        if !faults::guarded("pay.event-once") {
            return self.0.store.get(&event.order).await;
        }
        tx.insert(event).await?;
        tx.get(&event.order).await
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
        let Some(fulfilment) = self.0.fulfilments.get(&order.product) else { return Ok(()) };
        match outcome {
            Outcome::Paid => fulfilment.paid(tx, order, now).await,
            Outcome::Expired => fulfilment.expired(tx, order, now).await,
            Outcome::Processing | Outcome::Reopened | Outcome::Flagged(_) | Outcome::Unchanged => Ok(()),
        }
    }
}
