//! Asks the gateway for what never arrived: checkouts that ended or were paid without our being told, and checkouts
//! that were made although we never had the answer.
//!
//! What it says is taken in as an event would be, so that a late event finds everything done.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;

use super::gateway::{Checkout, CheckoutStatus, GatewayError};
use super::model::{AttemptState, Order, Outcome, PaymentFlag, Step};
use super::service::{ASKED, Payments, Received, SKEW, say_unknown, told};
use crate::kernel::Timestamp;
use crate::platform::store::{Dir, Filter, Query, StoreError, Value};

/// Orders that one run asks about, and one page of all.
const BATCH: u32 = 200;

/// Questions under way at once: far below what Stripe takes (25 a second with a test key).
const AT_ONCE: usize = 4;

/// An attempt that no checkout was made for in this time makes way for another.
const ABANDONED: Duration = Duration::from_secs(15 * 60);

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

/// What the gateway knew and we didn't. It has taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Paid,
    /// The student has done their part; the bank has not answered yet.
    Processing,
    /// The payment failed: it can be tried again.
    Reopened,
    /// The checkout ended unpaid.
    Expired,
    /// Money came that somebody has to look at.
    Flagged(PaymentFlag),
    /// A checkout that was made without our having the answer.
    Opened,
    /// No checkout was ever made: the next attempt is on its way.
    Abandoned,
    /// A checkout that comes to another amount than the attempt: it was ended, the next attempt is on its way.
    Mispriced,
    /// It doesn't know the checkout that it gave us: somebody has to look. Once nobody can pay by it any more the order
    /// gets another when it is asked for.
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

/// A run in which not everything could be asked.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct Unfinished {
    /// What was found all the same. It has taken effect.
    pub found: Reconciliation,
    /// The first failure. All are logged.
    pub why: ReconcileError,
}

/// Why something could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A run under way.
#[derive(Default)]
struct Run {
    found: Reconciliation,
    failed: Option<ReconcileError>,
}

impl Run {
    /// Keeps what was found about an order, or that it failed: the others go on.
    fn note(&mut self, order: &Order, answer: Result<Option<Found>, ReconcileError>) {
        match answer {
            Ok(found) => self.found.findings.extend(found.map(|found| finding(order, found))),
            Err(error) => {
                tracing::warn!(order = order.id, %error, "an order that can't be asked about");
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
    /// Asks the gateway for what never arrived, and takes it in.
    ///
    /// # Errors
    /// [`Unfinished`] if the gateway or the store can't answer something. One order that fails holds up no other; where
    /// neither answers the run ends.
    pub async fn reconcile(&self, scope: Scope) -> Result<Reconciliation, Unfinished> {
        let mut run = Run::default();
        let mut query = waiting(scope, self.0.clock.now());
        loop {
            let orders = match self.0.store.find::<Order>(query.clone()).await {
                Ok(orders) => orders,
                Err(error) => {
                    run.failed.get_or_insert(error.into());
                    break;
                }
            };
            let answers = self.reconcile_these(&orders, &mut run).await;
            match orders.last() {
                Some(last) if answers && scope == Scope::All && orders.len() == BATCH as usize => {
                    query = waiting(scope, self.0.clock.now()).after(vec![Value::Text(last.id.clone())]);
                }
                _ => break,
            }
        }
        run.end()
    }

    /// Whether there is any use in going on.
    async fn reconcile_these(&self, orders: &[Order], run: &mut Run) -> bool {
        run.found.asked += orders.len();
        let (unheard, heard): (Vec<_>, Vec<_>) =
            orders.iter().partition(|order| matches!(order.step(), Ok(Step::Unopened(_))));
        for some in heard.chunks(AT_ONCE) {
            if !self.ask_about_these(some, run).await {
                return false;
            }
        }
        self.look_for(&unheard, run).await
    }

    /// Whether there is any use in going on.
    async fn ask_about_these(&self, orders: &[&Order], run: &mut Run) -> bool {
        let answers = join_all(orders.iter().map(|order| self.ask_about(order))).await;
        let away = answers.iter().all(Result::is_err) && self.is_away().await;
        for (order, answer) in orders.iter().zip(answers) {
            run.note(order, answer);
        }
        !away && self.ask_all_later(orders, run).await
    }

    /// Whether it is not about some orders that the gateway can't answer.
    async fn is_away(&self) -> bool {
        self.0.gateway.check().await.is_err()
    }

    /// Asks how the checkout of the last attempt stands.
    async fn ask_about(&self, order: &Order) -> Result<Option<Found>, ReconcileError> {
        let attempt = order.attempt();
        let awaited = matches!(attempt.state, AttemptState::Live | AttemptState::Processing);
        let Some(session) = attempt.session.as_ref().filter(|_| awaited) else { return Ok(None) };
        match self.0.gateway.retrieve(session).await? {
            None => {
                // Asked again: a wrong key may be put right, and then what was paid meanwhile is found.
                say_unknown(order);
                Ok(Some(Found::Unknown))
            }
            Some(checkout) => Ok(self.take_in_standing(order, attempt.number, &checkout).await?),
        }
    }

    async fn take_in_standing(
        &self,
        order: &Order,
        number: u32,
        checkout: &Checkout,
    ) -> Result<Option<Found>, StoreError> {
        let Some(event) = told(&order.id, number, checkout) else { return Ok(None) };
        Ok(match self.settle(ASKED, &event).await? {
            Received::Settled(outcome) => news(outcome),
            Received::Again | Received::NotOurs => None,
        })
    }

    /// Those that failed, too: otherwise they would come first for ever. Whether the store takes any of it.
    async fn ask_all_later(&self, orders: &[&Order], run: &mut Run) -> bool {
        let mut taken = orders.is_empty();
        for order in orders {
            let kept = self.ask_later(order).await;
            taken |= kept.is_ok();
            run.note(order, kept.map(|()| None).map_err(ReconcileError::from));
        }
        taken
    }

    async fn ask_later(&self, order: &Order) -> Result<(), StoreError> {
        let now = self.0.clock.now();
        self.change(&order.id, None, now, |order| order.ask_later(now)).await.map(drop)
    }

    /// Looks for the checkouts of attempts of which we never heard, by what we gave to them. Whether there is any use in
    /// going on.
    async fn look_for(&self, orders: &[&Order], run: &mut Run) -> bool {
        let Some(first) = orders.iter().map(|order| order.attempt().made_at()).min() else { return true };
        let (made, read) = self.made_since(first.minus(SKEW), orders).await;
        let complete = matches!(read, Ok(true));
        let away = read.is_err() && self.is_away().await;
        if let Err(error) = read {
            tracing::warn!(%error, "the list of checkouts can't be read to its end");
            run.failed.get_or_insert(error.into());
        }
        for order in orders {
            let answer = match made.get(&(order.id.clone(), order.attempt().number)) {
                Some(checkout) => self.adopt(order, checkout).await,
                None if complete => self.abandon(order).await,
                None => Ok(None),
            };
            run.note(order, answer);
        }
        !away && self.ask_all_later(orders, run).await
    }

    /// The checkouts of these orders' attempts that were made since then, as far as the list could be read; and whether
    /// that was all of it.
    async fn made_since(
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

    /// A checkout that was made although we never had the answer is the order's own.
    async fn adopt(&self, order: &Order, checkout: &Checkout) -> Result<Option<Found>, ReconcileError> {
        let (number, now) = (order.attempt().number, self.0.clock.now());
        if checkout.status != CheckoutStatus::Open {
            return Ok(self.take_in_standing(order, number, checkout).await?);
        }
        if checkout.money != Some(order.attempt().price) {
            return self.turn_down(order, checkout).await;
        }
        let kept =
            self.change(&order.id, Some(number), now, |order| order.opened(number, checkout, now)).await?;
        Ok(kept.map(|_| Found::Opened))
    }

    /// Nobody is to pay another amount than `event.toml` says: as when a checkout is opened.
    async fn turn_down(&self, order: &Order, checkout: &Checkout) -> Result<Option<Found>, ReconcileError> {
        self.0.gateway.expire(&checkout.session).await?;
        let (number, now) = (order.attempt().number, self.0.clock.now());
        tracing::error!(order = order.id, number, "a checkout came to another amount than event.toml says");
        let changed = self
            .change(&order.id, Some(number), now, |order| order.replace_refused(number, &self.0.pages, now))
            .await?;
        Ok(changed.map(|_| Found::Mispriced))
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
        Outcome::Returned | Outcome::Unchanged => None,
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
