//! The gateways: `contract.rs` is compiled once for the sandbox and once for Stripe (its double), each with a `Till` of its
//! own. Further files cover network failures and reconciliation.

mod double;
mod failures;
mod reconciliation;
mod sandbox;
mod stripe;
mod stripe_mock;

use std::sync::Arc;
use std::time::Duration;

use orientation::config::StripeConfig;
use orientation::features::payments::{CheckoutRequest, RetryPolicy, Stripe};
use orientation::kernel::{Clock, EmailAddress, ManualClock, Money, Secret, Timestamp};

use crate::doubles::stripe::SECRET_KEY;

const NOON: i64 = 1_788_246_000_000;

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_millis(NOON)))
}

fn cad(amount: i64) -> Money {
    Money { amount, currency: "CAD".to_owned().try_into().expect("a currency") }
}

/// The request for a checkout of CAD 130.00 that lives for a day.
fn request(key: &str, clock: &ManualClock) -> CheckoutRequest {
    CheckoutRequest {
        idempotency_key: key.into(),
        order: format!("order-{key}"),
        attempt: 1,
        product_name: "Orientation ticket".into(),
        price: cad(13_000),
        price_id: None,
        discount: None,
        email: EmailAddress::parse("ana@example.org").expect("an address"),
        expires_at: clock.now().plus(Duration::from_secs(24 * 3600 - 60)),
        success_url: "http://127.0.0.1:3000/checkout/done".into(),
        cancel_url: "http://127.0.0.1:3000/checkout/back".into(),
    }
}

/// The adapter for an API at this address.
fn stripe_at(url: &str, key: &str) -> Stripe {
    let account = StripeConfig {
        secret_key: Secret::new(key.to_owned()),
        live: false,
        api_base: Some(url.parse().expect("an address")),
    };
    Stripe::new(&account).expect("it can be sent")
}

/// The same with short time limits, connected to a double.
fn impatient(double: &crate::doubles::stripe::Stripe) -> Stripe {
    let retries = RetryPolicy {
        each: Duration::from_millis(500),
        all: Duration::from_secs(3),
        pause: Duration::from_millis(20),
    };
    stripe_at(double.url(), SECRET_KEY).with_retries(retries)
}
