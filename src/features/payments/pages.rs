//! Plain pages: where a checkout leads back to, and the sandbox's checkout itself.

use std::sync::Arc;

use poem::http::{StatusCode, header};
use poem::web::{Data, Form, Path, Query};
use poem::{EndpointExt, Response, Route, RouteMethod, get, handler};
use serde::Deserialize;

use super::gateway::{Press, PressError, Sandbox, SandboxCheckout, SandboxStatus};
use super::model::OrderState;
use super::service::Payments;
use crate::http::pages::{HtmlErrors, PageFrame};
use crate::http::unavailable;

/// The pages to which checkouts lead back, and with `sandbox` the checkouts themselves.
pub fn routes(
    route: Route,
    frame: Arc<PageFrame>,
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
    frame: &'a PageFrame,
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
    frame: Data<&Arc<PageFrame>>,
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
    frame: Data<&Arc<PageFrame>>,
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

fn no_order(frame: &PageFrame) -> Response {
    let sentence = "There is no such order. Perhaps the address was cut off when it was copied.";
    frame.message(StatusCode::NOT_FOUND, "No such order", sentence)
}

#[derive(askama::Template)]
#[template(path = "features/payments/templates/sandbox-checkout.page.html")]
struct CheckoutPage<'a> {
    frame: &'a PageFrame,
    checkout: &'a SandboxCheckout,
    open: bool,
    /// Why it can't be paid, where it can't.
    over: &'a str,
}

fn checkout_page(frame: &PageFrame, status: StatusCode, checkout: &SandboxCheckout, open: bool) -> Response {
    let over = match checkout.status {
        SandboxStatus::Complete => "This checkout is done: it can't be paid a second time.",
        SandboxStatus::Open | SandboxStatus::Expired => {
            "The time of this checkout is over. Open another to pay."
        }
    };
    frame.page_with(status, &CheckoutPage { frame, checkout, open, over })
}

fn no_checkout(frame: &PageFrame) -> Response {
    let sentence = "There is no such checkout. Perhaps the address was cut off when it was copied.";
    frame.message(StatusCode::NOT_FOUND, "No such checkout", sentence)
}

#[handler]
async fn show_checkout(
    frame: Data<&Arc<PageFrame>>,
    sandbox: Data<&Arc<Sandbox>>,
    Path(session): Path<String>,
) -> poem::Result<Response> {
    Ok(match sandbox.checkout(&session).await.map_err(unavailable)? {
        Some((checkout, open)) => checkout_page(&frame, StatusCode::OK, &checkout, open),
        None => no_checkout(&frame),
    })
}

/// A button of the page.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Button {
    Pay,
    LaterSucceeds,
    LaterFails,
    Back,
}

#[derive(Deserialize)]
struct Pressed {
    press: Button,
}

#[handler]
async fn press_button(
    frame: Data<&Arc<PageFrame>>,
    sandbox: Data<&Arc<Sandbox>>,
    Path(session): Path<String>,
    Form(pressed): Form<Pressed>,
) -> poem::Result<Response> {
    let press = match pressed.press {
        Button::Pay => Press::Pay,
        Button::LaterSucceeds => Press::LaterSucceeds,
        Button::LaterFails => Press::LaterFails,
        Button::Back => {
            let checkout = sandbox.checkout(&session).await.map_err(unavailable)?;
            return Ok(checkout
                .map_or_else(|| no_checkout(&frame), |(checkout, _)| see(&checkout.request.cancel_url)));
        }
    };
    match sandbox.press(&session, press).await {
        Ok(checkout) => Ok(see(&checkout.request.success_url)),
        Err(PressError::Over(checkout)) => Ok(checkout_page(&frame, StatusCode::CONFLICT, &checkout, false)),
        Err(PressError::Unknown) => Ok(no_checkout(&frame)),
        Err(PressError::Store(error)) => Err(unavailable(error)),
    }
}

fn see(address: &str) -> Response {
    Response::builder().status(StatusCode::SEE_OTHER).header(header::LOCATION, address).finish()
}
