//! One place for everything of poem that is not a feature.
//!
//! The way of a request: `server` takes the connection, `pipeline` does what is done for every request (its id, the
//! check of its origin, its body within the limits of `limits`), `api` leads it to an operation or a page, and
//! what the operation takes is made by `payload` (the body) and `security` (the caller). What goes wrong on the way
//! becomes a problem in `errors`. `spec` makes the document whole that the operations' types describe.

mod api;
mod cookie;
mod docs;
mod errors;
mod limits;
mod metered;
mod metrics;
mod origin;
pub mod pages;
mod payload;
mod pipeline;
mod problem;
mod remark;
mod security;
mod server;
mod spec;

pub use api::{Api, ApiParts};
pub use cookie::SessionCookie;
pub use limits::ConnectionLimits;
pub use metered::Metered;
pub use metrics::MetricsPage;
pub use payload::{JsonBody, Rule};
pub use pipeline::ACCESS_LOG;
pub use problem::{Failure, Problem, ProblemJson, busy, invalid, too_many, unavailable};
pub use remark::Remark;
pub use security::{
    Caller, Client, Granted, Presented, Right, Role, SessionReader, SignedIn, Student, not_signed_in,
    signed_in,
};
pub use server::Server;
pub use spec::{Document, Operation};

#[cfg(test)]
mod tests;
