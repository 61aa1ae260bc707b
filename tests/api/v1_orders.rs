//! `/v1/orders`.

use std::time::Duration;

use orientation::config::Product;
use orientation::features::payments::{Order, OrderState};
use orientation::kernel::{Clock, Ids, RandomIds, Secret, SystemClock};
use orientation::platform::store::StoreError;
use reqwest::Method;
use serde_json::{Value, json};

use crate::doubles::stripe::Fault;
use crate::support::stripe::{SECRET, event, signature};
use crate::support::{NO_ID, Reach, TestApp, Visitor, reaches_all_of, stripe};

fn ids(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().expect("a list");
    items.iter().map(|order| order["id"].as_str().expect("an id").to_owned()).collect()
}

/// Inserts orders of this student into the store, one after the other.
async fn orders_of(app: &TestApp, student: &Visitor, number: usize) -> Vec<String> {
    let product = app.config.event.product(Product::ORIENTATION).expect("it is sold");
    let (account, now) = (student.account(), app.clock.now());
    let mut made = vec![];
    for _ in 0..number {
        let order = Order::open(RandomIds.next(), &account.id, product, account.email.clone(), now);
        let stored: Result<(), StoreError> = app.store.transact(async |tx| tx.insert(&order).await).await;
        stored.expect("a new id");
        made.push(order.id);
    }
    made
}

#[tokio::test(flavor = "multi_thread")]
async fn a_student_s_own_orders_are_listed_in_pages() {
    let app = TestApp::start().await;
    let (ana, bo) = (app.student().await, app.student().await);
    let made = orders_of(&app, &ana, 5).await;
    orders_of(&app, &bo, 1).await;

    let mut listed = vec![];
    let mut next = Some(String::new());
    while let Some(cursor) = next {
        let page = ana.get(&format!("/v1/orders?limit=2{cursor}")).await.ok(200);
        assert!(ids(&page).len() <= 2);
        listed.extend(ids(&page));
        next = page["nextCursor"].as_str().map(|cursor| format!("&cursor={cursor}"));
    }
    assert_eq!(listed, made);
    let whole = ana.get("/v1/orders").await.ok(200);
    assert_eq!((ids(&whole), whole.get("nextCursor")), (made, None));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_page_parameters_are_refused() {
    let app = TestApp::start().await;
    let ana = app.student().await;
    for query in ["limit=0", "limit=101", "limit=-1", "limit=two", "limit="] {
        ana.get(&format!("/v1/orders?{query}")).await.refused(400, "bad-parameter");
    }
    for cursor in ["%00%27%22", "", "019f0000-0000-7000-8000-000000000000", &"x".repeat(2048)] {
        ana.get(&format!("/v1/orders?cursor={cursor}")).await.refused(400, "bad-cursor");
    }
    ana.get(&format!("/v1/orders?cursor={}", "x".repeat(2049))).await.refused(400, "bad-parameter");
    app.anonymous().get("/v1/orders").await.refused(401, "not-signed-in");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_student_s_order_is_not_found() {
    let app = TestApp::start().await;
    let ((_, order), eve) = (app.submitted().await, app.student().await);
    let id = order["id"].as_str().expect("an id");
    let (foreign, unknown) = (format!("/v1/orders/{id}"), format!("/v1/orders/{}", RandomIds.next()));
    let refused = eve.get(&foreign).await.refused(404, "no-such-order");
    assert_eq!(eve.get(&unknown).await.refused(404, "no-such-order"), refused);
    eve.press(&format!("{foreign}/checkout")).await.refused(404, "no-such-order");
    eve.press(&format!("{unknown}/checkout")).await.refused(404, "no-such-order");
    app.administrator().await.get(&foreign).await.refused(404, "no-such-order");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_has_one_live_checkout_until_it_is_paid() {
    let app = stripe::app_with_secret().await;
    let (ana, order) = app.submitted().await;
    let checkout = format!("/v1/orders/{}/checkout", order["id"].as_str().expect("an id"));
    assert_eq!(ana.press(&checkout).await.ok(200), order);
    assert_eq!(ana.order(&order).await, order);

    app.deliver(&stripe::event("evt_1", "completed", &order, "unpaid")).await.ok(200);
    ana.press(&checkout).await.refused(409, "order-processing");
    app.deliver(&stripe::event("evt_2", "async_payment_failed", &order, "unpaid")).await.ok(200);
    let next = ana.press(&checkout).await.ok(200);
    assert_eq!(next["state"], "open");
    assert_ne!(next["checkoutUrl"], order["checkoutUrl"]);
    assert_eq!(ana.press(&checkout).await.ok(200), next);

    ana.press_button(&next, "pay").await;
    ana.press(&checkout).await.refused(409, "order-paid");
    let paid = ana.order(&order).await;
    assert_eq!((&paid["state"], paid.get("checkoutUrl")), (&"paid".into(), None));
    assert!(paid["paidAt"].is_string());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_day_the_checkout_has_expired_and_the_next_one_can_be_paid() {
    let app = TestApp::start().await;
    let (ana, order) = app.submitted().await;
    let checkout = format!("/v1/orders/{}/checkout", order["id"].as_str().expect("an id"));
    app.settle().await;
    app.clock.advance(Duration::from_hours(24));
    app.mailbox(ana.email()).email("isn't paid yet").await;
    assert_eq!(ana.order(&order).await["state"], "expired");
    let next = ana.press(&checkout).await.ok(200);
    assert_eq!(next["state"], "open");
    assert_ne!(next["checkoutUrl"], order["checkoutUrl"]);
    ana.press_button(&next, "pay").await;
    assert_eq!(ana.registration_state().await, "registered");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_of_the_payment_operations_is_reached() {
    reaches_all_of("Payments", async |reach| {
        orders_and_events(reach).await;
        without_a_gateway(reach).await;
        let limited = reach.start_with(|config| config.limits = 0.01).await;
        reach.too_many(&limited.student().await, &[("openCheckout", Value::Null, 404)]).await;
        limited.finish().await;
    })
    .await;
}

async fn orders_and_events(reach: &Reach) {
    let app = reach.counting(stripe::app_with_secret().await);
    let (ana, order) = app.submitted().await;
    let checkout = async |id: &str| ana.press(&format!("/v1/orders/{id}/checkout")).await;
    let id = order["id"].as_str().expect("an id");
    ana.get("/v1/orders").await.ok(200);
    ana.get(&format!("/v1/orders/{id}")).await.ok(200);
    ana.get(&format!("/v1/orders/{NO_ID}")).await.refused(404, "no-such-order");
    checkout(NO_ID).await.refused(404, "no-such-order");
    checkout(id).await.ok(200);

    reach.example(&app.anonymous(), "receiveStripeEvent").await.refused(400, "webhook-unsigned");
    let (body, now) = (event("evt_1", "completed", &order, "unpaid").to_string(), app.clock.now());
    let old = signature(&body, SECRET, now.minus(Duration::from_secs(310)));
    app.deliver_signed(&body, Some("t=1,v1=00")).await.refused(400, "webhook-signature");
    app.deliver_signed(&body, Some(&old)).await.refused(400, "webhook-stale");
    let mut live = event("evt_1", "completed", &order, "paid");
    live["livemode"] = true.into();
    app.deliver(&live).await.refused(400, "webhook-mode");

    app.deliver(&event("evt_2", "completed", &order, "unpaid")).await.ok(200);
    checkout(id).await.refused(409, "order-processing");
    app.deliver(&event("evt_3", "async_payment_succeeded", &order, "paid")).await.ok(200);
    checkout(id).await.refused(409, "order-paid");
    let cancelled = orders_of(&app, &ana, 1).await.pop().expect("one");
    cancel(&app, &cancelled).await;
    checkout(&cancelled).await.refused(409, "order-not-owed");
    sold_out_meanwhile(&app).await;
    let (bo, other) = app.submitted().await;
    let mut too_little = event("evt_4", "completed", &other, "paid");
    too_little["data"]["object"]["amount_total"] = json!(1);
    app.deliver(&too_little).await.ok(200);
    let address = format!("/v1/orders/{}/checkout", other["id"].as_str().expect("an id"));
    bo.press(&address).await.refused(409, "order-under-review");

    after_the_sale(reach).await;
    reach.without_a_store(&app, &ana, &[]).await;
    app.take_store_away();
    app.deliver(&event("evt_5", "completed", &order, "paid")).await.refused(503, "unavailable");
    app.bring_store_back().await;
    app.finish().await;
}

/// Nobody can cancel an order of the orientation ticket.
async fn cancel(app: &TestApp, id: &str) {
    let order: Order = app.store.get(id).await.expect("readable").expect("there");
    let cancelled = Order { state: OrderState::Cancelled, ..order };
    let stored: Result<(), StoreError> = app.store.transact(async |tx| tx.put(&cancelled).await).await;
    stored.expect("it is there");
}

/// The checkout of an order ends, and its place is gone when the student wants to pay after all.
async fn sold_out_meanwhile(app: &TestApp) {
    let (eve, _) = app.registered().await;
    let order = eve.post("/v1/orders", &json!({ "product": "retreat" })).await.ok(201);
    app.deliver(&event("evt_6", "expired", &order, "unpaid")).await.ok(200);
    let admin = app.administrator().await;
    let none = admin.request(Method::PUT, "/v1/products/retreat/capacity").json(&json!({ "capacity": 0 }));
    admin.send(none).await.ok(200);
    let checkout = format!("/v1/orders/{}/checkout", order["id"].as_str().expect("an id"));
    eve.press(&checkout).await.refused(409, "sold-out");
}

/// A checkout ends after the sale has ended.
async fn after_the_sale(reach: &Reach) {
    let app = reach.counting(
        TestApp::start_with(|config| {
            config.stripe_webhook_secrets = vec![Secret::new(SECRET.to_owned())];
            let closes = SystemClock.now().plus(Duration::from_secs(3600));
            let retreat = config.event.products.iter_mut().find(|product| product.id == "retreat");
            retreat.expect("it is sold").closes = Some(closes);
        })
        .await,
    );
    let (ana, _) = app.registered().await;
    let order = ana.post("/v1/orders", &json!({ "product": "retreat" })).await.ok(201);
    app.clock.advance(Duration::from_secs(3700));
    app.deliver(&event("evt_7", "expired", &order, "unpaid")).await.ok(200);
    let checkout = format!("/v1/orders/{}/checkout", order["id"].as_str().expect("an id"));
    ana.press(&checkout).await.refused(409, "not-on-sale");
    app.finish().await;
}

async fn without_a_gateway(reach: &Reach) {
    let (app, gateway) = TestApp::start_embedded_with_stripe().await;
    let app = reach.counting(app);
    gateway.fail(Fault::ServerError, 1000);
    let (ana, order) = app.submitted().await;
    let checkout = format!("/v1/orders/{}/checkout", order["id"].as_str().expect("an id"));
    let refused = ana.press(&checkout).await;
    refused.refused(503, "gateway-unavailable");
    assert_eq!(refused.header("retry-after"), Some("60"));
    app.finish().await;
}
