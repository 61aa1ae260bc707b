//! The rules that every store keeps.

mod crons;
mod operators;
mod queue;
mod workers;

use super::fresh;
