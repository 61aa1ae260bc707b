//! Errors as pages.

use std::sync::Arc;

use poem::http::{StatusCode, header};
use poem::{Endpoint, IntoResponse, Middleware, Request, Response, Result};

use super::PageLayout;

/// Turns problems and errors of a page's route into a page. A client whose `Accept` header excludes HTML is a script and
/// gets the problem.
pub struct HtmlErrors(pub Arc<PageLayout>);

impl<E: Endpoint> Middleware<E> for HtmlErrors {
    type Output = HtmlErrorsEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        HtmlErrorsEndpoint { inner, frame: self.0.clone() }
    }
}

/// The endpoint that [`HtmlErrors`] makes.
pub struct HtmlErrorsEndpoint<E> {
    inner: E,
    frame: Arc<PageLayout>,
}

impl<E: Endpoint> Endpoint for HtmlErrorsEndpoint<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let for_people = reads_html(&request);
        match self.inner.call(request).await {
            Ok(response) => Ok(response.into_response()),
            Err(error) if for_people => Ok(self.frame.in_place_of(error.into_response())),
            Err(error) => Err(error),
        }
    }
}

/// Whether the client accepts HTML. Without `Accept`, it does.
pub fn reads_html(request: &Request) -> bool {
    match request.headers().get(header::ACCEPT).map(|value| value.to_str()) {
        Some(Ok(kinds)) => kinds.contains("text/html"),
        _ => true,
    }
}

impl PageLayout {
    /// The page for a problem, with the same status and headers. Pages and redirects are returned unchanged.
    pub fn in_place_of(&self, answer: Response) -> Response {
        let status = answer.status();
        let is_page = answer.content_type().is_some_and(|kind| kind.starts_with("text/html"));
        if is_page || !(status.is_client_error() || status.is_server_error()) {
            return answer;
        }
        let (heading, sentence) = words(status);
        let sentence = match seconds_to_wait(&answer) {
            Some(seconds) if status == StatusCode::TOO_MANY_REQUESTS => {
                format!("Try again in {}.", about(seconds))
            }
            _ => sentence.to_owned(),
        };
        let mut page = self.message(status, heading, &sentence);
        for name in [header::RETRY_AFTER, header::ALLOW] {
            if let Some(value) = answer.headers().get(&name) {
                page.headers_mut().insert(name, value.clone());
            }
        }
        page
    }
}

/// What `Retry-After` says.
fn seconds_to_wait(answer: &Response) -> Option<u64> {
    answer.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()
}

/// A time in words, rounded up.
fn about(seconds: u64) -> String {
    match seconds.div_ceil(60) {
        0 | 1 => "a minute".into(),
        minutes @ 2..=90 => format!("{minutes} minutes"),
        minutes => format!("{} hours", minutes.div_ceil(60)),
    }
}

fn words(status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::UNAUTHORIZED => ("Not signed in", "Sign in first, then open this page again."),
        StatusCode::FORBIDDEN => {
            ("Not allowed", "Your account can't open this page, or the request came from another site.")
        }
        StatusCode::NOT_FOUND => {
            ("Nothing here", "There is no such page. Perhaps the address was cut off when it was copied.")
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            ("Not possible", "This page doesn't support the request. Go back and use the page's buttons.")
        }
        StatusCode::REQUEST_TIMEOUT => {
            ("Too slow", "The request did not arrive in time. Go back and try again.")
        }
        StatusCode::PAYLOAD_TOO_LARGE => ("Too large", "The form contains more than this page accepts."),
        StatusCode::TOO_MANY_REQUESTS => ("Too many attempts", "Wait a few minutes, then try again."),
        StatusCode::SERVICE_UNAVAILABLE => {
            ("Not available", "The request could not be completed or confirmed. Try again in a moment.")
        }
        status if status.is_server_error() => {
            ("Something went wrong", "This is our fault, and we have a record of it. Try again in a moment.")
        }
        _ => ("That did not work", "The address or the form is invalid. Go back and try again."),
    }
}

#[cfg(test)]
mod tests {
    use poem::test::TestClient;
    use poem::{EndpointExt, Route, get, handler};

    use super::*;
    use crate::platform::signals::TooMany;

    #[handler]
    fn busy() -> Result<Response> {
        let retry_after = std::time::Duration::from_secs(7);
        Err(crate::http::too_many(TooMany { retry_after }).into())
    }

    #[handler]
    fn away() -> Result<Response> {
        Err(poem::Error::from_response(poem::web::Redirect::see_other("/there").into_response()))
    }

    fn client() -> TestClient<impl Endpoint> {
        let route = Route::new().at("/busy", get(busy)).at("/away", get(away));
        TestClient::new(route.with(HtmlErrors(Arc::new(PageLayout::sample()))))
    }

    #[tokio::test]
    async fn a_refusal_becomes_a_page_with_its_status_and_retry_after() {
        let answer = client().get("/busy").send().await;
        answer.assert_status(StatusCode::TOO_MANY_REQUESTS);
        answer.assert_header("retry-after", "7");
        answer.assert_content_type("text/html; charset=utf-8");
        answer.assert_header("cache-control", "no-store");
        let page = answer.0.into_body().into_string().await.unwrap();
        assert!(
            page.contains("<h1>Too many attempts</h1>") && page.contains("Try again in a minute."),
            "{page}"
        );
    }

    #[test]
    fn the_time_to_wait_is_in_words() {
        for (seconds, words) in
            [(0, "a minute"), (7, "a minute"), (61, "2 minutes"), (3_600, "60 minutes"), (86_000, "24 hours")]
        {
            assert_eq!(about(seconds), words);
        }
    }

    #[tokio::test]
    async fn a_script_gets_the_problem() {
        let answer = client().get("/busy").header("accept", "*/*").send().await;
        answer.assert_status(StatusCode::TOO_MANY_REQUESTS);
        answer.assert_content_type("application/problem+json");
    }

    #[tokio::test]
    async fn an_unknown_path_is_a_page_and_a_redirect_is_unchanged() {
        let answer = client().get("/nowhere").send().await;
        answer.assert_status(StatusCode::NOT_FOUND);
        answer.assert_content_type("text/html; charset=utf-8");
        client().get("/away").send().await.assert_status(StatusCode::SEE_OTHER);
    }
}
