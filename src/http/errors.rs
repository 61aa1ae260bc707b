//! Translates the framework's errors into problems.

use std::collections::HashMap;

use poem::error::{MethodNotAllowedError, NotFoundError, ReadBodyError};
use poem::http::header::{self, HeaderValue};
use poem::http::{Method, StatusCode};
use poem::{IntoResponse, PathPattern, Response};
use poem_openapi::OperationId;
use poem_openapi::error::{
    AuthorizationError, ContentTypeError, ParseMultipartError, ParseParamError, ParsePathError,
    ParseRequestPayloadError,
};

use super::kinds;
use super::problem::Problem;

/// The response to a request that ended in `error`.
pub(super) fn answer(error: poem::Error) -> Response {
    if error.is_from_response() || error.status().is_redirection() {
        return error.into_response();
    }
    let mut answer = problem(&error).into_response();
    // For the log, and for `Allow`.
    if let Some(operation) = error.data::<OperationId>() {
        answer.set_data(*operation);
    }
    if let Some(pattern) = error.data::<PathPattern>() {
        answer.set_data(pattern.clone());
    }
    answer
}

/// Adds `Allow` to a 405. `methods` has the methods of each path of the API. Pages support GET, and those with a form POST.
pub(super) fn add_allow(answer: &mut Response, methods: &HashMap<String, HeaderValue>) {
    if answer.status() != StatusCode::METHOD_NOT_ALLOWED || answer.headers().contains_key(header::ALLOW) {
        return;
    }
    let pattern = answer.data::<PathPattern>();
    let allowed = pattern.and_then(|pattern| methods.get(&*pattern.0)).cloned();
    answer
        .headers_mut()
        .insert(header::ALLOW, allowed.unwrap_or(HeaderValue::from_static("GET, HEAD, POST")));
}

fn problem(error: &poem::Error) -> Problem {
    if error.is::<NotFoundError>() {
        return kinds::not_found();
    }
    if error.is::<MethodNotAllowedError>() {
        return kinds::method_not_allowed();
    }
    if let Some(error) = error.downcast_ref::<ParseParamError>() {
        return kinds::bad_parameter(error.name);
    }
    if let Some(error) = error.downcast_ref::<ParsePathError>() {
        return kinds::bad_parameter(error.name);
    }
    if error.is::<ContentTypeError>() {
        return kinds::wrong_content_type();
    }
    if error.is::<ParseRequestPayloadError>() || error.is::<ParseMultipartError>() {
        return kinds::broken_body();
    }
    if error.is::<AuthorizationError>() {
        return kinds::not_signed_in();
    }
    if matches!(error.downcast_ref::<ReadBodyError>(), Some(ReadBodyError::Utf8(_))) {
        return kinds::broken_body();
    }
    by_status(error)
}

/// The framework's rarer errors. Their messages can quote the request, so clients don't get them.
fn by_status(error: &poem::Error) -> Problem {
    match error.status() {
        StatusCode::NOT_FOUND => kinds::not_found(),
        StatusCode::METHOD_NOT_ALLOWED => kinds::method_not_allowed(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => kinds::wrong_content_type(),
        status if status.is_client_error() => kinds::bad_request(status.as_u16()),
        _ => kinds::internal(error),
    }
}

/// A handler panicked. The panic's message can hold personal data and is not logged.
pub(super) fn panicked() -> Problem {
    kinds::internal("a handler panicked")
}

/// 503: an operation ran into the time limit.
pub(super) fn took_too_long() -> Problem {
    kinds::busy(std::time::Duration::from_secs(1)).because("it took too long and was cancelled")
}

/// The value of `Allow` for a path with these methods.
pub(super) fn allow(methods: impl IntoIterator<Item = Method>) -> HeaderValue {
    let mut names: Vec<_> = methods.into_iter().map(|method| method.to_string()).collect();
    if names.iter().any(|name| name == "GET") {
        names.push("HEAD".into());
    }
    names.sort_unstable();
    HeaderValue::try_from(names.join(", ")).expect("methods are plain text")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(error: impl Into<poem::Error>) -> Response {
        answer(error.into())
    }

    #[test]
    fn framework_errors_become_problems_with_their_status() {
        let reason = String::from("failed at `secret`");
        let errors: [(poem::Error, u16); 7] = [
            (NotFoundError.into(), 404),
            (MethodNotAllowedError.into(), 405),
            (ContentTypeError::ExpectContentType.into(), 415),
            (AuthorizationError.into(), 401),
            (ParseParamError { name: "limit", reason: reason.clone() }.into(), 400),
            (ParseRequestPayloadError { reason }.into(), 400),
            (poem::Error::from_string("the disk said `secret`", StatusCode::BAD_GATEWAY), 500),
        ];
        for (error, status) in errors {
            let answer = answered(error);
            assert_eq!(answer.status().as_u16(), status);
            assert_eq!(answer.content_type(), Some("application/problem+json"));
        }
    }

    #[tokio::test]
    async fn text_that_the_framework_quotes_is_not_sent() {
        let error = ParseParamError { name: "limit", reason: "failed at `secret`".into() };
        let body = answered(error).into_body().into_string().await.unwrap();
        assert!(body.contains("limit") && !body.contains("secret"), "{body}");
    }

    #[test]
    fn a_complete_response_is_unchanged() {
        let teapot = poem::Error::from_response(StatusCode::IM_A_TEAPOT.into());
        assert_eq!(answered(teapot).status(), StatusCode::IM_A_TEAPOT);
    }

    #[test]
    fn allow_names_head_beside_get() {
        assert_eq!(allow([Method::POST, Method::GET]), "GET, HEAD, POST");
        assert_eq!(allow([Method::DELETE]), "DELETE");
    }
}
