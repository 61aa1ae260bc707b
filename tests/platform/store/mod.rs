//! The contract of the store.
//!
//! `contract/` is the same for every adapter: it is compiled once for each as a module of its own, with that
//! adapter's `fresh()` above it, so that every rule is a test with a name per adapter. Tests of a single adapter are
//! beside its `fresh()`.

pub mod mongo;
mod sqlite;
mod things;
