//! The content of a frame in which nothing runs.

use poem::http::header;
use poem::{Response, ResponseBuilder};

/// Nothing in an email runs, loads or is sent; its links leave the frame that it is shown in.
pub const EMAIL_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; \
    frame-ancestors 'self'; base-uri 'none'; \
    sandbox allow-top-navigation-by-user-activation allow-popups allow-popups-to-escape-sandbox";

/// The HTML of an email as the content of a frame in which nothing runs.
pub fn framed(content: &str) -> Response {
    let content = content.replacen("<head>", "<head>\n<base target=\"_top\">", 1);
    closed(Response::builder(), EMAIL_POLICY).content_type("text/html; charset=utf-8").body(content)
}

/// A response that is not cached, under this content security policy.
pub fn closed(response: ResponseBuilder, policy: &str) -> ResponseBuilder {
    response
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::CONTENT_SECURITY_POLICY, policy)
        .header(header::REFERRER_POLICY, "no-referrer")
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
}
