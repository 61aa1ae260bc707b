//! `orientation reconcile`: asks the gateway for what never arrived.

use comfy_table::{ContentArrangement, Table, presets};

use super::{Failed, run};
use crate::features::payments::{Finding, Found, Outcome, Scope};
use crate::platform::store::Access;

/// Asks about every order that waits for something, beside a service that runs, and prints what was news.
///
/// # Errors
/// If the store can't be opened, or the gateway can't be asked. What was found by then has taken effect.
pub(super) async fn run() -> Result<(), Failed> {
    let app = run::assemble(run::configuration()?, Access::Beside).await?;
    let result = app.payments.reconcile(Scope::All).await.map_err(Failed::because)?;
    if !result.findings.is_empty() {
        println!("{}", table(&result.findings));
    }
    println!("{} open orders, {} with news.", result.asked, result.findings.len());
    Ok(())
}

fn table(findings: &[Finding]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["order", "attempt", "what the gateway knew"]);
    for Finding { order, attempt, found } in findings {
        table.add_row([order.as_str(), &attempt.to_string(), in_words(*found)]);
    }
    table
}

fn in_words(found: Found) -> &'static str {
    match found {
        Found::Settled(Outcome::Paid) => "it is paid",
        Found::Settled(Outcome::Processing) => "its payment is on its way",
        Found::Settled(Outcome::Reopened) => "its payment failed: it can be tried again",
        Found::Settled(Outcome::Expired) => "its checkout has ended unpaid",
        Found::Settled(Outcome::Flagged(_)) => "money came that somebody has to look at",
        Found::Settled(Outcome::Returned | Outcome::Unchanged) => "nothing new",
        Found::Opened => "its checkout is there and can be paid",
        Found::Abandoned => "no checkout was ever made: another attempt is on its way",
        Found::Unknown => "the gateway does not know its checkout: somebody has to look",
    }
}
