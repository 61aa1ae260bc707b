//! What only the embedded adapters have. All other tests run on the real adapters, too (`scripts/test`, step
//! `api-real`). These don't, because:
//!
//! - `sandbox`: Stripe shows its own checkout page;
//! - `outbox`: emails that are really sent are not shown in the browser, and SES takes no address that isn't ASCII before
//!   the `@`;
//! - `traces`: it runs the shipped program, which without servers has the embedded adapters only.

mod outbox;
mod sandbox;
mod traces;
