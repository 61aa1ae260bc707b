//! Asks the gateway for what never arrived: checkouts that ended or were paid without our being told, and checkouts
//! that were made although we never had the answer.
//!
//! What it says is taken in as an event would be, so that a late event finds everything done.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;

use super::gateway::{Checkout, CheckoutStatus, GatewayError};
use super::model::{AttemptState, Order, Outcome, Step};
use super::service::{ASKED, OpenCheckoutError, Payments, Received, told};
use crate::kernel::Timestamp;
use crate::platform::store::{Dir, Filter, Query, StoreError, Value};

/// Orders that one run asks about, and one page of all.
const BATCH: u32 = 200;

/// Questions under way at once: far below what Stripe takes (25 a second with a test key).
const AT_ONCE: usize = 4;

/// An attempt that no checkout was made for in this time makes way for another.
const ABANDONED: Duration = Duration::from_secs(15 * 60);

/// Our clock and the gateway's may differ by so much.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// Pages of the gateway's list that one run reads: 10,000 checkouts.
const PAGES: usize = 100;

/// Which orders the gateway is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Some of those for which it is time.
    Due,
    /// All that wait for something.
    All,
}

/// What was found about one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub order: String,
    /// The attempt's number.
    pub attempt: u32,
    pub found: Found,
}

/// What the gateway knew and we didn't.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// News of the checkout, which took effect.
    Settled(Outcome),
    /// A checkout that was made without our having the answer.
    Opened,
    /// No checkout was ever made: the next attempt is on its way.
    Abandoned,
    /// It doesn't know the checkout that it gave us: somebody has to look.
    Unknown,
}

/// What a run found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciliation {
    /// How many orders it asked about.
    pub asked: usize,
    /// Where there was news.
    pub findings: Vec<Finding>,
}

/// Why a run ended early. What it found by then has taken effect.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<OpenCheckoutError> for ReconcileError {
    fn from(error: OpenCheckoutError) -> Self {
        match error {
            OpenCheckoutError::Store(error) => Self::Store(error),
            other => Self::Store(StoreError::Failed(other.to_string())),
        }
    }
}

impl Payments {
    /// Asks the gateway for what never arrived, and takes it in.
    ///
    /// # Errors
    /// [`ReconcileError`] if the gateway or the store can't answer.
    pub async fn reconcile(&self, scope: Scope) -> Result<Reconciliation, ReconcileError> {
        let mut result = Reconciliation::default();
        let mut query = waiting(scope, self.0.clock.now());
        loop {
            let orders = self.0.store.find::<Order>(query.clone()).await?;
            self.reconcile_these(&orders, &mut result).await?;
            match orders.last() {
                Some(last) if scope == Scope::All && orders.len() == BATCH as usize => {
                    query = waiting(scope, self.0.clock.now()).after(vec![Value::Text(last.id.clone())]);
                }
                _ => return Ok(result),
            }
        }
    }

    async fn reconcile_these(
        &self,
        orders: &[Order],
        result: &mut Reconciliation,
    ) -> Result<(), ReconcileError> {
        result.asked += orders.len();
        let (unheard, heard): (Vec<_>, Vec<_>) =
            orders.iter().partition(|order| matches!(order.step(), Ok(Step::Unopened(_))));
        result.findings.extend(self.look_for(&unheard).await?);
        let mut failed = None;
        for some in heard.chunks(AT_ONCE) {
            let answers = join_all(some.iter().map(|order| self.ask_about(order))).await;
            let away = answers.iter().all(Result::is_err);
            for answer in answers {
                match answer {
                    Ok(found) => result.findings.extend(found),
                    Err(error) => failed = Some(error),
                }
            }
            // One order that can't be asked about holds up no other.
            if away {
                break;
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Asks how the checkout of the last attempt stands.
    async fn ask_about(&self, order: &Order) -> Result<Option<Finding>, ReconcileError> {
        let attempt = order.attempt();
        let awaited = matches!(attempt.state, AttemptState::Live | AttemptState::Processing);
        let found = match attempt.session.as_ref().filter(|_| awaited) {
            None => None,
            Some(session) => match self.0.gateway.retrieve(session).await? {
                None => Some(Found::Unknown),
                Some(checkout) => self.take_in_standing(order, attempt.number, &checkout).await?,
            },
        };
        self.ask_later(order).await?;
        Ok(found.map(|found| finding(order, found)))
    }

    async fn take_in_standing(
        &self,
        order: &Order,
        number: u32,
        checkout: &Checkout,
    ) -> Result<Option<Found>, StoreError> {
        let Some(event) = told(&order.id, number, checkout) else { return Ok(None) };
        Ok(match self.settle(ASKED, &event).await? {
            Received::Settled(Outcome::Unchanged) | Received::Again | Received::NotOurs => None,
            Received::Settled(outcome) => Some(Found::Settled(outcome)),
        })
    }

    async fn ask_later(&self, order: &Order) -> Result<(), ReconcileError> {
        let now = self.0.clock.now();
        match self.change(&order.id, None, now, |order| order.ask_later(now)).await {
            Ok(_) | Err(OpenCheckoutError::NotFound) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Looks for the checkouts of attempts of which we never heard, by what we gave to them.
    async fn look_for(&self, orders: &[&Order]) -> Result<Vec<Finding>, ReconcileError> {
        let Some(first) = orders.iter().map(|order| order.attempt().made_at()).min() else {
            return Ok(vec![]);
        };
        let (made, complete) = self.made_since(first.minus(SKEW), orders).await?;
        let mut findings = vec![];
        for order in orders {
            let found = match made.get(&(order.id.clone(), order.attempt().number)) {
                Some(checkout) => self.adopt(order, checkout).await?,
                None if complete => self.abandon(order).await?,
                None => None,
            };
            findings.extend(found.map(|found| finding(order, found)));
            self.ask_later(order).await?;
        }
        Ok(findings)
    }

    /// The checkouts of these orders' attempts that were made since then, and whether the whole list was read.
    async fn made_since(
        &self,
        since: Timestamp,
        orders: &[&Order],
    ) -> Result<(HashMap<(String, u32), Checkout>, bool), GatewayError> {
        let wanted = |checkout: &Checkout| {
            let key = (checkout.order.clone()?, checkout.attempt?);
            let asked = orders.iter().any(|order| order.id == key.0 && order.attempt().number == key.1);
            asked.then_some(key)
        };
        let (mut made, mut after) = (HashMap::new(), None);
        for _ in 0..PAGES {
            let page = self.0.gateway.list(since, after.as_deref()).await?;
            let found = page.items.into_iter().filter_map(|checkout| Some((wanted(&checkout)?, checkout)));
            made.extend(found);
            after = page.next;
            if after.is_none() || made.len() == orders.len() {
                return Ok((made, after.is_none()));
            }
        }
        Ok((made, false))
    }

    /// A checkout that was made although we never had the answer is the order's own.
    async fn adopt(&self, order: &Order, checkout: &Checkout) -> Result<Option<Found>, ReconcileError> {
        let (number, now) = (order.attempt().number, self.0.clock.now());
        if checkout.status != CheckoutStatus::Open {
            return Ok(self.take_in_standing(order, number, checkout).await?);
        }
        self.change(&order.id, Some(number), now, |order| order.opened(number, checkout, now)).await?;
        Ok(Some(Found::Opened))
    }

    /// An attempt for which nothing was made in all that time gives way, and with it a key under which the gateway
    /// may have kept a failure.
    async fn abandon(&self, order: &Order) -> Result<Option<Found>, ReconcileError> {
        let (attempt, now) = (order.attempt(), self.0.clock.now());
        if now.since(attempt.made_at()) < ABANDONED {
            return Ok(None);
        }
        let number = attempt.number;
        let changed = self
            .change(&order.id, Some(number), now, |order| order.replace_refused(number, &self.0.pages, now))
            .await?;
        Ok((changed.attempt().number != number).then_some(Found::Abandoned))
    }
}

fn finding(order: &Order, found: Found) -> Finding {
    Finding { order: order.id.clone(), attempt: order.attempt().number, found }
}

/// The orders that wait for something.
fn waiting(scope: Scope, now: Timestamp) -> Query {
    let waiting = Filter::In("state", vec!["open".into(), "processing".into()]);
    match scope {
        Scope::All => Query::new(waiting).limit(BATCH),
        Scope::Due => {
            let due = waiting.and(Filter::Le("askAt", now.into()));
            Query::new(due).sort("askAt", Dir::Asc).limit(BATCH)
        }
    }
}
