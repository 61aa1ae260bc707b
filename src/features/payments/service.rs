//! Use cases: begin an order, open its checkout, and read orders.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::events::RETRIEVED;
use super::gateway::{CheckoutFact, Gateway, GatewayError, Reached, Webhook};
use super::jobs::OpenCheckout;
use super::model::{AttemptState, Closed, LONGEST_CHECKOUT, Order, Step, fact_of};
use super::places::{BeginError, SoldOut, Stock};
use super::sale::{Sale, Words};
use crate::base::Base;
use crate::config::Event;
use crate::kernel::{Caller, Clock, Timestamp, faults};
use crate::platform::jobs::Job;
use crate::platform::signals::{Limit, Signals, TooMany};
use crate::platform::store::{Cursor, Filter, Page, PageError, Query, Store, StoreError, Tx};

/// Enough for a person who tries again and again, too few for a program.
const OPEN_CHECKOUT: Limit = Limit { name: "open-checkout", quota: 60, window: Duration::from_secs(3600) };

/// The job that opens the checkout if the request did not: it waits as long as a slow gateway may take.
pub(super) const FINISH_AFTER: Duration = Duration::from_secs(60);

/// The largest difference expected between our clock and the gateway's.
pub(super) const SKEW: Duration = Duration::from_secs(5 * 60);

/// Why there is no checkout.
#[derive(Debug, thiserror::Error)]
pub enum OpenCheckoutError {
    #[error("there is no such order")]
    NotFound,
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The checkout has ended, and the product is not sold any more.
    #[error("the sale is over")]
    SaleOver,
    /// The order has lost its place, and there is no other.
    #[error(transparent)]
    SoldOut(#[from] SoldOut),
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// The gateway can't be reached, or refuses what is right as far as we know (logged).
    #[error("the gateway did not open it")]
    Unavailable,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<BeginError> for OpenCheckoutError {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::SoldOut(sold_out) => sold_out.into(),
            BeginError::Store(error) => error.into(),
        }
    }
}

/// Why an order can't be read.
#[derive(Debug, thiserror::Error)]
pub enum GetOrderError {
    #[error("there is no such order")]
    NotFound,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The dependencies of [`Payments`].
pub(super) struct Parts {
    pub store: Store,
    pub clock: Arc<dyn Clock>,
    pub signals: Arc<dyn Signals>,
    pub gateway: Arc<dyn Gateway>,
    pub webhook: Webhook,
    pub event: Arc<Event>,
    /// The base of the addresses that checkouts return to.
    pub pages: Url,
    /// The features that sell something, by product id.
    pub sales: HashMap<String, Arc<dyn Sale>>,
}

/// Orders and their payments.
pub struct Payments(pub(super) Parts);

impl Payments {
    /// Payments through `gateway`, whose events `webhook` verifies. `sales` are the features that sell something, by
    /// product id.
    pub fn new(
        base: &Base,
        gateway: Arc<dyn Gateway>,
        webhook: Webhook,
        sales: HashMap<String, Arc<dyn Sale>>,
    ) -> Self {
        Self(Parts {
            store: base.store.clone(),
            clock: base.clock.clone(),
            signals: base.signals.clone(),
            gateway,
            webhook,
            event: base.event.clone(),
            pages: base.pages_url.clone(),
            sales,
        })
    }

    /// Stores a new order in the caller's transaction, which takes a place, with a job that opens its checkout a minute
    /// later unless [`open_checkout`](Self::open_checkout) has done so by then.
    ///
    /// # Errors
    /// [`BeginError`]; then the transaction must end with an error.
    pub async fn begin(&self, tx: &Tx, order: &Order) -> Result<(), BeginError> {
        let (mut order, now) = (order.clone(), order.created_at);
        order.prepare(&self.0.pages, self.checkout_lifetime(&order));
        self.move_place(tx, &mut order, now).await?;
        has_a_place(&order)?;
        tx.insert(&order).await?;
        Ok(self.schedule_opening(tx, &order, now).await?)
    }

    /// Makes the next attempt to pay an order whose checkout has ended, in the caller's transaction. Returns the order's id.
    ///
    /// # Errors
    /// [`BeginError`]; then the transaction must end with an error.
    pub async fn reopen(&self, tx: &Tx, mut order: Order, now: Timestamp) -> Result<String, BeginError> {
        order.try_again(&self.0.pages, self.checkout_lifetime(&order), now);
        self.save(tx, &mut order, now).await?;
        has_a_place(&order)?;
        self.schedule_opening(tx, &order, now).await?;
        Ok(order.id)
    }

    /// Stores a changed order, with the place that its state calls for.
    pub(super) async fn save(&self, tx: &Tx, order: &mut Order, now: Timestamp) -> Result<(), StoreError> {
        self.move_place(tx, order, now).await?;
        tx.put(order).await
    }

    pub(super) fn sale(&self, order: &Order) -> Option<&Arc<dyn Sale>> {
        self.0.sales.get(&order.product)
    }

    pub(super) fn checkout_lifetime(&self, order: &Order) -> Duration {
        self.product(&order.product).map_or(LONGEST_CHECKOUT, |product| product.hold)
    }

    /// The guards of transactions that settle or end this order.
    pub(super) fn guards(&self, order: &Order) -> Vec<String> {
        let mut guards = self.sale(order).map_or_else(|| vec![order.id.clone()], |sale| sale.guards(order));
        if self.has_capacity(order) {
            guards.push(Stock::guard(&order.product));
        }
        guards
    }

    pub(super) fn has_capacity(&self, order: &Order) -> bool {
        self.product(&order.product).is_some_and(|product| product.capacity.is_some())
    }

    /// What pages say about the product of this order.
    pub(super) fn words(&self, order: &Order) -> Words {
        self.sale(order).map(|sale| sale.words()).unwrap_or_default()
    }

    async fn schedule_opening(&self, tx: &Tx, order: &Order, now: Timestamp) -> Result<(), StoreError> {
        let open = OpenCheckout { order: order.id.clone(), attempt: order.attempt().number };
        let job = Job::new(format!("checkout:{}:{}", open.order, open.attempt), &open, now);
        tx.enqueue(&job.at(now.plus(FINISH_AFTER))).await
    }

    /// Opens the checkout of the caller's order, or returns the one that can be paid.
    ///
    /// # Errors
    /// [`OpenCheckoutError`]; an order of another account is not found.
    pub async fn open_own_checkout(&self, caller: &Caller, order: &str) -> Result<Order, OpenCheckoutError> {
        self.0.signals.take(OPEN_CHECKOUT, &caller.account_id).await?;
        match self.order(&caller.account_id, order).await {
            Ok(order) => self.open_checkout(&order.id).await,
            Err(GetOrderError::NotFound) => Err(OpenCheckoutError::NotFound),
            Err(GetOrderError::Store(error)) => Err(error.into()),
        }
    }

    /// Opens the order's checkout, or returns the one that can be paid: there is one at a time. After one has ended, the
    /// next attempt is made.
    ///
    /// # Errors
    /// [`OpenCheckoutError`]; after `Unavailable` the job continues.
    pub async fn open_checkout(&self, order: &str) -> Result<Order, OpenCheckoutError> {
        let mut order = self.0.store.get::<Order>(order).await?.ok_or(OpenCheckoutError::NotFound)?;
        // Each round takes one step: ended → next attempt → opened or rejected → next attempt → opened.
        for _ in 0..5 {
            let now = self.0.clock.now();
            let next = match order.step()? {
                Step::Ready(attempt) if attempt.expires_at > now => return Ok(order),
                Step::Ready(attempt) => match attempt.session.clone() {
                    Some(session) => self.check_at_gateway(&order, &session).await?,
                    None => return Ok(order),
                },
                Step::Unopened(_) => self.open_attempt(&order).await?,
                Step::Ended if self.sale_is_over(&order, now) => return Err(OpenCheckoutError::SaleOver),
                Step::Ended => self.try_again(&order, now).await?,
            };
            order = next.ok_or(OpenCheckoutError::NotFound)?;
        }
        tracing::error!(order = order.id, "the gateway rejects every checkout of this order");
        Err(OpenCheckoutError::Unavailable)
    }

    fn sale_is_over(&self, order: &Order, now: Timestamp) -> bool {
        let closes = self.product(&order.product).and_then(|product| product.closes);
        closes.is_some_and(|closes| closes <= now)
    }

    /// Opens the checkout that [`begin`](Self::begin) announced, if that has not been done.
    pub(super) async fn finish_opening(&self, open: &OpenCheckout) -> Result<(), OpenCheckoutError> {
        let Some(order) = self.0.store.get::<Order>(&open.order).await? else { return Ok(()) };
        match order.step() {
            Ok(Step::Unopened(attempt)) if attempt.number == open.attempt => {
                self.open_checkout(&open.order).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Opens the current attempt's checkout, between two transactions. `None` if the order no longer exists.
    pub(super) async fn open_attempt(&self, order: &Order) -> Result<Option<Order>, OpenCheckoutError> {
        let attempt = order.attempt();
        faults::point("pay.before-open");
        let answer = self.0.gateway.open(&order.request(attempt)).await;
        faults::point("pay.after-open");
        let (number, now) = (attempt.number, self.0.clock.now());
        match answer {
            Ok(checkout) => {
                let record = |order: &mut Order| order.opened(number, &checkout, now);
                let recorded = self.change(order, Some(number), now, record).await?;
                faults::point("pay.after-keep");
                Ok(recorded)
            }
            Err(GatewayError::Unavailable(reason)) => {
                tracing::warn!(order = order.id, reason, "the gateway is unavailable and opened no checkout");
                Err(OpenCheckoutError::Unavailable)
            }
            Err(GatewayError::Refused(reason)) => {
                tracing::error!(order = order.id, number, reason, "the gateway rejected a checkout");
                Ok(self.replace_rejected(order, now).await?)
            }
        }
    }

    async fn try_again(&self, order: &Order, now: Timestamp) -> Result<Option<Order>, BeginError> {
        let lifetime = self.checkout_lifetime(order);
        let again = |order: &mut Order| order.try_again(&self.0.pages, lifetime, now);
        self.change_checked(order, None, now, again, has_a_place).await
    }

    /// Replaces the current attempt, whose checkout the gateway rejected or never opened. `None` if the order no longer
    /// exists.
    pub(super) async fn replace_rejected(
        &self,
        order: &Order,
        now: Timestamp,
    ) -> Result<Option<Order>, StoreError> {
        let (number, lifetime) = (order.attempt().number, self.checkout_lifetime(order));
        let replace = |order: &mut Order| order.replace_rejected(number, &self.0.pages, lifetime, now);
        self.change(order, Some(number), now, replace).await
    }

    /// The checkout has expired by our clock; the gateway decides whether it has ended. `None` if the order no longer
    /// exists.
    pub(super) async fn check_at_gateway(
        &self,
        order: &Order,
        session: &str,
    ) -> Result<Option<Order>, OpenCheckoutError> {
        let answer = self.0.gateway.retrieve(session).await.map_err(|error| {
            tracing::warn!(order = order.id, %error, "the state of a checkout can't be retrieved");
            OpenCheckoutError::Unavailable
        })?;
        let fact = match answer {
            Some(checkout) => fact_of(&order.id, order.attempt().number, &checkout),
            None => self.unknown_checkout_fact(order, session),
        };
        let fact = fact.ok_or(OpenCheckoutError::Unavailable)?;
        self.apply_checkout_fact(RETRIEVED, &fact).await?;
        Ok(self.0.store.get(&order.id).await?)
    }

    /// The gateway doesn't know the current attempt's checkout, although it returned it to us. Once the checkout can no
    /// longer be paid there, it counts as expired when somebody wants to pay: otherwise the order could never be paid. An
    /// attempt that is being processed stays.
    pub(super) fn unknown_checkout_fact(&self, order: &Order, session: &str) -> Option<CheckoutFact> {
        log_unknown_checkout(order);
        let attempt = order.attempt();
        let over = self.0.clock.now() > attempt.expires_at.plus(SKEW);
        (over && attempt.state == AttemptState::Live).then(|| CheckoutFact {
            id: format!("unknown:{session}"),
            order: order.id.clone(),
            session: session.to_owned(),
            attempt: Some(attempt.number),
            reached: Reached::Expired,
            money: None,
            intent: None,
        })
    }

    /// Changes the order by `rule` in one transaction. Withdraws the job that opens attempt `answered`, and schedules one
    /// for a new attempt. `None` if the order no longer exists.
    pub(super) async fn change(
        &self,
        order: &Order,
        answered: Option<u32>,
        now: Timestamp,
        rule: impl Fn(&mut Order) + Send + Sync,
    ) -> Result<Option<Order>, StoreError> {
        self.change_checked(order, answered, now, rule, |_| Ok(())).await
    }

    /// The same, unless `check` refuses what came out.
    async fn change_checked<E: From<StoreError> + Send>(
        &self,
        order: &Order,
        answered: Option<u32>,
        now: Timestamp,
        rule: impl Fn(&mut Order) + Send + Sync,
        check: fn(&Order) -> Result<(), E>,
    ) -> Result<Option<Order>, E> {
        self.0
            .store
            .transact_at(&self.guards(order), async |tx| {
                let Some(mut order) = tx.get::<Order>(&order.id).await? else { return Ok(None) };
                let attempt = order.attempt().number;
                rule(&mut order);
                self.save(&tx, &mut order, now).await?;
                check(&order)?;
                if let Some(number) = answered {
                    tx.withdraw::<OpenCheckout>(&OpenCheckout::key_of(&order.id, number)).await?;
                }
                if order.attempt().number != attempt {
                    self.schedule_opening(&tx, &order, now).await?;
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

    /// The order of any account, for pages that show only its state.
    pub(super) async fn any_order(&self, order: &str) -> Result<Option<Order>, StoreError> {
        self.0.store.get(order).await
    }

    /// The page of the orders of `account`, oldest first, that begins at `after`; at most `limit`.
    ///
    /// # Errors
    /// [`PageError`].
    pub async fn orders(
        &self,
        account: &str,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<Order>, PageError> {
        let own = Query::new(Filter::eq("account", account));
        self.0.store.page(own.limit(limit), after).await
    }
}

/// Whether an order that can be paid has a place.
fn has_a_place(order: &Order) -> Result<(), BeginError> {
    match order.step() {
        Ok(Step::Ready(_) | Step::Unopened(_)) if order.place.is_none() => Err(SoldOut.into()),
        _ => Ok(()),
    }
}

/// Logs that our key belongs to another account, or to another mode, than the one that opened the checkout. A payment
/// made there is invisible here, so it needs review.
pub(super) fn log_unknown_checkout(order: &Order) {
    let (order, attempt) = (&order.id, order.attempt().number);
    tracing::error!(order, attempt, "the gateway doesn't know the checkout of an order");
}

#[cfg(test)]
#[path = "service_tests.rs"]
pub(super) mod tests;
