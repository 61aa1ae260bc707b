//! SQLite, tested by the contract.

#[path = "../contract/mod.rs"]
mod contract;

mod access;
mod batches;
mod kills;

use std::ops::Deref;
use std::path::PathBuf;

use orientation::platform::store::{Access, Store};

use super::things::schemas;
use tempfile::TempDir;

/// A store for one test.
pub struct Fresh {
    store: Store,
    folder: TempDir,
}

impl Deref for Fresh {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl Fresh {
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("test.db")
    }

    /// Closes the store; its folder remains.
    pub fn close(self) -> TempDir {
        self.folder
    }
}

/// An empty store that knows the tests' documents.
pub async fn fresh() -> Fresh {
    let folder = TempDir::new().unwrap();
    let store = Store::sqlite(&folder.path().join("test.db"), Access::Serving).unwrap();
    store.prepare(&schemas()).await.unwrap();
    Fresh { store, folder }
}
