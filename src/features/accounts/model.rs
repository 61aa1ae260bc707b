//! Documents of accounts, and their rules.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use sha2::{Digest, Sha256};

use super::passwords::Password;
use crate::config::Event;
use crate::kernel::{
    EmailAddress, FieldError, Reach, Right, Rights, Role, Scope, Secret, StudentField, Timestamp, text,
};
use crate::platform::audit::Action;
use crate::platform::store::{Class, Document, Index, Keep, Migration, Owner, Personal, PersonalField};

/// An account was created as an administrator, or promoted.
pub const ADMINISTRATOR_MADE: Action = Action::new("administrator.made");

/// A leader changed their password.
pub const PASSWORD_CHANGED: Action = Action::new("password.changed");

/// A leader set a password by a link in an email.
pub const PASSWORD_RESET: Action = Action::new("password.reset");

/// A leader's address was replaced by one that they confirmed.
pub const ADDRESS_CHANGED: Action = Action::new("address.changed");

/// Lifetime of a link that confirms an address.
pub const CONFIRMATION_LASTS: Duration = Duration::from_hours(24);

/// Lifetime of a link that resets a password. Short, because nothing else is needed to take over the account.
pub const RESET_LASTS: Duration = Duration::from_hours(1);

/// How long after the use of a link a second press of its button, in the same browser, shows what the first achieved.
pub const SECOND_PRESS: Duration = Duration::from_mins(5);

/// Time within which a sign-up must be confirmed. Until then, the email can be sent again.
pub const SIGN_UP_LASTS: Duration = Duration::from_hours(7 * 24);

/// Maximum number of pending sign-ups of one client per address. A further one replaces the client's oldest.
pub const SIGN_UPS_PER_CLIENT: u32 = 5;

/// Maximum number of pending sign-ups per address. A further one replaces the oldest. The limit exists because anybody can
/// sign up with anybody's address; it is far higher than that of a client, so that nobody can replace somebody else's.
pub const SIGN_UPS_PER_ADDRESS: u32 = 50;

/// A person who can sign in. Its address is confirmed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// The id of the sign-up that became this account.
    pub id: String,
    /// Address for emails, as its owner wrote it.
    pub email: EmailAddress,
    /// [`EmailAddress::key`] of `email`; unique.
    pub email_key: String,
    /// New address that is not confirmed yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_email: Option<PendingEmail>,
    pub first_name: String,
    /// Absent for people who have one name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_name: Option<String>,
    pub role: Role,
    /// Whether the committee approved the leader. Students need no approval.
    pub approval: Approval,
    /// Granted scopes. Students hold none.
    pub scopes: BTreeSet<Scope>,
    /// Properties of registration forms that the leader may read. Students hold none.
    #[serde(default)]
    pub student_fields: BTreeSet<StudentField>,
    /// Students about whom the leader may read. Students hold none.
    #[serde(default)]
    pub reach: BTreeSet<Reach>,
    /// Number of times that the rights grew. A session that was opened before gets a new id at its next request.
    #[serde(default)]
    pub rights_version: u32,
    /// Time since which sign-in needs a code of the second factor; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_factor_since: Option<Timestamp>,
    /// Time since which the account gets no announcements and mailings by email; absent while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsubscribed_at: Option<Timestamp>,
    /// Argon2id, as a PHC string.
    pub password_hash: String,
    /// Number of passwords that the account has had. Sessions and links made under an earlier one are invalid.
    pub password_version: u32,
    pub created_at: Timestamp,
}

/// Whether the committee wants somebody as a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Approval {
    /// Not decided yet.
    Waiting,
    /// Approved. Students are, because they need no approval.
    Approved,
    /// Declined before they were approved.
    Rejected,
    /// Approved once, and no longer.
    Withdrawn,
}

/// Whether the event demands a second factor of administrators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnrolmentRule {
    /// Leaders set one up if they like.
    Voluntary,
    /// Until they have one, administrators can do nothing else.
    Demanded,
}

impl EnrolmentRule {
    /// What this event demands.
    pub fn of(event: &Event) -> Self {
        if event.sign_in.administrators_need_second_factor { Self::Demanded } else { Self::Voluntary }
    }
}

impl Approval {
    /// Its name, as it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// The new address of an account, once it is confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingEmail {
    pub email: EmailAddress,
    /// Id of the [`EmailToken`] that confirms it. Earlier tokens are invalid.
    pub token: String,
}

impl Document for Account {
    const COLLECTION: &'static str = "accounts";
    const VERSION: u32 = 3;
    const MIGRATIONS: &'static [Migration] = &[without_unknown_scopes, with_approval_and_reach];
    const INDEXES: &'static [Index] = &[
        Index::unique("accounts_by_email", &["emailKey"]),
        Index::on("accounts_by_age", &["createdAt"]),
        Index::on("accounts_by_approval", &["role", "approval", "createdAt"]),
    ];
    const PERSONAL: Personal = Personal::Of(
        Owner::Account("id"),
        &[
            PersonalField::new("email", Class::Contact),
            PersonalField::new("emailKey", Class::Contact),
            PersonalField::new("pendingEmail", Class::Contact),
            PersonalField::new("firstName", Class::Identity),
            PersonalField::new("lastName", Class::Identity),
            PersonalField::new("preferredName", Class::Identity),
            PersonalField::new("passwordHash", Class::Secret),
            PersonalField::new("role", Class::Activity),
            PersonalField::new("approval", Class::Activity),
            PersonalField::new("scopes", Class::Activity),
            PersonalField::new("studentFields", Class::Activity),
            PersonalField::new("reach", Class::Activity),
            PersonalField::new("secondFactorSince", Class::Activity),
            PersonalField::new("unsubscribedAt", Class::Activity),
            PersonalField::new("createdAt", Class::Activity),
        ],
    );
    const KEEP: Keep = Keep::with_account("people sign in with it");

    fn id(&self) -> &str {
        &self.id
    }
}

/// Version 1 stored scopes as free text.
fn without_unknown_scopes(mut account: Value) -> Value {
    if let Some(scopes) = account.get_mut("scopes").and_then(Value::as_array_mut) {
        let known = |name: &str| Scope::parse(name).is_ok() || Reach::parse(name).is_ok();
        scopes.retain(|scope| scope.as_str().is_some_and(known));
    }
    account
}

/// Version 2 had `approved`, and kept the reach among the scopes.
fn with_approval_and_reach(mut account: Value) -> Value {
    let Some(properties) = account.as_object_mut() else { return account };
    let approved = properties.remove("approved").is_some_and(|approved| approved == Value::Bool(true));
    let approval = if approved { Approval::Approved } else { Approval::Waiting };
    properties.insert("approval".into(), approval.as_str().into());
    let is_reach = |scope: &Value| scope.as_str().is_some_and(|name| Reach::parse(name).is_ok());
    let mixed = properties.get("scopes").and_then(Value::as_array).cloned().unwrap_or_default();
    let (reach, scopes): (Vec<_>, Vec<_>) = mixed.into_iter().partition(is_reach);
    properties.insert("scopes".into(), scopes.into());
    properties.insert("reach".into(), reach.into());
    account
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
            approval: if sign_up.role == Role::Student { Approval::Approved } else { Approval::Waiting },
            scopes: BTreeSet::new(),
            student_fields: BTreeSet::new(),
            reach: BTreeSet::new(),
            rights_version: 0,
            second_factor_since: None,
            unsubscribed_at: None,
            password_hash: sign_up.password_hash.clone(),
            password_version: 1,
            created_at: now,
        }
    }

    /// Name to address the owner by: the preferred name, or else the first.
    pub fn greeting(&self) -> &str {
        self.preferred_name.as_deref().unwrap_or(&self.first_name)
    }

    /// First and last name; of people who have one name, that one.
    pub fn full_name(&self) -> String {
        match &self.last_name {
            Some(last) => format!("{} {last}", self.first_name),
            None => self.first_name.clone(),
        }
    }

    /// Replaces the password. All sessions, password-reset links and a pending change of address end, because somebody who
    /// knew the old password may have begun them.
    pub fn set_password(&mut self, hash: String) {
        self.password_hash = hash;
        self.password_version = self.password_version.saturating_add(1);
        self.pending_email = None;
    }

    /// Replaces the names that `names` contains.
    pub fn rename(&mut self, names: &CheckedNames) {
        let CheckedNames(names) = names.clone();
        if let Some(Some(first)) = names.first {
            self.first_name = first;
        }
        if let Some(last) = names.last {
            self.last_name = last;
        }
        if let Some(preferred) = names.preferred {
            self.preferred_name = preferred;
        }
    }

    /// Replaces the address by the pending one.
    ///
    /// # Errors
    /// [`TokenRefused::Used`] if `token` does not belong to the pending address.
    pub fn take_pending_email(&mut self, token: &EmailToken) -> Result<(), TokenRefused> {
        let pending = self.pending_email.take_if(|pending| pending.token == token.id);
        let pending = pending.ok_or(TokenRefused::Used)?;
        self.email_key = pending.email.key();
        self.email = pending.email;
        Ok(())
    }

    /// What the account may do. `enrolment` says whether the event demands a second factor of administrators.
    pub fn rights(&self, enrolment: EnrolmentRule) -> Rights {
        let demanded = enrolment == EnrolmentRule::Demanded && self.scopes.contains(&Scope::AdminAll);
        Rights {
            role: self.role,
            approved: self.approval == Approval::Approved,
            scopes: self.scopes.clone(),
            student_fields: self.student_fields.clone(),
            reach: self.reach.clone(),
            must_enrol: demanded && self.second_factor_since.is_none(),
        }
    }

    /// Whether the owner holds `admin:all`, with or without the second factor that the event may demand.
    pub fn is_administrator(&self) -> bool {
        self.rights(EnrolmentRule::Voluntary).is_administrator()
    }

    /// Whether the owner is an approved leader, with or without the second factor that the event may demand.
    pub fn is_approved_leader(&self) -> bool {
        self.rights(EnrolmentRule::Voluntary).is_approved_leader()
    }

    /// Approves the leader, rejects them, or withdraws the approval. All rights end, so that a new approval brings none
    /// back: only an administrator grants rights.
    pub fn decide(&mut self, approval: Approval) {
        self.set_rights([]);
        self.change_rights(|account| account.approval = approval);
    }

    /// Adds a right.
    pub fn grant(&mut self, right: Right) {
        self.change_rights(|account| {
            match right {
                Right::Scope(scope) => account.scopes.insert(scope),
                Right::StudentField(field) => account.student_fields.insert(field),
                Right::Reach(reach) => account.reach.insert(reach),
            };
        });
    }

    /// Whether the account holds this very right. `admin:all` implies others, which are not held by that.
    pub fn holds(&self, right: &Right) -> bool {
        match right {
            Right::Scope(scope) => self.scopes.contains(scope),
            Right::StudentField(field) => self.student_fields.contains(field),
            Right::Reach(reach) => self.reach.contains(reach),
        }
    }

    /// Replaces all rights.
    pub fn set_rights(&mut self, rights: impl IntoIterator<Item = Right>) {
        let rights: Vec<_> = rights.into_iter().collect();
        self.change_rights(|account| {
            account.scopes.clear();
            account.student_fields.clear();
            account.reach.clear();
            for right in rights {
                account.grant(right);
            }
        });
    }

    /// Sets the time since which sign-in needs a code, or `None` for no second factor.
    pub fn set_second_factor(&mut self, since: Option<Timestamp>) {
        self.second_factor_since = since;
        if since.is_some() {
            self.rights_version = self.rights_version.saturating_add(1);
        }
    }

    /// Applies `change`, and counts if the rights have grown.
    fn change_rights(&mut self, change: impl FnOnce(&mut Self)) {
        let before = self.rights(EnrolmentRule::Voluntary);
        let version = self.rights_version;
        change(self);
        let grew = !self.rights(EnrolmentRule::Voluntary).are_within(&before);
        self.rights_version = if grew { version.saturating_add(1) } else { version };
    }

    /// Personal data that must not be the password.
    pub fn about(&self) -> [&str; 4] {
        [
            self.email.as_str(),
            &self.first_name,
            self.last_name.as_deref().unwrap_or_default(),
            self.greeting(),
        ]
    }

    /// Makes its owner an administrator.
    pub fn promote(&mut self) {
        self.change_rights(|account| {
            account.role = Role::Leader;
            account.approval = Approval::Approved;
            account.scopes = BTreeSet::from([Scope::AdminAll]);
        });
    }
}

/// Names of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Names {
    pub first: String,
    /// Absent for people who have one name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred: Option<String>,
}

/// A request for an account, until its address is confirmed. Several may wait for the same address: the first that is
/// confirmed becomes the account, the others are deleted.
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
    /// SHA-256 of address and client, in base64url: tells apart the sign-ups that different clients make for one address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

impl Document for SignUp {
    const COLLECTION: &'static str = "sign_ups";
    const INDEXES: &'static [Index] = &[
        Index::on("sign_ups_by_email", &["emailKey", "createdAt"]),
        Index::on("sign_ups_by_end", &["expiresAt"]),
    ];
    const PERSONAL: Personal = Personal::Of(
        Owner::Address("emailKey"),
        &[
            PersonalField::new("email", Class::Contact),
            PersonalField::new("emailKey", Class::Contact),
            PersonalField::new("names", Class::Identity),
            PersonalField::new("passwordHash", Class::Secret),
            PersonalField::new("role", Class::Activity),
            PersonalField::new("client", Class::Activity),
            PersonalField::new("createdAt", Class::Activity),
        ],
    );
    const KEEP: Keep = Keep::lasting(SIGN_UP_LASTS, "waits for its address to be confirmed");

    fn id(&self) -> &str {
        &self.id
    }
}

impl SignUp {
    /// A sign-up made at `now`.
    pub fn new(id: String, form: &CheckedSignUp, password_hash: String, now: Timestamp) -> Self {
        Self {
            id,
            email: form.email.clone(),
            email_key: form.email.key(),
            names: form.names.clone(),
            role: form.role,
            password_hash,
            client: None,
            created_at: now,
            expires_at: now.plus(SIGN_UP_LASTS),
        }
    }

    /// The same, made by this client.
    pub fn from_client(self, client: &str) -> Self {
        Self { client: Some(Self::client_hash(client)), ..self }
    }

    /// What is stored of a client.
    pub fn client_hash(client: &str) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(client))
    }

    /// Whether it can still be confirmed at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }
}

/// A sign-up form that passed its schema.
#[derive(Clone, Debug)]
pub struct SignUpForm {
    pub email: String,
    pub password: Secret<String>,
    pub first_name: String,
    pub last_name: Option<String>,
    pub preferred_name: Option<String>,
    pub role: Role,
}

/// A valid sign-up form.
#[derive(Clone, Debug)]
pub struct CheckedSignUp {
    pub email: EmailAddress,
    pub password: Password,
    pub names: Names,
    pub role: Role,
}

impl SignUpForm {
    /// Checks the rules that the schema can't express.
    ///
    /// # Errors
    /// All validation errors.
    pub fn check(&self) -> Result<CheckedSignUp, Vec<FieldError>> {
        let mut errors = Vec::new();
        let email = address("/email", &self.email).map_err(|error| errors.push(error)).ok();
        let (last, preferred) = (self.last_name.as_deref(), self.preferred_name.as_deref());
        errors.extend(link("/firstName", &self.first_name));
        errors.extend(last.and_then(|last| link("/lastName", last)));
        errors.extend(preferred.and_then(|preferred| link("/preferredName", preferred)));
        let password = Password::read(self.password.expose());
        let about = [&self.email, &self.first_name, last.unwrap_or_default(), preferred.unwrap_or_default()];
        errors.extend(password.error("/password", &about));
        match email {
            Some(email) if errors.is_empty() => Ok(CheckedSignUp {
                email,
                password,
                names: Names {
                    first: self.first_name.clone(),
                    last: self.last_name.clone(),
                    preferred: self.preferred_name.clone(),
                },
                role: self.role,
            }),
            _ => Err(errors),
        }
    }
}

/// Parses an email address. `pointer` is where it is in the body.
///
/// # Errors
/// A [`FieldError`] if it is not an address.
pub fn address(pointer: &str, written: &str) -> Result<EmailAddress, FieldError> {
    let detail = "Write an email address, such as name@example.org.";
    EmailAddress::parse(written).map_err(|_| FieldError::new(pointer, "not-an-email-address", detail))
}

/// Changes of names: `None` leaves one as it is, `Some(None)` removes it.
#[derive(Clone, Debug, Default)]
pub struct NamesChange {
    pub first: Option<Option<String>>,
    pub last: Option<Option<String>>,
    pub preferred: Option<Option<String>>,
}

/// Valid changes of names.
#[derive(Clone, Debug, Default)]
pub struct CheckedNames(NamesChange);

impl NamesChange {
    /// Checks the rules that the schema can't express.
    ///
    /// # Errors
    /// All validation errors.
    pub fn check(&self) -> Result<CheckedNames, Vec<FieldError>> {
        let mut errors = Vec::new();
        if self.first == Some(None) {
            errors.push(FieldError::new("/firstName", "missing", "The first name can't be removed."));
        }
        let names =
            [("/firstName", &self.first), ("/lastName", &self.last), ("/preferredName", &self.preferred)];
        let written = |name: Option<&Option<String>>| name.and_then(|name| name.clone());
        errors.extend(names.iter().filter_map(|(pointer, name)| link(pointer, &written(name.as_ref())?)));
        if errors.is_empty() { Ok(CheckedNames(self.clone())) } else { Err(errors) }
    }
}

/// What the link in an email does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Purpose {
    /// Turns a sign-up into an account.
    ConfirmAccount,
    /// Sets a new password.
    ResetPassword,
    /// Replaces the address of an account.
    ConfirmEmail,
}

impl Purpose {
    /// Purpose that tokens are sealed with. A token for another purpose doesn't open.
    pub fn seal(self) -> &'static str {
        match self {
            Self::ConfirmAccount => "confirm-account",
            Self::ResetPassword => "reset-password",
            Self::ConfirmEmail => "confirm-email",
        }
    }

    /// The link in an email, to a page of the frontend or of this service with the base URL `pages`.
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

    /// Lifetime of the link.
    pub fn lasts(self) -> Duration {
        match self {
            Self::ConfirmAccount | Self::ConfirmEmail => CONFIRMATION_LASTS,
            Self::ResetPassword => RESET_LASTS,
        }
    }
}

/// The record behind a link in an email. The token in the link is this record's id, sealed with a key, so a copy of the
/// store contains no usable link.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EmailToken {
    pub id: String,
    pub purpose: Purpose,
    /// Id of the sign-up or the account. An account has the id of its sign-up.
    pub subject: String,
    /// Address that the email is sent to. The token shows that its bearer can read that mailbox.
    pub email: EmailAddress,
    /// [`Account::password_version`] when it was made; 0 for a sign-up.
    pub password_version: u32,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Timestamp>,
    /// SHA-256 of the id of the browser that used it on a page, in base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_by: Option<String>,
}

impl Document for EmailToken {
    const COLLECTION: &'static str = "letter_tokens";
    const INDEXES: &'static [Index] = &[Index::on("letter_tokens_by_end", &["expiresAt"])];
    const PERSONAL: Personal = Personal::Of(
        Owner::Address("email"),
        &[
            PersonalField::new("email", Class::Contact),
            PersonalField::new("purpose", Class::Activity),
            PersonalField::new("createdAt", Class::Activity),
            PersonalField::new("usedAt", Class::Activity),
            PersonalField::new("usedBy", Class::Activity),
        ],
    );
    const KEEP: Keep = Keep::lasting(
        CONFIRMATION_LASTS,
        "the link in an email works once; a link that resets a password is deleted after an hour",
    );

    fn id(&self) -> &str {
        &self.id
    }
}

/// Why a link does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefused {
    /// It was not issued by this service, or for another purpose.
    #[error("not a token for this")]
    Invalid,
    /// It was used, or was replaced by a newer token, another sign-up or a new password.
    #[error("used or replaced")]
    Used,
    #[error("expired")]
    Expired,
}

impl EmailToken {
    /// A token for a sign-up.
    pub fn for_sign_up(id: String, purpose: Purpose, sign_up: &SignUp, now: Timestamp) -> Self {
        Self::new(id, purpose, &sign_up.id, &sign_up.email, 0, now)
    }

    /// A token for an account, to be sent to `email`.
    pub fn for_account(
        id: String,
        purpose: Purpose,
        account: &Account,
        email: &EmailAddress,
        now: Timestamp,
    ) -> Self {
        Self::new(id, purpose, &account.id, email, account.password_version, now)
    }

    /// A token for an unknown address. It is stored until it expires, so that the transaction takes as long as for a known
    /// address, but it is never sent.
    pub fn for_nobody(id: String, purpose: Purpose, email: &EmailAddress, now: Timestamp) -> Self {
        let subject = id.clone();
        Self::new(id, purpose, &subject, email, 0, now)
    }

    /// Whether it was made [for an unknown address](Self::for_nobody).
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
            used_by: None,
        }
    }

    /// Whether it may reset the password of `account`: it was made for the current address and password.
    pub fn fits(&self, account: &Account) -> bool {
        self.email.key() == account.email_key && self.password_version == account.password_version
    }

    /// Checks that it is neither used nor expired.
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

    /// The token after its use, in the browser with this id if that is known.
    pub fn used(self, now: Timestamp, browser: Option<&str>) -> Self {
        Self { used_at: Some(now), used_by: browser.map(browser_hash), ..self }
    }

    /// Whether this browser used the token within the last five minutes.
    pub fn was_just_used_by(&self, browser: &str, now: Timestamp) -> bool {
        let recent = self.used_at.is_some_and(|at| now < at.plus(SECOND_PRESS));
        recent && self.used_by.as_deref() == Some(browser_hash(browser).as_str())
    }
}

fn browser_hash(browser: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(browser))
}

/// A use of an emailed link.
#[derive(Clone, Copy, Debug)]
pub struct LinkUse<'a> {
    /// The link's token.
    pub token: &'a str,
    /// Id of the browser in which a page's button was pressed. Clients of the API have none.
    pub browser: Option<&'a str>,
}

impl<'a> From<&'a str> for LinkUse<'a> {
    fn from(token: &'a str) -> Self {
        Self { token, browser: None }
    }
}

impl<'a> From<&'a String> for LinkUse<'a> {
    fn from(token: &'a String) -> Self {
        token.as_str().into()
    }
}

/// The validation error of a name that an email program would turn into a link. Anybody can make us send an email to
/// anybody, and the name is part of that email. `pointer` is where it is in the body.
pub fn link(pointer: &str, name: &str) -> Option<FieldError> {
    let detail =
        "Names can't contain web addresses. If this is an abbreviation, put a space after the full stop.";
    holds_link(name).then(|| FieldError::new(pointer, "link", detail))
}

/// Whether the text contains a URL with a scheme, `www.`, or a domain that somebody can own.
fn holds_link(text: &str) -> bool {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| c.is_whitespace() || "()[]<>{}\"',;!?".contains(c));
    lower.contains("://") || lower.contains("www.") || words.into_iter().any(is_link)
}

/// Whether the word contains a domain under a public suffix. Initials joined to a surname that is a top-level domain
/// (`J.R.Kim`) count only with a path or an `@`.
fn is_link(word: &str) -> bool {
    let mut parts = word.split(['/', ':', '@', '#', '&', '=']);
    let with_path = word.contains(['/', '@']);
    parts.any(|part| {
        let host = part.trim_matches(|c: char| !c.is_alphanumeric());
        let suffix = psl::suffix(host.as_bytes()).filter(|suffix| suffix.is_known());
        let owned = suffix.and_then(|suffix| host.get(..host.len() - suffix.as_bytes().len()));
        let labels = owned.and_then(|owned| owned.strip_suffix('.')).map(|owned| owned.split('.'));
        labels.is_some_and(|mut labels| with_path || labels.any(|label| text::length(label) > 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_email_programs_turn_into_links_are_refused() {
        for bad in [
            "http://evil.example",
            "http://…",
            "www.evil",
            "www.x.y",
            "evil.com",
            "visit evil.com",
            "paypal.com",
            "Visit EVIL.com/win now!",
            "you won (t.co/x)",
            "ask prize@evil.co.uk.",
            "a@b.co",
            "evil.x.com",
            "пример.рф",
            "win→evil.com",
        ] {
            assert_eq!(link("/firstName", bad).map(|error| error.code), Some("link"), "{bad}");
        }
        for good in [
            "J.Kim",
            "A.Ng",
            "M.Li",
            "J.R.Kim",
            "m.li",
            "St. John",
            "St.John",
            "J.R.R.",
            "Emine.",
            "Kumar s/o Raj",
            "Anne-Marie O'Neil Jr.",
            "A. B. Co",
            "Kim",
            "Ph.D.",
        ] {
            assert_eq!(link("/firstName", good), None, "{good}");
        }
    }

    #[test]
    fn an_account_without_a_last_name_is_read_and_written() {
        let stored = serde_json::json!({ "first": "Suharto" });
        let names: Names = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!((names.last.as_ref(), serde_json::to_value(&names).unwrap()), (None, stored));
    }
}
