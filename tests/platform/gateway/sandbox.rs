//! The sandbox.

#[path = "contract.rs"]
mod contract;

use std::collections::BTreeMap;
use std::sync::Arc;

use orientation::config::Config;
use orientation::features::payments::{self, Button, Gateway, Sandbox};
use orientation::kernel::{ManualClock, RandomIds};
use orientation::platform::jobs;
use orientation::platform::store::{Access, Store};
use tempfile::TempDir;

use super::clock;

/// A gateway, and the means to pay.
struct Till {
    gateway: Arc<dyn Gateway>,
    clock: Arc<ManualClock>,
    sandbox: Arc<Sandbox>,
    _folder: TempDir,
}

impl Till {
    async fn open() -> Self {
        let (folder, clock) = (TempDir::new().expect("a folder"), clock());
        let store = Store::sqlite(&folder.path().join("test.db"), Access::Serving).expect("a store");
        store.prepare(&[payments::schemas(), jobs::schemas()].concat()).await.expect("prepared");
        // Nobody listens there: events stay undelivered.
        let config = Config::from_env(&BTreeMap::new()).expect("the shipped one is good");
        let config = config.with_listen_addr(([127, 0, 0, 1], 1).into());
        let sandbox = Sandbox::start(store, clock.clone(), &RandomIds, &config).await.expect("it starts");
        Self { gateway: sandbox.clone(), clock, sandbox, _folder: folder }
    }

    async fn pay(&self, session: &str) {
        self.sandbox.press(session, Button::Pay).await.expect("open");
    }

    async fn pay_later(&self, session: &str, succeeds: bool) {
        let press = if succeeds { Button::LaterSucceeds } else { Button::LaterFails };
        self.sandbox.press(session, press).await.expect("open");
    }

    /// Carries out what is due by the clock.
    async fn time_passes(&self) {
        self.sandbox.sweep().await.expect("swept");
    }

    fn add_coupon(&self, _: &str, _: i64) {}
}
