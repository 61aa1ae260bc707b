//! The audit log on SQLite.

#[path = "contract/mod.rs"]
mod contract;

use orientation::platform::store::{Access, Store};
use tempfile::TempDir;

use crate::audit::log::Log;

/// An empty log.
async fn fresh() -> Log {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("test.db");
    let store = Store::sqlite(&path, Access::Serving).unwrap();
    let other = Store::sqlite(&path, Access::Beside).unwrap();
    Log::on(store, other, folder).await
}
