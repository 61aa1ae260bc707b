//! The double itself: that it behaves like Stripe.

use std::time::Duration;

use serde_json::Value;

use crate::doubles::stripe::{Fault, SECRET_KEY, Stripe};

/// Opens a checkout of this amount under this key.
async fn open(stripe: &Stripe, key: &str, amount: &str) -> Result<(u16, Value), reqwest::Error> {
    let form = [
        ("mode", "payment"),
        ("success_url", "http://127.0.0.1:3000/done"),
        ("cancel_url", "http://127.0.0.1:3000/back"),
        ("line_items[0][price_data][currency]", "cad"),
        ("line_items[0][price_data][product_data][name]", "Ticket"),
        ("line_items[0][price_data][unit_amount]", amount),
        ("metadata[orderId]", "o"),
        ("payment_intent_data[metadata][orderId]", "o"),
    ];
    let client = reqwest::Client::builder().no_proxy().build()?;
    let request = client.post(format!("{}/v1/checkout/sessions", stripe.url())).form(&form);
    let request = request.bearer_auth(SECRET_KEY).header("idempotency-key", key);
    let answer = request.timeout(Duration::from_secs(5)).send().await?;
    Ok((answer.status().as_u16(), answer.json().await?))
}

#[tokio::test]
async fn one_key_opens_one_checkout_and_other_parameters_are_rejected() {
    let stripe = Stripe::start().await;
    let first = open(&stripe, "a", "13000").await.expect("an answer");
    assert_eq!(first.1["amount_total"], 13_000);
    assert_eq!(open(&stripe, "a", "13000").await.expect("an answer"), first);
    let (status, refused) = open(&stripe, "a", "9500").await.expect("an answer");
    assert_eq!((status, &refused["error"]["type"]), (400, &"idempotency_error".into()));
    assert_eq!(stripe.sessions().len(), 1);
}

#[tokio::test]
async fn a_fault_occurs_as_often_as_asked_before_or_after_the_effect() {
    let stripe = Stripe::start().await;
    for (key, fault, made) in [
        ("a", Fault::ServerError, 0),
        ("a", Fault::TooMany, 0),
        ("a", Fault::DropBefore, 0),
        ("a", Fault::DropAfter, 1),
        ("b", Fault::ServerErrorKept, 2),
    ] {
        stripe.fail(fault, 1);
        let failed = open(&stripe, key, "13000").await.map_or(true, |(status, _)| status >= 429);
        assert!(failed, "{fault:?}");
        assert_eq!(stripe.sessions().len(), made, "{fault:?}");
    }
    assert_eq!(open(&stripe, "a", "13000").await.expect("an answer").0, 200);
    assert_eq!(open(&stripe, "b", "13000").await.expect("an answer").0, 500, "as it was answered first");
    assert_eq!(stripe.sessions().len(), 2);
}

#[tokio::test]
async fn a_payment_is_reported_and_can_be_refunded_once() {
    let stripe = Stripe::start().await;
    let (_, session) = open(&stripe, "a", "13000").await.expect("an answer");
    let id = session["id"].as_str().expect("text");
    stripe.pay(id).expect("open");
    assert!(stripe.pay(id).is_err() && stripe.expire(id).is_err());
    stripe.refund(id, Some(1_000)).expect("there is as much");
    assert!(stripe.refund(id, Some(12_001)).is_err());
    stripe.refund(id, None).expect("the rest");
    stripe.dispute(id);
    let kinds: Vec<_> = stripe.events().iter().map(|event| event["type"].clone()).collect();
    assert_eq!(
        kinds,
        [
            "checkout.session.completed",
            "refund.created",
            "charge.refunded",
            "refund.created",
            "charge.refunded",
            "charge.dispute.created"
        ]
    );
    assert_eq!(stripe.events()[4]["data"]["object"]["amount_refunded"], 13_000);
    assert_eq!(stripe.events()[4]["data"]["object"]["metadata"]["orderId"], "o");
}
