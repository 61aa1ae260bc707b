//! Refusals as RFC 9457 `application/problem+json`.

use std::marker::PhantomData;
use std::time::Duration;

use poem::http::StatusCode;
use poem::{IntoResponse, Response};
use poem_openapi::payload::Payload;
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, MetaSchemaRef, Registry};
use poem_openapi::types::{ToJSON, Type};
use poem_openapi::{ApiResponse, Object};

use super::metered::seconds;
use crate::kernel::FieldError;
use crate::platform::store::StoreError;

/// Why a request was refused, for people and for programs (RFC 9457).
#[derive(Clone, Debug, Object)]
pub struct Problem {
    /// Names the kind of refusal and never changes: `/problems/…`.
    #[oai(rename = "type")]
    kind: String,
    /// The kind in a few words.
    title: String,
    /// The HTTP status again.
    status: u16,
    /// What happened and what to do.
    detail: String,
    /// Every fault of the input, where the input is what is wrong.
    #[oai(skip_serializing_if_is_none)]
    errors: Option<Vec<ProblemFieldError>>,
}

/// One fault of an input.
#[derive(Clone, Debug, Object)]
#[oai(rename = "FieldError")]
pub struct ProblemFieldError {
    /// JSON pointer to what is wrong.
    pointer: String,
    /// A stable word for programs.
    code: String,
    /// A sentence for people.
    detail: String,
}

impl Problem {
    /// A refusal of the kind `/problems/<slug>`.
    pub fn new(status: StatusCode, slug: &str, title: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("/problems/{slug}"),
            title: title.into(),
            status: status.as_u16(),
            detail: detail.into(),
            errors: None,
        }
    }

    /// The same with the faults of the input.
    pub fn with_faults(mut self, faults: impl IntoIterator<Item = FieldError>) -> Self {
        let faults = faults.into_iter();
        self.errors = Some(
            faults
                .map(|f| ProblemFieldError { pointer: f.pointer, code: f.code.into(), detail: f.detail })
                .collect(),
        );
        self
    }
}

impl From<Problem> for poem::Error {
    fn from(problem: Problem) -> Self {
        Self::from_response(ProblemJson(problem).into_response())
    }
}

/// A [`Problem`] as a body.
#[derive(Clone, Debug)]
pub struct ProblemJson(pub Problem);

impl Payload for ProblemJson {
    const CONTENT_TYPE: &'static str = "application/problem+json";

    fn schema_ref() -> MetaSchemaRef {
        Problem::schema_ref()
    }

    fn register(registry: &mut Registry) {
        Problem::register(registry);
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        ProblemJson(self).into_response()
    }
}

impl IntoResponse for ProblemJson {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).expect("made from a status");
        Response::builder().status(status).content_type(Self::CONTENT_TYPE).body(self.0.to_json_string())
    }
}

impl ApiResponse for ProblemJson {
    fn meta() -> MetaResponses {
        let content = vec![MetaMediaType { content_type: Self::CONTENT_TYPE, schema: Self::schema_ref() }];
        let response =
            MetaResponse { description: "", status: None, status_range: None, content, headers: vec![] };
        MetaResponses { responses: vec![response] }
    }

    fn register(registry: &mut Registry) {
        Problem::register(registry);
    }
}

/// What an operation answers when it doesn't do it: its own refusals `R`, which its document lists, or one of
/// those that nearly all operations share and that `spec.rs` adds.
///
/// `?` makes it from a use case's error enum: `impl From<SignInError> for Failure<SignInRefused>` maps that enum
/// exhaustively.
pub struct Failure<R>(poem::Error, PhantomData<fn() -> R>);

impl<R> Failure<R> {
    /// A shared refusal: [`unavailable`], [`too_many`], [`invalid`].
    pub fn shared(error: poem::Error) -> Self {
        Self(error, PhantomData)
    }
}

impl<R: Into<poem::Error>> From<R> for Failure<R> {
    fn from(refused: R) -> Self {
        Self(refused.into(), PhantomData)
    }
}

impl<R> From<Failure<R>> for poem::Error {
    fn from(failure: Failure<R>) -> Self {
        failure.0
    }
}

impl<R: ApiResponse> ApiResponse for Failure<R> {
    fn meta() -> MetaResponses {
        R::meta()
    }

    fn register(registry: &mut Registry) {
        R::register(registry);
    }
}

/// 422 with every fault at once.
pub fn invalid(faults: impl IntoIterator<Item = FieldError>) -> poem::Error {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "invalid",
        "Something in the body is wrong",
        "Mend what `errors` names and send it again.",
    )
    .with_faults(faults)
    .into()
}

/// 429: come back after `retry_after`.
pub fn too_many(retry_after: Duration) -> poem::Error {
    let seconds = seconds(retry_after).max(1);
    let problem = Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too-many-requests",
        "Too many tries",
        format!("Try again in {seconds} s."),
    );
    let mut response = ProblemJson(problem).into_response();
    response.headers_mut().insert("retry-after", seconds.into());
    poem::Error::from_response(response)
}

/// How soon it is worth while to ask a store again that was away: elections and restarts take some seconds.
const STORE_BACK: Duration = Duration::from_secs(5);

/// How soon it is worth while to stand in line again: it was longer than the ten seconds that one stands there.
const LINE_SHORTER: Duration = Duration::from_secs(10);

/// 503: the store can't answer now. What it said goes to the log.
pub fn unavailable(error: StoreError) -> poem::Error {
    tracing::error!(%error, "the store failed");
    match error {
        StoreError::Failed(_) | StoreError::TooSlow => busy(STORE_BACK),
        StoreError::Busy => busy(LINE_SHORTER),
        _ => unavailable_for_now(),
    }
}

/// The same where what failed has been logged.
pub(super) fn unavailable_for_now() -> poem::Error {
    busy(Duration::from_secs(1))
}

/// 503: more is asked for than can be done at once; come back after `retry_after`.
pub fn busy(retry_after: Duration) -> poem::Error {
    let problem = Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "unavailable",
        "Not available now",
        "It could not be done now, or not be confirmed. Try again in a moment.",
    );
    let mut response = ProblemJson(problem).into_response();
    response.headers_mut().insert("retry-after", seconds(retry_after).max(1).into());
    poem::Error::from_response(response)
}
