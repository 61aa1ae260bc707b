//! Liveness and readiness, for whatever monitors the service.
//!
//! *Live* means that the process answers; one that doesn't is restarted. *Ready* means that the store can be read and
//! written; until then a load balancer sends people elsewhere. Readiness also reports whether jobs are run and how old the
//! oldest due one is, but that is no reason to turn people away.

mod controller;
mod service;

use std::sync::Arc;

use super::Feature;
use crate::base::Base;
use crate::platform::store::{Schema, schema};

pub use controller::HealthController;
pub use service::Health;

/// Collections of health.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<service::Probe>()]
}

/// What health adds to the service.
pub fn feature(base: &Base) -> Feature<HealthController> {
    Feature::new().serves(HealthController::new(Arc::new(Health::new(base))))
}
