//! Stripe, simulated by its double.

#[path = "contract.rs"]
mod contract;

use std::sync::Arc;

use orientation::features::payments::Gateway;
use orientation::kernel::ManualClock;

use super::{clock, stripe_at};
use crate::doubles::stripe::{SECRET_KEY, Stripe as Double};

/// A gateway, and the means to pay.
struct Till {
    gateway: Arc<dyn Gateway>,
    clock: Arc<ManualClock>,
    double: Double,
}

impl Till {
    async fn open() -> Self {
        let clock = clock();
        let double = Double::start_with(clock.clone()).await;
        Self { gateway: Arc::new(stripe_at(double.url(), SECRET_KEY)), clock, double }
    }

    async fn pay(&self, session: &str) {
        self.double.pay(session).expect("open");
    }

    async fn pay_later(&self, session: &str, succeeds: bool) {
        self.double.pay_later(session, succeeds).expect("open");
    }

    /// Carries out what is due by the clock.
    async fn time_passes(&self) {
        self.double.all_delivered().await;
    }

    fn add_coupon(&self, id: &str, amount_off: i64) {
        self.double.add_coupon(id, amount_off, "CAD");
    }
}
