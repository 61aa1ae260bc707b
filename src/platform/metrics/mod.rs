//! Counters and gauges in Prometheus' text format.
//!
//! Each part of the system holds the counters that it increments ([`Requests`], [`Connections`], [`JobRuns`], …). This module
//! knows none of these parts; [`monitoring`](super::monitoring) adds what is counted in the store. Label values are words of
//! the program (operations, kinds of jobs, outcomes), never a part of a request, so that anonymous clients can't create
//! series and metrics contain no personal data.
//!
//! To add a metric: an entry in `described`, a line in `docs/metrics.md`, and a handle where it is counted.

pub(in crate::platform) mod described;
mod requests;
mod work;

pub use described::{ALL, Described, Kind};
pub use requests::{Connections, CutOff, InFlight, Operations, Requests};
pub use work::{GatewayCalls, JobRuns, MailSends};

#[cfg(test)]
mod tests {
    use super::ALL;

    /// The cells of each row of the table in `docs/metrics.md`.
    fn rows() -> Vec<Vec<String>> {
        let page = include_str!("../../../docs/metrics.md");
        let rows = page.lines().filter(|line| line.starts_with("| `"));
        let cells =
            |row: &str| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
        rows.map(cells).collect()
    }

    #[test]
    fn the_page_and_the_table_agree() {
        let described: Vec<_> = ALL
            .iter()
            .map(|metric| {
                let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
                let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
                [format!("`{}`", metric.name), metric.kind.as_str().into(), labels, metric.help.to_owned()]
            })
            .collect();
        let rows: Vec<_> = rows().into_iter().map(|row| row[..4].to_vec()).collect();
        assert_eq!(rows, described);
    }

    #[test]
    fn the_page_says_how_to_use_each_metric() {
        for row in rows() {
            assert!(row.len() == 5 && !row[4].is_empty(), "{row:?}");
        }
    }
}
