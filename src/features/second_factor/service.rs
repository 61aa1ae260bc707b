//! Use cases: set up, confirm and turn off the second factor, reset somebody's, and check codes at sign-in.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::mails;
use super::model::{
    Accepted, Code, RECOVERY_CODE_USED, RECOVERY_CODES, RECOVERY_CODES_RENEWED, RecoveryCode,
    SECOND_FACTOR_ENROLLED, SECOND_FACTOR_OFF, SECOND_FACTOR_ON, SECOND_FACTOR_RESET, SecondFactor,
    TotpSecret,
};
use crate::base::Base;
use crate::config::Event;
use crate::features::accounts::{self, Account, Accounts, ChangeCredentialsError, Session, client_key};
use crate::kernel::faults::guarded;
use crate::kernel::{Actor, Caller, Clock, Ids, Secret, Timestamp};
use crate::platform::audit::{Action, Subject};
use crate::platform::keys::Keys;
use crate::platform::qr::Qr;
use crate::platform::signals::{Limit, Signals, TooMany};
use crate::platform::store::{Store, StoreError, Tx};

/// Codes that one client can try for an account: five, and then one a minute. Only somebody who knows the password gets here.
const CODE_PAIR: Limit = Limit { name: "second-factor-code", quota: 5, window: Duration::from_mins(5) };

/// Codes that all clients together can try for an account. More than one client can use up, so that somebody elsewhere who
/// knows the password doesn't keep the owner out. Three of a million codes are valid at a time, so guessing for a day with
/// some 1,900 tries succeeds with a probability of 0.6 %, and the owner gets an email about the first wrong code.
const CODE_ACCOUNT: Limit =
    Limit { name: "second-factor-account", quota: 20, window: Duration::from_mins(15) };

/// Why a code is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// The account has a second factor, and no code was given.
    #[error("a code is needed")]
    Missing,
    /// It is neither the code of this moment nor a recovery code that is left, or it was used before.
    #[error("wrong code")]
    Wrong,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why TOTP is not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolTotpError {
    #[error("the second factor is on")]
    AlreadyOn,
    #[error(transparent)]
    Account(#[from] ChangeCredentialsError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the second factor is not turned on.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmTotpError {
    #[error("nothing was enrolled")]
    NotEnrolled,
    #[error("the second factor is on")]
    AlreadyOn,
    #[error(transparent)]
    Code(#[from] CodeError),
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the second factor is not turned off.
#[derive(Debug, thiserror::Error)]
pub enum DisableTotpError {
    #[error("there is no second factor")]
    NotOn,
    /// The event demands it of administrators.
    #[error("administrators must have a second factor")]
    Demanded,
    #[error(transparent)]
    Account(#[from] ChangeCredentialsError),
    #[error(transparent)]
    Code(#[from] CodeError),
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the recovery codes are not renewed.
#[derive(Debug, thiserror::Error)]
pub enum RenewRecoveryCodesError {
    #[error("there is no second factor")]
    NotOn,
    #[error(transparent)]
    Code(#[from] CodeError),
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an administrator does not reset a second factor.
#[derive(Debug, thiserror::Error)]
pub enum ResetTotpError {
    #[error("there is no such account")]
    NotFound,
    #[error("the account has no second factor")]
    NotOn,
    /// Administrators turn off their second factor with a code.
    #[error("it is the administrator's own")]
    Own,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What somebody needs to set up an authenticator app. Shown once.
pub struct Enrolment {
    /// The secret, for people who can't scan the QR code.
    pub secret: TotpSecret,
    /// See [`TotpSecret::uri`].
    pub uri: Secret<String>,
    /// The URI as a QR code.
    pub qr: Qr,
}

/// The second factors of leaders.
pub struct SecondFactors {
    store: Store,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    signals: Arc<dyn Signals>,
    keys: Arc<Keys>,
    event: Arc<Event>,
    accounts: Arc<Accounts>,
}

impl SecondFactors {
    /// The second factors of `accounts` in the store of `base`.
    pub fn new(base: &Base, accounts: &Arc<Accounts>) -> Self {
        Self {
            store: base.store.clone(),
            clock: base.clock.clone(),
            ids: base.ids.clone(),
            signals: base.signals.clone(),
            keys: base.keys.clone(),
            event: base.event.clone(),
            accounts: accounts.clone(),
        }
    }

    /// Takes one from the number of codes that can be tried for this account, by this client and by all. Sign-in calls it
    /// before [`check_in`](Self::check_in) if a code was given.
    ///
    /// # Errors
    /// [`TooMany`]
    pub async fn take_try(&self, account: &str, client: IpAddr) -> Result<(), TooMany> {
        self.signals.take(CODE_PAIR, &format!("{account}:{}", client_key(client))).await?;
        self.signals.take(CODE_ACCOUNT, account).await.map(drop)
    }

    /// Tells the owner by email, at most once an hour, that somebody signed in with the right password and a wrong code. A
    /// failure is logged: the answer to the sign-in is the same.
    pub async fn report_wrong_code(&self, account: &str) {
        let now = self.clock.now();
        let posted = self
            .store
            .transact(async |tx| tx.post(&mails::wrong_code(&owner(&tx, account).await?, now)).await);
        if let Err(error) = posted.await {
            tracing::warn!(account, %error, "the email about a wrong code was not posted");
        }
    }

    /// Checks the code of a sign-in, in the transaction that opens the session: a code that was accepted can't be used
    /// again, in whichever transaction. An account without a second factor needs no code.
    ///
    /// # Errors
    /// [`CodeError`]; then the transaction must end without effect.
    pub async fn check_in(
        &self,
        tx: &Tx,
        account: &str,
        code: Option<&str>,
        now: Timestamp,
    ) -> Result<(), CodeError> {
        let Some(mut factor) = on(tx, account).await? else { return Ok(()) };
        let code = code.filter(|code| !code.trim().is_empty()).ok_or(CodeError::Missing)?;
        let accepted = self.accept(&mut factor, code, now)?;
        if guarded("second-factor.once") {
            tx.put(&factor).await?;
        }
        if let Accepted::RecoveryCode { left } = accepted {
            report_recovery_code(tx, account, left, now).await?;
        }
        Ok(())
    }

    /// Makes a secret for the caller's authenticator app. The second factor is on when [`confirm`](Self::confirm) has
    /// seen a code. Replaces a secret that was not confirmed.
    ///
    /// # Errors
    /// [`EnrolTotpError`]; then nothing has changed.
    pub async fn enrol(
        &self,
        caller: &Caller,
        password: &Secret<String>,
    ) -> Result<Enrolment, EnrolTotpError> {
        let account = self.accounts.check_password(caller, password).await?;
        let (secret, now) = (TotpSecret::new(self.ids.secret()), self.clock.now());
        let factor = SecondFactor::enrolled(&account.id, self.encrypted(&account.id, &secret), now);
        let stored = self.store.transact(async |tx| {
            if on(&tx, &account.id).await?.is_some() {
                return Err(EnrolTotpError::AlreadyOn);
            }
            tx.put(&factor).await?;
            record(&tx, &caller.actor(), SECOND_FACTOR_ENROLLED, &account.id, now).await?;
            Ok(())
        });
        stored.await?;
        let uri = secret.uri(&self.event.name, account.email.as_str());
        let qr = Qr::new(&uri).expect("the URI is short enough");
        Ok(Enrolment { secret, uri: Secret::new(uri), qr })
    }

    /// Turns on the caller's second factor, with a code of the enrolled secret. Returns the recovery codes.
    ///
    /// # Errors
    /// [`ConfirmTotpError`]; then nothing has changed.
    pub async fn confirm(
        &self,
        caller: &Caller,
        client: IpAddr,
        code: &str,
    ) -> Result<Vec<RecoveryCode>, ConfirmTotpError> {
        self.take_try(&caller.account_id, client).await?;
        let (codes, now) = (self.new_recovery_codes(), self.clock.now());
        let stored = self.store.transact(async |tx| {
            let factor: Option<SecondFactor> = tx.get(&caller.account_id).await?;
            let mut factor = factor.ok_or(ConfirmTotpError::NotEnrolled)?;
            if factor.is_on() {
                return Err(ConfirmTotpError::AlreadyOn);
            }
            self.accept_totp(&mut factor, code, now)?;
            factor.confirm(now);
            factor.set_recovery_codes(&codes);
            tx.put(&factor).await?;
            let account = owner(&tx, &factor.id).await?;
            tx.post(&mails::turned_on(&account, now)).await?;
            // They were opened without a code, perhaps by somebody who knows only the password.
            Session::end_others(&tx, &account.id, &caller.session_id).await?;
            accounts::put_second_factor(&tx, account, Some(now)).await?;
            record(&tx, &caller.actor(), SECOND_FACTOR_ON, &factor.id, now).await?;
            Ok(())
        });
        stored.await?;
        Ok(codes)
    }

    /// Turns off the caller's second factor, with a code or a recovery code.
    ///
    /// # Errors
    /// [`DisableTotpError`]; then nothing has changed.
    pub async fn disable(
        &self,
        caller: &Caller,
        client: IpAddr,
        password: &Secret<String>,
        code: &str,
    ) -> Result<(), DisableTotpError> {
        self.accounts.check_password(caller, password).await?;
        self.take_try(&caller.account_id, client).await?;
        let now = self.clock.now();
        let stored = self.store.transact(async |tx| {
            let mut factor = on(&tx, &caller.account_id).await?.ok_or(DisableTotpError::NotOn)?;
            let account = owner(&tx, &factor.id).await?;
            if self.event.sign_in.administrators_need_second_factor && account.is_administrator() {
                return Err(DisableTotpError::Demanded);
            }
            self.accept(&mut factor, code, now)?;
            tx.post(&mails::turned_off(&account, now)).await?;
            turn_off(&tx, account).await?;
            record(&tx, &caller.actor(), SECOND_FACTOR_OFF, &factor.id, now).await?;
            Ok(())
        });
        stored.await
    }

    /// Replaces the caller's recovery codes, with a code of the authenticator app.
    ///
    /// # Errors
    /// [`RenewRecoveryCodesError`]; then nothing has changed.
    pub async fn renew_recovery_codes(
        &self,
        caller: &Caller,
        client: IpAddr,
        code: &str,
    ) -> Result<Vec<RecoveryCode>, RenewRecoveryCodesError> {
        self.take_try(&caller.account_id, client).await?;
        let (codes, now) = (self.new_recovery_codes(), self.clock.now());
        let stored = self.store.transact(async |tx| {
            let mut factor = on(&tx, &caller.account_id).await?.ok_or(RenewRecoveryCodesError::NotOn)?;
            self.accept_totp(&mut factor, code, now)?;
            factor.set_recovery_codes(&codes);
            tx.put(&factor).await?;
            record(&tx, &caller.actor(), RECOVERY_CODES_RENEWED, &factor.id, now).await?;
            Ok(())
        });
        stored.await.map(|()| codes)
    }

    /// Turns off somebody else's second factor. An email reports it to them.
    ///
    /// # Errors
    /// [`ResetTotpError`]; then nothing has changed.
    pub async fn reset(&self, actor: &Actor, account: &str) -> Result<(), ResetTotpError> {
        if *actor == Actor::Account(account.to_owned()) {
            return Err(ResetTotpError::Own);
        }
        let now = self.clock.now();
        let stored = self.store.transact(async |tx| {
            let account: Account = tx.get(account).await?.ok_or(ResetTotpError::NotFound)?;
            let factor = on(&tx, &account.id).await?.ok_or(ResetTotpError::NotOn)?;
            tx.post(&mails::reset(&account, now)).await?;
            turn_off(&tx, account).await?;
            record(&tx, actor, SECOND_FACTOR_RESET, &factor.id, now).await?;
            Ok(())
        });
        stored.await
    }

    /// Accepts a code of either kind.
    fn accept(&self, factor: &mut SecondFactor, code: &str, now: Timestamp) -> Result<Accepted, CodeError> {
        let accepted = match Code::read(code).ok_or(CodeError::Wrong)? {
            Code::Recovery(code) => factor.accept_recovery_code(&code),
            Code::Totp(code) => {
                let secret = self.decrypted(factor)?;
                // Encrypted anew at each use, so that an old key can be removed when everybody has signed in.
                factor.secret = self.encrypted(&factor.id, &secret);
                factor.accept_totp(&secret, &code, now)
            }
        };
        accepted.ok_or(CodeError::Wrong)
    }

    /// Accepts a code of the authenticator app only.
    fn accept_totp(&self, factor: &mut SecondFactor, code: &str, now: Timestamp) -> Result<(), CodeError> {
        match self.accept(factor, code, now)? {
            Accepted::Totp => Ok(()),
            Accepted::RecoveryCode { .. } => Err(CodeError::Wrong),
        }
    }

    fn encrypted(&self, account: &str, secret: &TotpSecret) -> String {
        self.keys.second_factors().encrypt(account, secret.bytes())
    }

    fn decrypted(&self, factor: &SecondFactor) -> Result<TotpSecret, StoreError> {
        let failed = |why: &str| StoreError::Failed(format!("second factor: {why}"));
        let bytes = self.keys.second_factors().decrypt(&factor.id, &factor.secret);
        let bytes = bytes.map_err(|error| failed(&error.to_string()))?;
        TotpSecret::read(bytes.expose()).ok_or_else(|| failed("a secret has the wrong length"))
    }

    fn new_recovery_codes(&self) -> Vec<RecoveryCode> {
        (0..RECOVERY_CODES).map(|_| RecoveryCode::new(self.ids.secret())).collect()
    }
}

/// The account's second factor, if it is on.
async fn on(tx: &Tx, account: &str) -> Result<Option<SecondFactor>, StoreError> {
    Ok(tx.get::<SecondFactor>(account).await?.filter(SecondFactor::is_on))
}

/// The account of a second factor.
async fn owner(tx: &Tx, account: &str) -> Result<Account, StoreError> {
    let account: Option<Account> = tx.get(account).await?;
    account.ok_or_else(|| StoreError::Failed("a second factor has no account".into()))
}

async fn turn_off(tx: &Tx, account: Account) -> Result<(), StoreError> {
    tx.delete::<SecondFactor>(&account.id).await?;
    accounts::put_second_factor(tx, account, None).await
}

async fn report_recovery_code(tx: &Tx, account: &str, left: usize, now: Timestamp) -> Result<(), StoreError> {
    tx.post(&mails::recovery_code_used(&owner(tx, account).await?, left, now)).await?;
    record(tx, &Actor::Account(account.to_owned()), RECOVERY_CODE_USED, account, now).await
}

async fn record(
    tx: &Tx,
    actor: &Actor,
    action: Action,
    account: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.audit(actor, action, Subject::of::<Account>(account), &[], now).await
}
