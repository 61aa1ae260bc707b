//! Use cases: receive the gateway's events and apply them to orders.

use std::time::Duration;

use super::gateway::{CheckoutFact, Fact, ReversalFact, Untrusted};
use super::model::{NotOurs, Order, Outcome, StripeEvent};
use super::service::Payments;
use crate::kernel::{Timestamp, faults};
use crate::platform::store::{Dir, Filter, Query, StoreError, Tx};

/// How long the gateway is asked to retry an event about an unknown payment. By then the payment has been reported, was
/// retrieved, or belongs to somebody else.
const MAY_BE_OURS: Duration = Duration::from_secs(3600);

/// The kind under which facts are stored that the gateway reported when asked.
pub(super) const RETRIEVED: &str = "asked";

/// The result of an event.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// It was applied.
    Applied(Outcome),
    /// It had been applied before.
    Duplicate,
    /// It is not about one of our orders.
    NotOurs,
}

/// Why an event was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// Nothing was stored, so that the gateway sends it again.
    #[error("it is about a payment that is not known yet")]
    Early,
    #[error(transparent)]
    Store(#[from] StoreError),
}

enum ApplyError {
    NotOurs,
    Store(StoreError),
}

impl From<StoreError> for ApplyError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<NotOurs> for ApplyError {
    fn from(_: NotOurs) -> Self {
        Self::NotOurs
    }
}

impl Payments {
    /// Receives an event from the gateway.
    ///
    /// # Errors
    /// [`ReceiveError`] if the signature is wrong, or if the event can't be applied now (the gateway sends it again).
    pub async fn receive(&self, body: &[u8], signature: Option<&str>) -> Result<Received, ReceiveError> {
        let verified = self.0.webhook.read(body, signature, self.0.clock.now()).inspect_err(|reason| {
            tracing::warn!(%reason, bytes = body.len(), "an event was rejected");
        })?;
        let received = match &verified.fact {
            Fact::Checkout(fact) => self.apply_checkout_fact(&verified.kind, fact).await?,
            Fact::Reversal(fact) => self.apply_reversal(&verified.kind, fact, verified.created).await?,
            Fact::Other => self.record_ignored(&verified.id, &verified.kind).await?,
        };
        let (event, kind) = (&*verified.id, &*verified.kind);
        match (&verified.fact, &received) {
            (Fact::Other, _) => tracing::info!(event, kind, "an event was ignored"),
            (_, Received::NotOurs) => tracing::warn!(event, kind, "an event is not about one of our orders"),
            (_, Received::Applied(Outcome::Flagged(flag))) => {
                tracing::error!(event, kind, ?flag, "a payment needs review");
            }
            (Fact::Reversal(ReversalFact { disputed: true, .. }), _) => {
                tracing::error!(event, kind, "a dispute needs an answer");
            }
            (_, outcome) => tracing::info!(event, kind, ?outcome, "an event was received"),
        }
        Ok(received)
    }

    /// Applies a fact about a checkout, whether an event reported it or the gateway was asked.
    pub(super) async fn apply_checkout_fact(
        &self,
        kind: &str,
        fact: &CheckoutFact,
    ) -> Result<Received, StoreError> {
        let now = self.0.clock.now();
        let rule = |order: &mut Order| order.settle(fact, now);
        self.apply_event(&fact.id, kind, &fact.order, now, rule).await
    }

    /// Applies a refund or a dispute. An event that doesn't name our order names the payment.
    async fn apply_reversal(
        &self,
        kind: &str,
        fact: &ReversalFact,
        created: Option<Timestamp>,
    ) -> Result<Received, ReceiveError> {
        let now = self.0.clock.now();
        let order = match &fact.order {
            Some(order) => Some(order.clone()),
            None => {
                let by_intent = Query::new(Filter::has("intents", fact.intent.as_str())).limit(1);
                self.0.store.find::<Order>(by_intent).await?.pop().map(|order| order.id)
            }
        };
        let Some(order) = order else {
            if created.is_some_and(|created| now.since(created) < MAY_BE_OURS) {
                tracing::info!(event = fact.id, kind, "an event is about a payment that is not known yet");
                return Err(ReceiveError::Early);
            }
            return Ok(self.record_ignored(&fact.id, kind).await?);
        };
        let rule = |order: &mut Order| order.reverse(fact);
        Ok(self.apply_event(&fact.id, kind, &order, now, rule).await?)
    }

    /// Stores the event's id, changes the order and runs what follows, in one transaction. The id prevents the same event
    /// from being applied again.
    async fn apply_event(
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
        let applied = self
            .0
            .store
            .transact_at(guard, async |tx| {
                let mut order = self.claim(&tx, &seen, order).await?.ok_or(ApplyError::NotOurs)?;
                let outcome = rule(&mut order)?;
                tx.put(&order).await?;
                faults::point("pay.while-settling");
                self.run_fulfilment(&tx, &order, outcome, now).await?;
                Ok(outcome)
            })
            .await;
        faults::point("pay.after-settle");
        match applied {
            Ok(outcome) => Ok(Received::Applied(outcome)),
            Err(ApplyError::NotOurs) => self.record_ignored(event, kind).await,
            Err(ApplyError::Store(error)) => self.seen_before(event, error).await,
        }
    }

    /// The guard of the order's product; the order itself if it is unknown.
    async fn guard<'a>(&'a self, order: &'a str) -> Result<&'a str, StoreError> {
        let product = self.0.store.get::<Order>(order).await?.map(|order| order.product);
        let fulfilment = product.and_then(|product| self.0.fulfilments.get(&product));
        Ok(fulfilment.map_or(order, |fulfilment| fulfilment.guard()))
    }

    /// Stores an event that is not about one of our orders.
    async fn record_ignored(&self, event: &str, kind: &str) -> Result<Received, StoreError> {
        let seen = seen(event, kind, None, self.0.clock.now());
        match self.0.store.insert(&seen).await {
            Ok(()) => Ok(Received::NotOurs),
            Err(error) => self.seen_before(event, error).await,
        }
    }

    /// The order, after the event's id has been stored so that the event is applied once.
    async fn claim(&self, tx: &Tx, event: &StripeEvent, order: &str) -> Result<Option<Order>, StoreError> {
        if !faults::guarded("pay.event-once") {
            return self.0.store.get(order).await;
        }
        tx.insert(event).await?;
        tx.get(order).await
    }

    /// Deletes events that the gateway will not send again.
    ///
    /// # Errors
    /// [`StoreError`]; what was deleted before the error stays deleted.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        let before = self.0.clock.now().minus(StripeEvent::KEPT);
        let old = Filter::Lt("receivedAt", before.into());
        self.0.store.sweep::<StripeEvent>(Query::new(old).sort("receivedAt", Dir::Asc)).await.map(drop)
    }

    async fn seen_before(&self, event: &str, error: StoreError) -> Result<Received, StoreError> {
        let duplicate = matches!(error, StoreError::Duplicate { .. });
        if duplicate && self.0.store.get::<StripeEvent>(event).await?.is_some() {
            return Ok(Received::Duplicate);
        }
        Err(error)
    }

    async fn run_fulfilment(
        &self,
        tx: &Tx,
        order: &Order,
        outcome: Outcome,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(fulfilment) = self.0.fulfilments.get(&order.product) else {
            let (order, product) = (order.id.clone(), order.product.clone());
            tx.once_committed(move || tracing::error!(order, product, "no feature handles this product"))
                .await;
            return Ok(());
        };
        match outcome {
            Outcome::Paid => fulfilment.paid(tx, order, now).await,
            Outcome::Expired => fulfilment.expired(tx, order, now).await,
            Outcome::Processing
            | Outcome::Reopened
            | Outcome::Flagged(_)
            | Outcome::Reversed
            | Outcome::Unchanged => Ok(()),
        }
    }
}

fn seen(event: &str, kind: &str, order: Option<&str>, now: Timestamp) -> StripeEvent {
    let order = order.map(str::to_owned);
    StripeEvent { id: event.to_owned(), kind: kind.to_owned(), order, received_at: now }
}
