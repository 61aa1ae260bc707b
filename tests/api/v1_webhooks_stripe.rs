//! `/v1/webhooks/stripe`: events that the test signs as Stripe does.

use std::time::Duration;

use orientation::features::groups::GroupBook;
use orientation::features::payments::{Order, PaymentFlag};
use orientation::kernel::Clock;
use serde_json::{Value, json};

use crate::support::stripe::{self, SECRET, event, signature};
use crate::support::{TestApp, Visitor};

/// The stored order: the API doesn't show payments.
async fn kept(app: &TestApp, order: &Value) -> Order {
    let id = order["id"].as_str().expect("an id");
    app.store.get(id).await.expect("readable").expect("there")
}

async fn flags(app: &TestApp, order: &Value) -> Vec<Option<PaymentFlag>> {
    kept(app, order).await.payments.iter().map(|payment| payment.flag).collect()
}

/// Number of registered members in all groups.
async fn registered(app: &TestApp) -> u32 {
    let book: GroupBook = app.store.get(GroupBook::ID).await.expect("readable").expect("somebody registered");
    book.groups.iter().map(|tally| tally.registered).sum()
}

async fn tickets_sent(app: &TestApp, student: &Visitor) -> usize {
    app.settle().await;
    let emails = app.mailbox(student.email()).emails().await;
    emails.iter().filter(|email| !email["attachments"][0].is_null()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_without_a_fresh_signature_of_ours_is_rejected() {
    let app = stripe::app_with_secret().await;
    let (ana, order) = app.submitted().await;
    let body = event("evt_1", "completed", &order, "paid").to_string();
    let now = app.clock.now();
    let old = signature(&body, SECRET, now.minus(Duration::from_secs(310)));
    let ahead = signature(&body, SECRET, now.plus(Duration::from_secs(310)));
    let wrong = signature(&body, "whsec_somebody_else_s", now);
    let other_body = signature(&body.replace("13000", "1"), SECRET, now);
    let refusals = [
        (None, "webhook-unsigned"),
        (Some("t=1,v1=00"), "webhook-signature"),
        (Some("nonsense"), "webhook-signature"),
        (Some(&*wrong), "webhook-signature"),
        (Some(&*other_body), "webhook-signature"),
        (Some(&*old), "webhook-stale"),
        (Some(&*ahead), "webhook-stale"),
    ];
    for (header, kind) in refusals {
        app.deliver_signed(&body, header).await.refused(400, kind);
    }
    assert_eq!(ana.order(&order).await, order);
    let just = signature(&body, SECRET, now.minus(Duration::from_secs(290)));
    app.deliver_signed(&body, Some(&just)).await.ok(200);
    assert_eq!(ana.order(&order).await["state"], "paid");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_event_is_rejected_by_the_sandbox() {
    let app = stripe::app_with_secret().await;
    let (ana, order) = app.submitted().await;
    let mut live = event("evt_1", "completed", &order, "paid");
    live["livemode"] = true.into();
    app.deliver(&live).await.refused(400, "webhook-mode");
    assert_eq!(ana.order(&order).await, order);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_about_something_else_is_acknowledged() {
    let app = stripe::app_with_secret().await;
    let (ana, order) = app.submitted().await;
    let mut foreign_order = event("evt_1", "completed", &order, "paid");
    foreign_order["data"]["object"]["metadata"]["orderId"] = "019f0000-0000-7000-8000-000000000000".into();
    let mut without_metadata = event("evt_2", "completed", &order, "paid");
    without_metadata["data"]["object"]["metadata"] = json!({});
    let mut foreign_checkout = event("evt_3", "expired", &order, "unpaid");
    foreign_checkout["data"]["object"]["id"] = "cs_test_another".into();
    let unknown = event("evt_4", "invented", &order, "paid");
    let refund =
        json!({ "id": "evt_5", "type": "charge.refunded", "livemode": false, "data": { "object": {} } });
    for event in
        [foreign_order, without_metadata, foreign_checkout, unknown, refund, json!([]), json!("text")]
    {
        app.deliver(&event).await.ok(200);
    }
    assert_eq!(ana.order(&order).await, order);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_event_takes_effect_once() {
    let app = stripe::app_with_secret().await;
    let (ana, order) = app.submitted().await;
    let paid = event("evt_1", "completed", &order, "paid");
    for _ in 0..3 {
        app.deliver(&paid).await.ok(200);
    }
    // The same fact under another id, as Stripe sometimes sends it.
    app.deliver(&event("evt_2", "completed", &order, "paid")).await.ok(200);
    assert_eq!(flags(&app, &order).await, [None]);
    assert_eq!((registered(&app).await, tickets_sent(&app, &ana).await), (1, 1));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_and_reordered_events_lead_to_the_right_state() {
    let app = stripe::app_with_secret().await;
    let ways: [(&[(&str, &str)], &str); 6] = [
        (&[("async_payment_succeeded", "paid"), ("completed", "unpaid")], "paid"),
        (&[("expired", "unpaid"), ("completed", "paid")], "paid"),
        (&[("completed", "paid"), ("expired", "unpaid")], "paid"),
        (&[("async_payment_failed", "unpaid"), ("completed", "unpaid")], "open"),
        (&[("completed", "unpaid"), ("expired", "unpaid")], "processing"),
        (&[("expired", "unpaid"), ("expired", "unpaid")], "expired"),
    ];
    for (way, (events, ends)) in ways.into_iter().enumerate() {
        let (ana, order) = app.submitted().await;
        for (n, (kind, status)) in events.iter().enumerate() {
            app.deliver(&event(&format!("evt_{way}_{n}"), kind, &order, status)).await.ok(200);
        }
        assert_eq!(ana.order(&order).await["state"], ends, "{events:?}");
        let state = if ends == "paid" { "registered" } else { "submitted" };
        assert_eq!(ana.registration_state().await, state, "{events:?}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completed_checkout_is_processing_until_the_bank_answers() {
    let app = stripe::app_with_secret().await;
    let (ana, order) = app.submitted().await;
    app.deliver(&event("evt_1", "completed", &order, "unpaid")).await.ok(200);
    assert_eq!(ana.order(&order).await["state"], "processing");
    assert_eq!(ana.registration_state().await, "submitted");
    ana.get("/v1/ticket").await.refused(404, "not-registered");
    app.deliver(&event("evt_2", "async_payment_succeeded", &order, "paid")).await.ok(200);
    assert_eq!(ana.order(&order).await["state"], "paid");
    assert_eq!((ana.registration_state().await, tickets_sent(&app, &ana).await), ("registered".into(), 1));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_payment_failed_can_be_paid_again() {
    let app = stripe::app_with_secret().await;
    let (ana, order) = app.submitted().await;
    app.deliver(&event("evt_1", "completed", &order, "unpaid")).await.ok(200);
    app.deliver(&event("evt_2", "async_payment_failed", &order, "unpaid")).await.ok(200);
    let failed = ana.order(&order).await;
    assert_eq!((&failed["state"], failed.get("checkoutUrl")), (&"open".into(), None));
    assert_eq!(tickets_sent(&app, &ana).await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_of_another_amount_is_flagged() {
    let app = stripe::app_with_secret().await;
    let differences =
        [("amount_total", json!(12_999)), ("currency", json!("usd")), ("amount_total", Value::Null)];
    for (n, (field, value)) in differences.into_iter().enumerate() {
        let (ana, order) = app.submitted().await;
        let mut paid = event(&format!("evt_{n}"), "completed", &order, "paid");
        paid["data"]["object"][field] = value;
        app.deliver(&paid).await.ok(200);
        assert_eq!(flags(&app, &order).await, [Some(PaymentFlag::AmountDiffers)], "{field}");
        assert_eq!(ana.registration_state().await, "submitted");
        let checkout = format!("/v1/orders/{}/checkout", order["id"].as_str().expect("an id"));
        ana.press(&checkout).await.refused(409, "order-under-review");
    }
    assert_eq!(registered(&app).await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_payment_is_flagged() {
    let app = stripe::app_with_secret().await;
    let (ana, first) = app.submitted().await;
    app.deliver(&event("evt_1", "expired", &first, "unpaid")).await.ok(200);
    let checkout = format!("/v1/orders/{}/checkout", first["id"].as_str().expect("an id"));
    let second = ana.press(&checkout).await.ok(200);
    let mut by_second = event("evt_2", "completed", &second, "paid");
    by_second["data"]["object"]["metadata"]["attempt"] = "2".into();
    app.deliver(&by_second).await.ok(200);
    app.deliver(&event("evt_3", "completed", &first, "paid")).await.ok(200);
    let mut by_nobody = event("evt_4", "completed", &first, "paid");
    by_nobody["data"]["object"]["id"] = "cs_test_unheard_of".into();
    app.deliver(&by_nobody).await.ok(200);

    let expected = [None, Some(PaymentFlag::NotOwed), Some(PaymentFlag::UnknownSession)];
    assert_eq!(flags(&app, &first).await, expected);
    assert_eq!((registered(&app).await, tickets_sent(&app, &ana).await), (1, 1));
    assert_eq!(ana.order(&first).await["state"], "paid");
    app.finish().await;
}

/// `charge.refunded` or `charge.dispute.created` about this payment of `order`.
fn reversal(id: &str, kind: &str, order: &Value, refunded: i64) -> Value {
    json!({
        "id": id, "type": format!("charge.{kind}"), "livemode": false,
        "data": { "object": { "payment_intent": "pi_1", "amount_refunded": refunded, "currency": "cad",
            "metadata": { "orderId": order["id"] } } },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_refund_ends_the_registration_and_a_partial_one_or_a_dispute_does_not() {
    let app = stripe::app_with_secret().await;
    for (n, (kind, refunded, state, registration)) in [
        ("refunded", 500, "partiallyRefunded", "registered"),
        ("dispute.created", 0, "disputed", "registered"),
        ("refunded", 13_000, "refunded", "submitted"),
    ]
    .into_iter()
    .enumerate()
    {
        let (ana, order) = app.submitted().await;
        let mut paid = event(&format!("evt_{n}_1"), "completed", &order, "paid");
        paid["data"]["object"]["payment_intent"] = "pi_1".into();
        app.deliver(&paid).await.ok(200);
        app.settle().await;
        ana.get("/v1/ticket").await.ok(200);
        for again in 0..2 {
            app.deliver(&reversal(&format!("evt_{n}_2_{again}"), kind, &order, refunded)).await.ok(200);
        }
        assert_eq!(ana.order(&order).await["state"], state);
        assert_eq!(ana.registration_state().await, registration, "{kind} {refunded}");
        let ticket = ana.get("/v1/ticket").await;
        match registration {
            "registered" => drop(ticket.ok(200)),
            _ => drop(ticket.refused(404, "not-registered")),
        }
    }
    assert_eq!(registered(&app).await, 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_dispute_is_retried_for_an_hour() {
    let app = stripe::app_with_secret().await;
    let (ana, order) = app.submitted().await;
    let mut paid = event("evt_1", "completed", &order, "paid");
    paid["data"]["object"]["payment_intent"] = "pi_1".into();
    let dispute = |id: &str, intent: &str| {
        json!({
            "id": id, "type": "charge.dispute.created", "livemode": false, "created": app.clock.now().as_secs(),
            "data": { "object": { "payment_intent": intent, "metadata": {} } },
        })
    };
    let (early, of_nobody) = (dispute("evt_2", "pi_1"), dispute("evt_3", "pi_of_another_shop"));
    for event in [&early, &of_nobody] {
        let answer = app.deliver(event).await;
        answer.refused(503, "unavailable");
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    }
    app.deliver(&paid).await.ok(200);
    app.deliver(&early).await.ok(200);
    assert_eq!(ana.order(&order).await["state"], "disputed");
    app.clock.advance(Duration::from_secs(60 * 60));
    app.deliver(&of_nobody).await.ok(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_an_event_is_not_a_server_error() {
    let app = stripe::app_with_secret().await;
    for body in ["not json", "", "\u{0}", "{\"id\":", &"[".repeat(10_000)] {
        let header = signature(body, SECRET, app.clock.now());
        let answer = app.deliver_signed(body, Some(&header)).await;
        assert!([200, 400].contains(&answer.status.as_u16()), "{answer:?}");
    }
    let huge = "x".repeat(2 * 1024 * 1024);
    app.deliver_signed(&huge, Some(&signature(&huge, SECRET, app.clock.now())))
        .await
        .refused(413, "too-large");
    app.finish().await;
}
