//! Events as Stripe sends them.

use std::sync::LazyLock;

use orientation::kernel::Secret;
use reqwest::Method;
use serde_json::{Value, json};
use stripe_webhook::Webhook;

use crate::support::{Answer, Visitor};

/// What events are signed with, for services that are configured with it.
pub static SECRET: LazyLock<Secret<String>> = LazyLock::new(|| Secret::new("whsec_of_the_tests".to_owned()));

/// The event that the checkout of an order (as `register` answers with it) was paid.
pub fn paid_event(order: &Value) -> Value {
    let session = order["checkoutUrl"].as_str().and_then(|url| url.rsplit('/').next()).expect("a checkout");
    json!({
        "id": format!("evt_{session}"), "object": "event", "type": "checkout.session.completed", "livemode": false,
        "data": { "object": {
            "id": session, "object": "checkout.session", "payment_status": "paid", "amount_total": 13_000,
            "currency": "cad", "metadata": { "orderId": order["id"], "attempt": "1" },
        } },
    })
}

/// Sends an event, signed at `now` (seconds since 1970).
pub async fn send_event(visitor: &Visitor, event: &Value, now: i64) -> Answer {
    let body = event.to_string();
    let signature = Webhook::generate_test_header(&body, SECRET.expose(), Some(now));
    let request = visitor.request(Method::POST, "/v1/webhooks/stripe").header("stripe-signature", signature);
    visitor.send(request.header("content-type", "application/json; charset=utf-8").body(body)).await
}
