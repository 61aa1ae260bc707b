//! The operation on reports.

use std::sync::Arc;

use poem_openapi::param::Query;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi, Tags};

use super::model::{DailyReport, Figures, ProductFigures, Students, Tally};
use super::service::{GetReportError, Reports};
use crate::features::payments::MoneyBody;
use crate::http::rights::ReadAccounts;
use crate::http::{By, DateParam, Examples, Failure, Kind, Problem, Refusal};
use crate::kernel::Money;
use crate::platform::store::StoreError;

#[derive(Tags)]
enum Tag {
    /// Reports for the committee. They contain counts and name nobody.
    Reports,
}

/// A count, and how it has changed since the report before.
#[derive(Clone, Copy, Debug, Object)]
#[oai(rename = "ReportCount", rename_all = "camelCase")]
pub struct CountBody {
    /// The count.
    pub count: u64,
    /// How much it is above that of the report before; negative if it is below. Absent if there is none.
    #[oai(skip_serializing_if_is_none)]
    pub change: Option<i64>,
}

impl CountBody {
    fn of(report: &DailyReport, of: impl Fn(&Figures) -> u64) -> Self {
        Self { count: of(&report.figures), change: report.change(of) }
    }
}

/// An amount of money, and how it has changed since the report before.
#[derive(Clone, Debug, Object)]
#[oai(rename = "ReportAmount", rename_all = "camelCase")]
pub struct AmountBody {
    /// The amount.
    pub amount: MoneyBody,
    /// How much it is above that of the report before; negative if it is below. Absent if there is none.
    #[oai(skip_serializing_if_is_none)]
    pub change: Option<MoneyBody>,
}

impl AmountBody {
    fn of(report: &DailyReport, product: &ProductFigures, of: fn(&ProductFigures) -> Money) -> Self {
        let change = report.change_of(product, of).map(MoneyBody::from);
        Self { amount: of(product).into(), change }
    }
}

/// Numbers of students.
#[derive(Clone, Copy, Debug, Object)]
#[oai(rename = "ReportTally", rename_all = "camelCase")]
pub struct TallyBody {
    /// Students who have submitted the form.
    pub students: CountBody,
    /// Those of them who are registered.
    pub registered: CountBody,
}

impl TallyBody {
    fn of(report: &DailyReport, of: impl Fn(&Students) -> Tally) -> Self {
        Self {
            students: CountBody::of(report, |figures| of(&figures.students).students),
            registered: CountBody::of(report, |figures| of(&figures.students).registered),
        }
    }
}

/// Numbers of the students with one answer.
#[derive(Clone, Debug, Object)]
#[oai(rename = "ReportAnswer", rename_all = "camelCase")]
pub struct AnswerBody {
    /// The answer: a discipline, or pronouns.
    pub name: String,
    /// Students who have submitted the form.
    pub students: CountBody,
    /// Those of them who are registered.
    pub registered: CountBody,
}

/// The answers that this report has.
fn answers(
    report: &DailyReport,
    of: fn(&Students) -> &std::collections::BTreeMap<String, Tally>,
) -> Vec<AnswerBody> {
    let names = of(&report.figures.students).keys();
    let answer = |name: &String| {
        let tally = TallyBody::of(report, |students| of(students).get(name).copied().unwrap_or_default());
        AnswerBody { name: name.clone(), students: tally.students, registered: tally.registered }
    };
    names.map(answer).collect()
}

/// The orders of a product in one currency.
#[derive(Clone, Debug, Object)]
#[oai(rename = "ReportProduct", rename_all = "camelCase")]
pub struct ProductBody {
    /// Id of the product in `event.toml`.
    pub product: String,
    /// Name of the product.
    pub name: String,
    /// Orders that are paid or waived, and not refunded in full.
    pub sold: CountBody,
    /// Orders that were waived.
    pub waived_orders: CountBody,
    /// Payments received.
    pub paid: AmountBody,
    /// Prices of the orders that were waived.
    pub waived: AmountBody,
    /// What was refunded of the payments.
    pub refunded: AmountBody,
}

impl ProductBody {
    fn of(report: &DailyReport, product: &ProductFigures) -> Self {
        let orders = |of: fn(&ProductFigures) -> u64| {
            CountBody::of(report, |figures| figures.product(product).map_or(0, of))
        };
        Self {
            product: product.product.clone(),
            name: product.name.clone(),
            sold: orders(|product| product.sold),
            waived_orders: orders(|product| product.waived_orders),
            paid: AmountBody::of(report, product, |product| product.paid),
            waived: AmountBody::of(report, product, |product| product.waived),
            refunded: AmountBody::of(report, product, |product| product.refunded),
        }
    }
}

/// Requests for bursaries.
#[derive(Clone, Copy, Debug, Object)]
#[oai(rename = "ReportBursaries", rename_all = "camelCase")]
pub struct BursariesBody {
    /// Requests that are not decided yet.
    pub requested: CountBody,
    /// Approved requests.
    pub approved: CountBody,
    /// Declined requests.
    pub declined: CountBody,
}

/// The report of one day.
#[derive(Clone, Debug, Object)]
#[oai(rename = "DailyReport", rename_all = "camelCase", example)]
pub struct DailyReportBody {
    /// Date in the event's time zone (`YYYY-MM-DD`).
    pub date: String,
    /// When the numbers were counted (RFC 3339, UTC).
    pub made_at: String,
    /// Date of the report that the changes are relative to (`YYYY-MM-DD`). Absent if there is none.
    #[oai(skip_serializing_if_is_none)]
    pub compared_with: Option<String>,
    /// All students.
    pub total: TallyBody,
    /// Students who take part in the hunt.
    pub hunt: TallyBody,
    /// Students by pronouns.
    pub pronouns: Vec<AnswerBody>,
    /// Students by discipline.
    pub disciplines: Vec<AnswerBody>,
    /// Requests for bursaries.
    pub bursaries: BursariesBody,
    /// Orders and money by product and currency.
    pub products: Vec<ProductBody>,
    /// Background jobs that were given up.
    pub dead_jobs: CountBody,
    /// Emails that could not be sent.
    pub failed_emails: CountBody,
    /// Addresses that get no emails because one bounced.
    pub bounced_addresses: CountBody,
    /// Addresses that get no emails because their owners reported one as spam.
    pub complaints: CountBody,
    /// Frequent questions that wait for an answer. From 500 on, no more are taken.
    pub unanswered_questions: CountBody,
}

impl poem_openapi::types::Example for DailyReportBody {
    fn example() -> Self {
        Self::from(&DailyReport::sample())
    }
}

impl From<&DailyReport> for DailyReportBody {
    fn from(report: &DailyReport) -> Self {
        let count = |of: fn(&Figures) -> u64| CountBody::of(report, of);
        Self {
            date: report.id.clone(),
            made_at: report.made_at.rfc3339(),
            compared_with: report.before.as_ref().map(|before| before.date.clone()),
            total: TallyBody::of(report, |students| students.total),
            hunt: TallyBody::of(report, |students| students.hunt),
            pronouns: answers(report, |students| &students.pronouns),
            disciplines: answers(report, |students| &students.disciplines),
            bursaries: BursariesBody {
                requested: count(|figures| figures.students.bursaries.requested),
                approved: count(|figures| figures.students.bursaries.approved),
                declined: count(|figures| figures.students.bursaries.declined),
            },
            products: report.figures.products.iter().map(|of| ProductBody::of(report, of)).collect(),
            dead_jobs: count(|figures| figures.trouble.dead_jobs),
            failed_emails: count(|figures| figures.trouble.failed_emails),
            bounced_addresses: count(|figures| figures.trouble.bounced_addresses),
            complaints: count(|figures| figures.trouble.complaints),
            unanswered_questions: count(|figures| figures.trouble.unanswered_questions),
        }
    }
}

const NO_SUCH_REPORT: Kind = Kind::new(404, "no-such-report", "No such report");

impl Refusal for GetReportError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => NO_SUCH_REPORT
                .says("There is no report of this day. Reports are made at 09:00 in the event's time zone."),
            Self::Store(error) => error.problem(),
        }
    }
}

/// The operations of this feature.
pub struct ReportsController(Arc<Reports>);

impl ReportsController {
    /// The operations over `reports`.
    pub fn new(reports: Arc<Reports>) -> Self {
        Self(reports)
    }
}

#[OpenApi(tag = "Tag::Reports")]
impl ReportsController {
    /// Get the daily report
    ///
    /// Counts of students, orders and money, and what needs a look: as they were at 09:00 in the event's time zone, with the
    /// change since the report before. The configured recipients get the same by email.
    #[oai(path = "/v1/reports/daily", method = "get", operation_id = "getDailyReport")]
    async fn get_daily_report(
        &self,
        // The report says less than the accounts and students that this scope reads, and machines can hold it.
        _caller: By<ReadAccounts>,
        /// Date of the report in the event's time zone (`YYYY-MM-DD`). The latest report if absent.
        date: Query<Option<DateParam>>,
    ) -> Result<Json<DailyReportBody>, Failure<GetReportError>> {
        let date = date.0.map(|date| date.0.to_string());
        Ok(Json(DailyReportBody::from(&self.0.get(date.as_deref()).await?)))
    }
}
