//! One place for everything of poem that is not a feature.

pub mod pages;
mod payload;
mod problem;
mod security;

pub use payload::Written;
pub use problem::{Failure, Problem, ProblemJson, invalid, too_many, unavailable};
pub use security::{Caller, Client, Role, SessionReader, SignedIn, Student};
