//! MongoDB, tested by the contract.

#[path = "../contract/mod.rs"]
mod contract;

mod abandoned;
mod copies;
mod native;
mod outages;
mod starts;

use std::ops::Deref;

use orientation::kernel::{Ids, RandomIds};
use orientation::platform::store::{Access, Store};

use super::things::schemas;
use crate::servers;

/// A store in a database for one test, which is dropped at its end.
pub struct Fresh {
    store: Store,
    /// Dropped after the store.
    database: Database,
}

impl Deref for Fresh {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl Fresh {
    /// The address of its database.
    pub fn address(&self) -> &str {
        &self.database.address
    }
}

/// An empty store that knows the tests' documents.
pub async fn fresh() -> Fresh {
    let database = Database::new();
    let store = database.open().await;
    store.prepare(&schemas()).await.unwrap();
    Fresh { store, database }
}

/// A database for one test on the tests' server.
pub struct Database {
    pub address: String,
    name: String,
}

impl Database {
    pub fn new() -> Self {
        let name = format!("test-{}", RandomIds.next());
        Self { address: servers::mongodb_database(&name), name }
    }

    pub async fn open(&self) -> Store {
        Store::mongo(&self.address, Access::Serving).await.unwrap()
    }

    /// The database through the driver.
    pub async fn raw(&self) -> mongodb::Database {
        mongodb::Client::with_uri_str(&self.address).await.unwrap().database(&self.name)
    }
}

impl Drop for Database {
    /// On another thread: the test's runtime may be ending.
    fn drop(&mut self) {
        let (address, name) = (self.address.clone(), self.name.clone());
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let client = mongodb::Client::with_uri_str(&address).await.unwrap();
                let _ = client.database(&name).drop().await;
                client.shutdown().immediate(true).await;
            });
        });
        let _ = dropping.join();
    }
}
