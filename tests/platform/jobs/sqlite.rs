//! Jobs on SQLite.

#[path = "contract/mod.rs"]
mod contract;

use orientation::platform::store::{Access, Store};

use crate::scratch::Scratch;

/// An empty store; its folder lives as long as the second part.
fn fresh() -> (Store, Scratch) {
    let folder = Scratch::new();
    (Store::sqlite(&folder.join("test.db"), Access::Serving).unwrap(), folder)
}
