//! Reconciliation: events that never arrived are found, and take effect once.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use orientation::config::Product;
use orientation::features::payments::{
    self, AttemptState, BeginError, Checkout, CheckoutList, CheckoutRequest, Ended, Found, Gateway,
    GatewayError, OpenCheckout, OpenCheckoutError, Order, OrderState, Outcome, Owed, PaymentFlag, Payments,
    ReceiveError, Received, ReconcileError, ReconcileScope, Refund, RefundRequest, Sale, Source, Stripe,
    StripeEvent, Unfinished, Webhook, Words, old_events,
};
use orientation::kernel::{Actor, Clock, EmailAddress, Ids, ManualClock, RandomIds, Secret, Timestamp};
use orientation::platform::audit;
use orientation::platform::jobs::{self, Job};
use orientation::platform::store::{Access, Filter, Query, Store, StoreError, Tx};
use serde_json::Value;
use tempfile::TempDir;

use super::{cad, clock, impatient};
use crate::base::base;
use crate::doubles::stripe::{Fault, Stripe as Double, WEBHOOK_SECRET, signature};

/// A sale that counts its calls.
#[derive(Default)]
struct Counted {
    paid: AtomicU32,
    expired: AtomicU32,
}

#[async_trait]
impl Sale for Counted {
    fn guards(&self, _: &Order) -> Vec<String> {
        vec!["counted".into()]
    }

    async fn owed(&self, _: &Tx, _: &Order, _: Timestamp) -> Result<Owed, StoreError> {
        Ok(Owed::Honour)
    }

    async fn paid(&self, _: &Tx, _: &Order, _: Timestamp) -> Result<(), StoreError> {
        self.paid.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn ended(&self, _: &Tx, _: &Order, why: Ended, _: Timestamp) -> Result<(), StoreError> {
        self.expired.fetch_add(u32::from(why == Ended::Expired), Ordering::SeqCst);
        Ok(())
    }

    fn words(&self) -> Words {
        Words::default()
    }
}

/// Stripe that fails for some checkouts, or for the list.
struct Moody {
    stripe: Stripe,
    silent: Mutex<HashSet<String>>,
    /// An order to delete while it answers.
    removed: Mutex<Option<(Store, String)>>,
}

/// Stands for the list in place of a checkout.
const LIST: &str = "the list";

impl Moody {
    fn answers(&self, about: &str) -> Result<(), GatewayError> {
        match self.silent.lock().expect("nobody panicked").contains(about) {
            true => Err(GatewayError::Unavailable("an answer that can't be read".into())),
            false => Ok(()),
        }
    }

    async fn remove(&self) {
        let removed = self.removed.lock().expect("nobody panicked").take();
        if let Some((store, order)) = removed {
            let gone: Result<(), StoreError> =
                store.transact(async |tx| tx.delete::<Order>(&order).await.map(drop)).await;
            gone.expect("written");
        }
    }
}

#[async_trait]
impl Gateway for Moody {
    async fn open(&self, request: &CheckoutRequest) -> Result<Checkout, GatewayError> {
        self.stripe.open(request).await
    }

    async fn retrieve(&self, session: &str) -> Result<Option<Checkout>, GatewayError> {
        self.answers(session)?;
        self.stripe.retrieve(session).await
    }

    async fn expire(&self, session: &str) -> Result<(), GatewayError> {
        self.stripe.expire(session).await
    }

    async fn refund(&self, request: &RefundRequest) -> Result<Refund, GatewayError> {
        self.stripe.refund(request).await
    }

    async fn list(&self, since: Timestamp, after: Option<&str>) -> Result<CheckoutList, GatewayError> {
        self.answers(LIST)?;
        self.remove().await;
        self.stripe.list(since, after).await
    }

    async fn check(&self) -> Result<(), GatewayError> {
        self.stripe.check().await
    }
}

/// A shop that is paid through Stripe. Events arrive only when a test delivers them.
struct Shop {
    store: Store,
    clock: Arc<ManualClock>,
    double: Double,
    gateway: Arc<Moody>,
    counted: Arc<Counted>,
    payments: Arc<Payments>,
    _folder: TempDir,
}

impl Shop {
    async fn open() -> Self {
        let (folder, clock) = (TempDir::new().expect("a folder"), clock());
        let store = Store::sqlite(&folder.path().join("test.db"), Access::Serving).expect("a store");
        let schemas = [payments::schemas(), jobs::schemas(), audit::schemas()].concat();
        let base = base(store.clone(), schemas, clock.clone()).await;
        let double = Double::start_with(clock.clone()).await;
        let counted = Arc::new(Counted::default());
        let gateway = Arc::new(Moody {
            stripe: impatient(&double),
            silent: Mutex::default(),
            removed: Mutex::default(),
        });
        let secrets = vec![Secret::new(WEBHOOK_SECRET.to_owned())];
        let webhook = Webhook::new(Source::Stripe { live: false }, secrets).expect("a secret");
        let sales = HashMap::from([("hat".to_owned(), counted.clone() as Arc<dyn Sale>)]);
        let payments = Arc::new(Payments::new(&base, gateway.clone(), webhook, sales));
        Self { store, clock, double, gateway, counted, payments, _folder: folder }
    }

    /// An order that has been begun.
    async fn order(&self) -> Order {
        let product = Product::of("hat", "Hat", cad(9_500));
        let email = EmailAddress::parse("ana@example.org").expect("an address");
        let order = Order::open(RandomIds.next(), "ana", &product, email, self.clock.now());
        let begun: Result<(), BeginError> =
            self.store.transact(async |tx| self.payments.begin(&tx, &order).await).await;
        begun.expect("written");
        order
    }

    /// An order with its checkout.
    async fn opened(&self) -> (Order, String) {
        let order = self.order().await;
        let order = self.payments.open_checkout(&order.id).await.expect("it opens");
        let session = order.attempt().session.clone().expect("it is open");
        (order, session)
    }

    async fn put(&self, order: &Order) {
        let put: Result<(), StoreError> = self.store.transact(async |tx| tx.put(order).await).await;
        put.expect("written");
    }

    async fn read(&self, order: &Order) -> Order {
        self.store.get(&order.id).await.expect("readable").expect("there")
    }

    /// Advances the clock to the next reconciliation and runs it.
    async fn reconciled(&self) -> Vec<Found> {
        self.clock.advance(Duration::from_secs(5 * 60));
        let result =
            self.payments.reconcile(&Actor::Operator, ReconcileScope::Due).await.expect("it answers");
        result.findings.into_iter().map(|finding| finding.found).collect()
    }

    /// Delivers an event as Stripe does.
    async fn deliver(&self, event: &Value) -> Result<Received, ReceiveError> {
        let body = event.to_string();
        let header = signature(&body, WEBHOOK_SECRET, self.clock.now());
        self.payments.receive(body.as_bytes(), Some(&header)).await
    }

    async fn delivered(&self, event: &Value) -> Received {
        self.deliver(event).await.expect("taken")
    }

    /// Delivers all events so far.
    async fn deliver_all(&self) -> Vec<Received> {
        let mut received = vec![];
        for event in self.double.events() {
            received.push(self.delivered(&event).await);
        }
        received
    }

    fn calls(&self) -> (u32, u32) {
        (self.counted.paid.load(Ordering::SeqCst), self.counted.expired.load(Ordering::SeqCst))
    }
}

#[tokio::test]
async fn a_payment_without_an_event_is_found_and_a_late_event_changes_nothing() {
    let shop = Shop::open().await;
    let (order, session) = shop.opened().await;
    shop.double.pay(&session).expect("open");
    assert_eq!(shop.reconciled().await, [Found::Paid]);
    let paid = shop.read(&order).await;
    assert_eq!((paid.state, paid.payments.len(), shop.calls()), (OrderState::Paid, 1, (1, 0)));
    assert_eq!(shop.deliver_all().await, [Received::Applied(Outcome::Unchanged)]);
    assert_eq!(shop.deliver_all().await, [Received::Duplicate]);
    assert_eq!(shop.reconciled().await, []);
    assert_eq!((shop.read(&order).await.payments, shop.calls()), (paid.payments, (1, 0)));
}

#[tokio::test]
async fn an_expiry_without_an_event_is_found() {
    let shop = Shop::open().await;
    let (order, session) = shop.opened().await;
    shop.double.expire(&session).expect("open");
    assert_eq!(shop.reconciled().await, [Found::Expired]);
    assert_eq!((shop.read(&order).await.state, shop.calls()), (OrderState::Expired, (0, 1)));
    shop.deliver_all().await;
    assert_eq!(shop.calls(), (0, 1));
}

#[tokio::test]
async fn a_lost_answer_of_the_bank_is_found() {
    for (succeeds, first, found) in
        [(true, OrderState::Paid, Found::Paid), (false, OrderState::Open, Found::Reopened)]
    {
        let shop = Shop::open().await;
        let (order, session) = shop.opened().await;
        shop.double.pay_later(&session, succeeds).expect("open");
        shop.deliver_all().await;
        assert_eq!(shop.read(&order).await.state, OrderState::Processing);
        shop.clock.advance(Duration::from_secs(6));
        shop.double.all_delivered().await;
        assert_eq!(shop.reconciled().await, [found]);
        assert_eq!(shop.read(&order).await.state, first);
        shop.deliver_all().await;
        assert_eq!((shop.read(&order).await.state, shop.calls().0), (first, u32::from(succeeds)));
    }
}

#[tokio::test]
async fn an_open_checkout_is_checked_less_and_less_often() {
    let shop = Shop::open().await;
    let (order, _) = shop.opened().await;
    let before = shop.read(&order).await;
    assert_eq!(
        shop.payments.reconcile(&Actor::Operator, ReconcileScope::Due).await.expect("it answers").asked,
        0,
        "not yet"
    );
    let mut asked = 0;
    for _ in 0..12 * 12 {
        shop.clock.advance(Duration::from_secs(5 * 60));
        let result =
            shop.payments.reconcile(&Actor::Operator, ReconcileScope::Due).await.expect("it answers");
        assert!(result.findings.is_empty());
        asked += result.asked;
    }
    assert!((10..30).contains(&asked), "{asked} times in 12 hours");
    let after = shop.read(&order).await;
    assert_eq!(Order { ask_at: before.ask_at, ..after }, before);
    assert_eq!(
        shop.payments.reconcile(&Actor::Operator, ReconcileScope::All).await.expect("it answers").asked,
        1,
        "whenever we want"
    );
}

#[tokio::test]
async fn a_checkout_whose_answer_was_lost_is_found() {
    for paid in [false, true] {
        let shop = Shop::open().await;
        let order = shop.order().await;
        shop.double.fail(Fault::DropAfter, usize::MAX);
        assert!(shop.payments.open_checkout(&order.id).await.is_err());
        shop.double.heal();
        let sessions = shop.double.sessions();
        assert_eq!((sessions.len(), shop.read(&order).await.attempt().session.clone()), (1, None));
        let session = sessions[0]["id"].as_str().expect("text");
        let found = match paid {
            true => {
                shop.double.pay(session).expect("open");
                Found::Paid
            }
            false => Found::Opened,
        };
        assert_eq!(shop.reconciled().await, [found]);
        let kept = shop.read(&order).await;
        assert_eq!(kept.attempt().session.as_deref(), Some(session));
        assert_eq!(kept.checkout_url().is_some(), !paid);
        shop.deliver_all().await;
        assert_eq!(shop.calls(), (u32::from(paid), 0));
    }
}

#[tokio::test]
async fn a_lost_checkout_of_another_amount_is_expired_and_replaced() {
    let shop = Shop::open().await;
    shop.double.add_price("price_1", 9_000, "CAD");
    let order = Order { price_id: Some("price_1".into()), ..shop.order().await };
    let order = Order { attempts: shop.read(&order).await.attempts, ..order };
    shop.put(&order).await;
    shop.double.fail(Fault::DropAfter, usize::MAX);
    assert!(shop.payments.open_checkout(&order.id).await.is_err());
    shop.double.heal();
    assert_eq!(shop.double.sessions()[0]["status"], "open");
    assert_eq!(shop.reconciled().await, [Found::Mispriced]);
    assert_eq!(shop.double.sessions()[0]["status"], "expired");
    let kept = shop.read(&order).await;
    assert_eq!((kept.attempts.len(), kept.attempt().number, kept.checkout_url()), (1, 2, None));
    assert_eq!(shop.deliver_all().await, [Received::NotOurs]);
    assert_eq!((shop.read(&order).await, shop.calls()), (kept, (0, 0)));
}

#[tokio::test]
async fn an_order_that_can_t_be_checked_does_not_hold_up_others() {
    let shop = Shop::open().await;
    shop.order().await;
    shop.gateway.silent.lock().expect("nobody panicked").insert(LIST.into());
    for _ in 0..9 {
        let (_, session) = shop.opened().await;
        shop.gateway.silent.lock().expect("nobody panicked").insert(session);
    }
    let (paid, session) = shop.opened().await;
    shop.double.pay(&session).expect("open");
    shop.clock.advance(Duration::from_secs(5 * 60));
    let Err(Unfinished { found, why }) = shop.payments.reconcile(&Actor::Operator, ReconcileScope::Due).await
    else {
        panic!("not everything can be asked");
    };
    assert!(matches!(why, ReconcileError::Gateway(_)));
    let findings: Vec<_> = found.findings.iter().map(|finding| (&*finding.order, finding.found)).collect();
    assert_eq!((found.asked, &findings[..]), (11, &[(&*paid.id, Found::Paid)][..]));
    assert_eq!(
        shop.payments.reconcile(&Actor::Operator, ReconcileScope::Due).await.expect("nothing is due").asked,
        0
    );
    let all = shop.payments.reconcile(&Actor::Operator, ReconcileScope::All).await;
    assert!(matches!(all, Err(Unfinished { found, .. }) if found.asked == 10));
}

#[tokio::test]
async fn a_failure_that_stripe_stores_under_the_key_is_overcome() {
    let shop = Shop::open().await;
    let order = shop.order().await;
    shop.double.fail(Fault::ServerErrorKept, 1);
    assert!(shop.payments.open_checkout(&order.id).await.is_err());
    assert!(shop.payments.open_checkout(&order.id).await.is_err(), "the key gives the same failure");
    assert_eq!(shop.reconciled().await, [Found::Opened]);
    assert!(shop.payments.open_checkout(&order.id).await.expect("it is there").checkout_url().is_some());
    assert_eq!(shop.double.sessions().len(), 1);
}

#[tokio::test]
async fn an_attempt_without_a_checkout_is_replaced_after_fifteen_minutes() {
    let shop = Shop::open().await;
    let order = shop.order().await;
    assert_eq!(shop.reconciled().await, []);
    assert_eq!(shop.reconciled().await, []);
    assert_eq!(shop.reconciled().await, [Found::Abandoned]);
    let kept = shop.read(&order).await;
    assert_eq!((kept.attempts.len(), kept.attempt().number), (1, 2));
    let jobs: Vec<Job> = shop.store.find(Query::new(Filter::All)).await.expect("readable");
    let opens: Vec<OpenCheckout> =
        jobs.iter().map(|job| serde_json::from_value(job.payload.clone()).expect("one of ours")).collect();
    assert_eq!((opens.len(), opens[0].attempt), (1, 2), "{jobs:?}");
    let opened = shop.payments.open_checkout(&order.id).await.expect("it opens");
    assert_eq!(opened.attempt().state, AttemptState::Live);
}

#[tokio::test]
async fn while_stripe_is_unreachable_nothing_changes() {
    let shop = Shop::open().await;
    let (order, session) = shop.opened().await;
    shop.double.pay(&session).expect("open");
    let before = shop.read(&order).await;
    shop.clock.advance(Duration::from_secs(5 * 60));
    shop.double.fail(Fault::ServerError, usize::MAX);
    let away = shop.payments.reconcile(&Actor::Operator, ReconcileScope::Due).await;
    assert!(matches!(away, Err(Unfinished { why: ReconcileError::Gateway(_), .. })), "{away:?}");
    assert_eq!(shop.read(&order).await, before);
    shop.double.heal();
    assert_eq!(shop.reconciled().await, [Found::Paid]);
}

#[tokio::test]
async fn an_order_that_is_deleted_meanwhile_is_not_a_failure() {
    let shop = Shop::open().await;
    let order = shop.order().await;
    shop.double.fail(Fault::DropAfter, usize::MAX);
    assert!(shop.payments.open_checkout(&order.id).await.is_err());
    shop.double.heal();
    *shop.gateway.removed.lock().expect("nobody panicked") = Some((shop.store.clone(), order.id.clone()));
    assert_eq!(shop.reconciled().await, []);
    assert_eq!(shop.store.get::<Order>(&order.id).await.expect("readable"), None);
}

/// The session of an order that was opened with the key of another account.
const FOREIGN: &str = "cs_test_of_another_account";

/// An order whose checkout belongs to another Stripe account.
async fn of_another_account(shop: &Shop) -> Order {
    let mut order = shop.read(&shop.order().await).await;
    order.attempts[0].session = Some(FOREIGN.into());
    order.attempts[0].url = Some("https://checkout.stripe.com/c/pay/of_another_account".into());
    shop.put(&order).await;
    order
}

/// Advances the clock to this long after the last attempt's expiry.
fn after_the_end(shop: &Shop, order: &Order, span: Duration) {
    let end = order.attempt().expires_at.plus(span);
    shop.clock.advance(end.since(shop.clock.now()));
}

#[tokio::test]
async fn a_checkout_that_stripe_does_not_know_is_reported_every_time() {
    let shop = Shop::open().await;
    let order = of_another_account(&shop).await;
    assert_eq!(shop.reconciled().await, [Found::Unknown]);
    assert_eq!((shop.read(&order).await.state, shop.calls()), (OrderState::Open, (0, 0)));
    after_the_end(&shop, &order, Duration::from_secs(3600));
    let all =
        async || shop.payments.reconcile(&Actor::Operator, ReconcileScope::All).await.expect("it answers");
    for _ in 0..2 {
        assert_eq!(all().await.findings[0].found, Found::Unknown);
    }
    assert_eq!((shop.read(&order).await.state, shop.calls()), (OrderState::Open, (0, 0)));
}

#[tokio::test]
async fn a_checkout_that_stripe_does_not_know_is_replaced_after_its_expiry() {
    let shop = Shop::open().await;
    let order = of_another_account(&shop).await;
    let open = async || shop.payments.open_checkout(&order.id).await;
    assert_eq!(open().await.expect("it may be paid there").attempts, order.attempts);
    after_the_end(&shop, &order, Duration::from_secs(5 * 60));
    assert!(matches!(open().await, Err(OpenCheckoutError::Unavailable)), "the two clocks may differ");
    shop.clock.advance(Duration::from_secs(1));
    let next = open().await.expect("it opens");
    assert_eq!((next.state, next.attempt().number, shop.calls()), (OrderState::Open, 2, (0, 1)));
    shop.double.pay(next.attempt().session.as_deref().expect("it is open")).expect("open");
    assert_eq!(shop.deliver_all().await, [Received::Applied(Outcome::Paid)]);

    let mut late = shop.double.events().remove(0);
    (late["id"], late["data"]["object"]["id"]) = ("evt_of_another_account".into(), FOREIGN.into());
    late["data"]["object"]["metadata"]["attempt"] = "1".into();
    let flagged = Received::Applied(Outcome::Flagged(PaymentFlag::NotOwed));
    assert_eq!(shop.delivered(&late).await, flagged, "money that was paid there as well");
    assert_eq!((shop.read(&order).await.payments.len(), shop.calls()), (2, (1, 1)));
}

#[tokio::test]
async fn a_processing_checkout_that_stripe_does_not_know_stays() {
    let shop = Shop::open().await;
    let mut order = of_another_account(&shop).await;
    (order.state, order.attempts[0].state) = (OrderState::Processing, AttemptState::Processing);
    shop.put(&order).await;
    after_the_end(&shop, &order, Duration::from_secs(3600));
    assert_eq!(shop.reconciled().await, [Found::Unknown]);
    assert_eq!((shop.read(&order).await.state, shop.calls()), (OrderState::Processing, (0, 0)));
}

#[tokio::test]
async fn the_log_names_the_order_whose_checkout_stripe_does_not_know() {
    let shop = Shop::open().await;
    let order = of_another_account(&shop).await;
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("log");
    let file = std::fs::File::create(&path).expect("the folder is ours");
    let log = tracing_subscriber::fmt().with_writer(file).with_ansi(false).finish();
    let _here = tracing::subscriber::set_default(log);
    // With a single dispatcher, `tracing` caches the interest of whichever thread logs first.
    let _another = tracing::Dispatch::new(tracing_subscriber::registry());
    shop.reconciled().await;
    after_the_end(&shop, &order, Duration::from_secs(3600));
    shop.payments.open_checkout(&order.id).await.expect("it opens");
    let log = std::fs::read_to_string(&path).expect("text");
    let lines: Vec<_> = log.lines().filter(|line| line.contains("ERROR")).collect();
    assert!(lines.len() == 2 && lines.iter().all(|line| line.contains(&order.id)), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reconciliation_and_event_at_the_same_time_take_effect_once() {
    let shop = Shop::open().await;
    for round in 1..=10 {
        let (_, session) = shop.opened().await;
        shop.double.pay(&session).expect("open");
        shop.clock.advance(Duration::from_secs(5 * 60));
        let event = shop.double.events().pop().expect("it was paid");
        let asking = join_all((0..4).map(|_| shop.payments.reconcile(&Actor::Operator, ReconcileScope::Due)));
        let telling = join_all((0..4).map(|_| shop.delivered(&event)));
        let (asked, _) = tokio::join!(asking, telling);
        assert!(asked.iter().all(Result::is_ok), "{asked:?}");
        assert_eq!(shop.calls(), (round, 0));
    }
}

#[tokio::test]
async fn many_open_orders_are_checked_in_batches() {
    let shop = Shop::open().await;
    for _ in 0..230 {
        shop.opened().await;
    }
    shop.clock.advance(Duration::from_secs(5 * 60));
    let mut due = vec![];
    for _ in 0..3 {
        due.push(
            shop.payments.reconcile(&Actor::Operator, ReconcileScope::Due).await.expect("it answers").asked,
        );
    }
    assert_eq!(due, [200, 30, 0]);
    assert_eq!(
        shop.payments.reconcile(&Actor::Operator, ReconcileScope::All).await.expect("it answers").asked,
        230
    );
}

#[tokio::test]
async fn refunds_and_disputes_find_their_order_and_every_event_is_stored() {
    let shop = Shop::open().await;
    let (order, session) = shop.opened().await;
    shop.double.pay(&session).expect("open");
    shop.deliver_all().await;
    shop.double.refund(&session, Some(500)).expect("it came");
    shop.deliver_all().await;
    assert_eq!(shop.read(&order).await.state, OrderState::PartiallyRefunded);
    shop.double.refund(&session, None).expect("the rest");
    shop.deliver_all().await;
    assert_eq!(shop.read(&order).await.state, OrderState::Refunded);
    shop.double.dispute(&session);
    shop.double.tell("customer.created", serde_json::json!({ "id": "cus_1" }));
    shop.deliver_all().await;
    assert_eq!(shop.read(&order).await.state, OrderState::Disputed, "a dispute names the payment only");

    let events: Vec<StripeEvent> = shop.store.find(Query::new(Filter::All)).await.expect("readable");
    let mut kinds: Vec<_> = events.iter().map(|event| (&*event.kind, event.order.is_some())).collect();
    kinds.sort_unstable();
    assert_eq!(
        kinds,
        [
            ("charge.dispute.created", true),
            ("charge.refunded", true),
            ("charge.refunded", true),
            ("checkout.session.completed", true),
            ("customer.created", false),
            ("refund.created", false),
            ("refund.created", false),
        ]
    );
    assert_eq!(shop.calls(), (1, 0));
}

#[tokio::test]
async fn events_in_reverse_order_lead_to_the_same_state() {
    let shop = Shop::open().await;
    let (order, session) = shop.opened().await;
    shop.double.pay(&session).expect("open");
    shop.double.refund(&session, None).expect("it came");
    for event in shop.double.events().iter().rev() {
        shop.delivered(event).await;
    }
    let kept = shop.read(&order).await;
    assert_eq!((kept.state, kept.payments[0].flag), (OrderState::Refunded, None::<PaymentFlag>));
}

#[tokio::test]
async fn an_early_dispute_is_retried_for_an_hour() {
    let shop = Shop::open().await;
    let (order, session) = shop.opened().await;
    shop.double.pay(&session).expect("open");
    shop.double.dispute(&session);
    let [paid, disputed] = &shop.double.events()[..] else { panic!("two things happened") };
    assert!(matches!(shop.deliver(disputed).await, Err(ReceiveError::Early)));
    assert_eq!(shop.store.count::<StripeEvent>(Filter::All).await.expect("readable"), 0);
    shop.delivered(paid).await;
    assert_eq!(shop.delivered(disputed).await, Received::Applied(Outcome::Reversed));
    assert_eq!(shop.read(&order).await.state, OrderState::Disputed);

    let mut foreign = disputed.clone();
    (foreign["id"], foreign["data"]["object"]["payment_intent"]) =
        ("evt_foreign".into(), "pi_foreign".into());
    shop.clock.advance(Duration::from_secs(3599));
    assert!(matches!(shop.deliver(&foreign).await, Err(ReceiveError::Early)));
    shop.clock.advance(Duration::from_secs(1));
    assert_eq!(shop.delivered(&foreign).await, Received::NotOurs);
    assert_eq!(shop.delivered(&foreign).await, Received::Duplicate);
}

#[tokio::test]
async fn events_are_deleted_after_ninety_days() {
    let shop = Shop::open().await;
    let (_, session) = shop.opened().await;
    shop.double.pay(&session).expect("open");
    shop.deliver_all().await;
    let kept = async || shop.store.count::<StripeEvent>(Filter::All).await.expect("readable");
    shop.clock.advance(Duration::from_secs(89 * 24 * 3600));
    old_events().run(&shop.store, shop.clock.now()).await.expect("swept");
    assert_eq!(kept().await, 1);
    shop.clock.advance(Duration::from_secs(2 * 24 * 3600));
    old_events().run(&shop.store, shop.clock.now()).await.expect("swept");
    assert_eq!(kept().await, 0);
    assert_eq!(shop.deliver_all().await, [Received::Applied(Outcome::Unchanged)], "what it said stays done");
    assert_eq!(shop.calls(), (1, 0));
}
