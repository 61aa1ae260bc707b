//! Who calls, and what they may.

use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use poem::{FromRequest, Request, RequestBody};
use poem_openapi::registry::{MetaParamIn, MetaSchemaRef, MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde::{Deserialize, Serialize};

use super::cookie;
use super::kinds::{self, not_signed_in, unavailable};
use super::pipeline::{Shared, peer};
use super::problem::Problem;
use super::spec::{self, RIGHT};
use crate::kernel::Secret;
use crate::platform::store::StoreError;

/// What an account is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, poem_openapi::Enum)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub enum Role {
    /// An incoming student.
    Student,
    /// A volunteer; an administrator is a leader with the scope `admin:all`.
    Leader,
}

/// The account behind a request, read anew for each.
#[derive(Clone, Debug)]
pub struct Caller {
    pub account_id: String,
    pub session_id: String,
    pub role: Role,
    pub scopes: Vec<String>,
}

/// Finds the caller behind a session cookie. `features::accounts` implements it.
#[async_trait]
pub trait SessionReader: Send + Sync + 'static {
    /// `None` if the cookie opens no session (any more).
    async fn caller(&self, cookie: &str) -> Result<Option<Caller>, StoreError>;
}

/// Somebody who is signed in; 401 otherwise.
pub struct SignedIn(pub Caller);

/// The session cookie as it came; 401 if none did. For an operation that reads the account behind it and so needs no
/// [`Caller`]: whether it opens a session is left to it.
pub struct Presented(pub Secret<String>);

/// A student who is signed in; 401 or 403 otherwise.
pub struct Student(pub Caller);

/// Somebody who holds the right `R`; 401 or 403 otherwise.
pub struct Granted<R>(pub Caller, PhantomData<fn() -> R>);

/// One permission, `area:action`: `struct EditAccounts; impl Right for EditAccounts { … "accounts:edit" }`.
pub trait Right: Send + Sync + 'static {
    /// The scope that an administrator grants.
    const SCOPE: &'static str;
}

/// The scope that implies every other.
const EVERY_SCOPE: &str = "admin:all";

/// The word for [`Student`] in the document.
const STUDENT: &str = "student";

/// The address of the client, behind trusted proxies too.
#[derive(Clone, Copy, Debug)]
pub struct Client(pub IpAddr);

impl Caller {
    /// Whether an administrator has granted `scope` to the caller. Students never hold scopes.
    pub fn may(&self, scope: &str) -> bool {
        self.role == Role::Leader && self.scopes.iter().any(|held| held == scope || held == EVERY_SCOPE)
    }
}

/// The account that is signed in, for pages, whose handlers can't take [`SignedIn`]; 401 otherwise.
pub async fn signed_in(request: &Request) -> poem::Result<Caller> {
    let (shared, cookie) = presented(request)?;
    let caller = shared.sessions.caller(cookie).await.map_err(unavailable)?;
    Ok(caller.ok_or_else(not_signed_in)?)
}

fn presented(request: &Request) -> Result<(&Shared, &str), Problem> {
    let shared = request.data::<Arc<Shared>>().ok_or_else(not_signed_in)?;
    let cookie = shared.cookie.of(request.headers()).ok_or_else(not_signed_in)?;
    Ok((shared, cookie))
}

fn student(caller: Caller) -> Result<Student, Problem> {
    if caller.role == Role::Student {
        return Ok(Student(caller));
    }
    Err(kinds::students_only())
}

fn granted<R: Right>(caller: Caller) -> Result<Granted<R>, Problem> {
    if caller.may(R::SCOPE) {
        return Ok(Granted(caller, PhantomData));
    }
    Err(kinds::scope_missing(R::SCOPE))
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
        Some(spec::marker(RIGHT, R::SCOPE))
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
