//! The base of a feature, on a store of one test.

use std::collections::BTreeMap;
use std::sync::Arc;

use orientation::base::Base;
use orientation::config::Config;
use orientation::kernel::{Clock, RandomIds};
use orientation::platform::keys;
use orientation::platform::store::{Schema, Store};

/// The shipped event and no rate limits, on `store` with these collections.
pub async fn base(store: Store, schemas: Vec<Schema>, clock: Arc<dyn Clock>) -> Base {
    configured(shipped(), store, schemas, clock).await
}

/// [`base`] with another configuration.
pub async fn configured(config: Config, store: Store, schemas: Vec<Schema>, clock: Arc<dyn Clock>) -> Base {
    store.prepare(&[schemas, keys::schemas()].concat()).await.expect("the store is new");
    Base::open(&config, store, clock, Arc::new(RandomIds)).await.expect("nothing is needed")
}

/// The shipped configuration without rate limits.
pub fn shipped() -> Config {
    let mut config = Config::from_env(&BTreeMap::new()).expect("nothing is needed");
    config.limits = 0.0;
    config
}
