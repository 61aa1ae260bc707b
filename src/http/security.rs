//! The caller of a request: found by cookie or key, and checked against the right that an operation asks for.

use std::borrow::Cow;
use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use poem::http::HeaderMap;
use poem::http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderValue, SET_COOKIE, USER_AGENT};
use poem::{FromRequest, Request, RequestBody};
use poem_openapi::registry::{MetaParamIn, MetaSchemaRef, MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::cookie::{self, HostCookie};
use super::kinds::{api_key_invalid, not_signed_in, too_many, unavailable};
use super::pipeline::{Shared, peer};
use super::problem::Problem;
use super::spec::{self, RIGHT};
use crate::kernel::{Caller, Principal};
use crate::platform::signals::TooMany;
use crate::platform::store::StoreError;

/// Finds the account behind a session cookie. `features::sessions` implements it.
#[async_trait]
pub trait Callers: Send + Sync + 'static {
    /// The account that the session cookie signs in; `None` if it opens no session.
    async fn by_cookie(&self, cookie: &str) -> Result<Option<CallerOfCookie>, StoreError>;
}

/// The account that a session cookie signs in.
#[derive(Clone, Debug)]
pub struct CallerOfCookie {
    /// The account.
    pub caller: Caller,
    /// The cookie that replaces the one that was sent, if the session got a new id.
    pub renewed: Option<RenewedCookie>,
}

impl From<Caller> for CallerOfCookie {
    fn from(caller: Caller) -> Self {
        Self { caller, renewed: None }
    }
}

/// A session cookie that replaces another.
#[derive(Clone, Debug)]
pub struct RenewedCookie {
    /// Its value.
    pub value: String,
    /// What is left of the session.
    pub lasts: Duration,
}

/// Finds the machine behind a bearer key.
#[async_trait]
pub trait MachineCallers: Send + Sync + 'static {
    /// The machine that the key belongs to. `client` is where the request comes from.
    async fn by_key(&self, key: &str, client: IpAddr) -> Result<Principal, KeyError>;
}

/// Why a bearer key is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It is unknown, expired or revoked.
    #[error("no such key")]
    Invalid,
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What an operation requires of its caller. Every operation names one, so that none is public by omission; `http::rights`
/// has all of them.
pub trait Requirement: Send + Sync + 'static {
    /// What the operation learns about its caller.
    type Caller: Send;

    /// Name of the requirement in the document, as `x-right`.
    fn name() -> Cow<'static, str>;

    /// Whether the session cookie is needed, or an API key if [`MACHINES`](Self::MACHINES) may call.
    const SESSION: bool;

    /// Whether machines may call.
    const MACHINES: bool = false;

    /// Whether the session is optional.
    const OPTIONAL: bool = false;

    /// The caller, if the request may pass.
    ///
    /// # Errors
    /// 401 if nobody is signed in, 403 if the caller lacks the right, 503 if the store fails.
    fn admit(request: &Request) -> impl Future<Output = Result<Self::Caller, Problem>> + Send;
}

/// The caller of an operation, who is as `R` requires; 401 or 403 otherwise.
pub struct By<R: Requirement>(pub R::Caller);

/// The client's address, as trusted proxies report it.
#[derive(Clone, Copy, Debug)]
pub struct Client(pub IpAddr);

/// The browser or program that a request comes from, for operations that open a session.
pub struct Visit {
    /// The client's address.
    pub client: IpAddr,
    /// What it calls itself.
    pub user_agent: Option<String>,
    headers: HeaderMap,
    cookies: NewCookies,
}

impl Visit {
    /// Value of a cookie that it sent.
    pub fn cookie(&self, cookie: HostCookie) -> Option<&str> {
        cookie.of(&self.headers)
    }

    /// Adds a `Set-Cookie` header to the response, beside those that the document shows.
    pub fn set(&self, header: String) {
        self.cookies.add(header);
    }
}

/// `Set-Cookie` headers to be added to the response of a request.
#[derive(Clone, Default)]
pub(super) struct NewCookies(Arc<Mutex<Vec<String>>>);

impl NewCookies {
    fn add(&self, header: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(header);
    }

    /// Adds the headers to a response, except for those of cookies that the response sets already.
    pub fn write(&self, headers: &mut HeaderMap) {
        for new in self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let name = new.split('=').next().unwrap_or_default();
            let is_set =
                |set: &HeaderValue| set.to_str().is_ok_and(|set| set.split('=').next() == Some(name));
            if !headers.get_all(SET_COOKIE).iter().any(is_set) {
                headers.append(SET_COOKIE, HeaderValue::from_str(&new).expect("cookies are plain text"));
                // No cache may keep somebody's cookie.
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            }
        }
    }
}

/// The account that is signed in by the session cookie. If the session got a new id, the response sets its cookie.
///
/// # Errors
/// 401 if there is none, 503 if the store fails.
pub async fn signed_in(request: &Request) -> Result<Caller, Problem> {
    signed_in_or_not(request).await?.ok_or_else(not_signed_in)
}

/// The account that is signed in by the session cookie; `None` if there is no cookie or it opens no session. If the session
/// got a new id, the response sets its cookie.
///
/// # Errors
/// 503 if the store fails.
async fn signed_in_or_not(request: &Request) -> Result<Option<Caller>, Problem> {
    let Ok(shared) = shared(request) else { return Ok(None) };
    let Some(cookie) = shared.cookie.of(request.headers()) else { return Ok(None) };
    let Some(found) = shared.callers.by_cookie(cookie).await.map_err(unavailable)? else { return Ok(None) };
    if let (Some(RenewedCookie { value, lasts }), Some(cookies)) =
        (found.renewed, request.data::<NewCookies>())
    {
        cookies.add(shared.cookie.set(&value, lasts));
    }
    Ok(Some(found.caller))
}

/// Who visits, and whether the request has a session cookie, even one that opens no session.
pub struct Visiting {
    /// The account, if there is a session.
    pub caller: Option<Caller>,
    /// Whether the response is for one client: what a cookie may have decided is not for shared caches.
    pub has_cookie: bool,
}

/// Who visits.
///
/// # Errors
/// 503 if the store fails.
pub async fn visiting(request: &Request) -> Result<Visiting, Problem> {
    let cookie = shared(request).ok().and_then(|shared| shared.cookie.of(request.headers()));
    Ok(Visiting { has_cookie: cookie.is_some(), caller: signed_in_or_not(request).await? })
}

/// The account or machine behind the request. An API key counts before the session cookie.
///
/// # Errors
/// 401 if there is neither or the key is not valid, 429 if there are too many requests with the key or with invalid keys,
/// 503 if the store fails.
pub async fn principal(request: &Request) -> Result<Principal, Problem> {
    let Some(key) = bearer_key(request) else {
        return Ok(signed_in(request).await?.into());
    };
    let shared = shared(request)?;
    let found = shared.machines.by_key(key, shared.client(request)).await;
    found.map_err(|error| match error {
        KeyError::Invalid => api_key_invalid(),
        KeyError::TooMany(error) => too_many(error),
        KeyError::Store(error) => unavailable(error),
    })
}

fn shared(request: &Request) -> Result<&Shared, Problem> {
    let shared = request.data::<Arc<Shared>>().ok_or_else(not_signed_in)?;
    Ok(shared)
}

/// The key of `Authorization: Bearer <key>`. The scheme's name is case-insensitive (RFC 9110, 11.1).
fn bearer_key(request: &Request) -> Option<&str> {
    let (scheme, key) = request.header(AUTHORIZATION)?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// Name of the security scheme of the session cookie.
const SESSION: &str = "session";

/// Name of the security scheme of API keys.
pub(super) const API_KEY: &str = "apiKey";

impl<'a, R: Requirement> ApiExtractor<'a> for By<R> {
    const TYPES: &'static [ApiExtractorType] =
        &[ApiExtractorType::SecurityScheme, ApiExtractorType::Parameter];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        registry.create_security_scheme(
            SESSION,
            MetaSecurityScheme {
                ty: "apiKey",
                description: Some(
                    "Session cookie, which `signIn` sets. Its name begins with `__Host-` where the service is \
                     reached by https.",
                ),
                name: Some(cookie::NAME),
                key_in: Some("cookie"),
                scheme: None,
                bearer_format: None,
                flows: None,
                openid_connect_url: None,
            },
        );
        registry.create_security_scheme(
            API_KEY,
            MetaSecurityScheme {
                ty: "http",
                description: Some(
                    "API key of a machine, which `createApiKey` shows once. Operations accept it if their `x-right` is a \
                     scope that the key has. No key has `admin:all`.",
                ),
                name: None,
                key_in: None,
                scheme: Some("bearer"),
                bearer_format: Some("ori_[a-z2-7]{59}"),
                flows: None,
                openid_connect_url: None,
            },
        );
    }

    fn security_schemes() -> Vec<&'static str> {
        let schemes = [(SESSION, R::SESSION), (API_KEY, R::MACHINES)];
        schemes.into_iter().filter_map(|(scheme, is_accepted)| is_accepted.then_some(scheme)).collect()
    }

    fn has_security_fallback() -> bool {
        R::OPTIONAL
    }

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Header)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(spec::marker(RIGHT, &R::name()))
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(Self(R::admit(request).await?))
    }
}

impl<'a> FromRequest<'a> for Client {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let shared = request.data::<Arc<Shared>>();
        Ok(Self(shared.map_or_else(|| peer(request), |shared| shared.client(request))))
    }
}

impl<'a> FromRequest<'a> for Visit {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> poem::Result<Self> {
        let Client(client) = <Client as FromRequest>::from_request(request, body).await?;
        let user_agent = request.header(USER_AGENT).map(str::to_owned);
        let cookies = request.data::<NewCookies>().cloned().unwrap_or_default();
        Ok(Self { client, user_agent, headers: request.headers().clone(), cookies })
    }
}
