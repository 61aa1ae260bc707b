//! The audit log on MongoDB.

#[path = "contract/mod.rs"]
mod contract;

use crate::audit::log::Log;
use crate::store::mongo::Database;

/// An empty log.
async fn fresh() -> Log {
    let database = Database::new();
    Log::on(database.open().await, database.open().await, database).await
}
