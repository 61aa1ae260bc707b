//! What the committee sees of background jobs: lists, figures, and the repair of dead ones.
//!
//! The jobs themselves, and what an operator can do with them, are `platform::jobs`; `orientation jobs` uses the same
//! service.

mod controller;
mod service;

pub use controller::JobsController;
pub use service::{AgedJob, JobDesk, Retried};

use std::sync::Arc;

use super::Feature;

/// What background jobs add to the service.
pub fn feature(jobs: &Arc<JobDesk>) -> Feature<JobsController> {
    Feature::new().serves(JobsController::new(jobs.clone()))
}
