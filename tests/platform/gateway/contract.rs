//! The contract of every gateway.

use std::time::Duration;

use futures_util::future::join_all;
use orientation::features::payments::{
    Checkout, CheckoutRequest, CheckoutStatus, Discount, GatewayError, RefundRequest,
};
use orientation::kernel::{Clock, Money};

use super::super::{cad, request};
use super::Till;

impl Till {
    async fn opened(&self, key: &str) -> Checkout {
        self.gateway.open(&request(key, &self.clock)).await.expect("it opens")
    }

    async fn standing(&self, session: &str) -> Checkout {
        self.gateway.retrieve(session).await.expect("it answers").expect("it is there")
    }

    async fn refused(&self, request: &CheckoutRequest) {
        let answer = self.gateway.open(request).await;
        assert!(matches!(answer, Err(GatewayError::Refused(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn a_checkout_names_its_order_and_its_page() {
    let till = Till::open().await;
    let checkout = till.opened("a").await;
    assert_eq!((checkout.order.as_deref(), checkout.attempt), (Some("order-a"), Some(1)));
    assert_eq!((checkout.status, checkout.money), (CheckoutStatus::Open, Some(cad(13_000))));
    assert!(checkout.url.as_ref().is_some_and(|url| url.contains(&checkout.session)), "{checkout:?}");
    assert_eq!(checkout.intent, None);
    assert_eq!(till.standing(&checkout.session).await, checkout);
    assert_eq!(till.gateway.retrieve("cs_test_unknown").await.expect("it answers"), None);
    till.gateway.check().await.expect("it answers");
}

#[tokio::test]
async fn one_key_opens_one_checkout_for_one_request() {
    let till = Till::open().await;
    let first = till.opened("a").await;
    assert_eq!(till.opened("a").await, first);
    till.clock.advance(Duration::from_secs(60));
    let same = CheckoutRequest {
        expires_at: till.clock.now().plus(Duration::from_secs(24 * 3600 - 120)),
        ..request("a", &till.clock)
    };
    assert_eq!(till.gateway.open(&same).await.expect("the same"), first);
    till.refused(&request("a", &till.clock)).await;
    till.refused(&CheckoutRequest { price: cad(12_999), ..same }).await;
    assert_ne!(till.opened("b").await.session, first.session);
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_simultaneous_requests_under_one_key_open_one_checkout() {
    let till = Till::open().await;
    let asked = join_all((0..20).map(|_| till.opened("a"))).await;
    assert!(asked.iter().all(|checkout| *checkout == asked[0]), "{asked:?}");
}

#[tokio::test]
async fn a_checkout_lives_for_thirty_minutes_to_a_day() {
    let till = Till::open().await;
    for seconds in [29 * 60, 24 * 3600 + 60] {
        let expires_at = till.clock.now().plus(Duration::from_secs(seconds));
        till.refused(&CheckoutRequest { expires_at, ..request("a", &till.clock) }).await;
    }
    let checkout = till.opened("b").await;
    till.clock.advance(Duration::from_secs(24 * 3600));
    till.time_passes().await;
    assert_eq!(till.standing(&checkout.session).await.status, CheckoutStatus::Expired);
}

#[tokio::test]
async fn a_paid_checkout_stays_paid() {
    let till = Till::open().await;
    let checkout = till.opened("a").await;
    till.pay(&checkout.session).await;
    let paid = till.standing(&checkout.session).await;
    assert_eq!((paid.status, paid.money), (CheckoutStatus::Paid, Some(cad(13_000))));
    assert!(paid.intent.is_some());
    let late = till.gateway.expire(&checkout.session).await;
    assert!(matches!(late, Err(GatewayError::Refused(_))), "{late:?}");
    assert_eq!(till.standing(&checkout.session).await, paid);
}

#[tokio::test]
async fn a_slow_bank_accepts_or_declines() {
    for (succeeds, answer) in [(true, CheckoutStatus::Paid), (false, CheckoutStatus::Failed)] {
        let till = Till::open().await;
        let checkout = till.opened("a").await;
        till.pay_later(&checkout.session, succeeds).await;
        assert_eq!(till.standing(&checkout.session).await.status, CheckoutStatus::Unpaid);
        till.clock.advance(Duration::from_secs(6));
        till.time_passes().await;
        assert_eq!(till.standing(&checkout.session).await.status, answer);
    }
}

#[tokio::test]
async fn an_expired_checkout_stays_expired() {
    let till = Till::open().await;
    let checkout = till.opened("a").await;
    till.gateway.expire(&checkout.session).await.expect("it is open");
    assert_eq!(till.standing(&checkout.session).await.status, CheckoutStatus::Expired);
    let unknown = till.gateway.expire("cs_test_unknown").await;
    assert!(matches!(unknown, Err(GatewayError::Refused(_))), "{unknown:?}");
}

#[tokio::test]
async fn a_coupon_lowers_the_amount() {
    let till = Till::open().await;
    till.add_coupon("EARLY", 2_000);
    let discount = Some(Discount { coupon: "EARLY".into(), due: cad(11_000) });
    let asked = CheckoutRequest { discount, ..request("a", &till.clock) };
    let checkout = till.gateway.open(&asked).await.expect("it opens");
    assert_eq!(checkout.money, Some(cad(11_000)));
    till.pay(&checkout.session).await;
    assert_eq!(till.standing(&checkout.session).await.money, Some(cad(11_000)));
}

#[tokio::test]
async fn special_currencies_are_charged_and_refunded_as_people_write_them() {
    let till = Till::open().await;
    for price in ["UGX 1000", "ISK 13000", "JPY 13000", "KWD 13.010", "HUF 13000.50"] {
        let price: Money = price.parse().expect("money");
        let asked = CheckoutRequest { price, ..request(&price.to_string(), &till.clock) };
        let checkout = till.gateway.open(&asked).await.unwrap_or_else(|error| panic!("{price}: {error}"));
        assert_eq!(checkout.money, Some(price));
        till.pay(&checkout.session).await;
        let paid = till.standing(&checkout.session).await;
        assert_eq!(paid.money, Some(price));
        let refund = RefundRequest {
            idempotency_key: format!("refund {price}"),
            order: asked.order.clone(),
            intent: paid.intent.expect("it is paid"),
            amount: price,
        };
        till.gateway.refund(&refund).await.unwrap_or_else(|error| panic!("{price}: {error}"));
        let more = RefundRequest { idempotency_key: format!("more {price}"), ..refund };
        assert!(till.gateway.refund(&more).await.is_err(), "all of {price} is refunded");
    }
}

#[tokio::test]
async fn checkouts_since_a_time_are_listed_in_pages_newest_first() {
    let till = Till::open().await;
    till.opened("before").await;
    till.clock.advance(Duration::from_secs(60));
    let since = till.clock.now();
    let mut made = vec![];
    for number in 0..105 {
        made.push(till.opened(&format!("{number:03}")).await.session);
        if number % 20 == 0 {
            till.clock.advance(Duration::from_secs(1));
        }
    }
    let first = till.gateway.list(since, None).await.expect("it answers");
    assert_eq!(first.items.len(), 100);
    let second = till.gateway.list(since, first.next.as_deref()).await.expect("it answers");
    assert_eq!((second.items.len(), second.next), (5, None));
    let mut listed: Vec<_> = first.items.into_iter().chain(second.items).collect();
    assert_eq!(listed[104].session, made[0]);
    assert!(listed.iter().all(|checkout| checkout.order.is_some() && checkout.attempt == Some(1)));
    made.sort();
    listed.sort_by(|one, other| one.session.cmp(&other.session));
    assert!(listed.iter().map(|checkout| &checkout.session).eq(&made));
}

#[tokio::test]
async fn one_key_makes_one_refund_and_never_more_than_was_paid() {
    let till = Till::open().await;
    let checkout = till.opened("a").await;
    till.pay(&checkout.session).await;
    let intent = till.standing(&checkout.session).await.intent.expect("it is paid");
    let part = RefundRequest {
        idempotency_key: "r1".into(),
        order: "order-a".into(),
        intent: intent.clone(),
        amount: cad(10_000),
    };
    let made = till.gateway.refund(&part).await.expect("it came");
    assert_eq!(till.gateway.refund(&part).await.expect("the same"), made);
    let refused = [
        RefundRequest { amount: cad(9_999), ..part.clone() },
        RefundRequest { idempotency_key: "r2".into(), ..part.clone() },
        RefundRequest { idempotency_key: "r3".into(), intent: "pi_unknown".into(), ..part.clone() },
    ];
    for request in &refused {
        let answer = till.gateway.refund(request).await;
        assert!(matches!(answer, Err(GatewayError::Refused(_))), "{request:?}: {answer:?}");
    }
    let rest = RefundRequest { idempotency_key: "r4".into(), amount: cad(3_000), ..part };
    assert_ne!(till.gateway.refund(&rest).await.expect("the rest"), made);
}
