//! The contract of the store.
//!
//! `contract/` is the same for every adapter: it is compiled once for each as a module of its own, with that
//! adapter's `fresh()` above it, so that every rule is a test with a name per adapter. What only one adapter can
//! be asked stands beside its `fresh()`.

pub mod mongo;
mod sqlite;
mod things;
