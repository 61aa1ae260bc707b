//! Refusals that no operation makes itself, and the translation of the framework's errors into problems.

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

use super::problem::{Problem, unavailable_for_now};

/// The answer to a request that ended in `error`.
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

/// Says which methods an address knows where it doesn't know the one that was used. `methods` are those of each
/// path of the API; pages are read, and some have a form.
pub(super) fn say_what_is_allowed(answer: &mut Response, methods: &HashMap<String, HeaderValue>) {
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
        return not_found();
    }
    if error.is::<MethodNotAllowedError>() {
        return method_not_allowed();
    }
    if let Some(error) = error.downcast_ref::<ParseParamError>() {
        return bad_parameter(error.name);
    }
    if let Some(error) = error.downcast_ref::<ParsePathError>() {
        return bad_parameter(error.name);
    }
    if error.is::<ContentTypeError>() {
        return wrong_content_type();
    }
    if error.is::<ParseRequestPayloadError>() || error.is::<ParseMultipartError>() {
        return broken_body();
    }
    if error.is::<AuthorizationError>() {
        return super::security::not_signed_in();
    }
    if matches!(error.downcast_ref::<ReadBodyError>(), Some(ReadBodyError::Utf8(_))) {
        return broken_body();
    }
    by_status(error)
}

/// What is left: the framework's rarer errors. Their words may quote the request and are kept to ourselves.
fn by_status(error: &poem::Error) -> Problem {
    match error.status() {
        StatusCode::NOT_FOUND => not_found(),
        StatusCode::METHOD_NOT_ALLOWED => method_not_allowed(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => wrong_content_type(),
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too large", "The body is too large.")
        }
        status if status.is_client_error() => Problem::new(
            status,
            "bad-request",
            "Not understood",
            "The request is not one that is understood here.",
        ),
        _ => {
            tracing::error!(%error, "a request failed");
            internal()
        }
    }
}

/// A handler panicked. What it said may hold personal data and is not logged.
pub(super) fn panicked() -> Problem {
    tracing::error!("a handler panicked");
    internal()
}

fn internal() -> Problem {
    let detail = "This is our fault. If it happens again, tell us the X-Request-Id of this answer.";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something broke", detail)
}

pub(super) fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not-found", "Not found", "There is nothing at this address.")
}

fn method_not_allowed() -> Problem {
    let detail = "This address does not know the method; `Allow` lists those that it knows.";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Not this method", detail)
}

/// 415: a body of another kind than the operation takes, or none.
pub(super) fn wrong_content_type() -> Problem {
    let detail = "Send the body with the `Content-Type` that the document names for this operation.";
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "wrong-content-type", "Not this content type", detail)
}

/// The name is the parameter's own; for a parameter of the path the framework has only a number.
fn bad_parameter(name: &str) -> Problem {
    let detail = match name.strip_prefix("param") {
        Some(_) => "A part of the path does not have the form that the document gives.".to_owned(),
        None => format!("The parameter `{name}` does not have the form that the document gives."),
    };
    Problem::new(StatusCode::BAD_REQUEST, "bad-parameter", "A parameter is wrong", detail)
}

/// 400: what came is no body of the kind that it says it is.
pub(super) fn broken_body() -> Problem {
    let detail = "The body is not of the kind that its `Content-Type` names, or broke off.";
    Problem::new(StatusCode::BAD_REQUEST, "broken-body", "The body can't be read", detail)
}

/// 400: the body is no JSON.
pub(super) fn malformed_json(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed-json", "The body is not JSON", detail)
}

/// 413.
pub(super) fn too_large(limit: usize) -> Problem {
    let detail = format!("The body may have at most {limit} bytes.");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too large", detail)
}

/// 408.
pub(super) fn body_too_slow() -> Problem {
    let detail = "The body did not arrive in time. Nothing was changed.";
    Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "Too slow", detail)
}

/// 503: an operation took so long that it was given up.
pub(super) fn took_too_long() -> poem::Error {
    tracing::error!("a request took too long and was given up");
    unavailable_for_now()
}

/// 403: another site's page tries to act with the session of ours.
pub(super) fn foreign_origin() -> Problem {
    let detail = "With a session's cookie only our own pages may change anything.";
    Problem::new(StatusCode::FORBIDDEN, "foreign-origin", "From a foreign page", detail)
}

/// 421: a service of this machine only, asked for under a name that is not this machine's.
pub(super) fn misdirected() -> Problem {
    let detail = "This service is for this machine only and is not known under that name.";
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "unknown-host", "Not this host", detail)
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
    fn the_frameworks_errors_become_problems_with_their_status() {
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
    async fn what_the_framework_quotes_is_not_passed_on() {
        let error = ParseParamError { name: "limit", reason: "failed at `secret`".into() };
        let body = answered(error).into_body().into_string().await.unwrap();
        assert!(body.contains("limit") && !body.contains("secret"), "{body}");
    }

    #[test]
    fn what_was_made_as_an_answer_stays_as_it_is() {
        let teapot = poem::Error::from_response(StatusCode::IM_A_TEAPOT.into());
        assert_eq!(answered(teapot).status(), StatusCode::IM_A_TEAPOT);
    }

    #[test]
    fn allow_names_head_beside_get() {
        assert_eq!(allow([Method::POST, Method::GET]), "GET, HEAD, POST");
        assert_eq!(allow([Method::DELETE]), "DELETE");
    }
}
