//! The contracts of the platform, kept by every adapter. One binary, because each test binary links every dependency.

#![expect(clippy::duplicate_mod, reason = "a contract is compiled once for each adapter that keeps it")]

mod administrators;
mod audit;
mod base;
#[path = "../doubles/mod.rs"]
mod doubles;
mod gateway;
mod jobs;
#[path = "../leaders/mod.rs"]
mod leaders;
mod mail;
#[path = "../servers/mod.rs"]
mod servers;
mod signals;
mod store;
