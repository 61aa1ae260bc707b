//! Pages that are open on the operator's own machine and for administrators elsewhere.

use poem::{Endpoint, Middleware, Request, Result};

use crate::http::{Kind, principal};
use crate::kernel::Scope;

const ADMINISTRATORS_ONLY: Kind = Kind::new(403, "administrators-only", "Administrators only");

/// Who may see a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody who can reach the service: it listens on loopback only.
    Anybody,
    /// Accounts with `admin:all`: a rehearsal faces strangers.
    Administrators,
}

/// Lets through whom [`Access`] says.
#[derive(Clone, Copy)]
pub struct Guard {
    pub access: Access,
    /// What others than administrators read.
    pub detail: &'static str,
}

/// The pages behind a [`Guard`].
pub struct Guarded<E> {
    inner: E,
    guard: Guard,
}

impl<E: Endpoint> Middleware<E> for Guard {
    type Output = Guarded<E>;

    fn transform(&self, inner: E) -> Guarded<E> {
        Guarded { inner, guard: *self }
    }
}

impl<E: Endpoint> Endpoint for Guarded<E> {
    type Output = E::Output;

    async fn call(&self, request: Request) -> Result<E::Output> {
        if self.guard.access == Access::Administrators
            && !principal(&request).await?.rights.may(Scope::AdminAll)
        {
            return Err(ADMINISTRATORS_ONLY.says(self.guard.detail).into());
        }
        self.inner.call(request).await
    }
}
