//! What the job engine promises, on every store: `contract/` is compiled once for each, with that store's `fresh()`
//! above it.

mod bell;
mod mongo;
mod sqlite;
