//! `orientation reconcile`: asks the gateway about events that did not arrive.

use comfy_table::{ContentArrangement, Table, presets};

use super::{Failed, run};
use crate::features::payments::{Finding, Found, ReconcileScope, Reconciliation, Unfinished};
use crate::kernel::Actor;
use crate::platform::store::Access;

/// Checks every open order, beside a running service, and prints the findings.
///
/// # Errors
/// If the store can't be opened, or an order can't be checked. What was found all the same is printed and has been
/// applied.
pub(super) async fn run() -> Result<(), Failed> {
    let app = run::assemble(run::configuration()?, Access::Beside).await?;
    let (result, failed) = match app.payments.reconcile(&Actor::Operator, ReconcileScope::All).await {
        Ok(result) => (result, None),
        Err(Unfinished { found, why }) => (found, Some(why)),
    };
    println!("{}", report(&result));
    failed.map_or(Ok(()), |why| Err(Failed::because(why)))
}

fn report(result: &Reconciliation) -> String {
    let sum = format!("{} open orders checked, {} with news.", result.asked, result.findings.len());
    if result.findings.is_empty() { sum } else { format!("{}\n{sum}", table(&result.findings)) }
}

fn table(findings: &[Finding]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["order", "attempt", "finding"]);
    for Finding { order, attempt, found } in findings {
        table.add_row([order.as_str(), &attempt.to_string(), in_words(*found)]);
    }
    table
}

fn in_words(found: Found) -> &'static str {
    match found {
        Found::Paid => "paid",
        Found::Processing => "the payment is being processed",
        Found::Reopened => "the payment failed; the order can be paid again",
        Found::Expired => "the checkout ended unpaid",
        Found::Flagged(_) => "a payment needs review",
        Found::Opened => "the checkout is open and can be paid",
        Found::Mispriced => "the checkout had another amount and was expired; the next attempt is scheduled",
        Found::Abandoned => "no checkout was ever opened; the next attempt is scheduled",
        Found::Unknown => "the gateway does not know the checkout: needs review",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_listed_above_the_total() {
        let nothing = Reconciliation { asked: 3, findings: vec![] };
        assert_eq!(report(&nothing), "3 open orders checked, 0 with news.");
        let finding = Finding { order: "o".into(), attempt: 2, found: Found::Paid };
        let report = report(&Reconciliation { asked: 3, findings: vec![finding] });
        assert!(
            report.contains("paid") && report.ends_with("\n3 open orders checked, 1 with news."),
            "{report}"
        );
    }
}
