//! A store for unit tests.

use std::ops::Deref;

use tempfile::TempDir;

use super::{Access, Schema, Store};

/// A store in a temporary folder, which is deleted when this is dropped. It dereferences to [`Store`]; its clones are
/// plain stores.
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
