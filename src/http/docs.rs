//! `/openapi.json`, and Swagger UI at `/docs`. Both are embedded in the binary.

use hyper::body::Bytes;
use poem::http::{HeaderValue, StatusCode, header};
use poem::{Endpoint, Request, Response, Route, endpoint::make_sync, get};
use poem_openapi::OpenApiService;

use super::etag::Tag;
use super::spec::Document;

/// Content security policy of Swagger UI. It uses inline styles, and blobs for images in responses; scripts are our own.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
     connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
);

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Orientation: API reference</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="ui"></div>
<noscript>Swagger UI needs JavaScript. The document itself is at <a href="/openapi.json">/openapi.json</a>.</noscript>
<script src="/docs/swagger-ui.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"#;

const START: &str = r##"SwaggerUIBundle({
    dom_id: "#ui",
    url: "/openapi.json",
    deepLinking: true,
    displayOperationId: true,
    displayRequestDuration: true,
    tryItOutEnabled: true,
    validatorUrl: null,
});
"##;

/// Whether the path belongs to this module.
pub(super) fn is_here(path: &str) -> bool {
    path == "/openapi.json" || path == "/docs" || path.starts_with("/docs/")
}

pub(super) fn route(document: &Document) -> Route {
    let (style, script) = swagger_ui();
    Route::new()
        .at("/openapi.json", get(constant("application/json", document.json().to_owned())))
        .at("/docs", get(constant("text/html; charset=utf-8", PAGE.to_owned())))
        .at("/docs/start.js", get(constant("text/javascript; charset=utf-8", START.to_owned())))
        .at("/docs/swagger-ui.js", get(constant("text/javascript; charset=utf-8", script)))
        .at("/docs/swagger-ui.css", get(constant("text/css; charset=utf-8", style)))
}

/// Swagger UI's style sheet and script, extracted from the page into which the library writes both.
fn swagger_ui() -> (String, String) {
    let page = OpenApiService::new((), "", "").swagger_ui_html();
    let between = |open: &str, close: &str| {
        let rest = page.split_once(open).map_or("", |(_, rest)| rest);
        rest.split_once(close).map_or("", |(inside, _)| inside).to_owned()
    };
    let style = between("<style charset=\"UTF-8\">", "</style>\n    <script");
    let script = between("<script charset=\"UTF-8\">", "</script>\n</head>");
    (style, script)
}

/// An endpoint that always returns the same bytes, with an `ETag`.
fn constant(content_type: &'static str, text: String) -> impl Endpoint {
    let body = Bytes::from(text);
    let tag = Tag::of(&body);
    make_sync(move |request: Request| {
        let answer = Response::builder()
            .header(header::ETAG, tag.as_str())
            .header(header::CONTENT_SECURITY_POLICY, POLICY)
            .content_type(content_type);
        match request.header(header::IF_NONE_MATCH) {
            Some(tags) if tag.is_in(tags) => answer.status(StatusCode::NOT_MODIFIED).finish(),
            _ => answer.body(body.clone()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn style_sheet_and_script_are_complete() {
        let (style, script) = swagger_ui();
        assert!(style.contains(".swagger-ui") && style.len() > 100_000, "{}", style.len());
        assert!(script.contains("SwaggerUIBundle") && script.len() > 1_000_000, "{}", script.len());
        assert!(!script.contains("let spec ="));
    }
}
