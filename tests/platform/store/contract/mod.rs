//! The rules that hold on every database.

mod transactions;

use super::fresh;
