//! `orientation admin`: creates administrators.

use std::io::{BufRead, IsTerminal};

use super::{Failed, run};
use crate::features::accounts::MakeAdministratorError;
use crate::kernel::{Actor, EmailAddress, Invalid, Secret};
use crate::platform::store::Access;

/// Creates an administrator, or promotes the existing account with this address.
///
/// # Errors
/// If the address is invalid, the password too weak, or the store can't be opened.
pub(super) async fn create(email: &str, link: bool) -> Result<(), Failed> {
    let email = EmailAddress::parse(email).map_err(|error| Failed(format!("--email: {error}")))?;
    let app = run::assemble(run::configuration()?, Access::Beside).await?;
    let password = if link { None } else { Some(new_password()?) };
    let made = app
        .accounts
        .make_administrator(&Actor::Operator, &email, password.as_ref())
        .await
        .map_err(explain)?;
    let done = if made.created { "is an administrator" } else { "was promoted to administrator" };
    println!("{email} {done}.");
    if let Some(link) = made.link {
        println!("Open this link within an hour to set the password (it works once): {}", link.expose());
    }
    Ok(())
}

/// The reason for the operator; for a weak password, what it lacks.
fn explain(error: MakeAdministratorError) -> Failed {
    match error {
        MakeAdministratorError::Invalid(Invalid(errors)) => {
            let details: Vec<_> = errors.into_iter().map(|fault| fault.detail).collect();
            Failed(format!("the password is too weak: {}", details.join(" ")))
        }
        other => Failed::because(other),
    }
}

/// A new password: prompted for twice on a terminal, otherwise the first line of standard input.
fn new_password() -> Result<Secret<String>, Failed> {
    let first = password("Password: ")?;
    if std::io::stdin().is_terminal() && password("Repeat the password: ")?.expose() != first.expose() {
        return Err(Failed("the two passwords differ".into()));
    }
    Ok(first)
}

/// A password: prompted for on a terminal, otherwise the first line of standard input.
pub(super) fn password(prompt: &str) -> Result<Secret<String>, Failed> {
    if std::io::stdin().is_terminal() {
        return rpassword::prompt_password(prompt).map(Secret::new).map_err(Failed::because);
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(Failed::because)?;
    Ok(Secret::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}
