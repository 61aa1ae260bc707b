//! Lost items that students report: the example in `docs/adding-an-endpoint.md`. It is compiled in tests only.

mod controller;
mod mails;
mod model;
mod service;
mod subscribers;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use controller::LostItemsController;
pub use model::LostItem;
pub use service::LostItems;

use super::Feature;
use crate::base::Base;
use crate::platform::store::{Schema, schema};

/// What lost items add to the service.
pub fn feature(base: &Base, items: &Arc<LostItems>) -> Feature<LostItemsController> {
    Feature::new()
        .serves(LostItemsController::new(items.clone()))
        .writes(vec![Arc::new(mails::LostItemReported::new(base))])
        .sweeps(base, "40 4 * * *", subscribers::old_reports())
}

/// The documents of this feature.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<LostItem>()]
}
