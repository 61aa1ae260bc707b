//! The sandbox.

#[path = "contract.rs"]
mod contract;

use std::sync::Arc;

use orientation::features::payments::{self, Button, Gateway, Sandbox};
use orientation::kernel::ManualClock;
use orientation::platform::store::{Access, Store};
use orientation::platform::{audit, jobs};
use tempfile::TempDir;

use super::clock;
use crate::base::{configured, shipped};

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
        // Nobody listens there: events stay undelivered.
        let config = shipped().with_listen_addr(([127, 0, 0, 1], 1).into());
        let schemas = [payments::schemas(), jobs::schemas(), audit::schemas()].concat();
        let base = configured(config, store, schemas, clock.clone()).await;
        let sandbox = Sandbox::start(&base, &[]).await.expect("it starts");
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
