//! What the platform promises, held by every adapter: one binary, since each links the world.

#![expect(clippy::duplicate_mod, reason = "a contract is compiled once for each adapter that keeps it")]

mod base;
#[path = "../doubles/mod.rs"]
mod doubles;
mod gateway;
mod jobs;
mod mail;
#[path = "../servers/mod.rs"]
mod servers;
mod signals;
mod store;
