//! Why a use case fails: one enum for each.

use crate::features::accounts::AuthenticateError;
use crate::features::second_factor::CodeError;
use crate::platform::signals::TooMany;
use crate::platform::store::StoreError;

/// Why somebody can't sign in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    #[error(transparent)]
    Credentials(#[from] AuthenticateError),
    /// The password is right, and the code of the second factor is not.
    #[error(transparent)]
    Code(#[from] CodeError),
    #[error(transparent)]
    TooMany(#[from] TooMany),
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
