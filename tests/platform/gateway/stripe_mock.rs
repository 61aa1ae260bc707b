//! The shape of our requests, validated by Stripe's own stripe-mock against Stripe's OpenAPI document. It is stateless and
//! answers with samples.

use std::time::Duration;

use orientation::features::payments::{
    CheckoutRequest, Discount, Gateway, GatewayError, RefundRequest, Stripe,
};
use orientation::kernel::{Clock, SystemClock};

use super::{cad, clock, request, stripe_at};
use crate::servers::stripe_mock;

fn gateway() -> Stripe {
    stripe_at(&stripe_mock(), "sk_test_123")
}

/// A sample has another price than our ticket, so the adapter may reject it although its shape is right.
fn has_the_right_shape<T: std::fmt::Debug>(answer: Result<T, GatewayError>) {
    match answer {
        Ok(_) => {}
        Err(GatewayError::Refused(why)) if why.contains("another amount") => {}
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_checkout_request_has_the_right_shape() {
    let expires_at = SystemClock.now().plus(Duration::from_secs(24 * 3600 - 60));
    let plain = CheckoutRequest { expires_at, ..request("a", &clock()) };
    let discount = Some(Discount { coupon: "EARLY".into(), due: cad(11_000) });
    let named = CheckoutRequest { price_id: Some("price_1".into()), discount, ..plain.clone() };
    for asked in [plain, named] {
        has_the_right_shape(gateway().open(&asked).await);
    }
}

#[tokio::test]
async fn every_other_request_has_the_right_shape() {
    let gateway = gateway();
    gateway.check().await.expect("the right shape");
    gateway.expire("cs_test_1").await.expect("the right shape");
    assert!(gateway.retrieve("cs_test_1").await.expect("the right shape").is_some());
    gateway.list(SystemClock.now(), Some("cs_test_1")).await.expect("the right shape");
    let refund = RefundRequest {
        idempotency_key: "r".into(),
        order: "o".into(),
        intent: "pi_1".into(),
        amount: cad(500),
    };
    gateway.refund(&refund).await.expect("the right shape");
}

#[tokio::test]
async fn a_wrong_shape_is_detected() {
    let wrong = reqwest::Client::builder().no_proxy().build().expect("a client");
    let wrong = wrong.post(format!("{}/v1/checkout/sessions", stripe_mock())).bearer_auth("sk_test_123");
    let answer = wrong.form(&[("mode", "a gift"), ("line_items", "one")]).send().await.expect("it answers");
    assert_eq!(answer.status(), 400);
}
