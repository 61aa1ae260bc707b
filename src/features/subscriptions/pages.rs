//! The page behind the links by which people unsubscribe. Opening it changes nothing, because mail scanners open links, too.
//!
//! A mail program that unsubscribes by itself posts `List-Unsubscribe=One-Click` to the same URL (RFC 8058), as
//! `application/x-www-form-urlencoded` or `multipart/form-data`, without a cookie. The link alone is the right to it, so
//! the form may come from any origin.

use std::sync::Arc;

use poem::http::{StatusCode, header};
use poem::web::{Data, Multipart, Query};
use poem::{EndpointExt, FromRequest, Request, RequestBody, Response, get, handler};
use serde::Deserialize;

use super::service::{SubscribeError, Subscriptions, UnsubscribeLinks};
use crate::features::accounts::Account;
use crate::http::pages::{HtmlErrors, PageLayout, Pages};
use crate::http::{Refusal, unavailable};

/// `/unsubscribe`.
pub fn pages(frame: &Arc<PageLayout>, subscriptions: &Arc<Subscriptions>) -> Pages {
    let page = get(ask).post(answer_press).data(frame.clone()).data(subscriptions.clone());
    Pages::new().at_any_origin(UnsubscribeLinks::PATH, page.with(HtmlErrors(frame.clone())))
}

#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    token: String,
}

/// One button, which changes what the page says.
#[derive(askama::Template)]
#[template(path = "features/subscriptions/templates/subscription.page.html")]
struct SubscriptionPage<'a> {
    frame: &'a PageLayout,
    token: &'a str,
    heading: &'a str,
    sentence: &'a str,
    subscribed: bool,
    /// Whether the page follows a press of the button.
    pressed: bool,
    press: &'a str,
    button: &'a str,
}

/// What a form asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Press {
    Unsubscribe,
    Subscribe,
}

impl Press {
    /// What the field of a form asks for. RFC 8058 fixes the first.
    fn of(name: &str, value: &str) -> Option<Self> {
        match (name, value) {
            ("List-Unsubscribe", "One-Click") | ("press", "unsubscribe") => Some(Self::Unsubscribe),
            ("press", "subscribe") => Some(Self::Subscribe),
            _ => None,
        }
    }
}

/// The form, in either of its two encodings.
impl<'a> FromRequest<'a> for Press {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> poem::Result<Self> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let is_multipart = kind
            .is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("multipart/form-data"));
        let press = if is_multipart {
            of_parts(Multipart::from_request(request, body).await?).await?
        } else {
            let form = body.take()?.into_vec().await?;
            url::form_urlencoded::parse(&form).find_map(|(name, value)| Self::of(&name, value.trim()))
        };
        press.ok_or_else(|| StatusCode::BAD_REQUEST.into())
    }
}

async fn of_parts(mut parts: Multipart) -> poem::Result<Option<Press>> {
    while let Some(part) = parts.next_field().await? {
        let name = part.name().unwrap_or_default().to_owned();
        if let Some(press) = Press::of(&name, part.text().await?.trim()) {
            return Ok(Some(press));
        }
    }
    Ok(None)
}

#[handler]
async fn ask(
    frame: Data<&Arc<PageLayout>>,
    subscriptions: Data<&Arc<Subscriptions>>,
    Query(link): Query<Link>,
) -> poem::Result<Response> {
    match subscriptions.of_link(&link.token).await.map_err(unavailable)? {
        Some(account) => Ok(page(&frame, &link.token, account.unsubscribed_at.is_none(), false)),
        None => Ok(not_ours(&frame)),
    }
}

#[handler]
async fn answer_press(
    frame: Data<&Arc<PageLayout>>,
    subscriptions: Data<&Arc<Subscriptions>>,
    Query(link): Query<Link>,
    press: Press,
) -> poem::Result<Response> {
    let Some(account) = subscriptions.of_link(&link.token).await.map_err(unavailable)? else {
        let gone = press == Press::Unsubscribe && subscriptions.is_ours(&link.token);
        return Ok(if gone { account_gone(&frame) } else { not_ours(&frame) });
    };
    change(&subscriptions, &account, press).await.map_err(Refusal::problem)?;
    Ok(page(&frame, &link.token, press == Press::Subscribe, true))
}

async fn change(
    subscriptions: &Subscriptions,
    account: &Account,
    press: Press,
) -> Result<(), SubscribeError> {
    match press {
        Press::Unsubscribe => Ok(subscriptions.unsubscribe(&account.id).await?),
        Press::Subscribe => subscriptions.subscribe(&account.id).await,
    }
}

fn page(frame: &PageLayout, token: &str, subscribed: bool, pressed: bool) -> Response {
    let (heading, sentence, press, button) = match (subscribed, pressed) {
        (true, false) => (
            "Unsubscribe",
            "Press the button, and you get no more announcements and mailings by email.",
            "unsubscribe",
            "Unsubscribe",
        ),
        (true, true) => (
            "You are subscribed",
            "From now on you get announcements and mailings by email again.",
            "unsubscribe",
            "Unsubscribe",
        ),
        (false, _) => (
            "You have unsubscribed",
            "You get no more announcements and mailings by email.",
            "subscribe",
            "Subscribe again",
        ),
    };
    frame.page(&SubscriptionPage { frame, token, heading, sentence, subscribed, pressed, press, button })
}

/// A mail program must not say that it could not unsubscribe.
fn account_gone(frame: &PageLayout) -> Response {
    frame.message(
        StatusCode::OK,
        "You have unsubscribed",
        "The account no longer exists, so it gets no emails.",
    )
}

fn not_ours(frame: &PageLayout) -> Response {
    let sentence =
        "Perhaps it was cut off when it was copied. Copy the whole address from the email and try again.";
    frame.message(StatusCode::NOT_FOUND, "This link is not one of ours", sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_says_what_it_asks_for_and_anything_else_asks_for_nothing() {
        assert_eq!(Press::of("List-Unsubscribe", "One-Click"), Some(Press::Unsubscribe));
        assert_eq!(Press::of("press", "subscribe"), Some(Press::Subscribe));
        for (name, value) in [("List-Unsubscribe", "yes"), ("list-unsubscribe", "One-Click"), ("press", "")] {
            assert_eq!(Press::of(name, value), None, "{name}={value}");
        }
    }
}
