//! Whether the service lives and whether it can do its work, for those who watch over it.
//!
//! *Live* means that the process answers; whoever gets no answer restarts it. *Ready* means that the store can be
//! read: until then a load balancer sends people elsewhere. Readiness also tells whether somebody works on jobs and how
//! old the oldest due one is, but that is no reason to turn people away.

mod controller;
mod service;

use std::sync::Arc;

use super::Feature;
use crate::base::Base;

pub use controller::HealthController;
pub use service::Health;

/// What health adds to the service.
pub fn feature(base: &Base) -> Feature<HealthController> {
    Feature::new().serves(HealthController::new(Arc::new(Health::new(base))))
}
