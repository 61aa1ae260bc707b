use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use async_trait::async_trait;
use serde_json::json;

use super::*;
use crate::base::TestBase;
use crate::config::Product;
use crate::features::payments::events::{ReceiveError, Received};
use crate::features::payments::gateway::{
    Checkout, CheckoutList, CheckoutRequest, CheckoutStatus, Refund, RefundRequest, Sandbox, Source, sign,
};
use crate::features::payments::model::{Order, OrderState, Outcome, Owed, StripeEvent};
use crate::features::payments::sale::Ended;
use crate::kernel::{Caller, EmailAddress, Money, RandomIds, Secret};
use crate::platform::jobs::{Job, JobState};

/// A sale that counts its calls.
#[derive(Default)]
pub struct Counted {
    pub paid: AtomicU32,
    pub expired: AtomicU32,
    pub cancelled: AtomicU32,
    pub refunded: AtomicU32,
    pub disputed: AtomicU32,
    /// Late payments are refunded.
    pub sold_out: AtomicBool,
}

#[async_trait]
impl Sale for Counted {
    fn guards(&self, _: &Order) -> Vec<String> {
        vec!["counted".into()]
    }

    async fn owed(&self, _: &Tx, order: &Order, _: Timestamp) -> Result<Owed, StoreError> {
        let late = order.state == OrderState::Expired;
        let declined = late && self.sold_out.load(Ordering::SeqCst);
        Ok(if declined { Owed::Refund("sold out".into()) } else { Owed::Honour })
    }

    async fn paid(&self, _: &Tx, _: &Order, _: Timestamp) -> Result<(), StoreError> {
        self.paid.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn ended(&self, _: &Tx, _: &Order, why: Ended, _: Timestamp) -> Result<(), StoreError> {
        let counter = match why {
            Ended::Expired | Ended::Declined => &self.expired,
            Ended::Cancelled => &self.cancelled,
            Ended::Refunded => &self.refunded,
            Ended::Disputed => &self.disputed,
        };
        counter.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn words(&self) -> Words {
        Words::default()
    }
}

/// The sandbox behind a gateway that can be unavailable or reject a request.
pub struct Line {
    sandbox: Arc<Sandbox>,
    pub cut: AtomicBool,
    pub refuses: AtomicBool,
    opened: AtomicU32,
}

impl Line {
    fn fail(&self) -> Result<(), GatewayError> {
        if self.cut.load(Ordering::SeqCst) {
            return Err(GatewayError::Unavailable("unreachable".into()));
        }
        if self.refuses.swap(false, Ordering::SeqCst) {
            return Err(GatewayError::Refused("not like this".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl Gateway for Line {
    async fn open(&self, request: &CheckoutRequest) -> Result<Checkout, GatewayError> {
        self.fail()?;
        self.opened.fetch_add(1, Ordering::SeqCst);
        self.sandbox.open(request).await
    }

    async fn retrieve(&self, session: &str) -> Result<Option<Checkout>, GatewayError> {
        self.sandbox.retrieve(session).await
    }

    async fn expire(&self, session: &str) -> Result<(), GatewayError> {
        self.fail()?;
        self.sandbox.expire(session).await
    }

    async fn refund(&self, request: &RefundRequest) -> Result<Refund, GatewayError> {
        self.fail()?;
        self.sandbox.refund(request).await
    }

    async fn list(&self, since: Timestamp, after: Option<&str>) -> Result<CheckoutList, GatewayError> {
        self.sandbox.list(since, after).await
    }

    async fn check(&self) -> Result<(), GatewayError> {
        self.sandbox.check().await
    }
}

pub struct Shop {
    pub base: TestBase,
    pub sandbox: Arc<Sandbox>,
    pub line: Arc<Line>,
    pub counted: Arc<Counted>,
    pub payments: Arc<Payments>,
}

impl Shop {
    pub async fn open() -> Self {
        Self::on(Base::for_tests().await).await
    }

    pub async fn on(base: TestBase) -> Self {
        let sandbox = Sandbox::start(&base, &[]).await.unwrap();
        let counted = Arc::new(Counted::default());
        let (cut, refuses, opened) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU32::new(0));
        let line = Arc::new(Line { sandbox: sandbox.clone(), cut, refuses, opened });
        let webhook = Webhook::new(Source::Sandbox, sandbox.secrets()).unwrap();
        let sale: Arc<dyn Sale> = counted.clone();
        let sales = HashMap::from([("orientation".to_owned(), sale)]);
        let payments = Arc::new(Payments::new(&base, line.clone(), webhook, sales));
        Self { base, sandbox, line, counted, payments }
    }

    /// A new order.
    pub async fn order(&self) -> Order {
        let price = Money { amount: 13_000, currency: "CAD".to_owned().try_into().unwrap() };
        let product = Product::of("orientation", "Orientation ticket", price);
        let email = EmailAddress::parse("ana@example.org").unwrap();
        let id = crate::kernel::Ids::next(&RandomIds);
        let order = Order::open(id, "ana", &product, email, self.base.clock.now());
        self.base.store.transact(async |tx| self.payments.begin(&tx, &order).await).await.unwrap();
        order
    }

    pub async fn read(&self, order: &Order) -> Order {
        self.base.store.get::<Order>(&order.id).await.unwrap().unwrap()
    }

    /// An event of the gateway about the order's checkout.
    pub fn event(&self, id: &str, order: &Order, kind: &str, status: &str) -> String {
        json!({
            "id": id, "object": "event", "type": format!("checkout.session.{kind}"), "livemode": false,
            "data": { "object": {
                "id": order.attempt().session, "payment_status": status, "amount_total": 13_000, "currency": "cad",
                "metadata": { "orderId": order.id, "attempt": order.attempt().number.to_string() },
            } },
        })
        .to_string()
    }

    pub async fn receive(&self, body: &str) -> Result<Received, ReceiveError> {
        let header = sign(body, &self.sandbox.secrets()[0], self.base.clock.now());
        self.payments.receive(body.as_bytes(), Some(&header)).await
    }

    pub async fn jobs(&self) -> Vec<String> {
        let waiting = Filter::eq("state", JobState::Waiting.as_str());
        self.base
            .store
            .find::<Job>(Query::new(waiting))
            .await
            .unwrap()
            .into_iter()
            .map(|job| job.id)
            .collect()
    }
}

#[tokio::test]
async fn an_opened_checkout_needs_no_job() {
    let shop = Shop::open().await;
    let order = shop.order().await;
    assert_eq!(shop.jobs().await, [format!("checkout:{}:1", order.id)]);
    let opened = shop.payments.open_checkout(&order.id).await.unwrap();
    assert!(
        opened.checkout_url().unwrap().starts_with("http://127.0.0.1:3000/sandbox/checkout/cs_test_sandbox_")
    );
    assert!(shop.jobs().await.is_empty());
    assert_eq!(shop.payments.open_checkout(&order.id).await.unwrap(), opened);
    assert_eq!(shop.line.opened.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_job_opens_the_checkout_once_the_gateway_is_back() {
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
async fn a_rejected_checkout_is_replaced_by_a_new_attempt() {
    let shop = Shop::open().await;
    let order = shop.order().await;
    shop.line.refuses.store(true, Ordering::SeqCst);
    let opened = shop.payments.open_checkout(&order.id).await.unwrap();
    assert_eq!((opened.attempts.len(), opened.attempt().number), (1, 2));
    assert!(shop.jobs().await.is_empty());
}

#[tokio::test]
async fn an_attempt_that_waited_too_long_for_the_gateway_is_replaced() {
    let shop = Shop::open().await;
    let order = shop.order().await;
    shop.base.clock.advance(Duration::from_secs(24 * 3600));
    let opened = shop.payments.open_checkout(&order.id).await.unwrap();
    assert_eq!(opened.attempt().number, 2);
    assert!(opened.attempt().expires_at > shop.base.clock.now());
}

#[tokio::test]
async fn after_its_expiry_the_gateway_confirms_before_the_next_checkout_opens() {
    let shop = Shop::open().await;
    let order = shop.order().await;
    let first = shop.payments.open_checkout(&order.id).await.unwrap();
    shop.base.clock.advance(Duration::from_secs(24 * 3600));
    let refused = shop.payments.open_checkout(&order.id).await;
    assert!(
        matches!(refused, Err(OpenCheckoutError::Unavailable)),
        "our clock alone does not end a checkout"
    );
    shop.sandbox.sweep().await.unwrap();
    let second = shop.payments.open_checkout(&order.id).await.unwrap();
    assert_eq!(second.attempts.len(), 2);
    assert_ne!(second.checkout_url(), first.checkout_url());
    assert_eq!(shop.counted.expired.load(Ordering::SeqCst), 1);
    let late = shop.event("evt_late", &first, "expired", "unpaid");
    assert_eq!(shop.receive(&late).await.unwrap(), Received::Applied(Outcome::Unchanged));
    assert_eq!(shop.read(&order).await.checkout_url(), second.checkout_url());
    assert_eq!(shop.counted.expired.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_order_belongs_to_its_account() {
    let shop = Shop::open().await;
    let order = shop.order().await;
    let stranger = shop.payments.open_own_checkout(&Caller::student("bob"), &order.id).await;
    assert!(matches!(stranger, Err(OpenCheckoutError::NotFound)));
    assert!(matches!(shop.payments.order("bob", &order.id).await, Err(GetOrderError::NotFound)));
    assert!(shop.payments.order("ana", &order.id).await.is_ok());
    assert!(shop.payments.open_own_checkout(&Caller::student("ana"), &order.id).await.is_ok());
}

#[tokio::test]
async fn too_many_checkout_requests_are_refused() {
    let shop = Shop::on(Base::for_tests().await.with_limits()).await;
    for _ in 0..OPEN_CHECKOUT.quota {
        shop.base.signals.take(OPEN_CHECKOUT, "ana").await.unwrap();
    }
    let order = shop.order().await;
    let refused = shop.payments.open_own_checkout(&Caller::student("ana"), &order.id).await;
    assert!(matches!(refused, Err(OpenCheckoutError::TooMany(_))));
    assert!(shop.payments.open_checkout(&order.id).await.is_ok(), "the service itself is not held up");
}

#[tokio::test]
async fn orders_are_listed_a_page_at_a_time() {
    let shop = Shop::open().await;
    let mut made = vec![];
    for _ in 0..3 {
        made.push(shop.order().await.id);
    }
    let ids = |page: &Page<Order>| page.items.iter().map(|order| order.id.clone()).collect::<Vec<_>>();
    let first = shop.payments.orders("ana", None, 2).await.unwrap();
    assert_eq!(ids(&first), made[..2]);
    let rest = shop.payments.orders("ana", first.next.as_ref(), 2).await.unwrap();
    assert_eq!((ids(&rest), rest.next), (made[2..].to_vec(), None));
    assert_eq!(ids(&shop.payments.orders("bob", None, 2).await.unwrap()), [""; 0]);
}

#[tokio::test]
async fn an_event_is_applied_once_and_a_foreign_one_is_acknowledged() {
    let shop = Shop::open().await;
    let order = shop.payments.open_checkout(&shop.order().await.id).await.unwrap();
    let body = shop.event("evt_1", &order, "completed", "paid");
    assert_eq!(shop.receive(&body).await.unwrap(), Received::Applied(Outcome::Paid));
    assert_eq!(shop.receive(&body).await.unwrap(), Received::Duplicate);
    let foreign = body.replace(&order.id, "019f0000-0000-7000-8000-000000000000").replace("evt_1", "evt_2");
    assert_eq!(shop.receive(&foreign).await.unwrap(), Received::NotOurs);
    assert_eq!(shop.base.store.count::<StripeEvent>(Filter::All).await.unwrap(), 2, "each is kept");
    let closed = shop.payments.open_checkout(&order.id).await;
    assert!(matches!(closed, Err(OpenCheckoutError::Closed(Closed::Paid))));
    assert!(shop.payments.receive(body.as_bytes(), Some("t=1,v1=00")).await.is_err());
    assert_eq!(shop.counted.paid.load(Ordering::SeqCst), 1);
}

/// Fifty deliveries of one event at once; returns the number of effects.
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
    let orders = shop.base.store.find::<Order>(Query::new(Filter::All)).await.unwrap();
    assert_eq!((orders[0].state, orders[0].payments.len()), (OrderState::Paid, 1));
}

#[cfg(feature = "faults")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_the_guard_one_event_takes_effect_again_and_again() {
    // The race needs two deliveries in one commit, which happens in about one round of ten on a busy machine.
    for _ in 0..200 {
        let shop = Shop::open().await;
        if faults::without("pay.event-once", fifty_deliveries(&shop)).await > 1 {
            return;
        }
    }
    panic!("the race is not there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_simultaneous_requests_after_the_expiry_make_one_attempt() {
    let shop = Shop::open().await;
    let order = shop.payments.open_checkout(&shop.order().await.id).await.unwrap();
    let expired = shop.event("evt_1", &order, "expired", "unpaid");
    assert_eq!(shop.receive(&expired).await.unwrap(), Received::Applied(Outcome::Expired));
    let asked: Vec<_> = (0..20)
        .map(|_| {
            let (payments, order) = (shop.payments.clone(), order.id.clone());
            tokio::spawn(
                async move { payments.open_own_checkout(&Caller::student("ana"), &order).await.unwrap() },
            )
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
async fn the_sandbox_treats_idempotency_keys_as_stripe_does() {
    let shop = Shop::open().await;
    let order = shop.read(&shop.order().await).await;
    let request = order.request(order.attempt());
    let first = shop.sandbox.open(&request).await.unwrap();
    assert_eq!(shop.sandbox.open(&request).await.unwrap(), first);
    let other = CheckoutRequest {
        expires_at: shop.base.clock.now().plus(Duration::from_secs(7200)),
        ..request.clone()
    };
    assert!(matches!(shop.sandbox.open(&other).await, Err(GatewayError::Refused(_))));
    let near = CheckoutRequest {
        expires_at: shop.base.clock.now().plus(Duration::from_secs(1799)),
        idempotency_key: "another".into(),
        ..request.clone()
    };
    assert!(matches!(shop.sandbox.open(&near).await, Err(GatewayError::Refused(_))));
    shop.sandbox.expire(&first.session).await.unwrap();
    assert!(matches!(shop.sandbox.expire(&first.session).await, Err(GatewayError::Refused(_))));
    assert_eq!(shop.sandbox.retrieve(&first.session).await.unwrap().unwrap().status, CheckoutStatus::Expired);
    assert_eq!(shop.sandbox.retrieve("cs_unknown").await.unwrap(), None);
}

#[tokio::test]
async fn the_sandbox_generates_its_secret_once() {
    let shop = Shop::open().await;
    let start =
        async |secrets: &[Secret<String>]| Sandbox::start(&shop.base, secrets).await.unwrap().secrets();
    assert_eq!(start(&[]).await, shop.sandbox.secrets());
    assert!(shop.sandbox.secrets()[0].expose().starts_with("whsec_sandbox_"));
    let configured = vec![Secret::new("whsec_mine".to_owned())];
    assert_eq!(start(&configured).await, configured);
}
