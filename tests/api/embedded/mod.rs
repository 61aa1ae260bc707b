//! What only the embedded parts have. Everything else runs on the real parts, too (`scripts/test`, step `api-real`):
//! this module is the whole list of what doesn't, and why.
//!
//! - `sandbox`: Stripe shows a checkout page of its own.
//! - `outbox`: emails that really leave are not shown in the browser.
//! - `traces`: the program itself is run, and it starts on nothing else without servers.

mod outbox;
mod sandbox;
mod traces;
