//! Plain pages: the pages that a checkout returns to, and the sandbox's checkout itself.

use std::sync::Arc;

use poem::http::{StatusCode, header};
use poem::web::{Data, Form, Path, Query};
use poem::{EndpointExt, Response, RouteMethod, get, handler};
use serde::Deserialize;

use super::gateway::{Button, PressError, Sandbox, SandboxCheckout, SandboxStatus};
use super::model::{Closed, Order, OrderState};
use super::sale::{NextPage, Words};
use super::service::Payments;
use crate::http::pages::{HtmlErrors, PageLayout, Pages};
use crate::http::unavailable;

/// The pages that checkouts return to and, with `sandbox`, the checkouts themselves.
pub fn pages(frame: &Arc<PageLayout>, payments: &Arc<Payments>, sandbox: Option<&Arc<Sandbox>>) -> Pages {
    let errors = || HtmlErrors(frame.clone());
    let with = |page: RouteMethod| page.data(frame.clone()).data(payments.clone()).with(errors());
    let pages =
        Pages::new().at("/checkout/done", with(get(show_done))).at("/checkout/back", with(get(show_back)));
    match sandbox {
        Some(sandbox) => {
            let page = get(show_checkout).post(press_button).data(frame.clone()).data(sandbox.clone());
            pages.at("/sandbox/checkout/:session", page.with(errors()))
        }
        None => pages,
    }
}

#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    order: String,
}

/// What a page says about an order.
#[derive(Debug, PartialEq)]
struct Summary {
    heading: &'static str,
    sentences: Vec<&'static str>,
    /// The next page, for an order that is settled.
    next: Option<NextPage>,
    /// Whether the state may change within seconds.
    changes: bool,
}

impl Summary {
    /// After a checkout. `left` says that the student came back without paying.
    fn of(order: &Order, words: Words, left: bool) -> Self {
        let say = |heading, sentences: &[&'static str]| Self {
            heading,
            sentences: sentences.to_vec(),
            next: None,
            changes: false,
        };
        match order.state {
            OrderState::Waived => Self {
                next: words.next,
                ..say("Nothing to pay", &["You don't have to pay for this order.", words.paid])
            },
            _ if order.is_waived() => Self {
                next: words.next,
                ..say(
                    "Nothing to pay",
                    &["You don't have to pay for this order, and we refund your payment.", words.paid],
                )
            },
            _ if order.step() == Err(Closed::UnderReview) => say(
                "Payment under review",
                &[
                    "We received a payment that does not settle this order. Don't pay again: we will look at it.",
                ],
            ),
            OrderState::Paid => {
                Self { next: words.next, ..say("Thank you", &["Your payment has arrived.", words.paid]) }
            }
            OrderState::Processing => Self {
                changes: true,
                ..say(
                    "Payment in progress",
                    &[
                        "Your bank has not confirmed the payment yet. With some ways to pay this takes a few days.",
                    ],
                )
            },
            OrderState::Open if left => {
                say("Not paid yet", &["Nothing was paid.", words.unpaid, "To pay, go back to the checkout."])
            }
            OrderState::Open => Self {
                changes: true,
                ..say(
                    "Not confirmed yet",
                    &[
                        "We are waiting for the payment, usually for a few seconds. If it failed, you can pay again.",
                    ],
                )
            },
            OrderState::Expired => say(
                "Not paid yet",
                &[
                    "The checkout has expired and nothing was paid.",
                    words.unpaid,
                    "To pay, open a new checkout.",
                ],
            ),
            OrderState::Cancelled => say("Cancelled", &["This order was cancelled."]),
            OrderState::PartiallyRefunded => {
                Self { next: words.next, ..say("Partly refunded", &["A part of your payment was refunded."]) }
            }
            OrderState::Refunded => say("Refunded", &["Your payment was refunded."]),
            OrderState::Disputed => say("Disputed", &["The payment of this order is disputed."]),
        }
    }
}

#[derive(askama::Template)]
#[template(path = "features/payments/templates/checkout-done.page.html")]
struct DonePage<'a> {
    frame: &'a PageLayout,
    summary: Summary,
    order: &'a str,
}

/// Anybody with the link may see this page: it shows only the order's state.
#[handler]
async fn show_done(
    frame: Data<&Arc<PageLayout>>,
    payments: Data<&Arc<Payments>>,
    Query(link): Query<Link>,
) -> poem::Result<Response> {
    show_order(&frame, &payments, &link.order, false).await
}

/// As [`show_done`], for a student who left the checkout without paying.
#[handler]
async fn show_back(
    frame: Data<&Arc<PageLayout>>,
    payments: Data<&Arc<Payments>>,
    Query(link): Query<Link>,
) -> poem::Result<Response> {
    show_order(&frame, &payments, &link.order, true).await
}

async fn show_order(
    frame: &PageLayout,
    payments: &Payments,
    order: &str,
    left: bool,
) -> poem::Result<Response> {
    let Some(order) = payments.any_order(order).await.map_err(unavailable)? else {
        let sentence = "There is no such order. Perhaps the address was cut off when it was copied.";
        return Ok(frame.message(StatusCode::NOT_FOUND, "No such order", sentence));
    };
    let summary = Summary::of(&order, payments.words(&order), left);
    Ok(frame.page(&DonePage { frame, summary, order: &order.id }))
}

#[derive(askama::Template)]
#[template(path = "features/payments/templates/sandbox-checkout.page.html")]
struct CheckoutPage<'a> {
    frame: &'a PageLayout,
    checkout: &'a SandboxCheckout,
    open: bool,
    /// Why it can't be paid, if it can't.
    over: &'a str,
}

fn checkout_page(frame: &PageLayout, status: StatusCode, checkout: &SandboxCheckout, open: bool) -> Response {
    let over = match checkout.status {
        SandboxStatus::Complete => "This checkout is complete. It can't be paid twice.",
        SandboxStatus::Open | SandboxStatus::Expired => "This checkout has expired. To pay, open a new one.",
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

    use reqwest::redirect::Policy;

    use super::*;
    use crate::features::payments::model::Order;
    use crate::features::payments::service::tests::Shop;
    use crate::features::payments::{DeliverSandboxEvent, PaymentsController, SandboxDeliveries};
    use crate::http::{Server, testing};
    use crate::kernel::Rights;
    use crate::platform::jobs::{Job, Run, Subscriber};
    use crate::platform::store::{Filter, Query};

    /// The shop, served over HTTP.
    struct Street {
        shop: Shop,
        client: reqwest::Client,
        base: String,
    }

    impl Street {
        async fn open() -> Self {
            let shop = Shop::open().await;
            let frame = Arc::new(PageLayout::sample());
            let pages = pages(&frame, &shop.payments, Some(&shop.sandbox)).into_route();
            let server = Server::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
            let address = server.local_addr();
            let base = format!("http://{address}");
            // Every caller is Ana.
            let controller = PaymentsController::new(shop.payments.clone());
            let api = testing::api(controller, pages, &base, |_| Some(("ana".to_owned(), Rights::student())));
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

        /// Runs the recorded delivery jobs, as the subscriber does.
        async fn deliver_the_rest(&self) -> usize {
            let jobs = self
                .shop
                .base
                .store
                .find::<Job>(Query::new(Filter::eq("kind", "sandbox.deliver")))
                .await
                .unwrap();
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
    async fn pay_settles_the_order_and_the_page_says_so() {
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
        assert_eq!(
            street.deliver_the_rest().await,
            0,
            "an event that was delivered at once is not delivered again"
        );
        let (_, page) = street.get(&done).await;
        assert!(page.contains("Thank you") && !page.contains("ana@example.org"));
        assert_eq!(street.press(&order, "pay").await, (303, format!("http://127.0.0.1:3000{done}")));
        assert_eq!(street.press(&order, "later-fails").await.0, 409, "another button");
        assert!(street.get(&path).await.1.contains("complete"));
        street.shop.base.clock.advance(std::time::Duration::from_secs(301));
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
            assert!(street.get(&done).await.1.contains("Payment in progress"));
            assert_eq!((street.deliver_the_rest().await, street.paid()), (1, paid), "{button}");
            assert!(street.get(&done).await.1.contains(heading));
        }
    }

    #[tokio::test]
    async fn back_changes_nothing_and_an_expired_checkout_can_t_be_paid() {
        let street = Street::open().await;
        let order = street.order().await;
        let back = format!("/checkout/back?order={}", order.id);
        assert_eq!(street.press(&order, "back").await, (303, format!("http://127.0.0.1:3000{back}")));
        assert!(street.get(&back).await.1.contains("Nothing was paid"));
        assert_eq!(street.shop.read(&order).await, order);
        street.shop.base.clock.advance(std::time::Duration::from_secs(24 * 3600));
        assert_eq!(street.press(&order, "pay").await.0, 409);
        street.shop.sandbox.sweep().await.unwrap();
        assert_eq!((street.deliver_the_rest().await, street.paid()), (1, 0));
        assert_eq!(street.shop.counted.expired.load(Ordering::SeqCst), 1);
        assert_eq!(street.press(&order, "pay").await.0, 409);
    }

    #[tokio::test]
    async fn a_link_to_an_unknown_order_or_checkout_says_so() {
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
    async fn the_webhook_rejects_events_without_a_valid_signature() {
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

    const WORDS: Words = Words {
        paid: "You have a T-shirt.",
        unpaid: "We keep your T-shirt.",
        next: Some(NextPage { label: "Try it on", path: "/t-shirt", note: "In the size that you ordered." }),
    };

    /// The whole text that the pages show for an order in this state.
    fn text(order: &Order, words: Words) -> [String; 2] {
        [false, true].map(|left| {
            let summary = Summary::of(order, words, left);
            let next = summary.next.map_or("", |next| next.label);
            format!("{}: {} {next}", summary.heading, summary.sentences.join(" "))
        })
    }

    #[tokio::test]
    async fn pages_say_what_the_product_means_and_never_contradict_themselves() {
        let shop = Shop::open().await;
        let in_state = |order: &Order, state| Order { state, ..order.clone() };
        let order = shop.order().await;
        for state in [OrderState::Paid, OrderState::Waived] {
            for text in text(&in_state(&order, state), WORDS) {
                assert!(text.ends_with("You have a T-shirt. Try it on"), "{text}");
            }
        }
        let waived_late =
            Order { waived_at: Some(order.created_at), ..in_state(&order, OrderState::Refunded) };
        for text in text(&waived_late, WORDS) {
            assert!(text.contains("we refund your payment. You have a T-shirt. Try it on"), "{text}");
        }
        let expired = text(&in_state(&order, OrderState::Expired), WORDS);
        assert_eq!(expired[0], expired[1]);
        assert!(expired[0].contains("We keep your T-shirt. To pay, open a new checkout."), "{expired:?}");
        assert!(text(&order, WORDS)[1].contains("Nothing was paid. We keep your T-shirt."));
        for state in
            [OrderState::Cancelled, OrderState::Refunded, OrderState::Disputed, OrderState::Processing]
        {
            for text in text(&in_state(&order, state), WORDS) {
                assert!(!text.contains("T-shirt") && !text.contains("Try it on"), "{text}");
            }
        }
        for state in [OrderState::Open, OrderState::Paid, OrderState::Expired] {
            let text = text(&in_state(&order, state), Words::default()).concat();
            assert!(!text.contains("ticket") && !text.contains("place"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_payment_under_review_is_not_asked_for_again() {
        let shop = Shop::open().await;
        let order = shop.payments.open_checkout(&shop.order().await.id).await.unwrap();
        let odd = shop.event("evt_1", &order, "completed", "paid").replace("13000", "12999");
        shop.receive(&odd).await.unwrap();
        for text in text(&shop.read(&order).await, WORDS) {
            assert!(text.contains("Don't pay again") && !text.contains("T-shirt"), "{text}");
        }
    }
}
