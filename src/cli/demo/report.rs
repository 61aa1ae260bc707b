//! The results as a table.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use comfy_table::{Table, presets};

use super::journey::{Arrived, Stuck};

/// Maximum number of failure reasons shown.
const REASONS: usize = 5;

/// The totals of all students.
pub(super) struct Report {
    arrived: usize,
    stuck: Vec<Stuck>,
    groups: BTreeMap<String, usize>,
    money: BTreeMap<String, i64>,
    emails: usize,
    /// Each student's time, sorted.
    times: Vec<Duration>,
    requests: u64,
    took: Duration,
}

impl Report {
    pub fn of(outcomes: Vec<Result<Arrived, Stuck>>, requests: u64, took: Duration) -> Self {
        let mut report = Self {
            arrived: 0,
            stuck: vec![],
            groups: BTreeMap::new(),
            money: BTreeMap::new(),
            emails: 0,
            times: vec![],
            requests,
            took,
        };
        for outcome in outcomes {
            match outcome {
                Ok(arrived) => report.count(arrived),
                Err(stuck) => report.stuck.push(stuck),
            }
        }
        report.times.sort();
        report
    }

    fn count(&mut self, arrived: Arrived) {
        self.arrived += 1;
        *self.groups.entry(arrived.group).or_default() += 1;
        *self.money.entry(arrived.currency).or_default() += arrived.paid;
        self.emails += arrived.emails;
        self.times.push(arrived.took);
    }

    /// Number of students that failed.
    pub fn failures(&self) -> usize {
        self.stuck.len()
    }

    fn spread(&self) -> String {
        let sizes = self.groups.values();
        match (sizes.clone().min(), sizes.max()) {
            (Some(least), Some(most)) => {
                format!("{} groups, {least} to {most} of these students each", self.groups.len())
            }
            _ => "none".into(),
        }
    }

    fn paid(&self) -> String {
        let sums = self.money.iter().map(|(currency, amount)| {
            match crate::kernel::Currency::try_from(currency.clone()) {
                Ok(currency) => crate::kernel::Money { amount: *amount, currency }.to_string(),
                Err(_) => format!("{currency} {amount}"),
            }
        });
        sums.collect::<Vec<_>>().join(", ")
    }

    fn percentile(&self, part: usize) -> Duration {
        let last = self.times.len().saturating_sub(1);
        self.times.get(self.times.len() * part / 100).or(self.times.get(last)).copied().unwrap_or_default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY);
        table.add_row([
            "accounts registered, with a ticket in the outbox".to_owned(),
            self.arrived.to_string(),
        ]);
        table.add_row(["forms read back as written".to_owned(), self.arrived.to_string()]);
        table.add_row(["failed".to_owned(), self.stuck.len().to_string()]);
        table.add_row(["groups".to_owned(), self.spread()]);
        table.add_row(["paid".to_owned(), self.paid()]);
        table.add_row(["emails".to_owned(), self.emails.to_string()]);
        table.add_row(["time taken".to_owned(), format!("{seconds:.1} s")]);
        table.add_row([
            "time per student, median and 99 %".to_owned(),
            format!("{:.1} s, {:.1} s", self.percentile(50).as_secs_f64(), self.percentile(99).as_secs_f64()),
        ]);
        table.add_row([
            "requests".to_owned(),
            format!("{}, {:.0} per second", self.requests, self.requests as f64 / seconds.max(0.001)),
        ]);
        write!(f, "{table}")?;
        for Stuck(reason) in self.stuck.iter().take(REASONS) {
            write!(f, "\nfailed: {reason}")?;
        }
        Ok(())
    }
}
