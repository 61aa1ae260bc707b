//! `orientation admin`: administrators, made by whoever has the machine.

use std::io::{BufRead, IsTerminal};

use super::{Failed, run};
use crate::features::accounts::MakeAdministratorError;
use crate::kernel::{EmailAddress, Invalid, Secret};
use crate::platform::store::Access;

/// Makes an administrator, or promotes the account that the address has.
///
/// # Errors
/// If the address is none, the password too weak, or the store can't be opened.
pub(super) async fn create(email: &str, link: bool) -> Result<(), Failed> {
    let email = EmailAddress::parse(email).map_err(|error| Failed(format!("--email: {error}")))?;
    let app = run::assemble(run::configuration()?, Access::Beside).await?;
    let password = if link { None } else { Some(password()?) };
    let made = app.accounts.make_administrator(&email, password.as_ref()).await.map_err(told)?;
    let done = if made.created { "is an administrator" } else { "was promoted to administrator" };
    println!("{email} {done}.");
    if let Some(link) = made.link {
        println!("Set the password within an hour, once: {}", link.expose());
    }
    Ok(())
}

/// Why there is no administrator: a password that isn't good enough says what it lacks.
fn told(error: MakeAdministratorError) -> Failed {
    match error {
        MakeAdministratorError::Invalid(Invalid(errors)) => {
            let details: Vec<_> = errors.into_iter().map(|fault| fault.detail).collect();
            Failed(format!("the password is not good enough: {}", details.join(" ")))
        }
        other => Failed::because(other),
    }
}

/// Asked for twice on a terminal; otherwise the first line of standard input.
fn password() -> Result<Secret<String>, Failed> {
    if !std::io::stdin().is_terminal() {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(Failed::because)?;
        return Ok(Secret::new(line.trim_end_matches(['\r', '\n']).to_owned()));
    }
    let first = rpassword::prompt_password("Password: ").map_err(Failed::because)?;
    let second = rpassword::prompt_password("The same again: ").map_err(Failed::because)?;
    if first == second { Ok(Secret::new(first)) } else { Err(Failed("the two passwords differ".into())) }
}
