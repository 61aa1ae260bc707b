//! Use cases of sessions.

use std::sync::Arc;
use std::time::Duration;

use super::errors::{EndSessionError, SignInError};
use super::mails;
use super::model::Origin;
use crate::base::Base;
use crate::features::accounts::{
    Account, Accounts, AuthenticateError, Authenticated, EnrolmentRule, Session, SessionSecret,
};
use crate::features::second_factor::{CodeError, SecondFactors};
use crate::kernel::{Caller, Clock, Ids, Role, Secret, Timestamp};
use crate::platform::store::{Cursor, Dir, Filter, Page, PageError, Query, Store, StoreError};

/// How long a request waits until the hour of its session is stored.
const PATIENCE: Duration = Duration::from_secs(1);

/// A session that was just opened.
#[derive(Debug)]
pub struct OpenedSession {
    /// The secret for its cookie.
    pub secret: SessionSecret,
    /// Who signed in.
    pub account: Account,
    /// The token that marks the browser from now on.
    pub device: String,
}

/// The secret of a session's new cookie, and what is left of the session.
#[derive(Debug)]
pub struct Renewed {
    pub secret: SessionSecret,
    pub lasts: Duration,
}

/// A session of the caller.
#[derive(Debug)]
pub struct OwnSession {
    pub session: Session,
    /// Whether it is the session of this request.
    pub is_current: bool,
}

/// Signing in and out, and the sessions of an account.
pub struct Sessions {
    store: Store,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    accounts: Arc<Accounts>,
    second_factors: Arc<SecondFactors>,
    idle: Duration,
    enrolment: EnrolmentRule,
}

impl Sessions {
    /// The sessions of `accounts`, in the store of `base`.
    pub fn new(base: &Base, accounts: &Arc<Accounts>, second_factors: &Arc<SecondFactors>) -> Self {
        Self {
            store: base.store.clone(),
            clock: base.clock.clone(),
            ids: base.ids.clone(),
            accounts: accounts.clone(),
            second_factors: second_factors.clone(),
            idle: base.event.sign_in.idle,
            enrolment: EnrolmentRule::of(&base.event),
        }
    }

    /// Opens a session. Up to the right password, work and answer are the same for all. `code` is needed if the account has a
    /// second factor; it is used up by the session that it opens. A leader gets an email if the browser is new to the
    /// account.
    ///
    /// # Errors
    /// [`SignInError`].
    pub async fn sign_in(
        &self,
        email: &str,
        password: &Secret<String>,
        code: Option<&str>,
        origin: Origin<'_>,
    ) -> Result<OpenedSession, SignInError> {
        let checked = self.accounts.authenticate(email, password, origin.client, origin.device).await?;
        let Authenticated { account, known_device } = checked;
        if code.is_some() && account.second_factor_since.is_some() {
            self.second_factors.take_try(&account.id, origin.client).await?;
        }
        let secret = SessionSecret::new(self.ids.secret());
        let session = Session {
            device: Some(origin.device_name()),
            network: Some(origin.network()),
            ..Session::open(secret.session_id(), &account, self.clock.now())
        };
        let announced = account.role == Role::Leader && !known_device;
        let stored = self.store.transact(async |tx| {
            let same = tx.get::<Account>(&account.id).await?;
            // The password may have been changed in the meantime.
            let same = same.filter(|same| same.password_version == account.password_version);
            let account = same.ok_or(AuthenticateError::WrongCredentials)?;
            self.second_factors.check_in(&tx, &account.id, code, session.created_at).await?;
            session.begin(&tx).await?;
            if announced {
                tx.post(&mails::new_device(&account, &session)).await?;
            }
            Ok::<_, SignInError>(account)
        });
        let stored = stored.await;
        if matches!(stored, Err(SignInError::Code(CodeError::Wrong))) {
            self.second_factors.report_wrong_code(&account.id).await;
        }
        let account = stored?;
        let device = self.accounts.device_token(&account);
        Ok(OpenedSession { secret, account, device })
    }

    /// Ends the caller's session.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sign_out(&self, caller: &Caller) -> Result<(), StoreError> {
        match self.end(caller, &caller.session_id).await {
            Ok(()) | Err(EndSessionError::NotFound) => Ok(()),
            Err(EndSessionError::Store(error)) => Err(error),
        }
    }

    /// The page of the caller's sessions, newest first, that begins at `after`; at most `limit`.
    ///
    /// # Errors
    /// [`PageError`].
    pub async fn list(
        &self,
        caller: &Caller,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<OwnSession>, PageError> {
        let own = self.store.get::<Session>(&caller.session_id).await?;
        let (version, renewed) = own.map_or((0, None), |own| (own.password_version, own.replaced_by));
        let now = self.clock.now();
        let not_idle = Filter::Or(vec![
            Filter::lacks("seenAt"),
            Filter::Gt("seenAt".into(), Session::idle_since(self.idle, now).into()),
        ]);
        let open = Filter::eq("accountId", caller.account_id.as_str())
            .and(Filter::Gt("expiresAt".into(), now.into()))
            .and(Filter::eq("passwordVersion", i64::from(version)))
            .and(Filter::lacks("replacedBy"))
            .and(not_idle);
        let newest_first = Query::new(open).sort("createdAt", Dir::Desc).limit(limit);
        let Page { items, next } = self.store.page::<Session>(newest_first, after).await?;
        let current = [Some(caller.session_id.clone()), renewed];
        let own = |session: Session| OwnSession {
            is_current: current.contains(&Some(session.id.clone())),
            session,
        };
        Ok(Page { items: items.into_iter().map(own).collect(), next })
    }

    /// Ends one of the caller's sessions.
    ///
    /// # Errors
    /// [`EndSessionError`].
    pub async fn end(&self, caller: &Caller, id: &str) -> Result<(), EndSessionError> {
        let ended = self.store.transact(async |tx| Session::end(&tx, &caller.account_id, id).await);
        if ended.await? { Ok(()) } else { Err(EndSessionError::NotFound) }
    }

    /// Ends all sessions of the caller except the one of this request.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_others(&self, caller: &Caller) -> Result<(), StoreError> {
        let (account, kept) = (&caller.account_id, &caller.session_id);
        self.store.transact(async |tx| Session::end_others(&tx, account, kept).await).await
    }

    /// The caller whom a session cookie signs in, and what replaces the cookie if the session got a new id; `None` if it
    /// opens no session.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn caller(&self, cookie: &str) -> Result<Option<(Caller, Option<Renewed>)>, StoreError> {
        let Some((mut session, account)) = self.open(cookie).await? else { return Ok(None) };
        let (now, mut renewed) = (self.clock.now(), None);
        if session.rights_version < account.rights_version {
            if let Some((new, secret)) = self.renew(&session, &account, now).await? {
                (session, renewed) = (new, Some(secret));
            }
        } else if session.seen(now).is_some() {
            self.touch(&session.id, now).await;
        }
        let rights = account.rights(self.enrolment);
        Ok(Some((Caller { account_id: account.id, session_id: session.id, rights }, renewed)))
    }

    /// The session behind a cookie and its account.
    async fn open(&self, cookie: &str) -> Result<Option<(Session, Account)>, StoreError> {
        let Some(secret) = SessionSecret::read(cookie) else { return Ok(None) };
        let Some(session) = self.store.get::<Session>(&secret.session_id()).await? else { return Ok(None) };
        let account = self.store.get::<Account>(&session.account_id).await?;
        let account = account.filter(|account| session.is_good_for(account, self.idle, self.clock.now()));
        Ok(account.map(|account| (session, account)))
    }

    /// Gives the session a new id. `None` if a request at the same time has done it, or the session has ended.
    async fn renew(
        &self,
        session: &Session,
        account: &Account,
        now: Timestamp,
    ) -> Result<Option<(Session, Renewed)>, StoreError> {
        let secret = SessionSecret::new(self.ids.secret());
        let renewed = self
            .store
            .transact(async |tx| Session::renew(&tx, &session.id, secret.session_id(), account, now).await);
        Ok(renewed.await?.map(|new| {
            let lasts = new.expires_at.since(now);
            (new, Renewed { secret, lasts })
        }))
    }

    /// Stores that the session was used in this hour. If that fails, the request goes on, and the next one tries again.
    async fn touch(&self, id: &str, now: Timestamp) {
        let stored = self.store.transact(async |tx| Session::touch(&tx, id, now).await);
        match tokio::time::timeout(PATIENCE, stored).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the hour of a session was not stored"),
            Err(_) => tracing::warn!("the hour of a session was not stored in time"),
        }
    }
}
