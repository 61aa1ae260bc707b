//! The daily report: how many students there are, what was paid, and what needs a look.
//!
//! A job makes it every day at 09:00 in the event's time zone, in one transaction with the emails to the configured
//! recipients. A report contains counts and names nobody. It is kept, so that each report shows what has changed since the
//! one before.

mod chart;
mod controller;
mod mails;
mod model;
mod service;
mod subscribers;
#[cfg(test)]
mod tests;

pub use controller::ReportsController;
pub use model::{Bursaries, DailyReport, Figures, ProductFigures, Students, Tally, Trouble};
pub use service::{GetReportError, Reports};
pub use subscribers::MakeDailyReport;

use std::sync::Arc;

use super::Feature;
use crate::base::Base;
use crate::platform::store::{Schema, schema};

/// What reports add to the service.
pub fn feature(base: &Base, reports: &Arc<Reports>) -> Feature<ReportsController> {
    Feature::new()
        .serves(ReportsController::new(reports.clone()))
        .writes(vec![Arc::new(mails::DailyReportEmail::new(base))])
        .handles(subscribers::DailyReports(reports.clone()))
        .every("0 9 * * *", |tick| MakeDailyReport { tick })
}

/// The documents of this feature.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<DailyReport>()]
}
