//! Operations on sessions.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::types::{Example, Password};
use poem_openapi::{ApiResponse, Object, OpenApi, Tags};

use super::errors::{EndSessionError, SignInError};
use super::model::Origin;
use super::service::{OwnSession, Renewed, Sessions};
use crate::base::Base;
use crate::features::accounts::{self, AccountBody, AuthenticateError, SESSION_LASTS};
use crate::features::second_factor::CodeError;
use crate::http::rights::{AnySession, Anybody, SignedIn};
use crate::http::{
    By, CallerOfCookie, Callers, EmailText, Examples, Failure, HostCookie, JsonBody, Kind, PageBody,
    PageCursor, PageLimit, Problem, Refusal, RenewedCookie, Rule, Visit,
};
use crate::kernel::Secret;
use crate::platform::store::{PageError, StoreError};

/// How long a browser is remembered after a sign-in.
const DEVICE_IS_KNOWN: Duration = Duration::from_hours(365 * 24);

#[derive(Tags)]
enum Tag {
    /// Signing in and out, and the browsers in which you are signed in.
    Sessions,
}

// ---- requests ----

/// Credentials.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub struct SignInBody {
    /// Email address of the account. Upper and lower case don't matter.
    #[oai(validator(max_length = 254))]
    email: EmailText,
    /// Password of the account.
    #[oai(validator(max_length = 512))]
    password: Password,
    /// Six digits of the authenticator app, or a recovery code. Needed if the account has a second factor.
    #[oai(validator(max_length = 64), skip_serializing_if_is_none)]
    code: Option<String>,
}

impl Example for SignInBody {
    fn example() -> Self {
        Self {
            email: "alex.student@example.org".into(),
            password: Password("seven maple canoes drift".into()),
            code: None,
        }
    }
}

// ---- responses ----

/// A browser in which you are signed in.
#[derive(Object)]
#[oai(rename = "Session", rename_all = "camelCase", skip_serializing_if_is_none, example)]
pub struct SessionBody {
    /// Id of the session.
    id: String,
    /// Whether it is the session of this request.
    current: bool,
    /// Kind of browser, such as `Firefox on Android`.
    device: Option<String>,
    /// Network that you signed in from, such as `192.0.2.0/24`.
    network: Option<String>,
    /// Time when you signed in (RFC 3339, UTC).
    created_at: String,
    /// Hour of the latest request (RFC 3339, UTC).
    last_seen_at: Option<String>,
    /// Time when the session ends if you use it until then (RFC 3339, UTC).
    expires_at: String,
}

impl From<&OwnSession> for SessionBody {
    fn from(OwnSession { session, is_current }: &OwnSession) -> Self {
        Self {
            id: session.id.clone(),
            current: *is_current,
            device: session.device.clone(),
            network: session.network.clone(),
            created_at: session.created_at.rfc3339(),
            last_seen_at: session.seen_at.map(|seen| seen.rfc3339()),
            expires_at: session.expires_at.rfc3339(),
        }
    }
}

impl Example for SessionBody {
    fn example() -> Self {
        Self {
            id: a_session(),
            current: true,
            device: Some("Firefox on Android".into()),
            network: Some("192.0.2.0/24".into()),
            created_at: "2027-06-01T14:03:00.000Z".into(),
            last_seen_at: Some("2027-06-03T09:00:00.000Z".into()),
            expires_at: "2027-07-01T14:03:00.000Z".into(),
        }
    }
}

/// A session was opened.
#[derive(ApiResponse)]
pub enum Opened {
    /// You are signed in.
    #[oai(status = 200)]
    Opened(
        Json<AccountBody>,
        /// The session cookie. A second header sets the cookie that marks this browser as one that you use.
        #[oai(header = "Set-Cookie")]
        String,
    ),
}

/// Your session was ended.
#[derive(ApiResponse)]
pub enum SignedOut {
    /// You are signed out.
    #[oai(status = 204)]
    SignedOut(
        /// Removes the session cookie.
        #[oai(header = "Set-Cookie")]
        String,
    ),
}

/// Sessions were ended.
#[derive(ApiResponse)]
pub enum Ended {
    /// Ended: these browsers are signed out.
    #[oai(status = 204)]
    Ended,
}

// ---- refusals ----

const NO_SUCH_SESSION: Kind = Kind::new(404, "no-such-session", "No such session");

impl Refusal for SignInError {
    fn examples() -> Examples<Self> {
        Examples::of([]).and::<AuthenticateError>().and::<CodeError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Credentials(error) => error.problem(),
            Self::Code(error) => error.problem(),
            Self::TooMany(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for EndSessionError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => {
                NO_SUCH_SESSION.says("You have no such session, or it has ended. `listSessions` lists yours.")
            }
            Self::Store(error) => error.problem(),
        }
    }
}

// ---- operations ----

/// The operations on sessions.
pub struct SessionsController {
    sessions: Arc<Sessions>,
    session: HostCookie,
    device: HostCookie,
}

impl SessionsController {
    /// The operations of `sessions`.
    pub fn new(base: &Base, sessions: Arc<Sessions>) -> Self {
        let (session, device) = (HostCookie::session(&base.public_url), HostCookie::device(&base.public_url));
        Self { sessions, session, device }
    }
}

#[async_trait]
impl Callers for Sessions {
    async fn by_cookie(&self, cookie: &str) -> Result<Option<CallerOfCookie>, StoreError> {
        let found = self.caller(cookie).await?;
        Ok(found.map(|(caller, renewed)| CallerOfCookie {
            caller,
            renewed: renewed.map(|Renewed { secret, lasts }| RenewedCookie { value: secret.cookie(), lasts }),
        }))
    }
}

#[OpenApi(tag = "Tag::Sessions")]
impl SessionsController {
    /// Sign in
    ///
    /// Opens a session and sets its cookie. The session ends after 14 days without a request, or as configured, and in any
    /// case after 30 days. With a second factor, the right password without `code` is refused as `second-factor-code-missing`; repeat
    /// the request with the code. Leaders get an email if they sign in on a device that is new to the account.
    #[oai(path = "/v1/session", method = "post", operation_id = "signIn")]
    async fn sign_in(
        &self,
        _anybody: By<Anybody>,
        visit: Visit,
        body: JsonBody<SignInBody>,
    ) -> Result<Opened, Failure<SignInError>> {
        let password = Secret::new(body.0.password.0);
        let origin = Origin {
            client: visit.client,
            user_agent: visit.user_agent.as_deref(),
            device: visit.cookie(self.device),
        };
        let code = body.0.code.as_deref();
        let opened = self.sessions.sign_in(body.0.email.as_ref(), &password, code, origin).await?;
        visit.set(self.device.set(&opened.device, DEVICE_IS_KNOWN));
        let cookie = self.session.set(&opened.secret.cookie(), SESSION_LASTS);
        Ok(Opened::Opened(Json(AccountBody::from(&opened.account)), cookie))
    }

    /// Sign out
    ///
    /// Ends the session and removes its cookie. Your other sessions continue.
    #[oai(path = "/v1/session", method = "delete", operation_id = "signOut")]
    async fn sign_out(&self, caller: By<AnySession>) -> Result<SignedOut, Failure<StoreError>> {
        self.sessions.sign_out(&caller.0).await?;
        Ok(SignedOut::SignedOut(self.session.clear()))
    }

    /// List your sessions
    ///
    /// Newest first: the browsers in which you are signed in. If you don't recognise one, end it and change your password.
    #[oai(path = "/v1/sessions", method = "get", operation_id = "listSessions")]
    async fn list_sessions(
        &self,
        caller: By<SignedIn>,
        /// Maximum number of items per page.
        limit: Query<PageLimit>,
        /// `nextCursor` of the previous page.
        cursor: Query<PageCursor>,
    ) -> Result<Json<PageBody<SessionBody>>, Failure<PageError>> {
        Ok(Json(self.sessions.list(&caller.0, cursor.0.0.as_ref(), limit.0.0).await?.into()))
    }

    /// End your other sessions
    ///
    /// Signs out all other browsers.
    #[oai(path = "/v1/sessions", method = "delete", operation_id = "endOtherSessions")]
    async fn end_other_sessions(&self, caller: By<SignedIn>) -> Result<Ended, Failure<StoreError>> {
        self.sessions.end_others(&caller.0).await?;
        Ok(Ended::Ended)
    }

    /// End a session
    ///
    /// Signs out one browser.
    #[oai(path = "/v1/sessions/:sessionId", method = "delete", operation_id = "endSession")]
    async fn end_session(
        &self,
        caller: By<SignedIn>,
        /// Id of the session, from `listSessions`.
        #[oai(name = "sessionId", example = "a_session")]
        session_id: Path<String>,
    ) -> Result<Ended, Failure<EndSessionError>> {
        self.sessions.end(&caller.0, &session_id.0).await?;
        Ok(Ended::Ended)
    }
}

/// Rules on addresses that schemas can't express.
pub fn rules() -> Vec<Rule> {
    vec![("SignInBody", Box::new(accounts::check_address))]
}

/// A well-formed id of no session.
fn a_session() -> String {
    "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU".into()
}
