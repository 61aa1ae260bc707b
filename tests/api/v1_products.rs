//! `/v1/products`, and the orders made there.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use orientation::config::{Buyers, Product};
use orientation::features::payments::{Order, Stock};
use orientation::features::registration::{Registration, RegistrationState};
use orientation::kernel::{Role, Secret, Timestamp};
use orientation::platform::store::{Filter, Query, StoreError};
use reqwest::Method;
use serde_json::{Value, json};

use crate::doubles::stripe::Fault;
use crate::support::stripe::{SECRET, event};
use crate::support::{Answer, NO_ID, Reach, TestApp, Visitor, reaches_all_of};

/// A service with this many places of the retreat, and two T-shirts.
async fn shop(places: u32) -> TestApp {
    TestApp::start_with(|config| {
        config.stripe_webhook_secrets = vec![Secret::new(SECRET.to_owned())];
        let retreat = config.event.products.iter_mut().find(|product| product.id == "retreat");
        retreat.expect("it is sold").capacity = Some(places);
        let price = "CAD 20.00".parse().expect("a price");
        let shirt = Product { capacity: Some(2), ..Product::of("t-shirt", "T-shirt", price) };
        config.event.products.push(shirt);
    })
    .await
}

async fn order(buyer: &Visitor, product: &str) -> Answer {
    buyer.post("/v1/orders", &json!({ "product": product })).await
}

async fn product(app: &TestApp, id: &str) -> Value {
    app.anonymous().get(&format!("/v1/products/{id}")).await.ok(200)
}

async fn remaining(app: &TestApp) -> (u64, String) {
    let retreat = product(app, "retreat").await;
    let state = retreat["saleState"].as_str().expect("a state").to_owned();
    (retreat["remaining"].as_u64().expect("it has a limit"), state)
}

/// Places that are held, sold and free.
async fn places(app: &TestApp) -> (u32, u32, u32) {
    let stock: Stock = app.store.get("retreat").await.expect("readable").expect("somebody ordered");
    assert_eq!(stock.held + stock.sold + stock.free(), stock.capacity);
    (stock.held, stock.sold, stock.free())
}

async fn set_capacity(app: &TestApp, capacity: u32) -> Answer {
    let request = app.administrator().await;
    let request_to = request.request(Method::PUT, "/v1/products/retreat/capacity");
    request.send(request_to.json(&json!({ "capacity": capacity }))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn products_are_listed_with_what_is_left() {
    let app = shop(1).await;
    let list = app.anonymous().get("/v1/products").await.ok(200);
    let ids: Vec<_> = list["items"].as_array().expect("a list").iter().map(|one| one["id"].clone()).collect();
    assert_eq!(ids, ["orientation", "retreat", "t-shirt"]);
    assert_eq!(list["items"][0].get("remaining"), None, "no limit");
    assert_eq!(
        list["items"][1],
        json!({
            "id": "retreat", "name": "Retreat ticket", "price": { "amount": 9_500, "currency": "CAD" },
            "capacity": 1, "remaining": 1, "saleState": "open",
        })
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_place_is_sold_once_and_given_back_when_the_checkout_has_ended() {
    let app = shop(1).await;
    let ((ana, _), (bo, _)) = (app.registered().await, app.registered().await);
    let first = order(&ana, "retreat").await.ok(201);
    assert_eq!((&first["state"], &first["product"]), (&json!("open"), &json!("retreat")));
    assert!(first["holdEndsAt"].is_string() && first["checkoutUrl"].is_string(), "{first}");
    order(&bo, "retreat").await.refused(409, "sold-out");
    order(&ana, "retreat").await.refused(409, "already-ordered");
    assert_eq!(remaining(&app).await, (0, "soldOut".into()));
    order(&bo, "t-shirt").await.ok(201);

    app.deliver(&event("evt_1", "expired", &first, "unpaid")).await.ok(200);
    assert_eq!((remaining(&app).await, places(&app).await), ((1, "open".into()), (0, 0, 1)));
    app.mailbox(ana.email()).email("isn't paid").await;

    let second = order(&bo, "retreat").await.ok(201);
    let again = format!("/v1/orders/{}/checkout", first["id"].as_str().expect("an id"));
    ana.press(&again).await.refused(409, "sold-out");
    app.deliver(&event("evt_2", "completed", &second, "paid")).await.ok(200);
    assert_eq!(places(&app).await, (0, 1, 0));
    app.mailbox(bo.email()).email("is yours").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_payment_is_honoured_if_a_place_is_free_and_refunded_if_not() {
    let app = shop(1).await;
    let ((ana, _), (bo, _)) = (app.registered().await, app.registered().await);
    let late = order(&ana, "retreat").await.ok(201);
    app.deliver(&event("evt_1", "expired", &late, "unpaid")).await.ok(200);
    let mut payment = event("evt_2", "completed", &late, "paid");
    payment["data"]["object"]["payment_intent"] = "pi_late".into();
    let other = order(&bo, "retreat").await.ok(201);
    app.deliver(&payment).await.ok(200);
    let path = format!("/v1/orders/{}", late["id"].as_str().expect("an id"));
    assert_eq!(ana.get(&path).await.ok(200)["state"], "expired");
    app.mailbox(ana.email()).email("is sold out").await;
    let stored: Order =
        app.store.get(late["id"].as_str().expect("an id")).await.expect("readable").expect("there");
    let amounts: Vec<_> = stored.refunds.iter().map(|refund| refund.amount.amount).collect();
    assert_eq!(amounts, [9_500]);
    assert_eq!(places(&app).await, (1, 0, 0));

    app.deliver(&event("evt_3", "expired", &other, "unpaid")).await.ok(200);
    let mut payment = event("evt_4", "completed", &other, "paid");
    payment["data"]["object"]["payment_intent"] = "pi_later".into();
    app.deliver(&payment).await.ok(200);
    assert_eq!(places(&app).await, (0, 1, 0));
    app.mailbox(bo.email()).email("is yours").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_order_gives_its_place_back_and_can_be_made_anew() {
    let app = shop(1).await;
    let (ana, _) = app.registered().await;
    let first = order(&ana, "retreat").await.ok(201);
    let cancel = format!("/v1/orders/{}/cancel", first["id"].as_str().expect("an id"));
    for _ in 0..2 {
        assert_eq!(ana.press(&cancel).await.ok(200)["state"], "cancelled");
    }
    assert_eq!(places(&app).await, (0, 0, 1));
    let second = order(&ana, "retreat").await.ok(201);
    assert_ne!(second["id"], first["id"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_places_can_be_raised_and_lowered() {
    let app = shop(1).await;
    let ((ana, _), (bo, _)) = (app.registered().await, app.registered().await);
    order(&ana, "retreat").await.ok(201);
    assert_eq!(set_capacity(&app, 2).await.ok(200)["remaining"], 1);
    order(&bo, "retreat").await.ok(201);
    let lowered = set_capacity(&app, 0).await.ok(200);
    assert_eq!((&lowered["remaining"], &lowered["saleState"]), (&json!(0), &json!("soldOut")));
    assert_eq!(app.store.get::<Stock>("retreat").await.expect("readable").expect("there").held, 2);
    let audit = app.administrator().await.get("/v1/audit-entries?action=product.capacity-set").await.ok(200);
    assert_eq!(audit["items"].as_array().map(Vec::len), Some(2), "{audit}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn buyers_who_press_three_times_get_the_places_there_are() {
    const PLACES: u32 = 7;
    let app = shop(PLACES).await;
    let buyers = join_all((0..20).map(|_| app.registered())).await;
    let answers = join_all(
        buyers
            .iter()
            .flat_map(|(buyer, _)| (0..3).map(move |_| async move { order(buyer, "retreat").await.status })),
    )
    .await;
    let of = |wanted: u16| answers.iter().filter(|status| **status == wanted).count();
    assert_eq!((of(201), of(409)), (PLACES as usize, 60 - PLACES as usize), "{answers:?}");
    assert_eq!(places(&app).await, (PLACES, 0, 0));
    let orders = Query::new(Filter::eq("product", "retreat")).limit(100);
    let orders: Vec<Order> = app.store.find(orders).await.expect("readable");
    let accounts: BTreeSet<_> = orders.iter().map(|order| &order.account).collect();
    assert_eq!((orders.len(), accounts.len()), (PLACES as usize, PLACES as usize));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_of_the_product_operations_is_reached() {
    reaches_all_of("Products", async |reach| {
        let app = reach.start_with(|config| {
            config.stripe_webhook_secrets = vec![Secret::new(SECRET.to_owned())];
            let products = &mut config.event.products;
            let retreat = products.iter_mut().find(|product| product.id == "retreat").expect("it is sold");
            retreat.capacity = Some(2);
            let one = |id: &str| Product::of(id, id, "CAD 1.00".parse().expect("a price"));
            let groups = vec!["None".into()];
            products.extend([
                one("first"),
                one("second"),
                one("third"),
                Product { opens: Some(Timestamp::from_millis(i64::MAX / 2)), ..one("later") },
                Product { closes: Some(Timestamp::from_millis(0)), ..one("over") },
                Product { buyers: Buyers { groups, ..Buyers::default() }, ..one("some") },
            ]);
        });
        let app = app.await;
        let ((ana, ticket), (bo, _), (eve, _)) =
            (app.registered().await, app.registered().await, app.registered().await);
        app.anonymous().get("/v1/products").await.ok(200);
        product(&app, "retreat").await;
        app.anonymous().get("/v1/products/none").await.refused(404, "no-such-product");

        reach.example(&ana, "createOrder").await.ok(201);
        order(&ana, "retreat").await.refused(409, "already-ordered");
        let keyed = |key: &str, product: &str| {
            let request = bo.request(Method::POST, "/v1/orders").header("idempotency-key", key);
            bo.send(request.json(&json!({ "product": product })))
        };
        let first = keyed("k-1", "retreat").await.ok(201);
        assert_eq!(keyed("k-1", "retreat").await.ok(201)["id"], first["id"]);
        keyed("k-1", "later").await.refused(422, "idempotency-key-reused");
        order(&eve, "retreat").await.refused(409, "sold-out");
        order(&eve, "none").await.refused(404, "no-such-product");
        for (closed, kind) in [
            ("later", "not-on-sale"),
            ("over", "not-on-sale"),
            ("some", "not-eligible"),
            ("orientation", "not-eligible"),
        ] {
            order(&eve, closed).await.refused(409, kind);
        }
        order(&app.student().await, "retreat").await.refused(409, "not-eligible");
        order(&app.somebody("lea@example.org", Role::Leader, &[]).await, "retreat")
            .await
            .refused(409, "not-eligible");

        cancel(&ana, &NO_ID.into()).await.refused(404, "no-such-order");
        cancel(&ana, &first["id"]).await.refused(404, "no-such-order");
        cancel(&ana, &ticket["id"]).await.refused(409, "ordered-by-form");
        cancel(&bo, &first["id"]).await.ok(200);
        closed_orders(&app, &eve).await;

        let admin = app.administrator().await;
        reach.example(&admin, "setCapacity").await.ok(200);
        let set = async |id: &str| {
            let request = admin.request(Method::PUT, &format!("/v1/products/{id}/capacity"));
            admin.send(request.json(&json!({ "capacity": 1 }))).await
        };
        set("none").await.refused(404, "no-such-product");
        set("orientation").await.refused(409, "no-capacity");
        reach.without_a_store(&app, &ana, &[]).await;
        app.finish().await;
        let limited = reach.start_with(|config| config.limits = 0.01).await;
        let student = limited.student().await;
        reach.too_many(&student, &[("createOrder", json!({ "product": "retreat" }), 409)]).await;
        limited.finish().await;
        without_a_gateway(reach).await;
    })
    .await;
}

async fn without_a_gateway(reach: &Reach) {
    let (app, gateway) = TestApp::start_embedded_with_stripe().await;
    let app = reach.counting(app);
    let (ana, _) = app.submitted().await;
    let registration: Registration =
        app.store.get(&ana.account().id).await.expect("readable").expect("submitted");
    let registered = Registration { state: RegistrationState::Registered, ..registration };
    let stored: Result<(), StoreError> = app.store.transact(async |tx| tx.put(&registered).await).await;
    stored.expect("it is there");
    let made = order(&ana, "retreat").await.ok(201);
    gateway.fail(Fault::ServerError, 1000);
    cancel(&ana, &made["id"]).await.refused(503, "gateway-unavailable");
    app.finish().await;
}

async fn cancel(buyer: &Visitor, id: &Value) -> Answer {
    buyer.press(&format!("/v1/orders/{}/cancel", id.as_str().expect("an id"))).await
}

/// Orders in the states that can't be cancelled.
async fn closed_orders(app: &TestApp, buyer: &Visitor) {
    let processing = order(buyer, "first").await.ok(201);
    app.deliver(&event("evt_1", "completed", &processing, "unpaid")).await.ok(200);
    cancel(buyer, &processing["id"]).await.refused(409, "order-processing");
    let doubtful = order(buyer, "second").await.ok(201);
    let mut too_little = event("evt_2", "completed", &doubtful, "paid");
    too_little["data"]["object"]["amount_total"] = json!(1);
    app.deliver(&too_little).await.ok(200);
    cancel(buyer, &doubtful["id"]).await.refused(409, "order-under-review");
    let paid = order(buyer, "third").await.ok(201);
    let mut payment = event("evt_3", "completed", &paid, "paid");
    payment["data"]["object"]["payment_intent"] = "pi_3".into();
    app.deliver(&payment).await.ok(200);
    cancel(buyer, &paid["id"]).await.refused(409, "order-paid");
    let refund = json!({
        "id": "evt_4", "object": "event", "type": "charge.refunded", "livemode": false,
        "data": { "object": { "object": "charge", "payment_intent": "pi_3", "amount_refunded": 100, "currency": "cad" } },
    });
    app.deliver(&refund).await.ok(200);
    cancel(buyer, &paid["id"]).await.refused(409, "order-not-owed");
    app.mailbox(buyer.email()).email("was refunded").await;
}
