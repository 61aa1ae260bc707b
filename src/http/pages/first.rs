//! The first page: what the service is, and how to explore it.

use std::sync::Arc;

use poem::web::Data;
use poem::{Response, handler};

use super::PageLayout;

/// What the first page links to beside the API document.
#[derive(Clone, Copy, Debug)]
pub struct FirstPage {
    /// Emails are in the outbox, at `/outbox`.
    pub outbox: bool,
    /// Anybody can see the emails with sample data, at `/mails`; otherwise administrators.
    pub samples_for_all: bool,
    /// Payments are simulated.
    pub sandbox: bool,
}

#[derive(askama::Template)]
#[template(path = "http/pages/templates/first.html")]
struct First<'a> {
    frame: &'a PageLayout,
    first: FirstPage,
}

#[handler]
pub(super) fn show(frame: Data<&Arc<PageLayout>>, first: Data<&FirstPage>) -> Response {
    frame.page(&First { frame: &frame, first: **first })
}

#[cfg(test)]
mod tests {
    use poem::test::TestClient;

    use super::*;

    async fn page(first: FirstPage) -> String {
        let route = super::super::front(&Arc::new(PageLayout::sample()), first).into_route();
        let answer = TestClient::new(route).get("/").send().await;
        answer.assert_status_is_ok();
        answer.0.into_body().into_string().await.unwrap()
    }

    #[tokio::test]
    async fn links_to_everything_a_newcomer_needs() {
        let html = page(FirstPage { outbox: true, samples_for_all: true, sandbox: true }).await;
        for link in ["/docs", "/openapi.json", "/outbox", "/mails", "/health/ready"] {
            assert!(html.contains(&format!("href=\"{link}\"")), "{link}");
        }
        insta::assert_snapshot!("first.html", html);
    }

    #[tokio::test]
    async fn names_outbox_and_sandbox_only_where_they_exist() {
        let html = page(FirstPage { outbox: false, samples_for_all: false, sandbox: false }).await;
        assert!(!html.contains("/outbox") && !html.contains("<em>Pay</em>"));
    }

    #[tokio::test]
    async fn the_stylesheet_is_there() {
        let first = FirstPage { outbox: true, samples_for_all: true, sandbox: true };
        let route = super::super::front(&Arc::new(PageLayout::sample()), first).into_route();
        let answer = TestClient::new(route).get("/pages.css?v=1").send().await;
        answer.assert_status_is_ok();
        answer.assert_content_type("text/css; charset=utf-8");
    }
}
