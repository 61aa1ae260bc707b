//! Failures of the network and of Stripe.

use std::time::{Duration, Instant};

use orientation::features::payments::{CheckoutRequest, CheckoutStatus, Discount, Gateway, GatewayError};
use orientation::kernel::Clock;

use super::{cad, clock, impatient, request, stripe_at};
use crate::doubles::stripe::{Fault, SECRET_KEY, Seen, Stripe as Double};

const SESSIONS: &str = "POST /v1/checkout/sessions";

/// Whether the tries of one request were identical.
fn the_same(tries: &[Seen]) -> bool {
    tries
        .iter()
        .all(|one| one.operation == SESSIONS && one.key == tries[0].key && one.params == tries[0].params)
}

#[tokio::test]
async fn failed_tries_still_lead_to_one_checkout_under_one_key() {
    for (fault, times) in [
        (Fault::ServerError, 2),
        (Fault::TooMany, 2),
        (Fault::DropBefore, 2),
        (Fault::DropAfter, 2),
        (Fault::Hang, 1),
        (Fault::HangAfter, 1),
    ] {
        let (double, clock) = (Double::start().await, orientation::kernel::SystemClock);
        let gateway = impatient(&double);
        double.fail(fault, times);
        let expires_at = clock.now().plus(Duration::from_secs(24 * 3600 - 60));
        let asked = CheckoutRequest { expires_at, ..request("a", &super::clock()) };
        let checkout = gateway.open(&asked).await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        let (made, tries) = (double.sessions(), double.seen());
        assert_eq!((made.len(), made[0]["id"].as_str()), (1, Some(&*checkout.session)), "{fault:?}");
        assert_eq!(tries.len(), times + 1, "{fault:?}");
        assert!(the_same(&tries) && tries[0].key.as_deref() == Some("a"), "{fault:?}: {tries:?}");
    }
}

#[tokio::test]
async fn a_call_gives_up_in_time_and_the_checkout_is_found_later_under_its_key() {
    for fault in [Fault::ServerError, Fault::DropAfter, Fault::HangAfter] {
        let clock = clock();
        let double = Double::start_with(clock.clone()).await;
        let gateway = impatient(&double);
        double.fail(fault, usize::MAX);
        let (asked, began) = (request("a", &clock), Instant::now());
        let answer = gateway.open(&asked).await;
        assert!(matches!(answer, Err(GatewayError::Unavailable(_))), "{fault:?}: {answer:?}");
        assert!(began.elapsed() < Duration::from_secs(20), "{fault:?}");
        let made = double.sessions().len();
        assert_eq!(made, usize::from(fault != Fault::ServerError), "{fault:?}");
        double.heal();
        let checkout = gateway.open(&asked).await.expect("it is back");
        assert_eq!(double.sessions().len(), 1, "{fault:?}");
        assert_eq!(double.sessions()[0]["id"], checkout.session);
    }
}

#[tokio::test]
async fn a_failure_that_stripe_stores_under_the_key_leaves_a_listed_checkout() {
    let clock = clock();
    let double = Double::start_with(clock.clone()).await;
    let gateway = impatient(&double);
    double.fail(Fault::ServerErrorKept, 1);
    assert!(matches!(gateway.open(&request("a", &clock)).await, Err(GatewayError::Unavailable(_))));
    let listed = gateway.list(clock.now(), None).await.expect("it answers").items;
    assert_eq!((listed.len(), listed[0].order.as_deref()), (1, Some("order-a")));
    assert!(listed[0].status == CheckoutStatus::Open && listed[0].url.is_some());
}

#[tokio::test]
async fn a_rejected_api_key_is_a_temporary_failure() {
    let clock = clock();
    let double = Double::start_with(clock.clone()).await;
    let gateway = stripe_at(double.url(), "sk_test_of_somebody_else");
    let told = gateway.open(&request("a", &clock)).await.expect_err("it has no right");
    assert!(matches!(told, GatewayError::Unavailable(_)), "{told:?}");
    assert!(told.to_string().contains("rejects the key") && !told.to_string().contains("sk_test"), "{told}");
    assert!(gateway.check().await.is_err());
    assert!(stripe_at(double.url(), SECRET_KEY).check().await.is_ok());
}

#[tokio::test]
async fn a_checkout_of_another_amount_than_event_toml_is_expired() {
    let clock = clock();
    let double = Double::start_with(clock.clone()).await;
    let gateway = impatient(&double);
    double.add_coupon("EARLY", 2_000, "CAD");
    double.add_price("price_1", 9_500, "CAD");
    let discount = Some(Discount { coupon: "EARLY".into(), due: cad(10_000) });
    for (number, asked) in [
        CheckoutRequest { discount, ..request("a", &clock) },
        CheckoutRequest { price_id: Some("price_1".into()), ..request("b", &clock) },
    ]
    .iter()
    .enumerate()
    {
        let answer = gateway.open(asked).await;
        assert!(matches!(answer, Err(GatewayError::Refused(_))), "{answer:?}");
        assert_eq!(double.sessions()[number]["status"], "expired");
    }
    let named =
        CheckoutRequest { price: cad(9_500), price_id: Some("price_1".into()), ..request("c", &clock) };
    assert_eq!(gateway.open(&named).await.expect("it is what event.toml says").money, Some(cad(9_500)));
}

#[tokio::test]
async fn a_rejection_is_reported_by_its_code_without_stripe_s_message() {
    let clock = clock();
    let double = Double::start_with(clock.clone()).await;
    let discount = Some(Discount { coupon: "ana@example.org".into(), due: cad(1) });
    let asked = CheckoutRequest { discount, ..request("a", &clock) };
    let told = impatient(&double).open(&asked).await.expect_err("there is no such coupon").to_string();
    assert!(told.contains("400 invalid_request_error resource_missing"), "{told}");
    assert!(!told.contains("ana@"), "{told}");
}
