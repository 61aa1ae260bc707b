//! Extractors for the caller of an operation and for what the caller may do.

use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use poem::{FromRequest, Request, RequestBody};
use poem_openapi::registry::{MetaParamIn, MetaSchemaRef, MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::cookie;
use super::kinds::{self, not_signed_in, unavailable};
use super::pipeline::{Shared, peer};
use super::problem::Problem;
use super::spec::{self, RIGHT};
use crate::kernel::{Caller, Role, Scope, Secret};
use crate::platform::store::StoreError;

/// Finds who is behind a request. `features::accounts` implements it.
#[async_trait]
pub trait Callers: Send + Sync + 'static {
    /// The account that the session cookie signs in; `None` if it opens no session.
    async fn by_cookie(&self, cookie: &str) -> Result<Option<Caller>, StoreError>;
}

/// A signed-in account; 401 otherwise.
pub struct SignedIn(pub Caller);

/// The session cookie of the request; 401 if there is none. For an operation that reads the account itself and so needs no
/// [`Caller`]: the operation must check that the cookie opens a session.
pub struct Presented(pub Secret<String>);

/// A signed-in student; 401 or 403 otherwise.
pub struct Student(pub Caller);

/// A caller who holds the right `R`; 401 or 403 otherwise.
pub struct Granted<R>(pub Caller, PhantomData<fn() -> R>);

/// What an operation asks of its caller. All rights are in `http::rights`.
pub trait Right: Send + Sync + 'static {
    /// The scope that the caller must hold.
    const SCOPE: Scope;
}

/// Name of [`Student`] in the document.
const STUDENT: &str = "student";

/// The client's address, as trusted proxies report it.
#[derive(Clone, Copy, Debug)]
pub struct Client(pub IpAddr);

/// The account that is signed in, for pages, whose handlers can't take [`SignedIn`]; 401 otherwise.
pub async fn signed_in(request: &Request) -> poem::Result<Caller> {
    let (shared, cookie) = presented(request)?;
    let caller = shared.callers.by_cookie(cookie).await.map_err(unavailable)?;
    Ok(caller.ok_or_else(not_signed_in)?)
}

fn presented(request: &Request) -> Result<(&Shared, &str), Problem> {
    let shared = request.data::<Arc<Shared>>().ok_or_else(not_signed_in)?;
    let cookie = shared.cookie.of(request.headers()).ok_or_else(not_signed_in)?;
    Ok((shared, cookie))
}

fn student(caller: Caller) -> Result<Student, Problem> {
    if caller.rights.role == Role::Student {
        return Ok(Student(caller));
    }
    Err(kinds::students_only())
}

fn granted<R: Right>(caller: Caller) -> Result<Granted<R>, Problem> {
    if caller.rights.may(&R::SCOPE) {
        return Ok(Granted(caller, PhantomData));
    }
    if caller.rights.role == Role::Leader && !caller.rights.approved {
        return Err(kinds::not_approved());
    }
    Err(kinds::scope_missing(&R::SCOPE))
}

/// The name of the one security scheme.
const SCHEME: &str = "session";

fn register_scheme(registry: &mut Registry) {
    registry.create_security_scheme(
        SCHEME,
        MetaSecurityScheme {
            ty: "apiKey",
            description: Some(
                "The session cookie, which `signIn` sets. Where the service is reached by https its name begins \
                 with `__Host-`.",
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

impl<'a> ApiExtractor<'a> for SignedIn {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        register_scheme(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![SCHEME]
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        signed_in(request).await.map(Self)
    }
}

impl<'a> ApiExtractor<'a> for Presented {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        register_scheme(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![SCHEME]
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let (_, cookie) = presented(request)?;
        Ok(Self(Secret::new(cookie.to_owned())))
    }
}

impl<'a> ApiExtractor<'a> for Student {
    const TYPES: &'static [ApiExtractorType] =
        &[ApiExtractorType::SecurityScheme, ApiExtractorType::Parameter];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        register_scheme(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![SCHEME]
    }

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Header)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(spec::marker(RIGHT, STUDENT))
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(student(signed_in(request).await?)?)
    }
}

impl<'a, R: Right> ApiExtractor<'a> for Granted<R> {
    const TYPES: &'static [ApiExtractorType] =
        &[ApiExtractorType::SecurityScheme, ApiExtractorType::Parameter];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        register_scheme(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![SCHEME]
    }

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Header)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(spec::marker(RIGHT, &R::SCOPE.as_str()))
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(granted(signed_in(request).await?)?)
    }
}

impl<'a> FromRequest<'a> for Client {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let shared = request.data::<Arc<Shared>>();
        Ok(Self(shared.map_or_else(|| peer(request), |shared| shared.client(request))))
    }
}
