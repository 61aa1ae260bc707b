//! The results, on one screen.

use std::fmt;
use std::time::Duration;

use comfy_table::{Table, presets};

use super::checks::{Check, Left};
use super::measures::{Measures, Summary};

/// What came of the sale.
pub(super) struct Report {
    paid: usize,
    left_unpaid: usize,
    cancelled: usize,
    refused: usize,
    steps: Vec<Summary>,
    claims: (u64, Duration),
    requests: usize,
    waits: u64,
    took: Duration,
    checks: Vec<Check>,
}

impl Report {
    pub fn of(buyers: &[Left], checks: Vec<Check>, measures: &Measures, took: Duration) -> Self {
        let count = |holds: fn(&Left) -> bool| buyers.iter().filter(|buyer| holds(buyer)).count();
        Self {
            paid: count(|buyer| buyer.outcome.paid),
            left_unpaid: count(|buyer| buyer.states.iter().any(|state| state == "open")),
            cancelled: count(|buyer| buyer.outcome.cancelled),
            refused: count(|buyer| buyer.outcome.refused),
            steps: measures.summaries(),
            claims: measures.claims(),
            requests: measures.requests(),
            waits: measures.waits(),
            took,
            checks,
        }
    }

    /// Number of checks that failed.
    pub fn failures(&self) -> usize {
        self.checks.iter().filter(|check| check.fault.is_some()).count()
    }

    fn times(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(["step", "requests", "p50", "p99", "longest"]);
        for step in &self.steps {
            let times = [step.median, step.p99, step.longest].map(milliseconds);
            let [p50, p99, longest] = times;
            table.add_row([step.step.name().to_owned(), step.count.to_string(), p50, p99, longest]);
        }
        table
    }

    /// The step for which all buyers together waited longest.
    fn bottleneck(&self) -> Option<&Summary> {
        self.steps.iter().max_by_key(|step| step.total)
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

fn rate(count: f64, time: Duration) -> String {
    format!("{:.0} a second", count / time.as_secs_f64().max(0.001))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.times())?;
        let (claims, time) = self.claims;
        writeln!(
            f,
            "Orders that got a place: {claims} in {:.1} s, {}",
            time.as_secs_f64(),
            rate(claims as f64, time)
        )?;
        writeln!(f, "Requests: {}, {}", self.requests, rate(self.requests as f64, self.took))?;
        writeln!(f, "Requests that were asked to wait: {}", self.waits)?;
        if let Some(step) = self.bottleneck() {
            writeln!(f, "Buyers waited longest for: {}", step.step.name())?;
        }
        writeln!(
            f,
            "Buyers: {} paid, {} left without paying, {} cancelled, {} found it sold out\n",
            self.paid, self.left_unpaid, self.cancelled, self.refused
        )?;
        for Check { statement, fault } in &self.checks {
            match fault {
                None => writeln!(f, "✓ {statement}.")?,
                Some(fault) => writeln!(f, "✗ {statement}: {fault}.")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_shown_after_its_statement() {
        let checks = vec![
            Check { statement: "No place is lost", fault: None },
            Check { statement: "No place is sold twice", fault: Some("3 of 2 are taken".into()) },
        ];
        let report = Report::of(&[], checks, &Measures::default(), Duration::from_secs(1));
        let text = report.to_string();
        assert!(text.contains("✓ No place is lost.\n"), "{text}");
        assert!(text.contains("✗ No place is sold twice: 3 of 2 are taken.\n"), "{text}");
        assert_eq!(report.failures(), 1);
    }
}
