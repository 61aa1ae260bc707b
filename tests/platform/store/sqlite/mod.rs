//! SQLite under the contract.

#[path = "../contract/mod.rs"]
mod contract;

mod access;
mod batches;
mod kills;

use std::ops::Deref;
use std::path::PathBuf;

use orientation::platform::store::{Access, Store};

use super::things::schemas;
use crate::scratch::Scratch;

/// A store of its own for one test.
pub struct Fresh {
    store: Store,
    folder: Scratch,
}

impl Deref for Fresh {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl Fresh {
    pub fn path(&self) -> PathBuf {
        self.folder.join("test.db")
    }

    /// Closes the store; its folder is still there.
    pub fn close(self) -> Scratch {
        self.folder
    }
}

/// An empty store that knows the tests' documents.
pub async fn fresh() -> Fresh {
    let folder = Scratch::new();
    let store = Store::sqlite(&folder.join("test.db"), Access::Serving).unwrap();
    store.prepare(&schemas()).await.unwrap();
    Fresh { store, folder }
}
