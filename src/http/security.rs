//! Who calls, and what they may.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use poem::http::StatusCode;
use poem::{FromRequest, Request, RequestBody};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde::{Deserialize, Serialize};

use super::problem::{Problem, unavailable};
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

/// A student who is signed in; 401 or 403 otherwise.
pub struct Student(pub Caller);

/// The address of the client, behind trusted proxies too.
#[derive(Clone, Copy, Debug)]
pub struct Client(pub IpAddr);

async fn signed_in(request: &Request) -> poem::Result<Caller> {
    let reader = request.data::<Arc<dyn SessionReader>>().expect("`http::api` puts it there");
    let cookie = request.cookie().get("orientation_session").map(|c| c.value_str().to_owned());
    let caller = match cookie {
        Some(cookie) => reader.caller(&cookie).await.map_err(unavailable)?,
        None => None,
    };
    caller.ok_or_else(|| {
        Problem::new(StatusCode::UNAUTHORIZED, "not-signed-in", "Not signed in", "Sign in first.").into()
    })
}

fn register_scheme(registry: &mut Registry) {
    registry.create_security_scheme(
        "session",
        MetaSecurityScheme {
            ty: "apiKey",
            description: Some("The session cookie that `signIn` sets."),
            name: Some("orientation_session"),
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
        vec!["session"]
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        signed_in(request).await.map(Self)
    }
}

impl<'a> ApiExtractor<'a> for Student {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        register_scheme(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec!["session"]
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let caller = signed_in(request).await?;
        if caller.role == Role::Student {
            return Ok(Self(caller));
        }
        Err(Problem::new(StatusCode::FORBIDDEN, "students-only", "Only students", "Leaders have no form.")
            .into())
    }
}

impl<'a> FromRequest<'a> for Client {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        Ok(Self(request.remote_addr().as_socket_addr().map_or([127, 0, 0, 1].into(), |a| a.ip())))
    }
}
