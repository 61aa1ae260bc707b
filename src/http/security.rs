//! The caller of a request: found by cookie or key, and checked against the right that an operation asks for.

use std::borrow::Cow;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use poem::http::header::AUTHORIZATION;
use poem::{FromRequest, Request, RequestBody};
use poem_openapi::registry::{MetaParamIn, MetaSchemaRef, MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::cookie;
use super::kinds::{not_signed_in, unavailable};
use super::pipeline::{Shared, peer};
use super::problem::Problem;
use super::spec::{self, RIGHT};
use crate::kernel::{Caller, Principal};
use crate::platform::store::StoreError;

/// Finds who is behind a request. `features::accounts` implements it.
#[async_trait]
pub trait Callers: Send + Sync + 'static {
    /// The account that the session cookie signs in; `None` if it opens no session.
    async fn by_cookie(&self, cookie: &str) -> Result<Option<Caller>, StoreError>;

    /// The machine that the bearer key belongs to; `None` if the key is unknown, expired or revoked.
    async fn by_key(&self, key: &str) -> Result<Option<Principal>, StoreError>;
}

/// What an operation asks of its caller. Every operation names one, so that none is public by omission; `http::rights` has
/// all of them.
pub trait Right: Send + Sync + 'static {
    /// What the operation learns about its caller.
    type Caller: Send;

    /// Name of the right in the document, as `x-right`.
    fn name() -> Cow<'static, str>;

    /// Whether the session cookie is needed.
    const SESSION: bool;

    /// The caller, if the request may pass.
    ///
    /// # Errors
    /// 401 if nobody is signed in, 403 if the caller lacks the right, 503 if the store fails.
    fn admit(request: &Request) -> impl Future<Output = Result<Self::Caller, Problem>> + Send;
}

/// The caller of an operation, who has the right `R`; 401 or 403 otherwise.
pub struct By<R: Right>(pub R::Caller);

/// The client's address, as trusted proxies report it.
#[derive(Clone, Copy, Debug)]
pub struct Client(pub IpAddr);

/// The value of the session cookie.
///
/// # Errors
/// 401 if the request has none.
pub(super) fn session_cookie(request: &Request) -> Result<&str, Problem> {
    shared(request)?.cookie.of(request.headers()).ok_or_else(not_signed_in)
}

/// The account that is signed in by the session cookie.
///
/// # Errors
/// 401 if there is none, 503 if the store fails.
pub async fn signed_in(request: &Request) -> Result<Caller, Problem> {
    let cookie = session_cookie(request)?;
    let caller = shared(request)?.callers.by_cookie(cookie).await.map_err(unavailable)?;
    caller.ok_or_else(not_signed_in)
}

/// The account or machine behind the request. A bearer key counts before the session cookie.
///
/// # Errors
/// 401 if there is neither, 503 if the store fails.
pub async fn principal(request: &Request) -> Result<Principal, Problem> {
    let Some(key) = bearer_key(request) else {
        return Ok(signed_in(request).await?.into());
    };
    let principal = shared(request)?.callers.by_key(key).await.map_err(unavailable)?;
    principal.ok_or_else(not_signed_in)
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

impl<'a, R: Right> ApiExtractor<'a> for By<R> {
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
    }

    fn security_schemes() -> Vec<&'static str> {
        if R::SESSION { vec![SESSION] } else { vec![] }
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
