//! Why a use case fails: one enum for each.

use crate::features::accounts::AuthenticateError;
use crate::platform::store::StoreError;

/// Why somebody can't sign in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    #[error(transparent)]
    Credentials(#[from] AuthenticateError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a session is not ended.
#[derive(Debug, thiserror::Error)]
pub enum EndSessionError {
    #[error("there is no such session, or it is somebody else's")]
    NotFound,
    #[error(transparent)]
    Store(#[from] StoreError),
}
