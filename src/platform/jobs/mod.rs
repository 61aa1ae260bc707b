//! Durable jobs: recorded in the transaction that causes them, carried out at least once by subscribers.
//!
//! A service calls [`Tx::enqueue`](crate::platform::store::Tx::enqueue) in its transaction; after the commit
//! [`Workers`] are woken, in every process. They *claim* jobs that are due (a lease of [`LEASE`] under a unique
//! token, renewed while the subscriber works) and *settle* them when the subscriber has ended: done, waiting for a
//! retry, or dead until an operator looks at it. Every step is a transaction that compares the token, so any number
//! of processes may work on one store, and a crash shows only as a lease that expires.
//!
//! To add a job: a [`Payload`] (ids only), a [`Subscriber`] for it, and a line in the feature's `mod.rs`. Jobs that
//! repeat are a [`Cron`] there. [`Jobs`] is for operators.

mod cron;
mod model;
pub mod queue;
mod service;
mod steps;
mod subscriber;
mod sweep;
mod trace;
mod workers;

pub use cron::{Cron, Crons};
pub use model::{JOB_DROPPED, JOB_RETRIED, Job, JobState, LEASE, Payload};
pub use service::{ChangeError, Count, Dropped, Jobs, KindStats, Percentiles};
pub use steps::{Progress, Steps};
pub use subscriber::{JobError, Run, Subscriber, Subscribers};
pub use sweep::{Sweep, sweep};
pub use workers::{Running, Workers};

use crate::platform::store::{Schema, schema};

/// The signal topic that wakes workers.
pub const TOPIC: &str = "jobs";

/// The documents of this module.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<Job>()]
}
