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

/// Events forgotten in one transaction.
const BATCH: u32 = 500;

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

    /// The gateway doesn't know the last attempt's checkout, which it gave us: the key is of another account or another
    /// mode than the one that opened it. What was paid there nobody here can see, so somebody has to look. Once it can't
    /// be paid there any more it counts as ended, or the order could never be paid; one whose money is on its way stays.
    pub(super) fn told_nothing(&self, order: &Order, session: &str) -> Option<PaymentEvent> {
        let attempt = order.attempt();
        tracing::error!(
            order = order.id,
            attempt = attempt.number,
            "the gateway doesn't know the checkout of an order"
        );
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
        match self.0.store.transact(async |tx| tx.insert(&seen).await).await {
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
        let query = Query::new(old).sort("receivedAt", Dir::Asc).limit(BATCH);
        while self.0.store.transact(async |tx| forget(&tx, query.clone()).await).await? == BATCH as usize {}
        Ok(())
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

async fn forget(tx: &Tx, query: Query) -> Result<usize, StoreError> {
    let old = tx.find::<StripeEvent>(query).await?;
    for event in &old {
        tx.delete::<StripeEvent>(&event.id).await?;
    }
    Ok(old.len())
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use serde_json::json;

    use super::*;
    use crate::config::{Config, Product};
    use crate::features::payments::gateway::{
        CheckoutPage, CheckoutRequest, Refund, RefundRequest, Sandbox, Source, sign,
    };
    use crate::features::payments::model::OrderState;
    use crate::kernel::{EmailAddress, ManualClock, Money, RandomIds, Secret};
    use crate::platform::jobs::{Job, JobState};
    use crate::platform::signals::InProcess;
    use crate::platform::store::testing::TestStore;
    use crate::platform::store::{Store, schema};

    /// Counts what follows.
    #[derive(Default)]
    pub struct Counted {
        pub paid: AtomicU32,
        pub expired: AtomicU32,
    }

    #[async_trait]
    impl Fulfilment for Counted {
        fn guard(&self) -> &'static str {
            "counted"
        }

        async fn paid(&self, _: &Tx, _: &Order, _: Timestamp) -> Result<(), StoreError> {
            self.paid.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }

        async fn expired(&self, _: &Tx, _: &Order, _: Timestamp) -> Result<(), StoreError> {
            self.expired.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    }

    /// The sandbox, behind a line that can be cut and an office that can refuse.
    pub struct Line {
        sandbox: Arc<Sandbox>,
        cut: AtomicBool,
        refuses: AtomicBool,
        opened: AtomicU32,
    }

    #[async_trait]
    impl Gateway for Line {
        async fn open(&self, request: &CheckoutRequest) -> Result<Checkout, GatewayError> {
            if self.cut.load(Ordering::SeqCst) {
                return Err(GatewayError::Unavailable("the line is cut".into()));
            }
            if self.refuses.swap(false, Ordering::SeqCst) {
                return Err(GatewayError::Refused("not like this".into()));
            }
            self.opened.fetch_add(1, Ordering::SeqCst);
            self.sandbox.open(request).await
        }

        async fn retrieve(&self, session: &str) -> Result<Option<Checkout>, GatewayError> {
            self.sandbox.retrieve(session).await
        }

        async fn expire(&self, session: &str) -> Result<(), GatewayError> {
            self.sandbox.expire(session).await
        }

        async fn refund(&self, request: &RefundRequest) -> Result<Refund, GatewayError> {
            self.sandbox.refund(request).await
        }

        async fn list(&self, since: Timestamp, after: Option<&str>) -> Result<CheckoutPage, GatewayError> {
            self.sandbox.list(since, after).await
        }

        async fn check(&self) -> Result<(), GatewayError> {
            self.sandbox.check().await
        }
    }

    pub struct Shop {
        pub store: TestStore,
        pub clock: Arc<ManualClock>,
        pub sandbox: Arc<Sandbox>,
        pub line: Arc<Line>,
        pub counted: Arc<Counted>,
        pub payments: Arc<Payments>,
    }

    const NOON: i64 = 1_788_246_000_000;

    fn config() -> Config {
        Config::from_env(&std::collections::BTreeMap::new()).unwrap()
    }

    fn payments(
        store: &Store,
        clock: &Arc<ManualClock>,
        line: &Arc<Line>,
        counted: &Arc<Counted>,
        signals: Arc<dyn Signals>,
    ) -> Arc<Payments> {
        let fulfilment: Arc<dyn Fulfilment> = counted.clone();
        Arc::new(Payments::new(Parts {
            store: store.clone(),
            clock: clock.clone(),
            signals,
            gateway: line.clone(),
            webhook: Webhook::new(Source::Sandbox, line.sandbox.secrets()).unwrap(),
            pages: config().pages_url().clone(),
            fulfilments: HashMap::from([("orientation".to_owned(), fulfilment)]),
        }))
    }

    impl Shop {
        pub async fn open() -> Self {
            let schemas = [super::super::schemas(), vec![schema::<Job>()]].concat();
            let store = TestStore::with(&schemas).await;
            let clock = Arc::new(ManualClock::at(Timestamp::from_millis(NOON)));
            let config = config();
            let sandbox = Sandbox::start(store.clone(), clock.clone(), &RandomIds, &config).await.unwrap();
            let counted = Arc::new(Counted::default());
            let (cut, refuses, opened) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU32::new(0));
            let line = Arc::new(Line { sandbox: sandbox.clone(), cut, refuses, opened });
            let limits_off: Arc<dyn Signals> = Arc::new(InProcess::new(0.0));
            let payments = payments(&store, &clock, &line, &counted, limits_off);
            Self { store, clock, sandbox, line, counted, payments }
        }

        fn with_signals(&self, signals: Arc<dyn Signals>) -> Arc<Payments> {
            payments(&self.store, &self.clock, &self.line, &self.counted, signals)
        }

        /// An order that has been begun.
        pub async fn order(&self) -> Order {
            let price = Money { amount: 13_000, currency: "CAD".to_owned().try_into().unwrap() };
            let product = Product {
                id: "orientation".into(),
                name: "Orientation ticket".into(),
                price,
                stripe_price: None,
                early_bird: None,
            };
            let email = EmailAddress::parse("ana@example.org").unwrap();
            let id = crate::kernel::Ids::next(&RandomIds);
            let order = Order::open(id, "ana", &product, email, self.clock.now());
            self.store.transact(async |tx| self.payments.begin(&tx, &order).await).await.unwrap();
            order
        }

        pub async fn read(&self, order: &Order) -> Order {
            self.store.get::<Order>(&order.id).await.unwrap().unwrap()
        }

        /// What the gateway would send about the order's checkout.
        fn event(&self, id: &str, order: &Order, kind: &str, status: &str) -> String {
            json!({
                "id": id, "object": "event", "type": format!("checkout.session.{kind}"), "livemode": false,
                "data": { "object": {
                    "id": order.attempt().session, "payment_status": status, "amount_total": 13_000, "currency": "cad",
                    "metadata": { "orderId": order.id, "attempt": order.attempt().number.to_string() },
                } },
            })
            .to_string()
        }

        async fn receive(&self, body: &str) -> Result<Received, ReceiveError> {
            let header = sign(body, &self.sandbox.secrets()[0], self.clock.now());
            self.payments.receive(body.as_bytes(), Some(&header)).await
        }

        async fn jobs(&self) -> Vec<String> {
            let waiting = Filter::eq("state", JobState::Waiting.as_str());
            self.store.find::<Job>(Query::new(waiting)).await.unwrap().into_iter().map(|job| job.id).collect()
        }
    }

    #[tokio::test]
    async fn an_order_gets_its_checkout_and_the_job_that_would_have_opened_it_goes() {
        let shop = Shop::open().await;
        let order = shop.order().await;
        assert_eq!(shop.jobs().await, [format!("checkout:{}:1", order.id)]);
        let opened = shop.payments.open_checkout(&order.id).await.unwrap();
        assert!(
            opened
                .checkout_url()
                .unwrap()
                .starts_with("http://127.0.0.1:3000/sandbox/checkout/cs_test_sandbox_")
        );
        assert!(shop.jobs().await.is_empty());
        assert_eq!(shop.payments.open_checkout(&order.id).await.unwrap(), opened);
        assert_eq!(shop.line.opened.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn while_the_gateway_is_away_the_order_stays_and_the_job_finishes_it() {
        let shop = Shop::open().await;
        let order = shop.order().await;
        shop.line.cut.store(true, Ordering::SeqCst);
        let refused = shop.payments.open_checkout(&order.id).await;
        assert!(matches!(refused, Err(OpenCheckoutError::Unavailable)));
        let job = OpenCheckout { order: order.id.clone(), attempt: 1 };
        assert!(shop.payments.finish_opening(&job).await.is_err());
        shop.line.cut.store(false, Ordering::SeqCst);
        shop.payments.finish_opening(&job).await.unwrap();
        shop.payments.finish_opening(&job).await.unwrap();
        assert!(shop.read(&order).await.checkout_url().is_some());
        assert_eq!(shop.line.opened.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn what_the_gateway_refuses_for_good_is_tried_with_new_parameters() {
        let shop = Shop::open().await;
        let order = shop.order().await;
        shop.line.refuses.store(true, Ordering::SeqCst);
        let opened = shop.payments.open_checkout(&order.id).await.unwrap();
        assert_eq!((opened.attempts.len(), opened.attempt().number), (1, 2));
        assert!(shop.jobs().await.is_empty());
    }

    #[tokio::test]
    async fn an_attempt_that_waited_too_long_for_the_gateway_makes_way() {
        let shop = Shop::open().await;
        let order = shop.order().await;
        shop.clock.advance(Duration::from_secs(24 * 3600));
        let opened = shop.payments.open_checkout(&order.id).await.unwrap();
        assert_eq!(opened.attempt().number, 2);
        assert!(opened.attempt().expires_at > shop.clock.now());
    }

    #[tokio::test]
    async fn after_its_time_the_gateway_is_asked_and_the_next_checkout_is_made() {
        let shop = Shop::open().await;
        let order = shop.order().await;
        let first = shop.payments.open_checkout(&order.id).await.unwrap();
        shop.clock.advance(Duration::from_secs(24 * 3600));
        let refused = shop.payments.open_checkout(&order.id).await;
        assert!(matches!(refused, Err(OpenCheckoutError::Unavailable)), "our clock alone ends nothing");
        shop.sandbox.sweep().await.unwrap();
        let second = shop.payments.open_checkout(&order.id).await.unwrap();
        assert_eq!(second.attempts.len(), 2);
        assert_ne!(second.checkout_url(), first.checkout_url());
        assert_eq!(shop.counted.expired.load(Ordering::SeqCst), 1);
        let late = shop.event("evt_late", &first, "expired", "unpaid");
        assert_eq!(shop.receive(&late).await.unwrap(), Received::Settled(Outcome::Unchanged));
        assert_eq!(shop.read(&order).await.checkout_url(), second.checkout_url());
        assert_eq!(shop.counted.expired.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn an_order_belongs_to_its_account() {
        let shop = Shop::open().await;
        let order = shop.order().await;
        let stranger = shop.payments.open_own_checkout("bob", &order.id).await;
        assert!(matches!(stranger, Err(OpenCheckoutError::NotFound)));
        assert!(matches!(shop.payments.order("bob", &order.id).await, Err(GetOrderError::NotFound)));
        assert!(shop.payments.order("ana", &order.id).await.is_ok());
        assert!(shop.payments.open_own_checkout("ana", &order.id).await.is_ok());
    }

    #[tokio::test]
    async fn who_asks_for_checkouts_without_end_is_told_to_wait() {
        let shop = Shop::open().await;
        let signals: Arc<dyn Signals> = Arc::new(InProcess::new(1.0));
        for _ in 0..OPEN_CHECKOUT.quota {
            assert!(matches!(signals.take(OPEN_CHECKOUT, "ana").await, Verdict::Granted { .. }));
        }
        let order = shop.order().await;
        let payments = shop.with_signals(signals);
        let refused = payments.open_own_checkout("ana", &order.id).await;
        assert!(matches!(refused, Err(OpenCheckoutError::TooMany { .. })));
        assert!(payments.open_checkout(&order.id).await.is_ok(), "the service itself is not held up");
    }

    #[tokio::test]
    async fn orders_are_listed_a_page_at_a_time() {
        let shop = Shop::open().await;
        let mut made = vec![];
        for _ in 0..3 {
            made.push(shop.order().await.id);
        }
        let (first, more) = shop.payments.orders("ana", None, 2).await.unwrap();
        let ids = |orders: &[Order]| orders.iter().map(|order| order.id.clone()).collect::<Vec<_>>();
        assert_eq!((&ids(&first)[..], more), (&made[..2], true));
        let (rest, more) = shop.payments.orders("ana", Some(made[1].clone()), 2).await.unwrap();
        assert_eq!((&ids(&rest)[..], more), (&made[2..], false));
        assert_eq!(shop.payments.orders("bob", None, 2).await.unwrap(), (vec![], false));
    }

    #[tokio::test]
    async fn an_event_takes_effect_once_and_what_is_not_ours_is_acknowledged() {
        let shop = Shop::open().await;
        let order = shop.payments.open_checkout(&shop.order().await.id).await.unwrap();
        let body = shop.event("evt_1", &order, "completed", "paid");
        assert_eq!(shop.receive(&body).await.unwrap(), Received::Settled(Outcome::Paid));
        assert_eq!(shop.receive(&body).await.unwrap(), Received::Again);
        let foreign =
            body.replace(&order.id, "019f0000-0000-7000-8000-000000000000").replace("evt_1", "evt_2");
        assert_eq!(shop.receive(&foreign).await.unwrap(), Received::NotOurs);
        assert_eq!(shop.store.count::<StripeEvent>(Filter::All).await.unwrap(), 2, "each is kept");
        let closed = shop.payments.open_checkout(&order.id).await;
        assert!(matches!(closed, Err(OpenCheckoutError::Closed(Closed::Paid))));
        assert!(shop.payments.receive(body.as_bytes(), Some("t=1,v1=00")).await.is_err());
        assert_eq!(shop.counted.paid.load(Ordering::SeqCst), 1);
    }

    /// Fifty deliveries of one event at once; returns how often it took effect.
    async fn fifty_deliveries(shop: &Shop) -> u32 {
        let order = shop.payments.open_checkout(&shop.order().await.id).await.unwrap();
        let body = shop.event("evt_1", &order, "completed", "paid");
        let deliveries: Vec<_> = (0..50).map(|_| shop.receive(&body)).collect();
        for delivery in futures_util::future::join_all(deliveries).await {
            delivery.unwrap();
        }
        shop.counted.paid.load(Ordering::SeqCst)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn fifty_deliveries_of_one_event_at_once_have_one_effect() {
        let shop = Shop::open().await;
        assert_eq!(fifty_deliveries(&shop).await, 1);
        let orders = shop.store.find::<Order>(Query::new(Filter::All)).await.unwrap();
        assert_eq!((orders[0].state, orders[0].payments.len()), (OrderState::Paid, 1));
    }

    #[cfg(feature = "faults")]
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn without_the_guard_one_event_takes_effect_again_and_again() {
        // It shows where two deliveries share a commit, which on a busy machine is rare: in one round of ten or so.
        for _ in 0..200 {
            let shop = Shop::open().await;
            if faults::without("pay.event-once", fifty_deliveries(&shop)).await > 1 {
                return;
            }
        }
        panic!("the race is not there");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn twenty_who_ask_at_once_after_the_expiry_get_one_new_attempt() {
        let shop = Shop::open().await;
        let order = shop.payments.open_checkout(&shop.order().await.id).await.unwrap();
        let expired = shop.event("evt_1", &order, "expired", "unpaid");
        assert_eq!(shop.receive(&expired).await.unwrap(), Received::Settled(Outcome::Expired));
        let asked: Vec<_> = (0..20)
            .map(|_| {
                let (payments, order) = (shop.payments.clone(), order.id.clone());
                tokio::spawn(async move { payments.open_own_checkout("ana", &order).await.unwrap() })
            })
            .collect();
        for answer in futures_util::future::join_all(asked).await {
            let answer = answer.unwrap();
            assert_eq!((answer.attempts.len(), answer.state), (2, OrderState::Open));
            assert!(answer.checkout_url().is_some());
        }
        assert!(shop.jobs().await.is_empty());
    }

    #[tokio::test]
    async fn the_sandbox_keeps_its_keys_as_stripe_does() {
        let shop = Shop::open().await;
        let order = shop.read(&shop.order().await).await;
        let request = order.request(order.attempt());
        let first = shop.sandbox.open(&request).await.unwrap();
        assert_eq!(shop.sandbox.open(&request).await.unwrap(), first);
        let other = CheckoutRequest {
            expires_at: shop.clock.now().plus(Duration::from_secs(7200)),
            ..request.clone()
        };
        assert!(matches!(shop.sandbox.open(&other).await, Err(GatewayError::Refused(_))));
        let near = CheckoutRequest {
            expires_at: shop.clock.now().plus(Duration::from_secs(1799)),
            idempotency_key: "another".into(),
            ..request.clone()
        };
        assert!(matches!(shop.sandbox.open(&near).await, Err(GatewayError::Refused(_))));
        shop.sandbox.expire(&first.session).await.unwrap();
        assert!(matches!(shop.sandbox.expire(&first.session).await, Err(GatewayError::Refused(_))));
        assert_eq!(
            shop.sandbox.retrieve(&first.session).await.unwrap().unwrap().status,
            CheckoutStatus::Expired
        );
        assert_eq!(shop.sandbox.retrieve("cs_unknown").await.unwrap(), None);
    }

    #[tokio::test]
    async fn the_sandbox_s_own_secret_is_made_once() {
        let shop = Shop::open().await;
        let start = |secrets: Vec<Secret<String>>| {
            let (store, clock) = (shop.store.clone(), shop.clock.clone());
            let mut config = config();
            config.stripe_webhook_secrets = secrets;
            async move { Sandbox::start(store, clock, &RandomIds, &config).await.unwrap().secrets() }
        };
        assert_eq!(start(vec![]).await, shop.sandbox.secrets());
        assert!(shop.sandbox.secrets()[0].expose().starts_with("whsec_sandbox_"));
        let configured = vec![Secret::new("whsec_mine".to_owned())];
        assert_eq!(start(configured.clone()).await, configured);
    }
}
