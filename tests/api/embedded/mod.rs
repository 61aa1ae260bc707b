//! What only the embedded adapters have. All other tests run on the real adapters, too (`scripts/test`, step
//! `api-real`). These don't, because:
//!
//! - `sandbox`: Stripe shows its own checkout page;
//! - `demo` and `rehearse`: they read the outbox;
//! - `mailings`: it reads whole messages, which the test server of SES does not show;
//! - `outbox`: emails that are really sent are not shown in the browser, and SES takes no address that isn't ASCII before
//!   the `@`;
//! - `traces`: it runs the shipped program, which without servers has the embedded adapters only.

mod demo;
mod mailings;
mod outbox;
mod rehearse;
mod sandbox;
mod traces;
