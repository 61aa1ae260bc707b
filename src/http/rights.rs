//! The rights that operations ask for: the list that a reviewer reads.

use std::borrow::Cow;

use poem::Request;

use super::kinds;
use super::problem::Problem;
use super::security::{Right, principal, session_cookie, signed_in};
use crate::kernel::{Caller, Principal, Role, Scope, Secret};

/// No right: anybody, signed in or not.
pub struct Anybody;

/// Any signed-in account.
pub struct SignedIn;

/// A request with a session cookie. For an operation that reads the account itself and so needs no [`Caller`]: the
/// operation must check that the cookie opens a session.
pub struct CookieHolder;

/// A signed-in student.
pub struct Student;

/// Everything: for the few operations that only administrators may use.
pub struct Administer;

/// Reading of mailings, and of the addresses that get no emails.
pub struct ReadMailings;

/// A right that a scope gives. Leaders hold scopes, and so do machines.
pub trait Scoped: Send + Sync + 'static {
    /// The scope that the caller must hold.
    const SCOPE: Scope;
}

impl Scoped for Administer {
    const SCOPE: Scope = Scope::AdminAll;
}

impl Scoped for ReadMailings {
    const SCOPE: Scope = Scope::MailingsRead;
}

impl<R: Scoped> Right for R {
    type Caller = Principal;
    const SESSION: bool = true;

    fn name() -> Cow<'static, str> {
        R::SCOPE.as_str()
    }

    async fn admit(request: &Request) -> Result<Principal, Problem> {
        let principal = principal(request).await?;
        if principal.rights.may(&R::SCOPE) {
            return Ok(principal);
        }
        if principal.rights.role == Role::Leader && !principal.rights.approved {
            return Err(kinds::not_approved());
        }
        Err(kinds::scope_missing(&R::SCOPE))
    }
}

impl Right for Anybody {
    type Caller = ();
    const SESSION: bool = false;

    fn name() -> Cow<'static, str> {
        "anybody".into()
    }

    async fn admit(_: &Request) -> Result<(), Problem> {
        Ok(())
    }
}

impl Right for SignedIn {
    type Caller = Caller;
    const SESSION: bool = true;

    fn name() -> Cow<'static, str> {
        "account".into()
    }

    async fn admit(request: &Request) -> Result<Caller, Problem> {
        signed_in(request).await
    }
}

impl Right for CookieHolder {
    type Caller = Secret<String>;
    const SESSION: bool = true;

    fn name() -> Cow<'static, str> {
        SignedIn::name()
    }

    async fn admit(request: &Request) -> Result<Secret<String>, Problem> {
        Ok(Secret::new(session_cookie(request)?.to_owned()))
    }
}

impl Right for Student {
    type Caller = Caller;
    const SESSION: bool = true;

    fn name() -> Cow<'static, str> {
        "student".into()
    }

    async fn admit(request: &Request) -> Result<Caller, Problem> {
        let caller = signed_in(request).await?;
        if caller.rights.role == Role::Student {
            return Ok(caller);
        }
        Err(kinds::students_only())
    }
}
