//! Why a use case is not carried out.

use std::time::Duration;

use super::model::TokenRefused;
use super::passwords::HashingOverloaded;
use crate::kernel::FieldError;
use crate::platform::store::StoreError;

/// Why a use case stopped: for a reason of its own, or for one that nearly all share.
#[derive(Debug, thiserror::Error)]
pub enum UseCaseError<R> {
    /// One of its own refusals.
    #[error("{0}")]
    Refused(R),
    /// A limit is used up; see [`super::limits`].
    #[error("too many tries")]
    TooMany { retry_after: Duration },
    /// More passwords are to be checked than can be soon.
    #[error(transparent)]
    HashingOverloaded(#[from] HashingOverloaded),
    /// The store failed; nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What somebody wrote has these faults.
#[derive(Debug, thiserror::Error)]
#[error("{}", told(.0))]
pub struct Invalid(pub Vec<FieldError>);

/// As the command line tells them: each with its property.
fn told(faults: &[FieldError]) -> String {
    let one = |fault: &FieldError| format!("{}: {}", fault.pointer.trim_start_matches('/'), fault.detail);
    faults.iter().map(one).collect::<Vec<_>>().join("\n")
}

impl Invalid {
    /// One fault.
    pub fn one(fault: FieldError) -> Self {
        Self(vec![fault])
    }
}

/// Why somebody can't sign in.
#[derive(Debug, thiserror::Error)]
pub enum SignInRefused {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// No such account (yet), or another password.
    #[error("wrong address or password")]
    WrongCredentials,
}

/// Why a password is not reset.
#[derive(Debug, thiserror::Error)]
pub enum ResetPasswordRefused {
    #[error(transparent)]
    Token(#[from] TokenRefused),
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

/// Why somebody who is signed in can't change their account.
#[derive(Debug, thiserror::Error)]
pub enum ChangeRefused {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The session ended meanwhile.
    #[error("not signed in any more")]
    SignedOut,
}

/// Why a new address is not taken over.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmEmailRefused {
    #[error(transparent)]
    Token(#[from] TokenRefused),
    /// Another account took the address meanwhile.
    #[error("another account has this address")]
    Taken,
}
