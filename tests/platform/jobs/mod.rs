//! The contract of the job engine: `contract/` is compiled once for each store, with that store's `fresh()` above it.

mod bell;
mod mongo;
mod sqlite;
