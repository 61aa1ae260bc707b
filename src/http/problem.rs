//! Refusals as RFC 9457 `application/problem+json`: their kinds, and how the error of a use case becomes one.

use std::fmt::Display;
use std::marker::PhantomData;
use std::time::Duration;

use poem::http::{HeaderName, StatusCode, header};
use poem::{IntoResponse, Response};
use poem_openapi::registry::{MetaHeader, MetaMediaType, MetaResponse, MetaResponses};
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ToJSON, Type};
use poem_openapi::{ApiResponse, Object};
use serde_json::Value;

use super::metered::seconds;
use crate::kernel::FieldError;

/// The content type of every refusal.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// Title of the schema in which [`Failure`] passes the problems of an operation to `refusals`.
pub(super) const PROBLEMS: &str = "x-problems";

/// One kind of refusal. Clients switch on its type, `/problems/<slug>`, so the slug never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The HTTP status.
    pub status: u16,
    /// The last segment of the type.
    pub slug: &'static str,
    /// Summary in a few words, the same for every occurrence.
    pub title: &'static str,
}

impl Kind {
    /// The kind `/problems/<slug>`.
    pub const fn new(status: u16, slug: &'static str, title: &'static str) -> Self {
        Self { status, slug, title }
    }

    /// A problem of this kind. `detail` says what happened and what to do.
    pub fn says(self, detail: impl Into<Box<str>>) -> Problem {
        Problem { kind: self, detail: detail.into(), errors: None, retry_after: None, cause: None }
    }
}

/// A refusal on its way to the client.
#[derive(Clone, Debug)]
pub struct Problem {
    kind: Kind,
    detail: Box<str>,
    errors: Option<Vec<FieldError>>,
    retry_after: Option<Duration>,
    cause: Option<Box<str>>,
}

impl Problem {
    /// Adds the validation errors of the input.
    pub fn with_errors(self, errors: Vec<FieldError>) -> Self {
        Self { errors: Some(errors), ..self }
    }

    /// Adds `Retry-After`: whole seconds, rounded up, at least one.
    pub fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// Logs `error` at level *error* when the problem is sent. The client never sees it.
    pub fn because(self, error: impl Display) -> Self {
        Self { cause: Some(error.to_string().into()), ..self }
    }

    /// The body, as JSON.
    pub(super) fn body(&self) -> Value {
        self.object().to_json().unwrap_or_default()
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether the response has `Retry-After`.
    pub(super) fn can_be_retried(&self) -> bool {
        self.retry_after.is_some()
    }

    fn object(&self) -> ProblemBody {
        let error = |error: &FieldError| ProblemFieldError {
            pointer: error.pointer.clone(),
            code: error.code.into(),
            detail: error.detail.clone(),
        };
        ProblemBody {
            kind: format!("/problems/{}", self.kind.slug),
            title: self.kind.title.into(),
            status: self.kind.status,
            detail: self.detail.to_string(),
            errors: self.errors.as_ref().map(|errors| errors.iter().map(error).collect()),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if let Some(error) = &self.cause {
            tracing::error!(error, problem = self.kind.slug, "a request failed");
        }
        let status = StatusCode::from_u16(self.kind.status).expect("kinds are declared with a real status");
        let mut response = Response::builder()
            .status(status)
            .content_type(PROBLEM_JSON)
            .body(self.object().to_json_string());
        if let Some(wait) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds(wait).max(1).into());
        }
        response
    }
}

impl From<Problem> for poem::Error {
    fn from(problem: Problem) -> Self {
        Self::from_response(problem.into_response())
    }
}

/// Why a request was refused (RFC 9457).
#[derive(Clone, Debug, Object)]
#[oai(rename = "Problem")]
pub(super) struct ProblemBody {
    /// Kind of refusal, `/problems/…`. Never changes.
    #[oai(rename = "type")]
    kind: String,
    /// Summary of the kind.
    title: String,
    /// HTTP status code.
    status: u16,
    /// What happened and what to do about it.
    detail: String,
    /// Validation errors, all at once. Present if the input is invalid.
    #[oai(skip_serializing_if_is_none)]
    errors: Option<Vec<ProblemFieldError>>,
}

/// One validation error.
#[derive(Clone, Debug, Object)]
#[oai(rename = "FieldError")]
struct ProblemFieldError {
    /// JSON pointer (RFC 6901) to the invalid value.
    pointer: String,
    /// Stable code for programs.
    code: String,
    /// Explanation for people.
    detail: String,
}

/// The error of a use case as the interface presents it. The feature's `controller.rs` implements it.
pub trait Refusal: Sized {
    /// At least one error of each kind that [`Refusal::problem`] can return, except `/problems/internal`. The OpenAPI
    /// document lists their kinds and shows their problems as examples.
    fn examples() -> Examples<Self>;

    /// The problem that the client receives. Match exhaustively, so that a new error doesn't compile until it has a
    /// kind. Has no side effects.
    fn problem(self) -> Problem;
}

/// Errors for [`Refusal::examples`].
pub struct Examples<E>(Vec<E>);

impl<E> Examples<E> {
    /// The errors of the use case itself.
    pub fn of(own: impl IntoIterator<Item = E>) -> Self {
        Self(own.into_iter().collect())
    }

    /// Adds those of the error `W`, which `E` wraps.
    pub fn and<W: Refusal>(mut self) -> Self
    where
        E: From<W>,
    {
        self.0.extend(W::examples().0.into_iter().map(E::from));
        self
    }

    /// Their problems.
    pub(super) fn problems(self) -> Vec<Problem>
    where
        E: Refusal,
    {
        self.0.into_iter().map(E::problem).collect()
    }
}

/// The failure of an operation whose use case returns the error `E`. `?` makes it from that error.
pub struct Failure<E>(Problem, PhantomData<fn() -> E>);

impl<E: Refusal> From<E> for Failure<E> {
    fn from(error: E) -> Self {
        Self(error.problem(), PhantomData)
    }
}

impl<E> From<Failure<E>> for poem::Error {
    fn from(failure: Failure<E>) -> Self {
        failure.0.into()
    }
}

impl<E: Refusal> ApiResponse for Failure<E> {
    fn meta() -> MetaResponses {
        let problems = E::examples().problems();
        let mut statuses: Vec<_> = problems.iter().map(|problem| problem.kind.status).collect();
        statuses.sort_unstable();
        statuses.dedup();
        let of = |status| problems.iter().filter(move |problem| problem.kind.status == status);
        MetaResponses { responses: statuses.into_iter().map(|status| response(status, of(status))).collect() }
    }

    fn register(_: &mut Registry) {}
}

/// The refusals of one status, for `refusals` to complete.
fn response<'a>(status: u16, problems: impl Iterator<Item = &'a Problem> + Clone) -> MetaResponse {
    let schema = MetaSchema {
        title: Some(PROBLEMS.into()),
        example: Some(problems.clone().map(Problem::body).collect()),
        ..MetaSchema::new("array")
    };
    let content =
        MetaMediaType { content_type: PROBLEM_JSON, schema: MetaSchemaRef::Inline(Box::new(schema)) };
    let mut problems = problems;
    let headers = problems.any(Problem::can_be_retried).then(|| described(header::RETRY_AFTER));
    MetaResponse {
        description: "",
        status: Some(status),
        status_range: None,
        content: vec![content],
        headers: headers.into_iter().collect(),
    }
}

fn described(name: HeaderName) -> MetaHeader {
    MetaHeader {
        name: name.to_string(),
        description: None,
        required: false,
        deprecated: false,
        schema: u64::schema_ref(),
    }
}
