//! What is kept about accounts, and the rules on it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::http::Role;
use crate::kernel::{EmailAddress, Fault, Timestamp, text};
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
    /// The [`LetterToken`] that confirms it; an earlier one does no longer.
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
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at
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
pub struct LetterToken {
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

impl Document for LetterToken {
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

impl LetterToken {
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
/// One [`Fault`]: empty, too long, holds control characters, or holds a link (strangers can have us write to
/// anybody, and a name stands in that letter).
pub fn name(pointer: &str, written: &str) -> Result<String, Fault> {
    let name = text::clean(written);
    if name.is_empty() {
        return Err(Fault::new(pointer, "too-short", "Write at least one letter."));
    }
    if text::length(&name) > NAME_MAX {
        return Err(Fault::new(pointer, "too-long", format!("At most {NAME_MAX} characters.")));
    }
    if text::has_control(&name) {
        return Err(Fault::new(pointer, "control-character", "No line breaks or other control characters."));
    }
    let lower = name.to_lowercase();
    if lower.contains("://") || lower.contains("www.") {
        return Err(Fault::new(pointer, "link", "A name holds no web address."));
    }
    Ok(name)
}
