//! An interface for unit tests of controllers and pages.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use poem::IntoEndpoint;
use poem_openapi::OpenApi;

use super::pages::PageLayout;
use super::security::{CallerOfCookie, Callers, KeyError, MachineCallers};
use super::{Api, ApiParts};
use crate::kernel::{Caller, Principal, Rights};
use crate::platform::store::StoreError;

/// No machine has a key.
pub struct NoMachines;

#[async_trait]
impl MachineCallers for NoMachines {
    async fn by_key(&self, _: &str, _: IpAddr) -> Result<Principal, KeyError> {
        Err(KeyError::Invalid)
    }
}

/// Signed-in callers for tests: what a cookie opens.
struct Cookies(fn(&str) -> Option<(String, Rights)>);

#[async_trait]
impl Callers for Cookies {
    async fn by_cookie(&self, cookie: &str) -> Result<Option<CallerOfCookie>, StoreError> {
        let opened = (self.0)(cookie);
        Ok(opened
            .map(|(account_id, rights)| Caller { account_id, session_id: "session".into(), rights }.into()))
    }
}

/// The interface of `controller` and `pages` at `public_url`. `open` gives the account's id and rights behind the value of
/// a session cookie.
pub fn api<E>(
    controller: impl OpenApi + 'static,
    pages: E,
    public_url: &str,
    open: fn(&str) -> Option<(String, Rights)>,
) -> Api
where
    E: IntoEndpoint,
    E::Endpoint: 'static,
{
    let parts = ApiParts {
        public_url: public_url.parse().unwrap(),
        frontend_url: None,
        trusted_proxies: vec![],
        machines: Arc::new(NoMachines),
        callers: Arc::new(Cookies(open)),
        rules: vec![],
        any_origin: vec![],
        page_layout: Arc::new(PageLayout::sample()),
    };
    Api::new(controller, pages, parts)
}
