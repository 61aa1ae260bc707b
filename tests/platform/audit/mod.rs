//! The contract of the audit log: `contract/` is compiled once for each store, with that store's `fresh()` above it.

mod log;
mod mongo;
mod sqlite;
