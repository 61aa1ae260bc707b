//! Plain pages: where a checkout leads back to, and the sandbox's checkout itself.

use std::sync::Arc;

use poem::http::{StatusCode, header};
use poem::web::{Data, Form, Path, Query};
use poem::{EndpointExt, Response, Route, RouteMethod, get, handler};
use serde::Deserialize;

use super::gateway::{Button, PressError, Sandbox, SandboxCheckout, SandboxStatus};
use super::model::OrderState;
use super::service::Payments;
use crate::http::pages::{HtmlErrors, PageLayout};
use crate::http::unavailable;

/// The pages to which checkouts lead back, and with `sandbox` the checkouts themselves.
pub fn routes(
    route: Route,
    frame: Arc<PageLayout>,
    payments: Arc<Payments>,
    sandbox: Option<Arc<Sandbox>>,
) -> Route {
    let errors = || HtmlErrors(frame.clone());
    let with = |page: RouteMethod| page.data(frame.clone()).data(payments.clone()).with(errors());
    let route = route.at("/checkout/done", with(get(show_done))).at("/checkout/back", with(get(show_back)));
    match sandbox {
        Some(sandbox) => {
            let page = get(show_checkout).post(press_button).data(frame.clone()).data(sandbox);
            route.at("/sandbox/checkout/:session", page.with(errors()))
        }
        None => route,
    }
}

#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    order: String,
}

#[derive(askama::Template)]
#[template(path = "features/payments/templates/checkout-done.page.html")]
struct DonePage<'a> {
    frame: &'a PageLayout,
    heading: &'a str,
    sentence: &'a str,
    order: &'a str,
    paid: bool,
    /// It may look different in a moment.
    again: bool,
}

/// Anybody with the link may look: it shows nothing but the order's state.
#[handler]
async fn show_done(
    frame: Data<&Arc<PageLayout>>,
    payments: Data<&Arc<Payments>>,
    Query(link): Query<Link>,
) -> poem::Result<Response> {
    let Some(order) = payments.any_order(&link.order).await.map_err(unavailable)? else {
        return Ok(no_order(&frame));
    };
    let (heading, sentence) = match order.state {
        OrderState::Paid => ("Thank you", "Your payment has arrived, and your place is yours."),
        OrderState::Processing => (
            "Your bank is at work",
            "The payment has been started and has not been confirmed yet. We write to you as soon as it has.",
        ),
        OrderState::Open => (
            "Not confirmed yet",
            "We have not heard of a payment yet. That usually takes a few seconds; if it failed, you can pay again.",
        ),
        OrderState::Expired => ("Not paid", "The checkout ended without a payment. You can open another."),
        OrderState::Waived => ("Nothing to pay", "This order was waived."),
        OrderState::Cancelled => ("Cancelled", "This order was cancelled."),
        OrderState::PartiallyRefunded | OrderState::Refunded => {
            ("Refunded", "Money of this order was paid back.")
        }
        OrderState::Disputed => ("Disputed", "The payment of this order is disputed."),
    };
    let (paid, again) =
        (order.state == OrderState::Paid, matches!(order.state, OrderState::Open | OrderState::Processing));
    Ok(frame.page(&DonePage { frame: &frame, heading, sentence, order: &order.id, paid, again }))
}

#[handler]
async fn show_back(
    frame: Data<&Arc<PageLayout>>,
    payments: Data<&Arc<Payments>>,
    Query(link): Query<Link>,
) -> poem::Result<Response> {
    let Some(order) = payments.any_order(&link.order).await.map_err(unavailable)? else {
        return Ok(no_order(&frame));
    };
    Ok(match order.state {
        OrderState::Open | OrderState::Expired => frame.message(
            StatusCode::OK,
            "Not paid yet",
            "Nothing was paid. Your place is not yours yet: go back to the checkout, or open it again, and pay.",
        ),
        _ => frame.message(StatusCode::OK, "Nothing left to do", "There is nothing to pay for this order now."),
    })
}

fn no_order(frame: &PageLayout) -> Response {
    let sentence = "There is no such order. Perhaps the address was cut off when it was copied.";
    frame.message(StatusCode::NOT_FOUND, "No such order", sentence)
}

#[derive(askama::Template)]
#[template(path = "features/payments/templates/sandbox-checkout.page.html")]
struct CheckoutPage<'a> {
    frame: &'a PageLayout,
    checkout: &'a SandboxCheckout,
    open: bool,
    /// Why it can't be paid, where it can't.
    over: &'a str,
}

fn checkout_page(frame: &PageLayout, status: StatusCode, checkout: &SandboxCheckout, open: bool) -> Response {
    let over = match checkout.status {
        SandboxStatus::Complete => "This checkout is done: it can't be paid a second time.",
        SandboxStatus::Open | SandboxStatus::Expired => {
            "The time of this checkout is over. Open another to pay."
        }
    };
    frame.page_with(status, &CheckoutPage { frame, checkout, open, over })
}

fn no_checkout(frame: &PageLayout) -> Response {
    let sentence = "There is no such checkout. Perhaps the address was cut off when it was copied.";
    frame.message(StatusCode::NOT_FOUND, "No such checkout", sentence)
}

#[handler]
async fn show_checkout(
    frame: Data<&Arc<PageLayout>>,
    sandbox: Data<&Arc<Sandbox>>,
    Path(session): Path<String>,
) -> poem::Result<Response> {
    Ok(match sandbox.checkout(&session).await.map_err(unavailable)? {
        Some((checkout, open)) => checkout_page(&frame, StatusCode::OK, &checkout, open),
        None => no_checkout(&frame),
    })
}

/// The buttons of the page.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FormButton {
    Pay,
    LaterSucceeds,
    LaterFails,
    Back,
}

#[derive(Deserialize)]
struct Pressed {
    press: FormButton,
}

#[handler]
async fn press_button(
    frame: Data<&Arc<PageLayout>>,
    sandbox: Data<&Arc<Sandbox>>,
    Path(session): Path<String>,
    Form(pressed): Form<Pressed>,
) -> poem::Result<Response> {
    let button = match pressed.press {
        FormButton::Pay => Button::Pay,
        FormButton::LaterSucceeds => Button::LaterSucceeds,
        FormButton::LaterFails => Button::LaterFails,
        FormButton::Back => {
            let checkout = sandbox.checkout(&session).await.map_err(unavailable)?;
            return Ok(checkout
                .map_or_else(|| no_checkout(&frame), |(checkout, _)| see(&checkout.request.cancel_url)));
        }
    };
    match sandbox.press(&session, button).await {
        Ok(checkout) => Ok(see(&checkout.request.success_url)),
        Err(PressError::Over(checkout)) => Ok(checkout_page(&frame, StatusCode::CONFLICT, &checkout, false)),
        Err(PressError::Unknown) => Ok(no_checkout(&frame)),
        Err(PressError::Store(error)) => Err(unavailable(error).into()),
    }
}

fn see(address: &str) -> Response {
    Response::builder().status(StatusCode::SEE_OTHER).header(header::LOCATION, address).finish()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use async_trait::async_trait;
    use reqwest::redirect::Policy;

    use super::*;
    use crate::features::payments::model::Order;
    use crate::features::payments::service::tests::Shop;
    use crate::features::payments::{DeliverSandboxEvent, PaymentsController, SandboxDeliveries};
    use crate::http::{Api, ApiParts, Caller, Role, Server, SessionReader};
    use crate::platform::jobs::{Job, Run, Subscriber};
    use crate::platform::store::{Filter, Query, StoreError};

    /// Everybody is Ana.
    struct Ana;

    #[async_trait]
    impl SessionReader for Ana {
        async fn caller(&self, _: &str) -> Result<Option<Caller>, StoreError> {
            let (account_id, session_id) = ("ana".to_owned(), "1".to_owned());
            Ok(Some(Caller { account_id, session_id, role: Role::Student, scopes: vec![] }))
        }
    }

    /// The shop, open to the street.
    struct Street {
        shop: Shop,
        client: reqwest::Client,
        base: String,
    }

    impl Street {
        async fn open() -> Self {
            let shop = Shop::open().await;
            let frame = Arc::new(PageLayout::sample());
            let pages = routes(Route::new(), frame, shop.payments.clone(), Some(shop.sandbox.clone()));
            let server = Server::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
            let address = server.local_addr();
            let base = format!("http://{address}");
            let parts = ApiParts {
                public_url: base.parse().unwrap(),
                frontend_url: None,
                trusted_proxies: vec![],
                sessions: Arc::new(Ana),
                rules: vec![],
            };
            let api = Api::new(PaymentsController::new(shop.payments.clone()), pages, parts);
            tokio::spawn(server.serve(api.into_endpoint(), std::future::pending()));
            shop.sandbox.listening_at(address);
            let client = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
            Self { shop, client, base }
        }

        async fn order(&self) -> Order {
            self.shop.payments.open_checkout(&self.shop.order().await.id).await.unwrap()
        }

        async fn get(&self, path: &str) -> (u16, String) {
            let answer = self.client.get(format!("{}{path}", self.base)).send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        }

        async fn press(&self, order: &Order, button: &str) -> (u16, String) {
            let path = format!("/sandbox/checkout/{}", order.attempt().session.as_deref().unwrap());
            let form = self.client.post(format!("{}{path}", self.base)).form(&[("press", button)]);
            let answer = form.send().await.unwrap();
            let location = answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
            (answer.status().as_u16(), location.unwrap_or_default())
        }

        /// Carries out the deliveries that are recorded, as the subscriber does.
        async fn deliver_the_rest(&self) -> usize {
            let jobs =
                self.shop.store.find::<Job>(Query::new(Filter::eq("kind", "sandbox.deliver"))).await.unwrap();
            let subscriber = SandboxDeliveries(self.shop.sandbox.clone());
            for job in &jobs {
                let payload: DeliverSandboxEvent = serde_json::from_value(job.payload.clone()).unwrap();
                let run = Run { job_id: job.id.clone(), attempt: 1, crashes: 0 };
                subscriber.handle(payload, run).await.unwrap();
            }
            jobs.len()
        }

        fn paid(&self) -> u32 {
            self.shop.counted.paid.load(Ordering::SeqCst)
        }
    }

    #[tokio::test]
    async fn who_presses_pay_has_paid_and_the_page_says_so() {
        let street = Street::open().await;
        let order = street.order().await;
        let path = order.checkout_url().unwrap().strip_prefix("http://127.0.0.1:3000").unwrap().to_owned();
        let (status, page) = street.get(&path).await;
        assert_eq!(status, 200);
        for shown in ["REHEARSAL", "Orientation ticket", "CAD 130.00", "ana@example.org", "later-fails"] {
            assert!(page.contains(shown), "{shown}");
        }
        assert_eq!(page.matches("<form").count(), 4);
        assert!(!page.contains("<script"));
        let done = format!("/checkout/done?order={}", order.id);
        assert!(street.get(&done).await.1.contains("Not confirmed yet"));
        assert_eq!(street.press(&order, "pay").await, (303, format!("http://127.0.0.1:3000{done}")));
        assert_eq!(street.paid(), 1);
        assert_eq!(street.deliver_the_rest().await, 0, "what was told at once is not told again");
        let (_, page) = street.get(&done).await;
        assert!(page.contains("Thank you") && !page.contains("ana@example.org"));
        assert_eq!(street.press(&order, "pay").await, (303, format!("http://127.0.0.1:3000{done}")));
        assert_eq!(street.press(&order, "later-fails").await.0, 409, "another button");
        assert!(street.get(&path).await.1.contains("done"));
        street.shop.clock.advance(std::time::Duration::from_secs(301));
        assert_eq!(street.press(&order, "pay").await.0, 409, "too late for a double click");
        assert_eq!((street.paid(), street.deliver_the_rest().await), (1, 0));
    }

    #[tokio::test]
    async fn pay_later_is_processing_until_the_bank_has_answered() {
        for (button, paid, heading) in
            [("later-succeeds", 1, "Thank you"), ("later-fails", 0, "Not confirmed yet")]
        {
            let street = Street::open().await;
            let order = street.order().await;
            assert_eq!(street.press(&order, button).await.0, 303);
            let done = format!("/checkout/done?order={}", order.id);
            assert!(street.get(&done).await.1.contains("bank is at work"));
            assert_eq!((street.deliver_the_rest().await, street.paid()), (1, paid), "{button}");
            assert!(street.get(&done).await.1.contains(heading));
        }
    }

    #[tokio::test]
    async fn back_changes_nothing_and_an_expired_checkout_takes_no_money() {
        let street = Street::open().await;
        let order = street.order().await;
        let back = format!("/checkout/back?order={}", order.id);
        assert_eq!(street.press(&order, "back").await, (303, format!("http://127.0.0.1:3000{back}")));
        assert!(street.get(&back).await.1.contains("Nothing was paid"));
        assert_eq!(street.shop.read(&order).await, order);
        street.shop.clock.advance(std::time::Duration::from_secs(24 * 3600));
        assert_eq!(street.press(&order, "pay").await.0, 409);
        street.shop.sandbox.sweep().await.unwrap();
        assert_eq!((street.deliver_the_rest().await, street.paid()), (1, 0));
        assert_eq!(street.shop.counted.expired.load(Ordering::SeqCst), 1);
        assert_eq!(street.press(&order, "pay").await.0, 409);
    }

    #[tokio::test]
    async fn links_that_lead_nowhere_say_so() {
        let street = Street::open().await;
        for path in
            ["/checkout/done", "/checkout/done?order=x", "/checkout/back?order=", "/sandbox/checkout/cs_x"]
        {
            let (status, page) = street.get(path).await;
            assert!(status == 404 && page.contains("<h1>"), "{path}: {status}");
        }
        let order = street.order().await;
        assert_eq!(street.press(&order, "steal").await.0, 400);
    }

    #[tokio::test]
    async fn the_webhook_refuses_what_is_not_signed_and_nothing_changes() {
        let street = Street::open().await;
        let url = format!("{}/v1/webhooks/stripe", street.base);
        let post =
            |body: Vec<u8>| street.client.post(&url).header("content-type", "application/json").body(body);
        let unsigned = post(b"{}".to_vec()).send().await.unwrap();
        assert_eq!(unsigned.status(), 400);
        assert!(unsigned.text().await.unwrap().contains("/problems/webhook-unsigned"));
        let wrong = post(b"{}".to_vec()).header("stripe-signature", "t=1,v1=00").send().await.unwrap();
        assert_eq!(wrong.status(), 400);
        assert!(wrong.text().await.unwrap().contains("/problems/webhook-signature"));
        let huge =
            post(vec![b' '; 256 * 1024 + 1]).header("stripe-signature", "t=1,v1=00").send().await.unwrap();
        assert_eq!(huge.status(), 413);
        let text =
            street.client.post(&url).header("content-type", "text/plain").body("{}").send().await.unwrap();
        assert_eq!(text.status(), 415);
    }

    #[tokio::test]
    async fn orders_over_http_have_the_documented_shapes_and_statuses() {
        let street = Street::open().await;
        let order = street.order().await;
        let send = |method: reqwest::Method, path: String| {
            let request = street.client.request(method, format!("{}{path}", street.base));
            let request = request.header("cookie", "orientation_session=x").header("origin", &street.base);
            async move {
                let answer = request.send().await.unwrap();
                (answer.status().as_u16(), answer.json::<serde_json::Value>().await.unwrap())
            }
        };
        let (status, one) = send(reqwest::Method::GET, format!("/v1/orders/{}", order.id)).await;
        assert_eq!((status, &one["state"], &one["amount"]["amount"]), (200, &"open".into(), &13_000.into()));
        assert_eq!(one["checkoutUrl"], order.checkout_url().unwrap());
        let (status, list) = send(reqwest::Method::GET, "/v1/orders?limit=1".into()).await;
        assert_eq!((status, &list["items"][0]), (200, &one));
        assert_eq!(send(reqwest::Method::GET, "/v1/orders/nope".into()).await.0, 404);
        assert_eq!(send(reqwest::Method::POST, "/v1/orders/nope/checkout".into()).await.0, 404);
        let checkout = format!("/v1/orders/{}/checkout", order.id);
        assert_eq!(send(reqwest::Method::POST, checkout.clone()).await, (200, one));
        street.press(&order, "pay").await;
        let (status, refused) = send(reqwest::Method::POST, checkout).await;
        assert_eq!((status, &refused["type"]), (409, &"/problems/order-paid".into()));
    }
}
