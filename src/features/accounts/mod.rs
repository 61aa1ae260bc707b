//! Accounts.
//!
//! A sign-up with an address and a password stores a [`SignUp`] and sends an email. Its link turns the sign-up into an
//! [`Account`], so every account has a confirmed address. Anybody can sign up with anybody's address, so several sign-ups
//! may wait for the same one: the first that is confirmed becomes the account, the others are deleted. `sessions` opens
//! a [`Session`] when somebody signs in; only the cookie contains its secret. A forgotten password is reset by email. A new address is confirmed by
//! email, and the old address gets a notice. Responses never reveal whether an address has an account:
//! the result is the same, and signing up and signing in
//! hash a password either way.
//!
//! Changing the password ends sessions, links and a pending change of address: each of them carries the
//! [`Account::password_version`] that it was made under.

mod administrators;
mod browser;
mod controller;
mod copies;
mod errors;
mod limits;
mod mails;
mod model;
mod pages;
mod passwords;
mod service;
mod session;
mod subscribers;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::Feature;
use crate::base::Base;
use crate::http::HostCookie;
use crate::platform::store::{Schema, schema};

pub use administrators::{PutStaffError, administrators, approve, grant, put_staff};
pub use controller::{
    AccountBody, AccountsController, RoleBody, check_address, last_administrator, no_such_account,
};
pub use copies::AccountCopies;
pub use errors::{
    AuthenticateError, ChangeCredentialsError, ConfirmAccountError, ConfirmEmailError, GetMeError,
    MakeAdministratorError, ResetPasswordError, SendLinkError, SignUpError, UpdateMeError,
};
pub use limits::client_key;
pub use mails::link_in;
pub use model::{
    Account, Approval, EmailToken, EnrolmentRule, LinkUse, Names, NamesChange, PendingEmail, Purpose, SignUp,
    SignUpForm, TokenRefused,
};
pub use passwords::{HashingOverloaded, Password, Passwords};
pub use service::{Accounts, Administrator, Authenticated, put_second_factor, put_unsubscribed};
pub use session::{SESSION_LASTS, Session, SessionSecret};

/// What accounts add to the service.
pub fn feature(base: &Base, accounts: &Arc<Accounts>) -> Feature<AccountsController> {
    Feature::new()
        .serves(AccountsController::new(accounts.clone()))
        .shows(pages::pages(&base.page_layout, accounts, HostCookie::browser(&base.public_url)))
        .writes(mails::templates(base))
        .sweeps(base, "41 * * * *", subscribers::expired())
        .checks(controller::rules())
}

/// The documents of this feature.
pub fn schemas() -> Vec<Schema> {
    vec![
        schema::<Account>(),
        schema::<SignUp>(),
        schema::<EmailToken>(),
        schema::<Session>(),
        schema::<administrators::AdministratorsGuard>(),
    ]
}
