//! The email with the daily report.

use std::fmt::Write;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::chart;
use super::model::{DailyReport, ProductFigures, Tally};
use crate::base::Base;
use crate::kernel::{EmailAddress, Money};
use crate::platform::mail::{Attachment, Email, EmailKind, EmailLayout, Mail, RenderError, Sample};
use crate::platform::store::Store;

/// The id of the chart in the email.
const CHART: &str = "chart";

/// What the email is about.
#[derive(Serialize, Deserialize)]
pub struct AboutReport {
    /// The report's id.
    report: String,
}

/// The emails with a report, one for each recipient.
pub(super) fn of(report: &DailyReport, recipients: &[EmailAddress]) -> Vec<Mail> {
    let about = AboutReport { report: report.id.clone() };
    let email = |(number, to): (usize, &EmailAddress)| {
        Mail::of::<DailyReportEmail>(&format!("{}:{number}", report.id), to, &about, report.made_at)
    };
    (1..).zip(recipients).map(email).collect()
}

/// The email `daily-report:<date>:<number of the recipient>`.
pub struct DailyReportEmail {
    store: Store,
    layout: EmailLayout,
}

#[derive(askama::Template)]
#[template(path = "features/reports/templates/daily-report.body.txt", blocks = ["subject"])]
struct Text<'a> {
    layout: &'a EmailLayout,
    facts: &'a Facts,
}

#[derive(askama::Template)]
#[template(path = "features/reports/templates/daily-report.body.html")]
struct Html<'a> {
    layout: &'a EmailLayout,
    facts: &'a Facts,
}

/// What the email says: the text and the HTML show the same tables.
struct Facts {
    day: String,
    /// The day of the report that this one is compared with.
    before: Option<String>,
    total: Tally,
    tables: Vec<Table>,
}

struct Table {
    title: &'static str,
    rows: Vec<Row>,
    /// Whether the chart shows it, too.
    has_chart: bool,
}

struct Row {
    label: String,
    value: String,
    /// Empty if there is no report before.
    change: String,
}

impl Row {
    fn count(label: &str, count: u64, change: Option<i64>) -> Self {
        let change = change.map_or_else(String::new, |change| match change {
            0 => "0".to_owned(),
            _ => format!("{change:+}"),
        });
        Self { label: label.to_owned(), value: count.to_string(), change }
    }

    /// Students, and how many of them are registered.
    fn tally(label: &str, tally: Tally, change: Option<i64>) -> Self {
        let value = format!("{} ({} registered)", tally.students, tally.registered);
        Self { value, ..Self::count(label, 0, change) }
    }

    fn money(label: &str, money: Money, change: Option<Money>) -> Self {
        // The amount beside it has the currency.
        let change = change.map_or_else(String::new, |change| {
            let sign = if change.amount > 0 { "+" } else { "" };
            match (change.amount, change.to_string().split_once(' ')) {
                (0, _) | (_, None) => "0".to_owned(),
                (_, Some((_, amount))) => format!("{sign}{amount}"),
            }
        });
        Self { label: label.to_owned(), value: money.to_string(), change }
    }
}

impl Table {
    fn new(title: &'static str, rows: Vec<Row>) -> Self {
        Self { title, rows, has_chart: false }
    }

    /// For a font in which all letters have the same width.
    fn as_text(&self) -> String {
        let width =
            |of: fn(&Row) -> &str| self.rows.iter().map(|row| of(row).chars().count()).max().unwrap_or(0);
        let (label, value) = (width(|row| &row.label), width(|row| &row.value));
        let mut text = String::new();
        for row in &self.rows {
            let line = format!("{:label$}  {:value$}  {}", row.label, row.value, row.change);
            // Writing to a string does not fail.
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text.trim_end().to_owned()
    }
}

impl Facts {
    fn new(report: &DailyReport) -> Self {
        let mut disciplines = Table::new("By discipline", by(report, |students| &students.disciplines));
        disciplines.has_chart = !disciplines.rows.is_empty();
        let tables = vec![
            students(report),
            disciplines,
            Table::new("By pronouns", by(report, |students| &students.pronouns)),
            Table::new("Money", report.figures.products.iter().flat_map(|of| product(report, of)).collect()),
            trouble(report),
        ];
        Self {
            day: report.day(),
            before: report.day_before(),
            total: report.figures.students.total,
            tables: tables.into_iter().filter(|table| !table.rows.is_empty()).collect(),
        }
    }
}

fn students(report: &DailyReport) -> Table {
    let now = &report.figures.students;
    let rows = vec![
        Row::count("Students", now.total.students, report.change(|of| of.students.total.students)),
        Row::count("Registered", now.total.registered, report.change(|of| of.students.total.registered)),
        Row::tally("In the hunt", now.hunt, report.change(|of| of.students.hunt.students)),
        Row::count(
            "Bursaries to decide",
            now.bursaries.requested,
            report.change(|of| of.students.bursaries.requested),
        ),
        Row::count(
            "Bursaries approved",
            now.bursaries.approved,
            report.change(|of| of.students.bursaries.approved),
        ),
        Row::count(
            "Bursaries declined",
            now.bursaries.declined,
            report.change(|of| of.students.bursaries.declined),
        ),
    ];
    Table::new("Students", rows)
}

type ByName = std::collections::BTreeMap<String, Tally>;

/// A row for each name that this report or the one before has.
fn by(report: &DailyReport, of: fn(&super::model::Students) -> &ByName) -> Vec<Row> {
    let now = of(&report.figures.students);
    let before = report.before.as_ref().map(|before| of(&before.figures.students));
    let gone = before.into_iter().flat_map(|before| before.keys()).filter(|name| !now.contains_key(*name));
    let row = |name: &String| {
        let tally =
            |figures: &super::model::Figures| of(&figures.students).get(name).copied().unwrap_or_default();
        Row::tally(name, tally(&report.figures), report.change(|figures| tally(figures).students))
    };
    now.keys().chain(gone).map(row).collect()
}

fn product(report: &DailyReport, of: &ProductFigures) -> [Row; 4] {
    let sold = |figures: &super::model::Figures| figures.product(of).map_or(0, |product| product.sold);
    let label = |what: &str| format!("{}: {what}", of.name);
    let waived = match of.waived_orders {
        1 => "waived (1 order)".to_owned(),
        orders => format!("waived ({orders} orders)"),
    };
    [
        Row::count(&label("sold"), of.sold, report.change(sold)),
        Row::money(&label("paid"), of.paid, report.change_of(of, |of| of.paid)),
        Row::money(&label(&waived), of.waived, report.change_of(of, |of| of.waived)),
        Row::money(&label("refunded"), of.refunded, report.change_of(of, |of| of.refunded)),
    ]
}

fn trouble(report: &DailyReport) -> Table {
    let now = &report.figures.trouble;
    let rows = vec![
        Row::count("Dead jobs", now.dead_jobs, report.change(|of| of.trouble.dead_jobs)),
        Row::count("Failed emails", now.failed_emails, report.change(|of| of.trouble.failed_emails)),
        Row::count(
            "Addresses that bounce",
            now.bounced_addresses,
            report.change(|of| of.trouble.bounced_addresses),
        ),
        Row::count("Complaints about emails", now.complaints, report.change(|of| of.trouble.complaints)),
        Row::count(
            "Questions to answer",
            now.unanswered_questions,
            report.change(|of| of.trouble.unanswered_questions),
        ),
    ];
    Table::new("To look at", rows)
}

impl DailyReportEmail {
    /// Renders with the layout of `base`.
    pub fn new(base: &Base) -> Self {
        Self { store: base.store.clone(), layout: base.email_layout.clone() }
    }

    fn write(&self, report: &DailyReport) -> Result<Email, RenderError> {
        let (layout, facts) = (&self.layout, &Facts::new(report));
        let text = Text { layout, facts };
        let email = layout.render(&text.as_subject(), &text, &Html { layout, facts })?;
        let disciplines = &report.figures.students.disciplines;
        if disciplines.is_empty() {
            return Ok(email);
        }
        let bars: Vec<_> = disciplines.iter().map(|(name, tally)| (name.as_str(), *tally)).collect();
        let chart = chart::draw(&bars).map_err(|error| RenderError::Failed(error.to_string()))?;
        Ok(email.attach(Attachment::png(CHART, chart)))
    }
}

#[async_trait]
impl EmailKind for DailyReportEmail {
    const NAME: &'static str = "daily-report";
    type About = AboutReport;

    async fn render(&self, about: AboutReport, _: &Mail) -> Result<Email, RenderError> {
        let report = self.store.get::<DailyReport>(&about.report).await?;
        self.write(&report.ok_or(RenderError::Obsolete("no report"))?)
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        let report = DailyReport::sample();
        let first = DailyReport { before: None, ..report.clone() };
        Ok(vec![
            Sample::new("with changes", self.write(&report)?),
            Sample::new("the first report", self.write(&first)?),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::mail::Template;

    #[tokio::test]
    async fn the_email_is_reviewed() {
        let base = Base::for_tests().await;
        let [changes, first]: [Sample; 2] =
            Template::samples(&DailyReportEmail::new(&base)).unwrap().try_into().unwrap();
        insta::assert_snapshot!("daily-report.subject", changes.email.subject);
        insta::assert_snapshot!("daily-report.txt", changes.email.text);
        insta::assert_snapshot!("daily-report.html", changes.email.html);
        insta::assert_snapshot!("first-report.txt", first.email.text);
        assert_eq!(changes.email.attachments[0].content_id, Some(CHART));
    }

    #[tokio::test]
    async fn a_report_without_students_has_no_chart() {
        let base = Base::for_tests().await;
        let sample = DailyReport::sample();
        let report = DailyReport { figures: super::super::model::Figures::default(), before: None, ..sample };
        let email = DailyReportEmail::new(&base).write(&report).unwrap();
        assert!(email.attachments.is_empty() && !email.html.contains("cid:"));
        assert!(email.text.contains("Students"), "{}", email.text);
    }
}
