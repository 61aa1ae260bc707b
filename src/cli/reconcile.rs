//! `orientation reconcile`: asks the gateway for what never arrived.

use comfy_table::{ContentArrangement, Table, presets};

use super::{Failed, run};
use crate::features::payments::{Finding, Found, Reconciliation, Scope, Unfinished};
use crate::platform::store::Access;

/// Asks about every order that waits for something, beside a service that runs, and prints what was news.
///
/// # Errors
/// If the store can't be opened, or something can't be asked. What was found all the same is printed and has taken
/// effect.
pub(super) async fn run() -> Result<(), Failed> {
    let app = run::assemble(run::configuration()?, Access::Beside).await?;
    let (result, failed) = match app.payments.reconcile(Scope::All).await {
        Ok(result) => (result, None),
        Err(Unfinished { found, why }) => (found, Some(why)),
    };
    println!("{}", report(&result));
    failed.map_or(Ok(()), |why| Err(Failed::because(why)))
}

fn report(result: &Reconciliation) -> String {
    let sum = format!("{} open orders, {} with news.", result.asked, result.findings.len());
    if result.findings.is_empty() { sum } else { format!("{}\n{sum}", table(&result.findings)) }
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
        Found::Paid => "it is paid",
        Found::Processing => "its payment is on its way",
        Found::Reopened => "its payment failed: it can be tried again",
        Found::Expired => "its checkout has ended unpaid",
        Found::Flagged(_) => "money came that somebody has to look at",
        Found::Opened => "its checkout is there and can be paid",
        Found::Mispriced => {
            "its checkout asked for another amount and was ended: another attempt is on its way"
        }
        Found::Abandoned => "no checkout was ever made: another attempt is on its way",
        Found::Unknown => "the gateway does not know its checkout: somebody has to look",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_news_stands_above_the_sum() {
        let nothing = Reconciliation { asked: 3, findings: vec![] };
        assert_eq!(report(&nothing), "3 open orders, 0 with news.");
        let finding = Finding { order: "o".into(), attempt: 2, found: Found::Paid };
        let report = report(&Reconciliation { asked: 3, findings: vec![finding] });
        assert!(
            report.contains("it is paid") && report.ends_with("\n3 open orders, 1 with news."),
            "{report}"
        );
    }
}
