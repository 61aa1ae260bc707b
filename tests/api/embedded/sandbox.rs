//! The sandbox's checkout page.

use orientation::kernel::{Ids, RandomIds};

use crate::support::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn the_page_has_four_buttons_and_no_script() {
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
async fn a_complete_checkout_says_so() {
    let app = TestApp::start().await;
    let (ana, order) = app.submitted().await;
    ana.press_button(&order, "pay").await;
    let shown = ana.get(order["checkoutUrl"].as_str().expect("a checkout")).await.text();
    assert!(shown.contains("This checkout is complete"), "{shown}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_checkout_or_button_gets_an_error_page() {
    let app = TestApp::start().await;
    let (ana, order) = app.submitted().await;
    let unknown = format!("/sandbox/checkout/{}", RandomIds.next());
    let answer = ana.get(&unknown).await;
    assert_eq!(answer.status, 404);
    assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{answer:?}");
    assert_eq!(ana.submit(&unknown, &[("press", "pay")]).await.status, 404);
    let page = order["checkoutUrl"].as_str().expect("a checkout");
    for fields in [&[("press", "steal")][..], &[("other", "pay")], &[]] {
        let answer = ana.submit(page, fields).await;
        assert!(answer.status.is_client_error(), "{answer:?}");
    }
    assert_eq!(ana.order(&order).await, order);
    app.finish().await;
}
