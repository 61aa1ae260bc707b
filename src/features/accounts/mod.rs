//! Accounts: who can sign in.
//!
//! Somebody signs up with an address and a password; nothing but a [`SignUp`] is kept, and a letter goes to the
//! address. Whoever follows the link in it makes the sign-up an [`Account`]: an account exists only once its
//! address is confirmed. Several sign-ups may wait for one address (anybody can sign up with anybody's); the one
//! whose letter is answered decides, the others go. Signing in opens a [`Session`], whose secret only the cookie
//! knows. A lost password is replaced by a letter. An address is changed by a letter to the new one, with a notice to
//! the old. Answers never tell whether an address is known, and cost the same work either way.
//!
//! Whatever was begun under an old password (sessions, links, a change of address) ends with it: all of it carries
//! [`Account::password_version`].

mod controller;
mod errors;
mod limits;
mod mails;
mod model;
mod pages;
mod passwords;
mod service;
mod subscribers;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::Feature;
use crate::base::Base;
use crate::http::SessionCookie;
use crate::platform::store::{Schema, schema};

pub use controller::{AccountBody, AccountsController};
pub use errors::{
    ChangeCredentialsError, ConfirmAccountError, ConfirmEmailError, GetMeError, MakeAdministratorError,
    ResetPasswordError, SendLinkError, SignInError, SignUpError, UpdateMeError,
};
pub use model::{
    Account, EmailToken, Names, NamesChange, PendingEmail, Purpose, SESSION_LASTS, Session, SignUp,
    SignUpForm, TokenRefused,
};
pub use passwords::{HashingOverloaded, Password, Passwords};
pub use service::{Accounts, Administrator, SessionSecret};

/// What accounts add to the service.
pub fn feature(base: &Base, accounts: &Arc<Accounts>) -> Feature<AccountsController> {
    Feature::new()
        .serves(AccountsController::new(accounts.clone(), SessionCookie::new(&base.public_url)))
        .shows(pages::pages(&base.page_layout, accounts))
        .writes(mails::templates(base))
        .sweeps(base, "41 * * * *", subscribers::expired())
        .checks(controller::rules())
}

/// The documents of this feature.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<Account>(), schema::<SignUp>(), schema::<EmailToken>(), schema::<Session>()]
}
