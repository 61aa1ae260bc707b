//! Plain HTML pages: no scripts, nothing from other origins, one layout and one small stylesheet.

mod errors;
mod first;
mod frame;
mod framed;
mod guard;
mod routes;

use std::sync::Arc;

use poem::http::{StatusCode, header};
use poem::{EndpointExt, Response, get, handler};

pub use errors::{HtmlErrors, reads_html};
pub use first::FirstPage;
pub use frame::PageLayout;
pub use framed::{EMAIL_POLICY, closed, framed};
pub use guard::{Access, Guard, Guarded};
pub use routes::Pages;

/// `GET /` and the stylesheet of all pages.
pub fn front(frame: &Arc<PageLayout>, first: FirstPage) -> Pages {
    Pages::new()
        .at("/", get(first::show).data(frame.clone()).data(first))
        .at("/pages.css", get(stylesheet))
        .at("/favicon.ico", get(icon))
}

/// Browsers request an icon for responses that aren't pages, such as the OpenAPI document.
#[handler]
fn icon() -> StatusCode {
    StatusCode::NO_CONTENT
}

const STYLESHEET: &str = include_str!("pages.css");

/// Cached for a year: its path contains its hash.
#[handler]
fn stylesheet() -> Response {
    Response::builder()
        .content_type("text/css; charset=utf-8")
        .header(header::CACHE_CONTROL, "public, max-age=31536000, immutable")
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .body(STYLESHEET)
}
