//! Kinds of refusal that all features share, and their problems.

use std::time::Duration;

use super::problem::{Examples, Kind, Problem, Refusal};
use crate::kernel::{FieldError, Invalid, Scope};
use crate::platform::idempotency::OnceError;
use crate::platform::signals::TooMany;
use crate::platform::store::{PageError, Stale, StoreError};

const BAD_CURSOR: Kind = Kind::new(400, "bad-cursor", "Invalid cursor");
const BAD_PARAMETER: Kind = Kind::new(400, "bad-parameter", "Invalid parameter");
const BROKEN_BODY: Kind = Kind::new(400, "broken-body", "Unreadable body");
const MALFORMED_JSON: Kind = Kind::new(400, "malformed-json", "Malformed JSON");
const NOT_SIGNED_IN: Kind = Kind::new(401, "not-signed-in", "Not signed in");
const API_KEY_INVALID: Kind = Kind::new(401, "api-key-invalid", "Invalid API key");
const FOREIGN_ORIGIN: Kind = Kind::new(403, "foreign-origin", "Cross-origin request");
const SCOPE_MISSING: Kind = Kind::new(403, "scope-missing", "Missing scope");
const NOT_APPROVED: Kind = Kind::new(403, "not-approved", "Not approved yet");
const MUST_ENROL: Kind = Kind::new(403, "second-factor-required", "Second factor required");
const LEADERS_ONLY: Kind = Kind::new(403, "leaders-only", "Leaders only");
const STUDENTS_ONLY: Kind = Kind::new(403, "students-only", "Students only");
const NOT_FOUND: Kind = Kind::new(404, "not-found", "Not found");
const METHOD_NOT_ALLOWED: Kind = Kind::new(405, "method-not-allowed", "Method not allowed");
const TOO_SLOW: Kind = Kind::new(408, "too-slow", "Request timed out");
const STALE: Kind = Kind::new(412, "stale", "Changed in the meantime");
const TOO_LARGE: Kind = Kind::new(413, "too-large", "Body too large");
const WRONG_CONTENT_TYPE: Kind = Kind::new(415, "wrong-content-type", "Unsupported content type");
const UNKNOWN_HOST: Kind = Kind::new(421, "unknown-host", "Unknown host");
const IDEMPOTENCY_KEY_REUSED: Kind = Kind::new(422, "idempotency-key-reused", "Idempotency key already used");
const INVALID: Kind = Kind::new(422, "invalid", "Invalid body");
const IF_MATCH_MISSING: Kind = Kind::new(428, "if-match-missing", "Missing If-Match");
const TOO_MANY_REQUESTS: Kind = Kind::new(429, "too-many-requests", "Too many requests");
const INTERNAL: Kind = Kind::new(500, "internal", "Internal error");
const UNAVAILABLE: Kind = Kind::new(503, "unavailable", "Temporarily unavailable");

/// Kinds that the document lists for many operations. A response with only these is a component of the document.
pub(super) const SHARED: &[Kind] = &[
    BAD_CURSOR,
    BAD_PARAMETER,
    BROKEN_BODY,
    MALFORMED_JSON,
    NOT_SIGNED_IN,
    API_KEY_INVALID,
    FOREIGN_ORIGIN,
    SCOPE_MISSING,
    NOT_APPROVED,
    MUST_ENROL,
    LEADERS_ONLY,
    STUDENTS_ONLY,
    TOO_SLOW,
    STALE,
    TOO_LARGE,
    WRONG_CONTENT_TYPE,
    UNKNOWN_HOST,
    IDEMPOTENCY_KEY_REUSED,
    INVALID,
    IF_MATCH_MISSING,
    TOO_MANY_REQUESTS,
    UNAVAILABLE,
];

/// Time to wait before retrying after a database failure: a restart or an election takes a few seconds.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Time to wait before retrying after a timeout in the database's queue, which is also 10 seconds.
const AFTER_QUEUE_TIMEOUT: Duration = Duration::from_secs(10);

/// 400: the cursor of a list is not one that this list returned.
fn bad_cursor() -> Problem {
    BAD_CURSOR.says("Send `nextCursor` of the previous page of the same list, unchanged, as `cursor`.")
}

/// 400: a query or header parameter with this name is invalid, or a path parameter, which the framework only numbers.
pub(super) fn bad_parameter(name: &str) -> Problem {
    BAD_PARAMETER.says(match name.strip_prefix("param") {
        Some(_) => "A path parameter is not in the documented format.".to_owned(),
        None => format!("The parameter `{name}` is not in the documented format."),
    })
}

/// 400: a query parameter with this name has the documented format, and can't be used for the reason in `detail`.
pub fn invalid_parameter(name: &str, detail: &str) -> Problem {
    BAD_PARAMETER.says(format!("The parameter `{name}` can't be used. {detail}"))
}

/// 400: the connection broke, or the bytes are not what the content type says.
pub(super) fn broken_body() -> Problem {
    BROKEN_BODY.says("The body is incomplete, or is not what its `Content-Type` says.")
}

/// 400. `detail` says where the JSON is malformed.
pub(super) fn malformed_json(detail: impl Into<Box<str>>) -> Problem {
    MALFORMED_JSON.says(detail)
}

/// A client error of the framework without a kind.
pub(super) fn bad_request(status: u16) -> Problem {
    Kind::new(status, "bad-request", "Bad request").says("The server does not understand the request.")
}

/// 400: the `Host` header is missing or repeated.
pub(super) fn bad_host() -> Problem {
    Kind::new(400, "bad-request", "Bad request").says("A request needs exactly one `Host` header.")
}

/// 401.
pub fn not_signed_in() -> Problem {
    NOT_SIGNED_IN.says("Sign in first: there is no session, or it has expired.")
}

/// 401: the request has an API key.
pub(super) fn api_key_invalid() -> Problem {
    API_KEY_INVALID.says(
        "This API key is malformed, unknown, expired or revoked. An administrator can create a new one.",
    )
}

/// 403: a page of another site tries to use the visitor's session.
pub(super) fn foreign_origin() -> Problem {
    FOREIGN_ORIGIN.says(
        "Cross-origin request: requests that carry the session cookie are accepted from our own pages only.",
    )
}

/// 403.
pub fn scope_missing(scope: Scope) -> Problem {
    SCOPE_MISSING.says(format!("This needs the scope `{scope}`, which an administrator can grant."))
}

/// 403: a leader without approval holds no scopes yet.
pub(super) fn not_approved() -> Problem {
    NOT_APPROVED.says("The committee has not approved your account. You will get an email when it does.")
}

/// 403: the event demands a second factor of administrators, and this one has none.
pub(super) fn must_enrol() -> Problem {
    MUST_ENROL
        .says("Administrators need a second factor. Set one up with `enrolTotp` and `confirmTotp` first.")
}

/// 403.
pub(super) fn leaders_only() -> Problem {
    LEADERS_ONLY.says("This is for leaders.")
}

/// 403.
pub(super) fn students_only() -> Problem {
    STUDENTS_ONLY.says("This is for students; leaders have no registration form.")
}

/// 404: no operation or page has this path.
pub(super) fn not_found() -> Problem {
    NOT_FOUND.says("There is nothing at this address.")
}

/// 405.
pub(super) fn method_not_allowed() -> Problem {
    METHOD_NOT_ALLOWED.says("This address does not support the method. `Allow` lists those that it supports.")
}

/// 408.
pub(super) fn body_too_slow() -> Problem {
    TOO_SLOW.says("The body did not arrive in time. Nothing was changed.")
}

/// 413.
pub(super) fn too_large(limit: usize) -> Problem {
    TOO_LARGE.says(format!("The body can have at most {limit} bytes."))
}

/// 415: the operation does not support the body's content type.
pub(super) fn wrong_content_type() -> Problem {
    WRONG_CONTENT_TYPE.says("Send the body with a `Content-Type` that the document lists for this operation.")
}

/// 421: the `Host` header of a request to a loopback service doesn't name the loopback interface.
pub(super) fn misdirected() -> Problem {
    UNKNOWN_HOST
        .says("This service listens on loopback only, and the request's `Host` header names something else.")
}

/// 422 with all validation errors.
pub fn invalid(errors: Vec<FieldError>) -> Problem {
    INVALID.says("Fix the fields listed in `errors` and try again.").with_errors(errors)
}

/// 428: the operation edits what others may edit at the same time.
pub(super) fn if_match_missing() -> Problem {
    IF_MATCH_MISSING.says("Send the `ETag` of the version that you edited as `If-Match`.")
}

/// 429.
pub fn too_many(error: TooMany) -> Problem {
    let seconds = super::metered::seconds(error.retry_after).max(1);
    TOO_MANY_REQUESTS.says(format!("Try again in {seconds} s.")).retry_after(error.retry_after)
}

/// 500. Logs `error`.
pub fn internal(error: impl std::fmt::Display) -> Problem {
    INTERNAL
        .says("This is our fault. If it happens again, report the `X-Request-Id` of this response.")
        .because(error)
}

/// 503: the store failed. Logs its error.
pub fn unavailable(error: StoreError) -> Problem {
    let wait = match error {
        StoreError::Failed(_) | StoreError::TooSlow => AFTER_FAILURE,
        StoreError::Busy => AFTER_QUEUE_TIMEOUT,
        _ => Duration::from_secs(1),
    };
    busy(wait).because(error)
}

/// 503: nothing is broken, but the request can't be served before `retry_after`.
pub fn busy(retry_after: Duration) -> Problem {
    UNAVAILABLE
        .says("The request could not be completed or confirmed. Try again in a moment.")
        .retry_after(retry_after)
}

impl Refusal for StoreError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::Busy])
    }

    fn problem(self) -> Problem {
        unavailable(self)
    }
}

impl Refusal for PageError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::BadCursor]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::BadCursor => bad_cursor(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for Stale {
    fn examples() -> Examples<Self> {
        Examples::of([Self])
    }

    fn problem(self) -> Problem {
        STALE.says("Somebody else changed this after you read it. Read it again, and repeat your edit on the new version.")
    }
}

impl Refusal for OnceError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::KeyReused]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::KeyReused => IDEMPOTENCY_KEY_REUSED
                .says("You have sent another request with this `Idempotency-Key`. Send each new request with a new key."),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for TooMany {
    fn examples() -> Examples<Self> {
        Examples::of([Self { retry_after: Duration::from_secs(30) }])
    }

    fn problem(self) -> Problem {
        too_many(self)
    }
}

impl Refusal for Invalid {
    fn examples() -> Examples<Self> {
        Examples::of([FieldError::new("/email", "missing", "This property is required.").into()])
    }

    fn problem(self) -> Problem {
        invalid(self.0)
    }
}
