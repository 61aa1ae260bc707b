//! Why a use case fails: one enum for each.

use super::model::TokenRefused;
use super::passwords::HashingOverloaded;
use crate::kernel::Invalid;
use crate::platform::signals::TooMany;
use crate::platform::store::StoreError;

/// Why a sign-up is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum SignUpError {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error(transparent)]
    HashingOverloaded(#[from] HashingOverloaded),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a link is not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendLinkError {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an account is not confirmed.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmAccountError {
    #[error(transparent)]
    Token(#[from] TokenRefused),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an address and a password are not those of an account.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticateError {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// No confirmed account has this address and password.
    #[error("wrong address or password")]
    WrongCredentials,
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error(transparent)]
    HashingOverloaded(#[from] HashingOverloaded),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a password is not reset.
#[derive(Debug, thiserror::Error)]
pub enum ResetPasswordError {
    #[error(transparent)]
    Token(#[from] TokenRefused),
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    HashingOverloaded(#[from] HashingOverloaded),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the caller's account is not shown.
#[derive(Debug, thiserror::Error)]
pub enum GetMeError {
    /// The cookie opens no session.
    #[error("not signed in")]
    SignedOut,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the caller's names are not changed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateMeError {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The session ended after the request began.
    #[error("not signed in any more")]
    SignedOut,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the caller's password or address is not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeCredentialsError {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The session ended after the request began.
    #[error("not signed in any more")]
    SignedOut,
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error(transparent)]
    HashingOverloaded(#[from] HashingOverloaded),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a new address is not confirmed.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmEmailError {
    #[error(transparent)]
    Token(#[from] TokenRefused),
    /// Another account took the address meanwhile.
    #[error("another account has this address")]
    Taken,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why nobody becomes an administrator.
#[derive(Debug, thiserror::Error)]
pub enum MakeAdministratorError {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    HashingOverloaded(#[from] HashingOverloaded),
    #[error(transparent)]
    Store(#[from] StoreError),
}
