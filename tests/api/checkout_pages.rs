//! The buttons of the checkout page, and the pages that they lead to. The page itself belongs to the gateway.

use std::time::Duration;

use orientation::kernel::{Ids, RandomIds};

use crate::support::TestApp;

/// Longer than the bank needs to answer after *Pay later*.
const BANK_HAS_ANSWERED: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread")]
async fn pay_registers_at_once_and_a_second_press_shows_the_same() {
    let app = TestApp::start().await;
    let (ana, order) = app.submitted().await;
    let done = ana.press_button(&order, "pay").await;
    assert!(done.contains("/checkout/done?order="), "{done}");
    assert!(ana.get(&done).await.text().contains("Your payment has arrived"));
    assert_eq!(ana.press_button(&order, "pay").await, done);
    let page = order["checkoutUrl"].as_str().expect("a checkout");
    assert_eq!(ana.submit(page, &[("press", "later-fails")]).await.status, 409);
    let shown = ana.get(page).await.text();
    assert!(!shown.contains("value=\"pay\""), "{shown}");
    assert_eq!(ana.order(&order).await["state"], "paid");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pay_later_is_processing_until_the_bank_accepts() {
    let app = TestApp::start().await;
    let (ana, order) = app.submitted().await;
    let done = ana.press_button(&order, "later-succeeds").await;
    assert_eq!(ana.order(&order).await["state"], "processing");
    assert!(ana.get(&done).await.text().contains("Payment in progress"));
    app.clock.advance(BANK_HAS_ANSWERED);
    app.settle().await;
    assert_eq!(ana.order(&order).await["state"], "paid");
    assert_eq!(ana.registration_state().await, "registered");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_bank_declines_the_order_can_be_paid_again() {
    let app = TestApp::start().await;
    let (ana, order) = app.submitted().await;
    let done = ana.press_button(&order, "later-fails").await;
    app.clock.advance(BANK_HAS_ANSWERED);
    app.settle().await;
    assert_eq!(ana.order(&order).await["state"], "open");
    assert!(ana.get(&done).await.text().contains("you can pay again"));
    let checkout = format!("/v1/orders/{}/checkout", order["id"].as_str().expect("an id"));
    let next = ana.press(&checkout).await.ok(200);
    ana.press_button(&next, "pay").await;
    assert_eq!(ana.registration_state().await, "registered");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn back_changes_nothing() {
    let app = TestApp::start().await;
    let (ana, order) = app.submitted().await;
    let back = ana.press_button(&order, "back").await;
    assert!(back.contains("/checkout/back?order="), "{back}");
    assert!(ana.get(&back).await.text().contains("Not paid yet"));
    assert_eq!(ana.press_button(&order, "back").await, back);
    assert_eq!(ana.order(&order).await, order);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_checkout_and_its_email_say_the_same() {
    let app = TestApp::start().await;
    let (ana, order) = app.submitted().await;
    app.settle().await;
    app.clock.advance(Duration::from_hours(24));
    let email = app.mailbox(ana.email()).email("isn't paid yet").await;
    let kept = "your place in the group";
    assert!(email["text"].as_str().expect("text").contains(kept), "{email}");
    for page in ["done", "back"] {
        let id = order["id"].as_str().expect("an id");
        let text = ana.get(&format!("/checkout/{page}?order={id}")).await.text();
        assert!(text.contains(kept) && text.contains("open a new checkout"), "{text}");
        assert!(!text.contains("not yours"), "{text}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_order_is_a_404_page() {
    let app = TestApp::start().await;
    let (ana, order) = app.submitted().await;
    let unknown = RandomIds.next();
    for path in [
        format!("/checkout/done?order={unknown}"),
        "/checkout/done".into(),
        format!("/checkout/back?order={unknown}"),
        "/checkout/back?order=%00%22%3Cb%3E".into(),
    ] {
        let answer = ana.get(&path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{path}");
    }
    assert_eq!(ana.order(&order).await, order);
    app.finish().await;
}
