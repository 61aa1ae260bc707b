//! Jobs on MongoDB.

#[path = "contract/mod.rs"]
mod contract;

use orientation::platform::store::Store;

use crate::store::mongo::Database;

/// An empty store; its database lives as long as the second part.
async fn fresh() -> (Store, Database) {
    let database = Database::new();
    (database.open().await, database)
}
