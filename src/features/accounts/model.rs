//! What is kept about accounts, and the rules on it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::passwords::Password;
use crate::http::Role;
use crate::kernel::{BadEmailAddress, EmailAddress, FieldError, Secret, Timestamp, text};
use crate::platform::store::{Document, Index};

/// How long a link that confirms an address is good.
pub const CONFIRMATION_LASTS: Duration = Duration::from_hours(24);

/// How long a link that resets a password is good: short, because it opens an account by itself.
pub const RESET_LASTS: Duration = Duration::from_hours(1);

/// How long a sign-up waits for its address to be confirmed; until then the letter can be asked for again.
pub const SIGN_UP_LASTS: Duration = Duration::from_hours(7 * 24);

/// How long a session lasts, however much it is used: about the length of an orientation season.
pub const SESSION_LASTS: Duration = Duration::from_hours(30 * 24);

/// How many sign-ups of one address wait at most; a further one takes the place of the oldest. Strangers can
/// sign up with anybody's address, so what they leave behind is bounded.
pub const SIGN_UPS_PER_ADDRESS: u32 = 5;

/// The scope that implies every other.
pub const ADMIN_SCOPE: &str = "admin:all";

/// Someone who can sign in. An account exists only once its address is confirmed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// The id of the sign-up that became this account.
    pub id: String,
    /// Where letters go, as its owner wrote it.
    pub email: EmailAddress,
    /// [`EmailAddress::key`] of `email`; unique.
    pub email_key: String,
    /// A new address that waits for its confirmation, if a change is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_email: Option<PendingEmail>,
    pub first_name: String,
    pub last_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_name: Option<String>,
    pub role: Role,
    /// Whether the committee has approved of a leader; students need no approval.
    pub approved: bool,
    /// Permissions `area:action`; students hold none.
    pub scopes: Vec<String>,
    /// Argon2id, as a PHC string.
    pub password_hash: String,
    /// Counts the passwords that the account has had. Sessions and letters made under an earlier one are void.
    pub password_version: u32,
    pub created_at: Timestamp,
}

/// An address that an account shall have once it is confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingEmail {
    pub email: EmailAddress,
    /// The [`EmailToken`] that confirms it; an earlier one does no longer.
    pub token: String,
}

impl Document for Account {
    const COLLECTION: &'static str = "accounts";
    const INDEXES: &'static [Index] = &[Index::unique("accounts_by_email", &["emailKey"])];

    fn id(&self) -> &str {
        &self.id
    }
}

impl Account {
    /// The account that a sign-up becomes, whose address has been confirmed at `now`.
    pub fn confirmed(sign_up: &SignUp, now: Timestamp) -> Self {
        Self {
            id: sign_up.id.clone(),
            email: sign_up.email.clone(),
            email_key: sign_up.email_key.clone(),
            pending_email: None,
            first_name: sign_up.names.first.clone(),
            last_name: sign_up.names.last.clone(),
            preferred_name: sign_up.names.preferred.clone(),
            role: sign_up.role,
            approved: sign_up.role == Role::Student,
            scopes: Vec::new(),
            password_hash: sign_up.password_hash.clone(),
            password_version: 1,
            created_at: now,
        }
    }

    /// What letters and pages call its owner: the preferred name, else the first.
    pub fn greeting(&self) -> &str {
        self.preferred_name.as_deref().unwrap_or(&self.first_name)
    }

    /// Gives it another password. All sessions, links that reset the password, and a change of address that is
    /// under way end: whoever knew the old password may have begun them.
    pub fn set_password(&mut self, hash: String) {
        self.password_hash = hash;
        self.password_version = self.password_version.saturating_add(1);
        self.pending_email = None;
    }

    /// Changes its names.
    pub fn rename(&mut self, names: &CheckedNames) {
        let CheckedNames(names) = names.clone();
        self.first_name = names.first.unwrap_or_else(|| self.first_name.clone());
        self.last_name = names.last.unwrap_or_else(|| self.last_name.clone());
        self.preferred_name = names.preferred.unwrap_or_else(|| self.preferred_name.clone());
    }

    /// Gives it the address that `token` confirms.
    ///
    /// # Errors
    /// [`TokenRefused::Used`] if that is not the change that is under way (any more).
    pub fn take_pending_email(&mut self, token: &EmailToken) -> Result<(), TokenRefused> {
        let pending = self.pending_email.take_if(|pending| pending.token == token.id);
        let pending = pending.ok_or(TokenRefused::Used)?;
        self.email_key = pending.email.key();
        self.email = pending.email;
        Ok(())
    }

    /// What is known about its owner that makes a poor password.
    pub fn about(&self) -> [&str; 4] {
        [self.email.as_str(), &self.first_name, &self.last_name, self.greeting()]
    }

    /// Makes its owner an administrator.
    pub fn promote(&mut self) {
        self.role = Role::Leader;
        self.approved = true;
        self.scopes = vec![ADMIN_SCOPE.to_owned()];
    }
}

/// What somebody is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Names {
    pub first: String,
    pub last: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred: Option<String>,
}

/// A wish for an account that waits for its address to be confirmed. Several may wait for one address: the one
/// whose letter is answered becomes the account, the others go.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignUp {
    /// Becomes the account's id.
    pub id: String,
    pub email: EmailAddress,
    pub email_key: String,
    pub names: Names,
    pub role: Role,
    pub password_hash: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

impl Document for SignUp {
    const COLLECTION: &'static str = "sign_ups";
    const INDEXES: &'static [Index] = &[
        Index::on("sign_ups_by_email", &["emailKey", "createdAt"]),
        Index::on("sign_ups_by_end", &["expiresAt"]),
    ];

    fn id(&self) -> &str {
        &self.id
    }
}

impl SignUp {
    /// A sign-up that begins to wait at `now`.
    pub fn new(id: String, wish: &CheckedSignUp, password_hash: String, now: Timestamp) -> Self {
        Self {
            id,
            email: wish.email.clone(),
            email_key: wish.email.key(),
            names: wish.names.clone(),
            role: wish.role,
            password_hash,
            created_at: now,
            expires_at: now.plus(SIGN_UP_LASTS),
        }
    }

    /// Whether it still waits at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }
}

/// The form of a sign-up, as it was written.
#[derive(Clone, Debug)]
pub struct SignUpForm {
    pub email: String,
    pub password: Secret<String>,
    pub first_name: String,
    pub last_name: String,
    pub preferred_name: Option<String>,
    pub role: Role,
}

/// A form without faults.
#[derive(Clone, Debug)]
pub struct CheckedSignUp {
    pub email: EmailAddress,
    pub password: Password,
    pub names: Names,
    pub role: Role,
}

impl SignUpForm {
    /// Reads the form.
    ///
    /// # Errors
    /// Every fault of it.
    pub fn check(&self) -> Result<CheckedSignUp, Vec<FieldError>> {
        let mut faults = Vec::new();
        let email = keep(address("/email", &self.email), &mut faults);
        let first = keep(name("/firstName", &self.first_name), &mut faults);
        let last = keep(name("/lastName", &self.last_name), &mut faults);
        let preferred = self.preferred_name.as_deref().map(|written| name("/preferredName", written));
        let preferred = preferred.and_then(|read| keep(read, &mut faults));
        let password = Password::read(self.password.expose());
        let preferred_name = self.preferred_name.as_deref().unwrap_or_default();
        let about = [&*self.email, &*self.first_name, &*self.last_name, preferred_name];
        faults.extend(password.fault("/password", &about));
        match (email, first, last) {
            (Some(email), Some(first), Some(last)) if faults.is_empty() => Ok(CheckedSignUp {
                email,
                password,
                names: Names { first, last, preferred },
                role: self.role,
            }),
            _ => Err(faults),
        }
    }
}

fn keep<T>(read: Result<T, FieldError>, faults: &mut Vec<FieldError>) -> Option<T> {
    read.map_err(|fault| faults.push(fault)).ok()
}

/// An address as it is kept, or what is wrong with it. `pointer` says where it was written.
///
/// # Errors
/// One [`FieldError`].
pub fn address(pointer: &str, written: &str) -> Result<EmailAddress, FieldError> {
    let fault =
        |why: BadEmailAddress| FieldError::new(pointer, "not-an-email-address", sentence(&why.to_string()));
    EmailAddress::parse(written).map_err(fault)
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

/// Changes of names: `None` leaves one as it is.
#[derive(Clone, Debug, Default)]
pub struct NamesChange {
    pub first: Option<String>,
    pub last: Option<String>,
    /// `Some(None)` removes it.
    pub preferred: Option<Option<String>>,
}

/// Names without faults, to be put into an account.
#[derive(Clone, Debug, Default)]
pub struct CheckedNames(NamesChange);

impl NamesChange {
    /// Reads the names.
    ///
    /// # Errors
    /// Every fault of them.
    pub fn check(&self) -> Result<CheckedNames, Vec<FieldError>> {
        let mut faults = Vec::new();
        let mut read = |pointer, written: &Option<String>| {
            written.as_deref().and_then(|written| keep(name(pointer, written), &mut faults))
        };
        let first = read("/firstName", &self.first);
        let last = read("/lastName", &self.last);
        let preferred = self.preferred.as_ref().map(|written| read("/preferredName", written));
        if faults.is_empty() { Ok(CheckedNames(Self { first, last, preferred })) } else { Err(faults) }
    }
}

/// What the link in a letter does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Purpose {
    /// Makes a sign-up an account.
    ConfirmAccount,
    /// Sets a new password.
    ResetPassword,
    /// Gives an account its new address.
    ConfirmEmail,
}

impl Purpose {
    /// What tokens are sealed for: one for another purpose doesn't open.
    pub fn seal(self) -> &'static str {
        match self {
            Self::ConfirmAccount => "confirm-account",
            Self::ResetPassword => "reset-password",
            Self::ConfirmEmail => "confirm-email",
        }
    }

    /// The link in a letter: a page of the frontend or of this service, whose base is `pages`.
    pub fn link(self, pages: &Url, token: &str) -> Url {
        let mut link = pages.clone();
        link.set_path(match self {
            Self::ConfirmAccount => "/confirm",
            Self::ResetPassword => "/reset-password",
            Self::ConfirmEmail => "/confirm-email",
        });
        link.query_pairs_mut().append_pair("token", token);
        link
    }

    /// How long such a link is good.
    pub fn lasts(self) -> Duration {
        match self {
            Self::ConfirmAccount | Self::ConfirmEmail => CONFIRMATION_LASTS,
            Self::ResetPassword => RESET_LASTS,
        }
    }
}

/// The record behind the link in a letter. The token itself is this record's id, sealed: nothing that is kept
/// can be used.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EmailToken {
    pub id: String,
    pub purpose: Purpose,
    /// The id of the sign-up or account that it is about. (A sign-up that becomes an account keeps its id.)
    pub subject: String,
    /// Where the letter goes: whoever brings the token reads that mailbox.
    pub email: EmailAddress,
    /// [`Account::password_version`] when it was made; 0 for a sign-up.
    pub password_version: u32,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Timestamp>,
}

impl Document for EmailToken {
    const COLLECTION: &'static str = "letter_tokens";
    const INDEXES: &'static [Index] = &[Index::on("letter_tokens_by_end", &["expiresAt"])];

    fn id(&self) -> &str {
        &self.id
    }
}

/// Why a link does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefused {
    /// We did not make it, or for something else.
    #[error("not a token for this")]
    Invalid,
    /// It was used, or a newer one, another sign-up or another password took its place.
    #[error("used or replaced")]
    Used,
    #[error("too late")]
    Expired,
}

impl EmailToken {
    /// A token about a sign-up.
    pub fn for_sign_up(id: String, purpose: Purpose, sign_up: &SignUp, now: Timestamp) -> Self {
        Self::new(id, purpose, &sign_up.id, &sign_up.email, 0, now)
    }

    /// A token about an account; its letter goes to `email`.
    pub fn for_account(
        id: String,
        purpose: Purpose,
        account: &Account,
        email: &EmailAddress,
        now: Timestamp,
    ) -> Self {
        Self::new(id, purpose, &account.id, email, account.password_version, now)
    }

    /// A token about nobody, for an address that is not known: kept until it expires, so that a transaction is as
    /// durable, and takes as long, as for one that is. It goes into no letter.
    pub fn for_nobody(id: String, purpose: Purpose, email: &EmailAddress, now: Timestamp) -> Self {
        let subject = id.clone();
        Self::new(id, purpose, &subject, email, 0, now)
    }

    /// Whether it was made [for nobody](Self::for_nobody).
    pub fn is_about_nobody(&self) -> bool {
        self.subject == self.id
    }

    fn new(
        id: String,
        purpose: Purpose,
        subject: &str,
        email: &EmailAddress,
        password_version: u32,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            purpose,
            subject: subject.to_owned(),
            email: email.clone(),
            password_version,
            created_at: now,
            expires_at: now.plus(purpose.lasts()),
            used_at: None,
        }
    }

    /// Whether it may give `account` a new password: it was made for its present address and password.
    pub fn fits(&self, account: &Account) -> bool {
        self.email.key() == account.email_key && self.password_version == account.password_version
    }

    /// Whether it can still be used, as far as it knows by itself.
    ///
    /// # Errors
    /// [`TokenRefused::Used`] or [`TokenRefused::Expired`].
    pub fn check(&self, now: Timestamp) -> Result<(), TokenRefused> {
        match self.used_at {
            Some(_) => Err(TokenRefused::Used),
            None if now >= self.expires_at => Err(TokenRefused::Expired),
            None => Ok(()),
        }
    }
}

/// Somebody who is signed in, until they sign out.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// SHA-256 of the cookie's secret, in base64url: what is kept opens nothing.
    pub id: String,
    pub account_id: String,
    /// [`Account::password_version`] when it was opened: another password ends it.
    pub password_version: u32,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

impl Document for Session {
    const COLLECTION: &'static str = "sessions";
    const INDEXES: &'static [Index] = &[Index::on("sessions_by_end", &["expiresAt"])];

    fn id(&self) -> &str {
        &self.id
    }
}

impl Session {
    /// A session of `account` that begins at `now`; `id` as in [`Session::id`].
    pub fn open(id: String, account: &Account, now: Timestamp) -> Self {
        Self {
            id,
            account_id: account.id.clone(),
            password_version: account.password_version,
            created_at: now,
            expires_at: now.plus(SESSION_LASTS),
        }
    }

    /// Whether it stands for `account` at `now`.
    pub fn is_good_for(&self, account: &Account, now: Timestamp) -> bool {
        now < self.expires_at
            && self.account_id == account.id
            && self.password_version == account.password_version
    }
}

/// The longest name, in code points: longer than any that people have brought to us, short enough for a badge
/// and a letter.
pub const NAME_MAX: usize = 100;

/// A name as it is kept, or what is wrong with it. `pointer` says where it was written.
///
/// # Errors
/// One [`FieldError`]: empty, too long, holds control characters, or holds a link (strangers can have us write to
/// anybody, and a name stands in that letter).
pub fn name(pointer: &str, written: &str) -> Result<String, FieldError> {
    let name = text::clean(written);
    if name.is_empty() {
        return Err(FieldError::new(pointer, "too-short", "Write at least one letter."));
    }
    if text::length(&name) > NAME_MAX {
        return Err(FieldError::new(pointer, "too-long", format!("At most {NAME_MAX} characters.")));
    }
    if text::has_control(&name) {
        return Err(FieldError::new(
            pointer,
            "control-character",
            "No line breaks or other control characters.",
        ));
    }
    if holds_link(&name) {
        let detail = "A name holds no web address. After a full stop put a space.";
        return Err(FieldError::new(pointer, "link", detail));
    }
    Ok(name)
}

/// Whether mail programs make a link of something in the text: an address with or without its scheme.
fn holds_link(text: &str) -> bool {
    let lower = text.to_lowercase();
    let mut words = lower.split(|c: char| !(c.is_alphanumeric() || c == '.' || c == '-'));
    let is_host = |word: &str| {
        let host = word.trim_matches('.');
        host.contains('.') && psl::suffix(host.as_bytes()).is_some_and(|suffix| suffix.is_known())
    };
    lower.contains("://") || lower.contains("www.") || words.any(is_host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_holds_no_address_that_mail_programs_make_a_link_of() {
        for link in [
            "http://evil.example",
            "www.evil",
            "evil.com",
            "Visit EVIL.com/win now!",
            "you won (t.co/x)",
            "ask prize@evil.co.uk.",
            "пример.рф",
        ] {
            assert_eq!(name("/firstName", link).map_err(|fault| fault.code), Err("link"), "{link}");
        }
        for good in
            ["St. John", "St.John", "J.R.R.", "Emine.", "Kumar s/o Raj", "Anne-Marie O'Neil Jr.", "A. B. Co"]
        {
            assert_eq!(name("/firstName", good).as_deref(), Ok(good));
        }
    }
}
