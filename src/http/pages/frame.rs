//! The layout of all pages.

use poem::Response;
use poem::http::{StatusCode, header};
use sha2::{Digest, Sha256};

use crate::config::Config;

/// Header and footer of every page. Templates of the features use it as `frame`.
///
/// # How a feature writes a page
/// A template in the feature's `templates/` folder (blocks: `title`, shown before the event's name; `content`;
/// `width`, where `wide` makes room for tables):
/// ```text
/// {% extends "http/pages/templates/layout.html" %}
/// {% block title %}Confirm your address{% endblock %}
/// {% block content %}
/// <h1>Confirm your address</h1>
/// <p>Press the button, and your account is ready.</p>
/// <form method="post" action="/confirm">
///   <input type="hidden" name="token" value="{{ token }}">
///   <button>Confirm my address</button>
/// </form>
/// {% endblock %}
/// ```
/// The stylesheet has, beside headings, text, lists, tables and `dl`: `<label>` before an `<input>`; `<button>`
/// and `<a class="button">`, with the class `plain` for the second choice; `<p class="note">`, `<p class="note good">` and
/// `<p class="note bad" role="alert">`; `<p class="quiet">`; `<div class="row">` for buttons side by side.
///
/// In `pages.rs` a struct with the template and a handler:
/// ```ignore
/// #[derive(askama::Template)]
/// #[template(path = "features/accounts/templates/confirm.page.html")]
/// struct ConfirmPage<'a> { frame: &'a PageLayout, token: &'a str }
///
/// #[handler]
/// fn confirm(frame: Data<&Arc<PageLayout>>, Query(link): Query<Link>) -> Response {
///     frame.page(&ConfirmPage { frame: &frame, token: &link.token })
/// }
///
/// /// The pages that links in emails open.
/// pub fn pages(frame: &Arc<PageLayout>, accounts: &Arc<Accounts>) -> Pages {
///     let with = |page: RouteMethod| page.data(frame.clone()).data(accounts.clone()).with(HtmlErrors(frame.clone()));
///     Pages::new().at("/confirm", with(get(confirm).post(confirmed)))
/// }
/// ```
/// Errors: use [`PageLayout::message`] where the page can explain one. [`HtmlErrors`](super::HtmlErrors) turns any other
/// `poem::Error` into a page.
#[derive(Clone, Debug)]
pub struct PageLayout {
    /// Name of the event, such as `Orientation Week 2027`.
    pub event: String,
    /// Name of the faculty, such as `Faculty of Applied Science & Engineering`.
    pub faculty: String,
    /// Address that people write to for help.
    pub contact: String,
    /// Notice on every page of a rehearsal that nothing is real.
    pub rehearsal: bool,
    /// Path of the stylesheet.
    pub stylesheet: String,
    policy: String,
}

impl PageLayout {
    /// The layout for this event.
    pub fn new(config: &Config) -> Self {
        let event = &config.event;
        Self {
            event: event.name.clone(),
            faculty: event.faculty.clone(),
            contact: event.contact.to_string(),
            rehearsal: config.rehearsal,
            stylesheet: stylesheet_address(),
            policy: policy(config),
        }
    }

    /// Renders the page.
    pub fn page(&self, template: &impl askama::Template) -> Response {
        self.page_with(StatusCode::OK, template)
    }

    /// Renders the page with another status than 200.
    pub fn page_with(&self, status: StatusCode, template: &impl askama::Template) -> Response {
        match template.render() {
            Ok(html) => self.respond(status, html),
            Err(error) => {
                tracing::error!(%error, "a page's template failed");
                self.respond(StatusCode::INTERNAL_SERVER_ERROR, "This page is broken. We know.".into())
            }
        }
    }

    /// A page with a heading and a sentence.
    pub fn message(&self, status: StatusCode, heading: &str, sentence: &str) -> Response {
        self.page_with(status, &Message { frame: self, heading, sentence })
    }

    fn respond(&self, status: StatusCode, html: String) -> Response {
        Response::builder()
            .status(status)
            .content_type("text/html; charset=utf-8")
            .header(header::CACHE_CONTROL, "no-store")
            .header(header::CONTENT_SECURITY_POLICY, &self.policy)
            .header(header::REFERRER_POLICY, "same-origin")
            .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
            .body(html)
    }
}

#[derive(askama::Template)]
#[template(path = "http/pages/templates/message.html")]
struct Message<'a> {
    frame: &'a PageLayout,
    heading: &'a str,
    sentence: &'a str,
}

/// Content security policy: no scripts, nothing from other origins. Browsers apply `form-action` to redirects after a form
/// as well, and some forms redirect to the frontend.
fn policy(config: &Config) -> String {
    let frontend = config.frontend_url.as_ref().map(|url| url.origin().ascii_serialization());
    let forms = frontend.map_or("'self'".to_owned(), |origin| format!("'self' {origin}"));
    format!(
        "default-src 'none'; style-src 'self'; img-src 'self' data:; frame-src 'self'; form-action {forms}; \
         frame-ancestors 'none'; base-uri 'none'"
    )
}

fn stylesheet_address() -> String {
    let version: String =
        Sha256::digest(super::STYLESHEET).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("/pages.css?v={version}")
}

#[cfg(test)]
impl PageLayout {
    /// A layout for tests.
    pub fn sample() -> Self {
        Self {
            event: "Orientation Week 2027".into(),
            faculty: "Faculty of Applied Science & Engineering".into(),
            contact: "orientation@example.org".into(),
            rehearsal: false,
            stylesheet: "/pages.css?v=0".into(),
            policy: "default-src 'none'".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(frontend: &str) -> PageLayout {
        let env = [("ORIENTATION_FRONTEND_URL".to_owned(), frontend.to_owned())].into();
        PageLayout::new(&Config::from_env(&env).unwrap())
    }

    #[tokio::test]
    async fn a_page_runs_no_script_and_is_not_cached() {
        let page = frame("").message(StatusCode::NOT_FOUND, "Nothing <here>", "Try & see.");
        assert_eq!(page.status(), StatusCode::NOT_FOUND);
        let header = |name: &str| page.header(name).unwrap().to_owned();
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("script-src"), "{policy}");
        assert!(policy.contains("form-action 'self';"), "{policy}");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("referrer-policy"), "same-origin");
        assert_eq!(header("x-content-type-options"), "nosniff");
        let html = page.into_body().into_string().await.unwrap();
        assert!(html.contains("Nothing &#60;here&#62;") && !html.contains("<script"));
    }

    #[test]
    fn forms_may_redirect_to_the_frontend() {
        let policy = frame("http://127.0.0.1:5173").policy;
        assert!(policy.contains("form-action 'self' http://127.0.0.1:5173;"), "{policy}");
    }
}
