//! The HTTP layer: everything about poem that isn't part of a feature.
//!
//! The path of a request: `server` accepts the connection, `pipeline` does what every request needs (its id, the check
//! of its origin, its body within the limits of `limits`), `api` routes it to an operation or a page, and `payload`,
//! `message` (the body) and `security` (the caller) make the parameters of the operation.
//!
//! A refusal is a `problem`: a feature declares its kinds in its controller, `kinds` has those that belong to no
//! feature, and `errors` translates the framework's errors. `spec` completes the OpenAPI document that the types of the
//! operations describe, and `refusals` lists the problem types in it.

mod api;
mod audience;
mod cookie;
mod docs;
mod edit;
mod errors;
mod etag;
mod formats;
mod idempotency;
mod kinds;
mod limits;
mod listing;
mod merged;
mod message;
mod metered;
mod metrics;
mod origin;
pub mod pages;
mod payload;
mod pipeline;
mod prepared;
mod problem;
mod refusals;
pub mod rights;
mod security;
mod server;
mod spec;
#[cfg(test)]
pub mod testing;
mod text;

pub use api::{Api, ApiParts};
pub use audience::{AudienceBody, AudienceKind};
pub use cookie::HostCookie;
pub use edit::{IfMatch, changed, entity_tag, precondition};
pub use idempotency::IdempotencyKey;
pub use kinds::{
    busy, internal, invalid, invalid_parameter, not_signed_in, scope_missing, too_many, unavailable,
};
pub use limits::ConnectionLimits;
pub use listing::{DateParam, PageBody, PageCursor, PageLimit, TimeParam};
pub use message::{Message, MessageKind};
pub use metered::Metered;
pub use metrics::MetricsPage;
pub use payload::{JsonBody, Rule};
pub use pipeline::ACCESS_LOG;
pub use prepared::{Prepared, PreparedAnswer, PreparedCache, PreparedFile, PreparedPage};
pub use problem::{Examples, Failure, Kind, Problem, Refusal};
pub use security::{
    By, CallerOfCookie, Callers, Client, KeyError, MachineCallers, RenewedCookie, Requirement, Visit,
    Visiting, principal,
};
pub use server::Server;
pub use spec::{Document, Operation};
pub use text::{
    DateText, EmailText, MarkdownBody, MarkdownText, PhoneText, Remark, SearchText, Text, TextFormat,
    TimeText,
};

#[cfg(test)]
mod tests;
