//! Requests to Stripe, and how its answers are read.

use std::collections::HashMap;
use std::convert::Infallible;

use stripe::{Client, IdempotencyKey, RequestStrategy, StripeError, StripeRequest};
use stripe_checkout::checkout_session::{
    CreateCheckoutSession, CreateCheckoutSessionDiscounts, CreateCheckoutSessionLineItems,
    CreateCheckoutSessionLineItemsPriceData, CreateCheckoutSessionPaymentIntentData, ExpireCheckoutSession,
    ListCheckoutSession, ProductData,
};
use stripe_checkout::{
    CheckoutSession, CheckoutSessionMode, CheckoutSessionPaymentStatus, CheckoutSessionStatus,
};
use stripe_core::refund::CreateRefund;

use super::super::{Checkout, CheckoutList, CheckoutRequest, CheckoutStatus, Refund, RefundRequest};
use crate::kernel::{Money, Timestamp};

/// The maximum page size of Stripe's lists.
const PAGE: i64 = 100;

pub(super) async fn open(
    client: &Client,
    request: &CheckoutRequest,
    key: &IdempotencyKey,
) -> Result<CheckoutSession, StripeError> {
    let mut built = session_of(request).build();
    built.body = built.body.map(sorted);
    built.customize().request_strategy(RequestStrategy::Idempotent(key.clone())).send(client).await
}

pub(super) async fn expire(client: &Client, session: &str, key: &IdempotencyKey) -> Result<(), StripeError> {
    let request = ExpireCheckoutSession::new(session).customize();
    request.request_strategy(RequestStrategy::Idempotent(key.clone())).send(client).await.map(drop)
}

pub(super) async fn refund(
    client: &Client,
    request: &RefundRequest,
    key: &IdempotencyKey,
) -> Result<Refund, StripeError> {
    let refund = CreateRefund::new().payment_intent(&*request.intent).amount(request.amount.gateway_amount());
    let refund = refund.metadata(HashMap::from([("orderId".to_owned(), request.order.clone())]));
    let strategy = RequestStrategy::Idempotent(key.clone());
    let made = refund.customize().request_strategy(strategy).send(client).await?;
    Ok(Refund { id: made.id.to_string() })
}

pub(super) async fn list(
    client: &Client,
    since: Timestamp,
    after: Option<&str>,
) -> Result<CheckoutList, StripeError> {
    let mut list = ListCheckoutSession::new().limit(PAGE);
    if let Some(after) = after {
        list = list.starting_after(after);
    }
    let mut built = list.build();
    let bounded = format!("{}&created%5Bgte%5D={}", built.query.unwrap_or_default(), since.as_secs());
    built.query = Some(bounded);
    let page = built.customize::<<ListCheckoutSession as StripeRequest>::Output>().send(client).await?;
    let next = page.data.last().filter(|_| page.has_more).map(|last| last.id.to_string());
    Ok(CheckoutList { items: page.data.iter().map(checkout).collect(), next })
}

/// The cheapest request that shows whether Stripe accepts the key.
pub(super) async fn list_one(client: &Client) -> Result<(), StripeError> {
    ListCheckoutSession::new().limit(1).send(client).await.map(drop)
}

/// Sorts the parameters, so that the same request is the same text every time, as its idempotency key requires.
fn sorted(body: String) -> String {
    let mut pairs: Vec<_> = body.split('&').collect();
    pairs.sort_unstable();
    pairs.join("&")
}

fn session_of(request: &CheckoutRequest) -> CreateCheckoutSession {
    let metadata = || {
        HashMap::from([
            ("orderId".to_owned(), request.order.clone()),
            ("attempt".to_owned(), request.attempt.to_string()),
        ])
    };
    // Copied to the charge, so that later events about refunds name the order, too.
    let mut payment = CreateCheckoutSessionPaymentIntentData::new();
    payment.metadata = Some(metadata());
    let mut session = CreateCheckoutSession::new()
        .mode(CheckoutSessionMode::Payment)
        .line_items(vec![item(request)])
        .client_reference_id(&*request.order)
        .customer_email(request.email.on_the_wire())
        .expires_at(request.expires_at.as_secs())
        .success_url(&*request.success_url)
        .cancel_url(&*request.cancel_url)
        .metadata(metadata())
        .payment_intent_data(payment);
    if let Some(discount) = &request.discount {
        let mut coupon = CreateCheckoutSessionDiscounts::new();
        coupon.coupon = Some(discount.coupon.clone());
        session = session.discounts(vec![coupon]);
    }
    session
}

fn item(request: &CheckoutRequest) -> CreateCheckoutSessionLineItems {
    let mut item = CreateCheckoutSessionLineItems::new();
    item.quantity = Some(1);
    match &request.price_id {
        Some(price) => item.price = Some(price.clone()),
        None => item.price_data = Some(price_data(request)),
    }
    item
}

fn price_data(request: &CheckoutRequest) -> CreateCheckoutSessionLineItemsPriceData {
    let currency = request.price.currency.as_str().to_lowercase();
    CreateCheckoutSessionLineItemsPriceData {
        currency: currency.parse().unwrap_or_else(|never: Infallible| match never {}),
        product: None,
        product_data: Some(ProductData::new(&*request.product_name)),
        recurring: None,
        tax_behavior: None,
        unit_amount: Some(request.price.gateway_amount()),
        unit_amount_decimal: None,
    }
}

/// A checkout as Stripe returns it. An unknown status counts as open, from which nothing follows.
pub(super) fn checkout(session: &CheckoutSession) -> Checkout {
    let metadata = |name: &str| session.metadata.as_ref()?.get(name).cloned();
    let currency = session.currency.as_ref().map(ToString::to_string);
    Checkout {
        session: session.id.to_string(),
        order: metadata("orderId"),
        attempt: metadata("attempt").and_then(|number| number.parse().ok()),
        url: session.url.clone(),
        status: match (&session.status, &session.payment_status) {
            (Some(CheckoutSessionStatus::Expired), _) => CheckoutStatus::Expired,
            (Some(CheckoutSessionStatus::Complete), CheckoutSessionPaymentStatus::Unpaid) => unpaid(session),
            (Some(CheckoutSessionStatus::Complete), _) => CheckoutStatus::Paid,
            _ => CheckoutStatus::Open,
        },
        money: session
            .amount_total
            .zip(currency)
            .and_then(|(amount, code)| Money::from_gateway(amount, &code)),
        intent: session.payment_intent.as_ref().map(|intent| intent.id().to_string()),
    }
}

/// Whether the bank has declined. Only the expanded payment says so, not the session.
fn unpaid(session: &CheckoutSession) -> CheckoutStatus {
    let payment = session.payment_intent.as_ref().and_then(|payment| payment.as_object());
    match payment.map(|payment| payment.status.as_str()) {
        Some("requires_payment_method" | "canceled") => CheckoutStatus::Failed,
        _ => CheckoutStatus::Unpaid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::payments::gateway::Discount;
    use crate::kernel::EmailAddress;

    fn cad(amount: i64) -> Money {
        Money { amount, currency: "CAD".to_owned().try_into().unwrap() }
    }

    fn request() -> CheckoutRequest {
        CheckoutRequest {
            idempotency_key: "o:1".into(),
            order: "o".into(),
            attempt: 1,
            product_name: "Orientation ticket".into(),
            price: cad(13_000),
            price_id: None,
            discount: None,
            email: EmailAddress::parse("ana@example.org").unwrap(),
            expires_at: Timestamp::from_millis(86_340_000),
            success_url: "https://orientation.example.org/checkout/done?order=o".into(),
            cancel_url: "https://orientation.example.org/checkout/back?order=o".into(),
        }
    }

    fn body(request: &CheckoutRequest) -> Vec<(String, String)> {
        let body = sorted(session_of(request).build().body.unwrap());
        url::form_urlencoded::parse(body.as_bytes()).into_owned().collect()
    }

    #[test]
    fn a_checkout_request_has_all_parameters_in_a_fixed_order() {
        let expected = [
            ("cancel_url", "https://orientation.example.org/checkout/back?order=o"),
            ("client_reference_id", "o"),
            ("customer_email", "ana@example.org"),
            ("expires_at", "86340"),
            ("line_items[0][price_data][currency]", "cad"),
            ("line_items[0][price_data][product_data][name]", "Orientation ticket"),
            ("line_items[0][price_data][unit_amount]", "13000"),
            ("line_items[0][quantity]", "1"),
            ("metadata[attempt]", "1"),
            ("metadata[orderId]", "o"),
            ("mode", "payment"),
            ("payment_intent_data[metadata][attempt]", "1"),
            ("payment_intent_data[metadata][orderId]", "o"),
            ("success_url", "https://orientation.example.org/checkout/done?order=o"),
        ];
        let expected: Vec<_> = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        for _ in 0..20 {
            assert_eq!(body(&request()), expected);
        }
    }

    #[test]
    fn amounts_are_sent_in_stripe_s_units() {
        for (price, sent) in
            [("UGX 1000", "100000"), ("ISK 13000", "1300000"), ("JPY 1300", "1300"), ("KWD 13.010", "13010")]
        {
            let request = CheckoutRequest { price: price.parse().unwrap(), ..request() };
            let amount = ("line_items[0][price_data][unit_amount]".to_owned(), sent.to_owned());
            assert!(body(&request).contains(&amount), "{price}");
        }
    }

    #[test]
    fn an_email_address_is_sent_with_its_ascii_host() {
        let request =
            CheckoutRequest { email: EmailAddress::parse("ana@exämple.org").unwrap(), ..request() };
        let given = ("customer_email".to_owned(), "ana@xn--exmple-cua.org".to_owned());
        assert!(body(&request).contains(&given));
    }

    #[test]
    fn a_price_and_a_coupon_kept_at_stripe_are_named() {
        let discount = Discount { coupon: "EARLY".into(), due: cad(11_000) };
        let named =
            CheckoutRequest { price_id: Some("price_1".into()), discount: Some(discount), ..request() };
        assert_eq!(named.due(), cad(11_000));
        let body = body(&named);
        let value = |name: &str| body.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        assert_eq!(value("line_items[0][price]"), Some("price_1"));
        assert_eq!(value("discounts[0][coupon]"), Some("EARLY"));
        assert!(!body.iter().any(|(name, _)| name.contains("price_data")));
    }
}
