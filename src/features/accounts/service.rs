//! Use cases of accounts.

use std::net::IpAddr;
use std::sync::Arc;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use url::Url;

use super::copies::AccountCopies;
use super::errors::{
    AuthenticateError, ChangeCredentialsError, ConfirmAccountError, ConfirmEmailError, GetMeError,
    MakeAdministratorError, ResetPasswordError, SendLinkError, SignUpError, UpdateMeError,
};
use super::model::{
    ADDRESS_CHANGED, ADMINISTRATOR_MADE, Account, CheckedSignUp, EmailToken, LinkUse, Names, NamesChange,
    PASSWORD_CHANGED, PASSWORD_RESET, PendingEmail, Purpose, SIGN_UPS_PER_ADDRESS, SIGN_UPS_PER_CLIENT,
    SignUp, SignUpForm, TokenRefused, address,
};
use super::passwords::{Password, Passwords};
use super::session::Session;
use super::{limits, mails};
use crate::base::Base;
use crate::kernel::faults::guarded;
use crate::kernel::{
    Actor, Caller, Clock, EmailAddress, FieldError, Ids, Invalid, Role, Secret, Timestamp, text,
};
use crate::platform::audit::{Action, Subject};
use crate::platform::keys::Sealer;
use crate::platform::mail::Transport;
use crate::platform::signals::{Signals, TooMany};
use crate::platform::store::{Dir, Filter, Query, Store, StoreError, Tx};

/// Result of [`Accounts::make_administrator`].
#[derive(Debug)]
pub struct Administrator {
    /// Whether the account is new.
    pub created: bool,
    /// Link that sets a password, if none was given. It works once and expires after an hour.
    pub link: Option<Secret<Url>>,
}

/// Purpose of the tokens that mark browsers.
const DEVICE: &str = "device";

/// Result of [`Accounts::authenticate`].
#[derive(Debug)]
pub struct Authenticated {
    pub account: Account,
    /// Whether the account was signed in before in the same browser, with the same password.
    pub known_device: bool,
}

/// Sign-up, the check of credentials, and changes of an account.
pub struct Accounts {
    store: Store,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    signals: Arc<dyn Signals>,
    sealer: Arc<dyn Sealer>,
    passwords: Passwords,
    transport: Arc<dyn Transport>,
    pages: Url,
    copies: Option<Arc<dyn AccountCopies>>,
}

impl Accounts {
    /// The accounts in the store of `base`. `passwords` hashes their passwords, and `transport` delivers emails to them.
    pub fn new(base: &Base, passwords: Passwords, transport: Arc<dyn Transport>) -> Self {
        Self {
            store: base.store.clone(),
            clock: base.clock.clone(),
            ids: base.ids.clone(),
            signals: base.signals.clone(),
            sealer: base.keys.clone(),
            passwords,
            transport,
            pages: base.pages_url.clone(),
            copies: None,
        }
    }

    /// The same, with copies of names and addresses that are renewed with each change.
    pub fn copied_by(self, copies: Arc<dyn AccountCopies>) -> Self {
        Self { copies: Some(copies), ..self }
    }

    /// Stores an account whose names or address have changed, and renews the copies.
    async fn put_renamed(&self, tx: &Tx, account: &Account) -> Result<(), StoreError> {
        tx.put(account).await?;
        match &self.copies {
            Some(copies) => copies.renew(tx, account).await,
            None => Ok(()),
        }
    }

    /// Base URL of the pages that links in emails open.
    pub fn pages(&self) -> &Url {
        &self.pages
    }

    /// Number of password hashes computed.
    pub fn hashes(&self) -> u64 {
        self.passwords.hashes()
    }

    /// Stores a sign-up and sends the email that confirms it. If the address has an account, its owner gets an email that
    /// says so instead. The result is the same either way, after the same password hash.
    pub async fn sign_up(&self, form: SignUpForm, client: IpAddr) -> Result<(), SignUpError> {
        self.signals.take(limits::EMAILS_CLIENT, &limits::client_key(client)).await?;
        let form = off_thread(move || form.check()).await?.map_err(Invalid)?;
        self.take_emails(&form.email, client).await?;
        self.check_reachable(&form.email).await?;
        let password_hash = self.passwords.hash(form.password.clone()).await?;
        let now = self.clock.now();
        let client = limits::pair_key(&form.email.key(), client);
        let sign_up = SignUp::new(self.ids.next(), &form, password_hash, now).from_client(&client);
        let token = EmailToken::for_sign_up(self.ids.next(), Purpose::ConfirmAccount, &sign_up, now);
        let stored = self.store.transact(async |tx| {
            // Stored in either case, so that the time doesn't reveal whether the address is known.
            tx.insert(&token).await?;
            if let Some(owner) = account_of(&tx, &sign_up.email_key).await? {
                return tx.post(&mails::somebody_signed_up(&owner, now)).await;
            }
            make_room(&tx, &sign_up).await?;
            tx.insert(&sign_up).await?;
            tx.post(&mails::confirm_address(&token)).await
        });
        Ok(stored.await?)
    }

    /// Sends another confirmation email for the newest sign-up of an address, preferably one that this client made. If the address has an account, its owner gets
    /// an email that says that there is nothing to confirm. The result is the same either way.
    pub async fn resend_confirmation(&self, email: &str, client: IpAddr) -> Result<(), SendLinkError> {
        let email = self.take_email_limits(email, client).await?;
        let (now, id) = (self.clock.now(), self.ids.next());
        let client = SignUp::client_hash(&limits::pair_key(&email.key(), client));
        let stored = self.store.transact(async |tx| {
            let (id, purpose) = (id.clone(), Purpose::ConfirmAccount);
            let waiting = live_sign_ups(&tx, &email.key(), now).await?;
            let own = waiting.iter().find(|sign_up| sign_up.client.as_ref() == Some(&client));
            let token = match own.or(waiting.first()) {
                Some(sign_up) => EmailToken::for_sign_up(id, purpose, sign_up, now),
                None => EmailToken::for_nobody(id, purpose, &email, now),
            };
            tx.insert(&token).await?;
            match account_of(&tx, &email.key()).await? {
                Some(owner) => tx.post(&mails::somebody_signed_up(&owner, now)).await,
                None if token.is_about_nobody() => Ok(()),
                None => tx.post(&mails::confirm_address(&token)).await,
            }
        });
        Ok(stored.await?)
    }

    /// Turns the sign-up that the token was sent for into an account. Deletes other sign-ups of the address.
    pub async fn confirm_account<'a>(&self, link: impl Into<LinkUse<'a>>) -> Result<(), ConfirmAccountError> {
        let LinkUse { token, browser } = link.into();
        let id = self.open(Purpose::ConfirmAccount, token)?;
        let now = self.clock.now();
        let stored = self.store.transact(async |tx| {
            let token = usable(&tx, &id, now).await??;
            let sign_up: SignUp = tx.get(&token.subject).await?.ok_or(TokenRefused::Used)?;
            let account = Account::confirmed(&sign_up, now);
            open_account(&tx, token.used(now, browser), &account, now).await?;
            Ok(())
        });
        match stored.await {
            Err(ConfirmAccountError::Store(StoreError::Duplicate { .. })) => {
                Err(self.address_taken(&id).await?.into())
            }
            outcome => outcome,
        }
    }

    /// The account with this address and password. The work and the answer are the same whether or not there is such an
    /// account. Limits how often anybody can try: a browser in which the account was signed in before has a
    /// separate limit, so that others who guess can't lock the owner out.
    ///
    /// # Errors
    /// [`AuthenticateError`].
    pub async fn authenticate(
        &self,
        email: &str,
        password: &Secret<String>,
        client: IpAddr,
        device: Option<&str>,
    ) -> Result<Authenticated, AuthenticateError> {
        let email = address("/email", email).map_err(Invalid::from)?;
        let device = device.and_then(|token| self.sealer.open(DEVICE, token));
        if device.is_none() {
            self.signals.take(limits::SIGN_IN_CLIENT, &limits::client_key(client)).await?;
        }
        let known = self.store.find::<Account>(by_email(&email.key())).await?.pop();
        let device =
            device.filter(|device| known.as_ref().is_some_and(|account| is_device_of(device, account)));
        let known_device = device.is_some();
        self.take_sign_in(&email, client, device).await?;
        let hash = known.as_ref().map(|account| account.password_hash.as_str());
        let fits = self.passwords.verify(Password::read(password.expose()), hash).await?;
        let account = known.filter(|_| fits).ok_or(AuthenticateError::WrongCredentials)?;
        Ok(Authenticated { account, known_device })
    }

    async fn take_sign_in(
        &self,
        email: &EmailAddress,
        client: IpAddr,
        device: Option<String>,
    ) -> Result<(), TooMany> {
        if let Some(device) = device {
            self.signals.take(limits::SIGN_IN_DEVICE, &device).await?;
            return Ok(());
        }
        let email_key = email.key();
        self.signals.take(limits::SIGN_IN_PAIR, &limits::pair_key(&email_key, client)).await?;
        self.signals.take(limits::SIGN_IN_ADDRESS, &limits::address_key(&email_key)).await?;
        Ok(())
    }

    /// The token that marks a browser as one in which this account was signed in. It becomes invalid with the password.
    pub fn device_token(&self, account: &Account) -> String {
        let (account, version, device) = (&account.id, account.password_version, self.ids.next());
        self.sealer.seal(DEVICE, &format!("{account}:{version}:{device}"))
    }

    /// Sends an email with a link that sets a new password, for an account or for the newest sign-up of the address. The
    /// result is the same if there is neither.
    pub async fn request_password_reset(&self, email: &str, client: IpAddr) -> Result<(), SendLinkError> {
        let email = self.take_email_limits(email, client).await?;
        let (now, id) = (self.clock.now(), self.ids.next());
        let stored = self.store.transact(async |tx| {
            let token = reset_token(&tx, &email, id.clone(), now).await?;
            tx.insert(&token).await?;
            if token.is_about_nobody() {
                return Ok(());
            }
            tx.post(&mails::password_reset(&token)).await
        });
        Ok(stored.await?)
    }

    /// Sets a new password with a token from an email. The token also confirms the address, so a sign-up becomes an account.
    /// All sessions end.
    pub async fn reset_password<'a>(
        &self,
        link: impl Into<LinkUse<'a>>,
        password: &Secret<String>,
    ) -> Result<(), ResetPasswordError> {
        let LinkUse { token, browser } = link.into();
        let id = self.open(Purpose::ResetPassword, token)?;
        let password = Password::read(password.expose());
        self.check_reset(&id, &password).await?;
        let hash = self.passwords.hash(password).await?;
        let now = self.clock.now();
        let stored = self.store.transact(async |tx| {
            let token = usable(&tx, &id, now).await??;
            if let Some(mut account) = tx.get::<Account>(&token.subject).await? {
                let token = Some(token).filter(|token| token.fits(&account)).ok_or(TokenRefused::Used)?;
                account.set_password(hash.clone());
                tx.put(&account).await?;
                audit_own(&tx, &account, PASSWORD_RESET, now).await?;
                Session::end_others(&tx, &account.id, "").await?;
                tx.put(&token.used(now, browser)).await?;
                tx.post(&mails::password_changed(&account, now)).await?;
                return Ok(());
            }
            let sign_up: SignUp = tx.get(&token.subject).await?.ok_or(TokenRefused::Used)?;
            let account = Account::confirmed(&SignUp { password_hash: hash.clone(), ..sign_up }, now);
            open_account(&tx, token.used(now, browser), &account, now).await?;
            Ok(())
        });
        match stored.await {
            Err(ResetPasswordError::Store(StoreError::Duplicate { .. })) => {
                Err(self.address_taken(&id).await?.into())
            }
            outcome => outcome,
        }
    }

    /// The caller's account.
    ///
    /// # Errors
    /// [`GetMeError`].
    pub async fn me(&self, caller: &Caller) -> Result<Account, GetMeError> {
        self.store.get(&caller.account_id).await?.ok_or(GetMeError::SignedOut)
    }

    /// The caller's account, if this is its password.
    ///
    /// # Errors
    /// [`ChangeCredentialsError`], with a validation error at `/currentPassword` if it is not.
    pub async fn check_password(
        &self,
        caller: &Caller,
        password: &Secret<String>,
    ) -> Result<Account, ChangeCredentialsError> {
        let account = self.account(caller).await?;
        self.check_current(&account, password).await?;
        Ok(account)
    }

    /// Changes the caller's names.
    pub async fn update_me(&self, caller: &Caller, change: &NamesChange) -> Result<Account, UpdateMeError> {
        let names = change.check().map_err(Invalid)?;
        let stored = self.store.transact(async |tx| {
            let mut account = signed_in(&tx, caller, None).await?.ok_or(UpdateMeError::SignedOut)?;
            account.rename(&names);
            self.put_renamed(&tx, &account).await?;
            Ok(account)
        });
        stored.await
    }

    /// Replaces the caller's password. Their other sessions, links and a pending change of address end.
    pub async fn change_password(
        &self,
        caller: &Caller,
        current: &Secret<String>,
        new: &Secret<String>,
    ) -> Result<(), ChangeCredentialsError> {
        let account = self.account(caller).await?;
        let new = Password::read(new.expose());
        check_strength(&new, "/newPassword", &account.about()).await??;
        self.check_current(&account, current).await?;
        let hash = self.passwords.hash(new).await?;
        let now = self.clock.now();
        let stored = self.store.transact(async |tx| {
            let same = signed_in(&tx, caller, Some(account.password_version)).await?;
            let mut account = same.ok_or(ChangeCredentialsError::SignedOut)?;
            account.set_password(hash.clone());
            tx.put(&account).await?;
            audit_own(&tx, &account, PASSWORD_CHANGED, now).await?;
            let kept = Session::under_each_id(&tx, &account.id, &caller.session_id).await?;
            if kept.is_empty() {
                return Err(ChangeCredentialsError::SignedOut);
            }
            for session in kept {
                tx.put(&Session { password_version: account.password_version, ..session }).await?;
            }
            Session::end_others(&tx, &account.id, &caller.session_id).await?;
            tx.post(&mails::password_changed(&account, now)).await?;
            Ok(())
        });
        stored.await
    }

    /// Begins a change of the caller's address: sends a link to the new address, and a notice to the current one, which
    /// remains valid until the link is followed. If the new address has an account, its owner gets an email that says so
    /// instead. The result is the same either way.
    pub async fn change_email(
        &self,
        caller: &Caller,
        password: &Secret<String>,
        email: &str,
    ) -> Result<(), ChangeCredentialsError> {
        let email = address("/email", email).map_err(Invalid::from)?;
        let account = self.account(caller).await?;
        self.check_current(&account, password).await?;
        self.signals.take(limits::EMAILS_ADDRESS, &limits::address_key(&email.key())).await?;
        self.check_reachable(&email).await?;
        let (now, id) = (self.clock.now(), self.ids.next());
        let stored = self.store.transact(async |tx| {
            let same = signed_in(&tx, caller, Some(account.password_version)).await?;
            let mut account = same.ok_or(ChangeCredentialsError::SignedOut)?;
            let token = EmailToken::for_account(id.clone(), Purpose::ConfirmEmail, &account, &email, now);
            account.pending_email = Some(PendingEmail { email: email.clone(), token: id.clone() });
            tx.put(&account).await?;
            tx.insert(&token).await?;
            tx.post(&mails::email_changing(&account, &token)).await?;
            let owner = account_of(&tx, &email.key()).await?.filter(|owner| owner.id != account.id);
            let email = match owner {
                Some(owner) => mails::somebody_signed_up(&owner, now),
                None => mails::confirm_email(&token),
            };
            tx.post(&email).await?;
            Ok(())
        });
        stored.await
    }

    /// Replaces the address of an account, with a token from an email. Deletes sign-ups with the new address.
    pub async fn confirm_email<'a>(&self, link: impl Into<LinkUse<'a>>) -> Result<(), ConfirmEmailError> {
        let LinkUse { token, browser } = link.into();
        let id = self.open(Purpose::ConfirmEmail, token)?;
        let now = self.clock.now();
        let stored = self.store.transact(async |tx| {
            let token = usable(&tx, &id, now).await??;
            let mut account: Account = tx.get(&token.subject).await?.ok_or(TokenRefused::Used)?;
            account.take_pending_email(&token)?;
            self.put_renamed(&tx, &account).await?;
            audit_own(&tx, &account, ADDRESS_CHANGED, now).await?;
            forget_sign_ups(&tx, &account.email_key).await?;
            tx.put(&token.used(now, browser)).await?;
            Ok(())
        });
        match stored.await {
            Err(ConfirmEmailError::Store(StoreError::Duplicate { .. })) => Err(ConfirmEmailError::Taken),
            outcome => outcome,
        }
    }

    /// Whether the same browser used the same link a few minutes ago, and with this password if it resets one: then a
    /// second press of its button shows what the first achieved.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn was_pressed(
        &self,
        purpose: Purpose,
        link: LinkUse<'_>,
        password: Option<&Secret<String>>,
    ) -> Result<bool, StoreError> {
        let (Ok(id), Some(browser)) = (self.open(purpose, link.token), link.browser) else {
            return Ok(false);
        };
        let used = self.store.get::<EmailToken>(&id).await?;
        let Some(used) = used.filter(|used| used.was_just_used_by(browser, self.clock.now())) else {
            return Ok(false);
        };
        let Some(password) = password else { return Ok(true) };
        let account = self.store.get::<Account>(&used.subject).await?;
        let hash = account.map(|account| account.password_hash);
        let password = Password::read(password.expose());
        // While too many passwords are hashed, the link just counts as used.
        Ok(self.passwords.verify(password, hash.as_deref()).await.unwrap_or(false))
    }

    /// Id for a browser that opens a page.
    pub fn new_browser_id(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.ids.secret())
    }

    /// Makes the owner of an address an administrator, and creates the account if there is none. With a password, the account
    /// gets that password; without, the result contains a link that sets one, and an existing password
    /// stops working: somebody else may have chosen it at sign-up.
    pub async fn make_administrator(
        &self,
        actor: &Actor,
        email: &EmailAddress,
        password: Option<&Secret<String>>,
    ) -> Result<Administrator, MakeAdministratorError> {
        let password = password.map(|password| Password::read(password.expose()));
        if let Some(password) = &password {
            check_strength(password, "/password", &[email.as_str()]).await??;
        }
        let wants_link = password.is_none();
        // An account always has a password. Here it is one that nobody knows.
        let unknown = || Password::read(&BASE64_URL_SAFE_NO_PAD.encode(self.ids.secret()));
        let hash = self.passwords.hash(password.unwrap_or_else(unknown)).await?;
        let now = self.clock.now();
        let names =
            Names { first: "Orientation".into(), last: Some("Administrator".into()), preferred: None };
        let form = CheckedSignUp { email: email.clone(), password: unknown(), names, role: Role::Leader };
        let fresh = Account::confirmed(&SignUp::new(self.ids.next(), &form, hash.clone(), now), now);
        let token_id = self.ids.next();
        let created = self.store.transact(async |tx| {
            let known = account_of(&tx, &fresh.email_key).await?;
            let created = known.is_none();
            let mut account = known.unwrap_or_else(|| fresh.clone());
            if !created {
                account.set_password(hash.clone());
            }
            account.promote();
            tx.put(&account).await?;
            let subject = Subject::of::<Account>(&account.id);
            let (new, set) = (created.to_string(), (!wants_link).to_string());
            let detail = [("created", new.as_str()), ("passwordSet", set.as_str())];
            tx.audit(actor, ADMINISTRATOR_MADE, subject, &detail, now).await?;
            forget_sign_ups(&tx, &account.email_key).await?;
            if wants_link {
                let purpose = Purpose::ResetPassword;
                tx.insert(&EmailToken::for_account(token_id.clone(), purpose, &account, email, now)).await?;
            }
            Ok::<_, StoreError>(created)
        });
        let created = created.await?;
        let link = wants_link.then(|| Secret::new(self.link(Purpose::ResetPassword, &token_id)));
        Ok(Administrator { created, link })
    }

    async fn take_email_limits(&self, email: &str, client: IpAddr) -> Result<EmailAddress, SendLinkError> {
        let email = address("/email", email).map_err(Invalid::from)?;
        self.signals.take(limits::EMAILS_CLIENT, &limits::client_key(client)).await?;
        self.take_emails(&email, client).await?;
        Ok(email)
    }

    async fn take_emails(&self, email: &EmailAddress, client: IpAddr) -> Result<(), TooMany> {
        self.signals.take(limits::EMAILS_PAIR, &limits::pair_key(&email.key(), client)).await?;
        self.signals.take(limits::EMAILS_ADDRESS, &limits::address_key(&email.key())).await?;
        Ok(())
    }

    /// Refuses an address to which the transport can't send, as far as that is known.
    async fn check_reachable(&self, email: &EmailAddress) -> Result<(), Invalid> {
        if self.transport.accepts(email).await {
            return Ok(());
        }
        let detail = "Our mail server can't send to an address with letters other than a to z before the @. Use another \
                      address.";
        Err(FieldError::new("/email", "unreachable-email-address", detail).into())
    }

    async fn check_current(
        &self,
        account: &Account,
        password: &Secret<String>,
    ) -> Result<(), ChangeCredentialsError> {
        self.signals.take(limits::CURRENT_PASSWORD, &account.id).await?;
        let password = Password::read(password.expose());
        if self.passwords.verify(password, Some(&account.password_hash)).await? {
            return Ok(());
        }
        let error =
            FieldError::new("/currentPassword", "wrong-password", "This is not your current password.");
        Err(Invalid::from(error).into())
    }

    /// Checks token and password before the password is hashed, which is expensive.
    async fn check_reset(&self, id: &str, password: &Password) -> Result<(), ResetPasswordError> {
        let token: EmailToken = self.store.get(id).await?.ok_or(TokenRefused::Expired)?;
        token.check(self.clock.now())?;
        let names = match self.store.get::<Account>(&token.subject).await? {
            Some(account) => account.about().map(str::to_owned).to_vec(),
            None => self.store.get::<SignUp>(&token.subject).await?.map_or(vec![], |waiting| {
                let Names { first, last, preferred } = waiting.names;
                [Some(first), last, preferred].into_iter().flatten().collect()
            }),
        };
        let about: Vec<&str> = names.iter().map(String::as_str).chain([token.email.as_str()]).collect();
        Ok(check_strength(password, "/password", &about).await??)
    }

    async fn account(&self, caller: &Caller) -> Result<Account, ChangeCredentialsError> {
        self.store.get(&caller.account_id).await?.ok_or(ChangeCredentialsError::SignedOut)
    }

    fn open(&self, purpose: Purpose, token: &str) -> Result<String, TokenRefused> {
        self.sealer.open(purpose.seal(), &text::identifier(token)).ok_or(TokenRefused::Invalid)
    }

    fn link(&self, purpose: Purpose, token_id: &str) -> Url {
        purpose.link(&self.pages, &self.sealer.seal(purpose.seal(), token_id))
    }

    /// The unique index refused a second account with the address of this token: deletes the sign-ups that wait for the
    /// address, in a separate transaction. The token counts as replaced.
    async fn address_taken(&self, token_id: &str) -> Result<TokenRefused, StoreError> {
        let forgotten = self.store.transact(async |tx| {
            let token: Option<EmailToken> = tx.get(token_id).await?;
            let Some(token) = token else { return Ok(()) };
            forget_sign_ups(&tx, &token.email.key()).await
        });
        forgotten.await?;
        Ok(TokenRefused::Used)
    }
}

/// Stores since when the account has had a second factor, or `None` for no second factor. The feature `second_factor`
/// decides.
///
/// # Errors
/// [`StoreError`].
pub async fn put_second_factor(
    tx: &Tx,
    mut account: Account,
    since: Option<Timestamp>,
) -> Result<(), StoreError> {
    account.set_second_factor(since);
    tx.put(&account).await
}

/// Sets the time since which the account gets no announcements and mailings by email, or `None` if it gets them. Returns the
/// changed account, or `None` if there is nothing to change.
///
/// # Errors
/// [`StoreError`].
pub async fn put_unsubscribed(
    tx: &Tx,
    account: &str,
    since: Option<Timestamp>,
) -> Result<Option<Account>, StoreError> {
    let account = tx.get::<Account>(account).await?;
    let differs = |account: &Account| account.unsubscribed_at.is_some() != since.is_some();
    let Some(mut account) = account.filter(differs) else { return Ok(None) };
    account.unsubscribed_at = since;
    tx.put(&account).await?;
    Ok(Some(account))
}

/// Whether a browser with this mark is known to the account: [`Accounts::device_token`].
fn is_device_of(device: &str, account: &Account) -> bool {
    device.starts_with(&format!("{}:{}:", account.id, account.password_version))
}

fn by_email(email_key: &str) -> Query {
    Query::new(Filter::eq("emailKey", email_key)).limit(1)
}

async fn account_of(tx: &Tx, email_key: &str) -> Result<Option<Account>, StoreError> {
    Ok(tx.find::<Account>(by_email(email_key)).await?.pop())
}

/// Newest first.
async fn sign_ups_of(tx: &Tx, email_key: &str, limit: u32) -> Result<Vec<SignUp>, StoreError> {
    let newest_first = Query::new(Filter::eq("emailKey", email_key)).sort("createdAt", Dir::Desc);
    tx.find(newest_first.limit(limit)).await
}

/// Newest first.
async fn live_sign_ups(tx: &Tx, email_key: &str, now: Timestamp) -> Result<Vec<SignUp>, StoreError> {
    let mut waiting = sign_ups_of(tx, email_key, SIGN_UPS_PER_ADDRESS).await?;
    waiting.retain(|sign_up| sign_up.is_live(now));
    Ok(waiting)
}

/// Deletes the client's oldest sign-ups of an address, and then the oldest of all, so that there is room for one more.
async fn make_room(tx: &Tx, new: &SignUp) -> Result<(), StoreError> {
    let waiting = sign_ups_of(tx, &new.email_key, SIGN_UPS_PER_ADDRESS).await?;
    let (own, others): (Vec<_>, Vec<_>) =
        waiting.into_iter().partition(|waiting| waiting.client == new.client);
    let kept = own.len().min(SIGN_UPS_PER_CLIENT as usize - 1);
    let room = SIGN_UPS_PER_ADDRESS as usize - 1 - kept;
    for oldest in own.iter().skip(kept).chain(others.iter().skip(room)) {
        tx.delete::<SignUp>(&oldest.id).await?;
    }
    Ok(())
}

/// Records what leaders change on their own accounts. What students change on theirs is not recorded.
async fn audit_own(tx: &Tx, account: &Account, action: Action, now: Timestamp) -> Result<(), StoreError> {
    if account.role == Role::Student {
        return Ok(());
    }
    let actor = Actor::Account(account.id.clone());
    tx.audit(&actor, action, Subject::of::<Account>(&account.id), &[], now).await
}

async fn forget_sign_ups(tx: &Tx, email_key: &str) -> Result<(), StoreError> {
    for sign_up in sign_ups_of(tx, email_key, SIGN_UPS_PER_ADDRESS).await? {
        tx.delete::<SignUp>(&sign_up.id).await?;
    }
    Ok(())
}

/// Creates the account of a sign-up. The unique index refuses a second account with the address.
async fn open_account(
    tx: &Tx,
    used: EmailToken,
    account: &Account,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.insert(account).await?;
    if guarded("accounts.forget-others") {
        forget_sign_ups(tx, &account.email_key).await?;
    }
    tx.put(&used).await?;
    tx.post(&mails::welcome(account, now)).await
}

/// The token's record, if it can still be used. A token without a record has expired and was deleted.
async fn usable(tx: &Tx, id: &str, now: Timestamp) -> Result<Result<EmailToken, TokenRefused>, StoreError> {
    let Some(token) = tx.get::<EmailToken>(id).await? else { return Ok(Err(TokenRefused::Expired)) };
    Ok(token.check(now).map(|()| token))
}

async fn reset_token(
    tx: &Tx,
    email: &EmailAddress,
    id: String,
    now: Timestamp,
) -> Result<EmailToken, StoreError> {
    let purpose = Purpose::ResetPassword;
    if let Some(account) = account_of(tx, &email.key()).await? {
        return Ok(EmailToken::for_account(id, purpose, &account, &account.email, now));
    }
    Ok(match live_sign_ups(tx, &email.key(), now).await?.first() {
        Some(sign_up) => EmailToken::for_sign_up(id, purpose, sign_up, now),
        None => EmailToken::for_nobody(id, purpose, email, now),
    })
}

/// The caller's account, if it still exists. With `version`, only if the password was not changed since.
async fn signed_in(tx: &Tx, caller: &Caller, version: Option<u32>) -> Result<Option<Account>, StoreError> {
    let account: Option<Account> = tx.get(&caller.account_id).await?;
    let same = |account: &Account| version.is_none_or(|version| version == account.password_version);
    Ok(account.filter(same))
}

/// Checks the strength of a password on another thread: it takes a millisecond or more.
async fn check_strength(
    password: &Password,
    pointer: &'static str,
    about: &[&str],
) -> Result<Result<(), Invalid>, StoreError> {
    let (password, about) = (password.clone(), about.iter().map(|&text| text.to_owned()).collect::<Vec<_>>());
    let check = move || password.error(pointer, &about.iter().map(String::as_str).collect::<Vec<_>>());
    Ok(off_thread(check).await?.map_or(Ok(()), |error| Err(error.into())))
}

async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| StoreError::Failed("the process is shutting down".into()))
}
