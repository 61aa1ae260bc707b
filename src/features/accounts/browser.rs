//! The browser that shows a page, which a cookie tells apart from others.

use std::sync::Arc;

use poem::http::{HeaderValue, header};
use poem::{FromRequest, Request, RequestBody, Response};

use super::model::CONFIRMATION_LASTS;
use super::service::Accounts;
use crate::http::HostCookie;

/// A browser, in which the second press of a button shows what the first achieved. The cookie is set when the page with
/// the button opens: after a double click, the answer to the first press is never read.
pub(super) struct Browser {
    /// Random, and the same for all pages that it opens within a day.
    pub id: String,
    cookie: HeaderValue,
}

impl Browser {
    /// The page, with the cookie.
    pub fn recognized_by(self, mut page: Response) -> Response {
        page.headers_mut().append(header::SET_COOKIE, self.cookie);
        page
    }
}

impl<'a> FromRequest<'a> for Browser {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let given =
            |what| move || poem::Error::from_string(what, poem::http::StatusCode::INTERNAL_SERVER_ERROR);
        let cookie = request.data::<HostCookie>().ok_or_else(given("the page has no cookie"))?;
        let accounts = request.data::<Arc<Accounts>>().ok_or_else(given("the page has no accounts"))?;
        let id = cookie.of(request.headers()).filter(|id| is_ours(id)).map(str::to_owned);
        let id = id.unwrap_or_else(|| accounts.new_browser_id());
        let cookie = HeaderValue::from_str(&cookie.set(&id, CONFIRMATION_LASTS));
        Ok(Self { cookie: cookie.map_err(poem::error::InternalServerError)?, id })
    }
}

/// Whether an id could be from [`Accounts::new_browser_id`]: the cookie is set again with the same value.
fn is_ours(id: &str) -> bool {
    id.len() == 43 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}
