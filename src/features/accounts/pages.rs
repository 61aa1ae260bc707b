//! The plain pages that emailed links lead to. Each shows one button, which does the step. Opening a page changes nothing,
//! because mail scanners open links too. A second press within five minutes, in the same browser, shows what the first
//! achieved.

use std::sync::Arc;

use poem::http::StatusCode;
use poem::web::{Data, Form, Query};
use poem::{EndpointExt, Response, RouteMethod, get, handler};
use serde::Deserialize;

use super::browser::Browser;
use super::errors::{ConfirmAccountError, ConfirmEmailError, ResetPasswordError};
use super::model::{LinkUse, Purpose, TokenRefused};
use super::service::Accounts;
use crate::http::pages::{HtmlErrors, PageLayout, Pages};
use crate::http::{HostCookie, Refusal};
use crate::kernel::{FieldError, Invalid, Secret};

/// `/confirm`, `/confirm-email` and `/reset-password`.
pub fn pages(frame: &Arc<PageLayout>, accounts: &Arc<Accounts>, browser: HostCookie) -> Pages {
    let errors = || HtmlErrors(frame.clone());
    let with =
        |page: RouteMethod| page.data(frame.clone()).data(accounts.clone()).data(browser).with(errors());
    Pages::new()
        .at("/confirm", with(get(ask_account).post(confirm_account)))
        .at("/confirm-email", with(get(ask_email).post(confirm_email)))
        .at("/reset-password", with(get(ask_password).post(reset_password)))
}

#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    token: String,
}

#[derive(Deserialize)]
struct NewPassword {
    #[serde(default)]
    token: String,
    #[serde(default)]
    password: String,
}

/// One button, which does what the email is about.
#[derive(askama::Template)]
#[template(path = "features/accounts/templates/confirm.page.html")]
struct ConfirmPage<'a> {
    frame: &'a PageLayout,
    heading: &'a str,
    sentence: &'a str,
    action: &'a str,
    button: &'a str,
    token: &'a str,
}

#[derive(askama::Template)]
#[template(path = "features/accounts/templates/reset-password.page.html")]
struct PasswordPage<'a> {
    frame: &'a PageLayout,
    token: &'a str,
    faults: &'a [FieldError],
}

/// What happened, and where to go next.
#[derive(askama::Template)]
#[template(path = "features/accounts/templates/done.page.html")]
struct DonePage<'a> {
    frame: &'a PageLayout,
    heading: &'a str,
    sentence: &'a str,
    next: &'a str,
}

/// A page after the step.
struct Achieved {
    heading: &'static str,
    sentence: &'static str,
}

const ACCOUNT_CONFIRMED: Achieved = Achieved {
    heading: "Welcome",
    sentence: "Your address is confirmed and your account is ready. Now you can sign in.",
};

const EMAIL_CHANGED: Achieved = Achieved {
    heading: "Your address is changed",
    sentence: "From now on we write to this address, and you sign in with it.",
};

const PASSWORD_CHANGED: Achieved = Achieved {
    heading: "Your password is changed",
    sentence: "You are signed out everywhere. Sign in with your new password.",
};

#[handler]
fn ask_account(frame: Data<&Arc<PageLayout>>, browser: Browser, Query(link): Query<Link>) -> Response {
    browser.recognized_by(frame.page(&ConfirmPage {
        frame: &frame,
        heading: "Confirm your address",
        sentence: "Press the button, and your account is ready.",
        action: "/confirm",
        button: "Confirm my address",
        token: &link.token,
    }))
}

#[handler]
async fn confirm_account(
    frame: Data<&Arc<PageLayout>>,
    accounts: Data<&Arc<Accounts>>,
    browser: Browser,
    Form(link): Form<Link>,
) -> poem::Result<Response> {
    let link = LinkUse { token: &link.token, browser: Some(&browser.id) };
    match accounts.confirm_account(link).await {
        Ok(()) => Ok(done(&frame, &accounts, ACCOUNT_CONFIRMED)),
        Err(ConfirmAccountError::Token(why)) => {
            let pressed = accounts.was_pressed(Purpose::ConfirmAccount, link, None).await;
            Ok(refused(&frame, &accounts, why, pressed.map_err(Refusal::problem)?, ACCOUNT_CONFIRMED))
        }
        Err(error) => Err(error.problem().into()),
    }
}

#[handler]
fn ask_email(frame: Data<&Arc<PageLayout>>, browser: Browser, Query(link): Query<Link>) -> Response {
    browser.recognized_by(frame.page(&ConfirmPage {
        frame: &frame,
        heading: "Confirm your new address",
        sentence: "Press the button, and from now on we write to this address.",
        action: "/confirm-email",
        button: "Confirm my new address",
        token: &link.token,
    }))
}

#[handler]
async fn confirm_email(
    frame: Data<&Arc<PageLayout>>,
    accounts: Data<&Arc<Accounts>>,
    browser: Browser,
    Form(link): Form<Link>,
) -> poem::Result<Response> {
    let link = LinkUse { token: &link.token, browser: Some(&browser.id) };
    match accounts.confirm_email(link).await {
        Ok(()) => Ok(done(&frame, &accounts, EMAIL_CHANGED)),
        Err(ConfirmEmailError::Token(why)) => {
            let pressed = accounts.was_pressed(Purpose::ConfirmEmail, link, None).await;
            Ok(refused(&frame, &accounts, why, pressed.map_err(Refusal::problem)?, EMAIL_CHANGED))
        }
        Err(ConfirmEmailError::Taken) => {
            let sentence =
                "Another account has this address already. Sign in there, or change to another address.";
            Ok(frame.message(StatusCode::CONFLICT, "This address is taken", sentence))
        }
        Err(error) => Err(error.problem().into()),
    }
}

#[handler]
fn ask_password(frame: Data<&Arc<PageLayout>>, browser: Browser, Query(link): Query<Link>) -> Response {
    browser.recognized_by(frame.page(&PasswordPage { frame: &frame, token: &link.token, faults: &[] }))
}

#[handler]
async fn reset_password(
    frame: Data<&Arc<PageLayout>>,
    accounts: Data<&Arc<Accounts>>,
    browser: Browser,
    Form(form): Form<NewPassword>,
) -> poem::Result<Response> {
    let (link, password) =
        (LinkUse { token: &form.token, browser: Some(&browser.id) }, Secret::new(form.password));
    match accounts.reset_password(link, &password).await {
        Ok(()) => Ok(done(&frame, &accounts, PASSWORD_CHANGED)),
        Err(ResetPasswordError::Token(why)) => {
            let pressed = accounts.was_pressed(Purpose::ResetPassword, link, Some(&password)).await;
            Ok(refused(&frame, &accounts, why, pressed.map_err(Refusal::problem)?, PASSWORD_CHANGED))
        }
        Err(ResetPasswordError::Invalid(Invalid(faults))) => {
            let page = PasswordPage { frame: &frame, token: link.token, faults: &faults };
            Ok(frame.page_with(StatusCode::UNPROCESSABLE_ENTITY, &page))
        }
        Err(error) => Err(error.problem().into()),
    }
}

fn done(frame: &PageLayout, accounts: &Accounts, achieved: Achieved) -> Response {
    let Achieved { heading, sentence } = achieved;
    frame.page(&DonePage { frame, heading, sentence, next: accounts.pages().as_str() })
}

/// The page of a link that does nothing; what it achieved if the first press of its button was in the same browser.
fn refused(
    frame: &PageLayout,
    accounts: &Accounts,
    why: TokenRefused,
    pressed: bool,
    achieved: Achieved,
) -> Response {
    match why {
        TokenRefused::Used if pressed => done(frame, accounts, achieved),
        why => dead_link(frame, why),
    }
}

fn dead_link(frame: &PageLayout, why: TokenRefused) -> Response {
    let (status, heading, sentence) = match why {
        TokenRefused::Invalid => (
            StatusCode::NOT_FOUND,
            "This link is not one of ours",
            "Perhaps it was cut off when it was copied. Copy the whole address from the email and try again.",
        ),
        TokenRefused::Used => (
            StatusCode::GONE,
            "This link has been used",
            "Or a newer link replaced it. If you wanted to confirm your address, try to sign in. Otherwise ask for \
             another email where you sign in.",
        ),
        TokenRefused::Expired => (
            StatusCode::GONE,
            "This link has expired",
            "Links work for a limited time only. Ask for another email where you sign in.",
        ),
    };
    frame.message(status, heading, sentence)
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
