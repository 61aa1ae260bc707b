//! What happens when the program dies: at each step between two others, at any moment, and when it is told to stop.
//!
//! Each test runs the real program, built with the crash points of `kernel::faults`, on a folder and a port of its
//! own, and asks it over HTTP as students do. Between two lives of the program, and at the end, the store itself is
//! looked into.

mod acknowledged;
mod audit;
mod beside;
mod configuration;
#[path = "../doubles/mod.rs"]
mod doubles;
mod emails;
mod endings;
mod fleet;
mod kills;
mod points;
mod program;
#[path = "../servers/mod.rs"]
mod servers;
mod students;
mod way;
