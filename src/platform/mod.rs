//! What the features stand on: the store for what must not be lost, signals for what may, letters, and the
//! jobs that carry on what a request has begun.

pub mod jobs;
pub mod keys;
pub mod mail;
pub mod memory;
pub mod metrics;
pub mod signals;
pub mod store;
pub mod tls;
pub mod traces;
