//! Reconciliation: asks the gateway about checkouts whose events did not arrive, and about checkouts that were opened
//! although the answer was lost.
//!
//! Answers are applied as events are, so that a late event changes nothing.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;

use super::events::{RETRIEVED, Received};
use super::gateway::{Checkout, CheckoutStatus, GatewayError};
use super::model::{AttemptState, ORDERS_RECONCILED, Order, Outcome, PaymentFlag, Step, fact_of};
use super::service::{Payments, SKEW};
use crate::kernel::{Actor, Timestamp};
use crate::platform::audit::Subject;
use crate::platform::store::{Dir, Filter, Query, StoreError, Value};

/// Orders per run, and per page when all are checked.
const BATCH: u32 = 200;

/// Concurrent requests: far below Stripe's limit (25 a second with a test key).
const AT_ONCE: usize = 4;

/// An attempt that has had no checkout for this long is replaced.
const ABANDONED: Duration = Duration::from_secs(15 * 60);

/// Pages of the gateway's list per run: 10,000 checkouts.
const PAGES: usize = 100;

/// The orders to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReconcileScope {
    /// Orders that are due, up to the limit of one run.
    Due,
    /// All open orders.
    All,
}

/// A finding about one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub order: String,
    /// The attempt's number.
    pub attempt: u32,
    pub found: Found,
}

/// What the gateway knew and we didn't. It has been applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Paid,
    /// The student has completed the checkout; the bank has not answered yet.
    Processing,
    /// The payment failed. The order can be paid again.
    Reopened,
    /// The checkout ended unpaid.
    Expired,
    /// A payment needs review.
    Flagged(PaymentFlag),
    /// A checkout was opened although the answer was lost.
    Opened,
    /// No checkout was ever opened; the next attempt has been scheduled.
    Abandoned,
    /// A checkout had another amount than the attempt. It was expired; the next attempt has been scheduled.
    Mispriced,
    /// The gateway doesn't know the checkout: needs review. Once it can no longer be paid, the order gets a new checkout
    /// on request.
    Unknown,
}

/// The result of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciliation {
    /// Number of orders checked.
    pub asked: usize,
    /// Orders with news.
    pub findings: Vec<Finding>,
}

/// A run in which not every order could be checked.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct Unfinished {
    /// What was found all the same. It has been applied.
    pub found: Reconciliation,
    /// The first failure. All are logged.
    pub why: ReconcileError,
}

/// Why an order could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A run in progress.
#[derive(Default)]
struct ReconcileRun {
    found: Reconciliation,
    failed: Option<ReconcileError>,
}

impl ReconcileRun {
    /// Records the finding, or the failure, of one order. The other orders continue.
    fn record(&mut self, order: &Order, answer: Result<Option<Found>, ReconcileError>) {
        match answer {
            Ok(found) => self.found.findings.extend(found.map(|found| finding(order, found))),
            Err(error) => {
                tracing::warn!(order = order.id, %error, "an order can't be reconciled");
                self.failed.get_or_insert(error);
            }
        }
    }

    fn end(self) -> Result<Reconciliation, Unfinished> {
        match self.failed {
            None => Ok(self.found),
            Some(why) => Err(Unfinished { found: self.found, why }),
        }
    }
}

impl Payments {
    /// Asks the gateway about open orders, and applies the answers. A run over all orders is what a person asks for, so it
    /// is audited; the service's own runs are not.
    ///
    /// # Errors
    /// [`Unfinished`] if the gateway or the store failed for some order. The other orders continue; if the gateway or the
    /// store is down altogether, the run ends.
    pub async fn reconcile(
        &self,
        actor: &Actor,
        scope: ReconcileScope,
    ) -> Result<Reconciliation, Unfinished> {
        let mut run = ReconcileRun::default();
        if scope == ReconcileScope::All
            && let Err(error) = self.audit_run(actor).await
        {
            run.failed = Some(error.into());
            return run.end();
        }
        let mut query = waiting(scope, self.0.clock.now());
        loop {
            let orders = match self.0.store.find::<Order>(query.clone()).await {
                Ok(orders) => orders,
                Err(error) => {
                    run.failed.get_or_insert(error.into());
                    break;
                }
            };
            let answers = self.reconcile_page(&orders, &mut run).await;
            match orders.last() {
                Some(last) if answers && scope == ReconcileScope::All && orders.len() == BATCH as usize => {
                    query = waiting(scope, self.0.clock.now()).after(vec![Value::Text(last.id.clone())]);
                }
                _ => break,
            }
        }
        run.end()
    }

    async fn audit_run(&self, actor: &Actor) -> Result<(), StoreError> {
        let now = self.0.clock.now();
        let orders = Subject::all::<Order>;
        self.0.store.transact(async |tx| tx.audit(actor, ORDERS_RECONCILED, orders(), &[], now).await).await
    }

    /// Returns whether to continue.
    async fn reconcile_page(&self, orders: &[Order], run: &mut ReconcileRun) -> bool {
        run.found.asked += orders.len();
        let (without_checkout, with_checkout): (Vec<_>, Vec<_>) =
            orders.iter().partition(|order| matches!(order.step(), Ok(Step::Unopened(_))));
        for some in with_checkout.chunks(AT_ONCE) {
            if !self.check_batch(some, run).await {
                return false;
            }
        }
        self.find_lost(&without_checkout, run).await
    }

    /// Returns whether to continue.
    async fn check_batch(&self, orders: &[&Order], run: &mut ReconcileRun) -> bool {
        let answers = join_all(orders.iter().map(|order| self.check_order(order))).await;
        let down = answers.iter().all(Result::is_err) && self.is_down().await;
        for (order, answer) in orders.iter().zip(answers) {
            run.record(order, answer);
        }
        !down && self.postpone_all(orders, run).await
    }

    /// Whether the gateway is down, rather than failing for some orders.
    async fn is_down(&self) -> bool {
        self.0.gateway.check().await.is_err()
    }

    /// Retrieves the current attempt's checkout and applies its state.
    async fn check_order(&self, order: &Order) -> Result<Option<Found>, ReconcileError> {
        let attempt = order.attempt();
        let awaited = matches!(attempt.state, AttemptState::Live | AttemptState::Processing);
        let Some(session) = attempt.session.as_ref().filter(|_| awaited) else { return Ok(None) };
        match self.0.gateway.retrieve(session).await? {
            None => {
                self.end_unknown(order, session).await?;
                Ok(Some(Found::Unknown))
            }
            Some(checkout) => Ok(self.apply_state(order, attempt.number, &checkout).await?),
        }
    }

    /// An order without a limit of places stays open: once a wrong key is corrected, a payment made in the meantime is found.
    /// Otherwise the order would keep a place for ever. A payment that is found later is late.
    async fn end_unknown(&self, order: &Order, session: &str) -> Result<(), StoreError> {
        match self.unknown_checkout_fact(order, session) {
            Some(fact) if self.has_capacity(order) => {
                self.apply_checkout_fact(RETRIEVED, &fact).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    async fn apply_state(
        &self,
        order: &Order,
        number: u32,
        checkout: &Checkout,
    ) -> Result<Option<Found>, StoreError> {
        let Some(fact) = fact_of(&order.id, number, checkout) else { return Ok(None) };
        Ok(match self.apply_checkout_fact(RETRIEVED, &fact).await? {
            Received::Applied(outcome) => news(outcome),
            Received::Duplicate | Received::NotOurs => None,
        })
    }

    /// Schedules the next question, also for orders that failed: otherwise they would always come first. Returns whether
    /// the store accepted any.
    async fn postpone_all(&self, orders: &[&Order], run: &mut ReconcileRun) -> bool {
        let mut taken = orders.is_empty();
        for order in orders {
            let kept = self.ask_later(order).await;
            taken |= kept.is_ok();
            run.record(order, kept.map(|()| None).map_err(ReconcileError::from));
        }
        taken
    }

    async fn ask_later(&self, order: &Order) -> Result<(), StoreError> {
        let now = self.0.clock.now();
        self.change(order, None, now, |order| order.ask_later(now)).await.map(drop)
    }

    /// Looks in the gateway's list for checkouts of attempts that have none here, by their metadata. Returns whether to
    /// continue.
    async fn find_lost(&self, orders: &[&Order], run: &mut ReconcileRun) -> bool {
        let Some(first) = orders.iter().map(|order| order.attempt().made_at).min() else { return true };
        let (made, read) = self.created_since(first.minus(SKEW), orders).await;
        let complete = matches!(read, Ok(true));
        let down = read.is_err() && self.is_down().await;
        if let Err(error) = read {
            tracing::warn!(%error, "the list of checkouts can't be read completely");
            run.failed.get_or_insert(error.into());
        }
        for order in orders {
            let answer = match made.get(&(order.id.clone(), order.attempt().number)) {
                Some(checkout) => self.adopt(order, checkout).await,
                None if complete => self.abandon(order).await,
                None => Ok(None),
            };
            run.record(order, answer);
        }
        !down && self.postpone_all(orders, run).await
    }

    /// The checkouts of these orders' attempts created since `since`, as far as the list could be read; and whether it was
    /// read completely.
    async fn created_since(
        &self,
        since: Timestamp,
        orders: &[&Order],
    ) -> (HashMap<(String, u32), Checkout>, Result<bool, GatewayError>) {
        let wanted = |checkout: &Checkout| {
            let key = (checkout.order.clone()?, checkout.attempt?);
            let asked = orders.iter().any(|order| order.id == key.0 && order.attempt().number == key.1);
            asked.then_some(key)
        };
        let (mut made, mut after) = (HashMap::new(), None);
        for _ in 0..PAGES {
            let page = match self.0.gateway.list(since, after.as_deref()).await {
                Ok(page) => page,
                Err(error) => return (made, Err(error)),
            };
            let found = page.items.into_iter().filter_map(|checkout| Some((wanted(&checkout)?, checkout)));
            made.extend(found);
            after = page.next;
            if after.is_none() || made.len() == orders.len() {
                return (made, Ok(after.is_none()));
            }
        }
        (made, Ok(false))
    }

    /// Records a checkout that was opened although the answer was lost.
    async fn adopt(&self, order: &Order, checkout: &Checkout) -> Result<Option<Found>, ReconcileError> {
        let (number, now) = (order.attempt().number, self.0.clock.now());
        if checkout.status != CheckoutStatus::Open {
            return Ok(self.apply_state(order, number, checkout).await?);
        }
        if checkout.money != Some(order.attempt().price) {
            return self.expire_mispriced(order, checkout).await;
        }
        let kept = self.change(order, Some(number), now, |order| order.opened(number, checkout, now)).await?;
        Ok(kept.map(|_| Found::Opened))
    }

    /// Expires a checkout whose amount differs from `event.toml`, as is done when one is opened.
    async fn expire_mispriced(
        &self,
        order: &Order,
        checkout: &Checkout,
    ) -> Result<Option<Found>, ReconcileError> {
        self.0.gateway.expire(&checkout.session).await?;
        let (number, now) = (order.attempt().number, self.0.clock.now());
        tracing::error!(order = order.id, number, "a checkout has another amount than event.toml");
        let changed = self.replace_rejected(order, now).await?;
        Ok(changed.map(|_| Found::Mispriced))
    }

    /// Replaces an attempt that has had no checkout for a while, and with it an idempotency key under which the gateway may
    /// have stored a failure.
    async fn abandon(&self, order: &Order) -> Result<Option<Found>, ReconcileError> {
        let (attempt, now) = (order.attempt(), self.0.clock.now());
        if now.since(attempt.made_at) < ABANDONED {
            return Ok(None);
        }
        let number = attempt.number;
        let changed = self.replace_rejected(order, now).await?;
        Ok(changed.filter(|order| order.attempt().number != number).map(|_| Found::Abandoned))
    }
}

fn news(outcome: Outcome) -> Option<Found> {
    match outcome {
        Outcome::Paid => Some(Found::Paid),
        Outcome::Processing => Some(Found::Processing),
        Outcome::Reopened => Some(Found::Reopened),
        Outcome::Expired => Some(Found::Expired),
        Outcome::Flagged(flag) => Some(Found::Flagged(flag)),
        Outcome::Reversed | Outcome::Unchanged => None,
    }
}

fn finding(order: &Order, found: Found) -> Finding {
    Finding { order: order.id.clone(), attempt: order.attempt().number, found }
}

/// The open orders to check.
fn waiting(scope: ReconcileScope, now: Timestamp) -> Query {
    let waiting = Filter::In("state".into(), vec!["open".into(), "processing".into()]);
    match scope {
        ReconcileScope::All => Query::new(waiting).limit(BATCH),
        ReconcileScope::Due => {
            let due = waiting.and(Filter::Le("askAt".into(), now.into()));
            Query::new(due).sort("askAt", Dir::Asc).limit(BATCH)
        }
    }
}
