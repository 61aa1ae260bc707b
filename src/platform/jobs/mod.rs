//! Durable jobs: recorded in the transaction that causes them, carried out at least once by subscribers.
//!
//! A service calls [`Tx::enqueue`](crate::platform::store::Tx::enqueue) in its transaction; after the commit
//! [`Workers`] are woken, in every process. They *claim* what is due (a lease of [`LEASE`] under a token of their
//! own, renewed while the subscriber works) and *settle* it when the subscriber has ended: done, waiting again after
//! a while, or dead for an administrator to look at. All of it happens in transactions that compare the token, so any number
//! of processes may work on one store, and a lease that runs out is all that is ever seen of a crash.
//!
//! To add a job: a [`Payload`] (ids only), a [`Subscriber`] for it, and a line in the feature's `mod.rs`. A job that
//! repeats is a [`Cron`] there. [`Jobs`] is for operators.

mod cron;
mod model;
pub mod queue;
mod service;
mod subscriber;
mod sweep;
mod trace;
mod workers;

pub use cron::{Cron, Crons};
pub use model::{Job, JobState, LEASE, Payload};
pub use service::{Count, Jobs, TendError};
pub use subscriber::{JobError, Run, Subscriber, Subscribers};
pub use sweep::{Sweep, sweep};
pub use trace::traced;
pub use workers::{Running, Workers};

use crate::platform::store::{Schema, schema};

/// The topic that wakes workers.
pub const TOPIC: &str = "jobs";

/// The documents kept here.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<Job>()]
}
