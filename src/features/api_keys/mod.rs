//! API keys: how machines (chat bot, scanners, scripts) call operations.
//!
//! An administrator creates a key with scopes, student fields, a reach and an expiry. It is shown once and stored as a hash.
//! Requests carry it as `Authorization: Bearer`. It works until it expires or is revoked, for every operation whose right is
//! one of its scopes. It is recognisable by its [form](key), so that secret scanners find leaked keys.

mod controller;
mod key;
mod model;
mod service;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use controller::ApiKeysController;
pub use key::Key;
pub use model::ApiKey;
pub use service::{ApiKeyRequest, ApiKeys, CreateApiKeyError, CreatedKey, RevokeApiKeyError, UseApiKeyError};

use super::Feature;
use crate::platform::store::{Schema, schema};

/// What API keys add to the service.
pub fn feature(keys: &Arc<ApiKeys>) -> Feature<ApiKeysController> {
    Feature::new().serves(ApiKeysController::new(keys.clone()))
}

/// The documents of this feature.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<ApiKey>()]
}
