//! Jobs on SQLite.

#[path = "contract/mod.rs"]
mod contract;

use orientation::platform::store::{Access, Store};

use tempfile::TempDir;

/// An empty store; its folder lives as long as the second part.
async fn fresh() -> (Store, TempDir) {
    let folder = TempDir::new().unwrap();
    (Store::sqlite(&folder.path().join("test.db"), Access::Serving).unwrap(), folder)
}
