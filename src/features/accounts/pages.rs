//! The plain pages that links in letters lead to: each shows one button, which does the step. Opening a page changes
//! nothing, because mail scanners open links too.

use std::sync::Arc;

use poem::http::StatusCode;
use poem::web::{Data, Form, Query};
use poem::{EndpointExt, Response, RouteMethod, get, handler};
use serde::Deserialize;

use super::errors::{ConfirmAccountError, ConfirmEmailError, ResetPasswordError};
use super::model::TokenRefused;
use super::service::Accounts;
use crate::http::Refusal;
use crate::http::pages::{HtmlErrors, PageLayout, Pages};
use crate::kernel::{FieldError, Invalid, Secret};

/// `/confirm`, `/confirm-email` and `/reset-password`.
pub fn pages(frame: &Arc<PageLayout>, accounts: &Arc<Accounts>) -> Pages {
    let errors = || HtmlErrors(frame.clone());
    let with = |page: RouteMethod| page.data(frame.clone()).data(accounts.clone()).with(errors());
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

/// One button that does what the letter is about.
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

#[handler]
fn ask_account(frame: Data<&Arc<PageLayout>>, Query(link): Query<Link>) -> Response {
    frame.page(&ConfirmPage {
        frame: &frame,
        heading: "Confirm your address",
        sentence: "Press the button, and your account is ready.",
        action: "/confirm",
        button: "Confirm my address",
        token: &link.token,
    })
}

#[handler]
async fn confirm_account(
    frame: Data<&Arc<PageLayout>>,
    accounts: Data<&Arc<Accounts>>,
    Form(link): Form<Link>,
) -> poem::Result<Response> {
    match accounts.confirm_account(&link.token).await {
        Ok(()) => {
            let sentence = "Your address is confirmed and your account is ready. Now you can sign in.";
            Ok(done(&frame, &accounts, "Welcome", sentence))
        }
        Err(ConfirmAccountError::Token(why)) => Ok(dead_link(&frame, why)),
        Err(error) => Err(error.problem().into()),
    }
}

#[handler]
fn ask_email(frame: Data<&Arc<PageLayout>>, Query(link): Query<Link>) -> Response {
    frame.page(&ConfirmPage {
        frame: &frame,
        heading: "Confirm your new address",
        sentence: "Press the button, and from now on letters come to this address.",
        action: "/confirm-email",
        button: "Confirm my new address",
        token: &link.token,
    })
}

#[handler]
async fn confirm_email(
    frame: Data<&Arc<PageLayout>>,
    accounts: Data<&Arc<Accounts>>,
    Form(link): Form<Link>,
) -> poem::Result<Response> {
    match accounts.confirm_email(&link.token).await {
        Ok(()) => {
            let sentence = "From now on letters come to this address, and you sign in with it.";
            Ok(done(&frame, &accounts, "Your address is changed", sentence))
        }
        Err(ConfirmEmailError::Token(why)) => Ok(dead_link(&frame, why)),
        Err(ConfirmEmailError::Taken) => {
            let sentence =
                "An account has this address already. Sign in there, or change to another address.";
            Ok(frame.message(StatusCode::CONFLICT, "This address is taken", sentence))
        }
        Err(error) => Err(error.problem().into()),
    }
}

#[handler]
fn ask_password(frame: Data<&Arc<PageLayout>>, Query(link): Query<Link>) -> Response {
    frame.page(&PasswordPage { frame: &frame, token: &link.token, faults: &[] })
}

#[handler]
async fn reset_password(
    frame: Data<&Arc<PageLayout>>,
    accounts: Data<&Arc<Accounts>>,
    Form(form): Form<NewPassword>,
) -> poem::Result<Response> {
    match accounts.reset_password(&form.token, &Secret::new(form.password)).await {
        Ok(()) => {
            let sentence = "You are signed out everywhere. Sign in with your new password.";
            Ok(done(&frame, &accounts, "Your password is changed", sentence))
        }
        Err(ResetPasswordError::Token(why)) => Ok(dead_link(&frame, why)),
        Err(ResetPasswordError::Invalid(Invalid(faults))) => {
            let page = PasswordPage { frame: &frame, token: &form.token, faults: &faults };
            Ok(frame.page_with(StatusCode::UNPROCESSABLE_ENTITY, &page))
        }
        Err(error) => Err(error.problem().into()),
    }
}

fn done(frame: &PageLayout, accounts: &Accounts, heading: &str, sentence: &str) -> Response {
    frame.page(&DonePage { frame, heading, sentence, next: accounts.pages().as_str() })
}

fn dead_link(frame: &PageLayout, why: TokenRefused) -> Response {
    let (status, heading, sentence) = match why {
        TokenRefused::Invalid => (
            StatusCode::NOT_FOUND,
            "This link is not one of ours",
            "Perhaps it was cut off when it was copied. Copy the whole address from the letter and try again.",
        ),
        TokenRefused::Used => (
            StatusCode::GONE,
            "This link has been used",
            "Or a newer one took its place. If you wanted to confirm your address, try to sign in; otherwise ask \
             for another letter where you sign in.",
        ),
        TokenRefused::Expired => (
            StatusCode::GONE,
            "This link has run out",
            "Links work for a limited time only. Ask for another letter where you sign in.",
        ),
    };
    frame.message(status, heading, sentence)
}

#[cfg(test)]
mod tests {
    use super::super::tests::World;
    use super::*;
    use poem::test::TestClient;

    async fn get(world: &World, path: &str) -> (StatusCode, String) {
        let route = pages(&Arc::new(PageLayout::sample()), &world.accounts).into_route();
        let answer = TestClient::new(route).get(path).send().await;
        answer.assert_header("cache-control", "no-store");
        (answer.0.status(), answer.0.into_body().into_string().await.unwrap())
    }

    async fn post(world: &World, path: &str, form: &[(&str, &str)]) -> (StatusCode, String) {
        let route = pages(&Arc::new(PageLayout::sample()), &world.accounts).into_route();
        let answer = TestClient::new(route).post(path).form(&form).send().await;
        (answer.0.status(), answer.0.into_body().into_string().await.unwrap())
    }

    #[tokio::test]
    async fn opening_a_link_changes_nothing_and_its_button_does_the_step_once() {
        let world = World::new().await;
        let token = world.sign_up("ana@example.org", "Ana", "seven maple canoes drift").await;
        for _ in 0..2 {
            let (status, html) = get(&world, &format!("/confirm?token={token}")).await;
            assert!(status.is_success() && html.contains(&format!("value=\"{token}\"")));
        }
        let (status, html) = post(&world, "/confirm", &[("token", &token)]).await;
        assert!(status.is_success() && html.contains("<h1>Welcome</h1>"), "{html}");
        let (status, html) = post(&world, "/confirm", &[("token", &token)]).await;
        assert!(status == StatusCode::GONE && html.contains("has been used"));
    }

    #[tokio::test]
    async fn a_password_page_tells_the_fault_and_keeps_its_link_good() {
        let world = World::new().await;
        world.account("ana@example.org").await;
        let token = world.reset_token("ana@example.org").await;
        let (status, html) =
            post(&world, "/reset-password", &[("token", &token), ("password", "password1")]).await;
        assert!(status == StatusCode::UNPROCESSABLE_ENTITY && html.contains("easy to guess"));
        let good = [("token", token.as_str()), ("password", "eight copper kites rise")];
        assert!(post(&world, "/reset-password", &good).await.0.is_success());
    }

    #[tokio::test]
    async fn what_stands_in_a_link_is_never_markup() {
        let world = World::new().await;
        for path in ["/confirm", "/confirm-email", "/reset-password"] {
            let (status, html) = get(&world, &format!("{path}?token=%22%3E%3Cscript%3E")).await;
            assert!(status.is_success() && !html.contains("<script>"));
            let (status, html) = post(&world, path, &[("token", "nonsense"), ("password", "x")]).await;
            assert!(status == StatusCode::NOT_FOUND && html.contains("not one of ours"), "{path}");
        }
    }
}
