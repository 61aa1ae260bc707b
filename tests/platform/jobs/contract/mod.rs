//! The rules that hold on every store.

mod crons;
mod queue;
mod tending;
mod workers;

use super::fresh;
