//! A store for the unit tests of what stands on it.

use std::ops::Deref;

use tempfile::TempDir;

use super::{Access, Schema, Store};

/// A store in a folder of its own, which goes when this is dropped. A [`Store`] wherever one is asked for; clones are
/// plain ones.
pub struct TestStore {
    store: Store,
    _folder: TempDir,
}

impl TestStore {
    /// A new store with these documents.
    pub async fn with(schemas: &[Schema]) -> Self {
        let folder = TempDir::new().unwrap();
        let store = Store::sqlite(&folder.path().join("store.db"), Access::Serving).unwrap();
        store.prepare(schemas).await.unwrap();
        Self { store, _folder: folder }
    }
}

impl Deref for TestStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}
