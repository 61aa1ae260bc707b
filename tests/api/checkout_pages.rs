//! The sandbox's checkout page, and the pages to which a checkout leads back.

use std::time::Duration;

use orientation::kernel::{Ids, RandomIds};

use crate::support::TestApp;

/// Longer than the bank of *Pay later* thinks.
const BANK_HAS_ANSWERED: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread")]
async fn each_of_the_four_buttons_is_a_form_of_its_own_without_a_script() {
    let app = TestApp::start().await;
    let (ana, order) = app.submitted().await;
    let page = ana.get(order["checkoutUrl"].as_str().expect("a checkout")).await;
    assert_eq!(page.status, 200);
    let html = page.text();
    assert_eq!(html.matches("<form method=\"post\">").count(), 4);
    for button in ["pay", "later-succeeds", "later-fails", "back"] {
        assert!(html.contains(&format!("name=\"press\" value=\"{button}\"")), "{button}");
    }
    assert!(html.contains("CAD 130.00") && html.contains(ana.email()) && !html.contains("<script"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("referrer-policy"), Some("same-origin"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pay_registers_at_once_and_a_second_press_does_nothing() {
    let app = TestApp::start().await;
    let (ana, order) = app.submitted().await;
    let done = ana.press_button(&order, "pay").await;
    assert!(done.contains("/checkout/done?order="), "{done}");
    assert!(ana.get(&done).await.text().contains("Your payment has arrived"));
    let page = order["checkoutUrl"].as_str().expect("a checkout");
    assert_eq!(ana.submit(page, &[("press", "later-fails")]).await.status, 409);
    let shown = ana.get(page).await.text();
    assert!(shown.contains("This checkout is done") && !shown.contains("value=\"pay\""), "{shown}");
    assert_eq!(ana.order(&order).await["state"], "paid");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pay_later_is_processing_until_the_bank_says_yes() {
    let app = TestApp::start().await;
    let (ana, order) = app.submitted().await;
    let done = ana.press_button(&order, "later-succeeds").await;
    assert_eq!(ana.order(&order).await["state"], "processing");
    assert!(ana.get(&done).await.text().contains("Your bank is at work"));
    app.clock.advance(BANK_HAS_ANSWERED);
    app.settle().await;
    assert_eq!(ana.order(&order).await["state"], "paid");
    assert_eq!(ana.registration_state().await, "registered");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_bank_says_no_it_can_be_paid_again() {
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
    assert_eq!(ana.order(&order).await, order);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_or_not_a_button_is_a_page_that_says_so() {
    let app = TestApp::start().await;
    let (ana, order) = app.submitted().await;
    let unknown = RandomIds.next();
    for path in [
        format!("/checkout/done?order={unknown}"),
        "/checkout/done".into(),
        format!("/checkout/back?order={unknown}"),
        "/checkout/back?order=%00%22%3Cb%3E".into(),
        format!("/sandbox/checkout/{unknown}"),
    ] {
        let answer = ana.get(&path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{path}");
    }
    let page = order["checkoutUrl"].as_str().expect("a checkout");
    for fields in [&[("press", "steal")][..], &[("other", "pay")], &[]] {
        let answer = ana.submit(page, fields).await;
        assert!(answer.status.is_client_error(), "{answer:?}");
    }
    assert_eq!(ana.submit(&format!("/sandbox/checkout/{unknown}"), &[("press", "pay")]).await.status, 404);
    assert_eq!(ana.order(&order).await, order);
    app.finish().await;
}
