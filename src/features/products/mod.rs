//! Products: what is sold, what is left, and ordering it.
//!
//! `event.toml` configures them. The orientation ticket is ordered with the registration form (`features::registration`);
//! every other product is ordered here, at most once by each account. `features::payments` counts the places and settles
//! the orders.

mod bodies;
mod controller;
mod mails;
mod model;
mod sale;
mod service;
#[cfg(test)]
mod tests;

pub use controller::ProductsController;
pub use model::{NotEligible, Purchase, SaleState};
pub use sale::ProductSale;
pub use service::{CreateOrderError, Products, SetCapacityError};

use std::sync::Arc;

use super::Feature;
use crate::base::Base;
use crate::platform::store::{Schema, schema};

/// What products add to the service.
pub fn feature(base: &Base, products: &Arc<Products>) -> Feature<ProductsController> {
    Feature::new().serves(ProductsController::new(products.clone())).writes(mails::templates(base))
}

/// The documents of this feature.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<Purchase>()]
}
