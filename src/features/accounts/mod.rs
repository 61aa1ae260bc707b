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

pub mod limits;
mod model;
mod passwords;

use crate::platform::store::{Schema, schema};

pub use model::{
    ADMIN_SCOPE, Account, LetterToken, Names, PendingEmail, Purpose, Session, SignUp, TokenRefused,
};
pub use passwords::{PASSWORD_MAX, PASSWORD_MIN, Password, Passwords, Rush};

/// What this feature keeps in the store.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<Account>(), schema::<SignUp>(), schema::<LetterToken>(), schema::<Session>()]
}
