//! What happens when the program crashes: between any two steps, at any moment, and when it is asked to stop.
//!
//! Each test runs the real program, built with the crash points of `kernel::faults`, with its own folder and port, and
//! calls it over HTTP as students do. Between two runs of the program, and at the end, the test reads the store.

mod acknowledged;
#[path = "../answers/mod.rs"]
mod answers;
mod audit;
mod beside;
mod bursaries;
mod changes;
mod configuration;
#[path = "../doubles/mod.rs"]
mod doubles;
mod emails;
mod endings;
mod fleet;
mod kills;
#[path = "../leaders/mod.rs"]
mod leaders;
mod mailings;
mod moves;
mod points;
mod program;
#[path = "../servers/mod.rs"]
mod servers;
mod students;
mod way;
