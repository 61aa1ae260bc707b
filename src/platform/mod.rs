//! What the features are built on: the store for data that must not be lost, signals for data that may be, emails, jobs
//! that finish what a request began, the audit log, keys, and QR codes.

pub mod audit;
pub mod cache;
pub mod idempotency;
pub mod jobs;
pub mod keys;
pub mod mail;
pub mod memory;
pub mod metrics;
pub mod monitoring;
pub mod qr;
pub mod request;
pub mod signals;
pub mod store;
pub mod tls;
pub mod traces;
