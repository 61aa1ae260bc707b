//! Use cases: making the report of a day, and reading it.

use std::sync::Arc;

use futures_util::TryStreamExt;

use super::mails;
use super::model::{Bursaries, DailyReport, Earlier, Figures, Students, Tally, Trouble};
use crate::base::Base;
use crate::config::Event;
use crate::features::accounts::Account;
use crate::features::bursary_requests::{Bursary, BursaryState};
use crate::features::faq::{self, FaqQuestion, FaqState};
use crate::features::payments::Order;
use crate::features::registration::{Registration, RegistrationState};
use crate::kernel::{Clock, Timestamp};
use crate::platform::jobs::{JobState, Jobs};
use crate::platform::mail::{Mail, MailState, Suppression, SuppressionCause};
use crate::platform::store::{Crossed, Dimension, Dir, Filter, Holds, Query, Store, StoreError, Value};

/// Why a report is not shown.
#[derive(Debug, thiserror::Error)]
pub enum GetReportError {
    #[error("there is no report of this day")]
    NotFound,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The daily reports.
pub struct Reports {
    store: Store,
    clock: Arc<dyn Clock>,
    event: Arc<Event>,
    jobs: Jobs,
}

impl Reports {
    /// The reports in the store of `base`, which are sent to the recipients in `event.toml`.
    pub fn new(base: &Base) -> Self {
        let (store, clock, event) = (base.store.clone(), base.clock.clone(), base.event.clone());
        Self { jobs: Jobs::new(store.clone(), clock.clone()), store, clock, event }
    }

    /// The report of this day, or the latest.
    ///
    /// # Errors
    /// [`GetReportError`]
    pub async fn get(&self, date: Option<&str>) -> Result<DailyReport, GetReportError> {
        let report = match date {
            Some(date) => self.store.get(date).await?,
            None => self.last_of(Filter::All).await?,
        };
        report.ok_or(GetReportError::NotFound)
    }

    /// Makes the report that is due at `tick` and posts it; `false` if it exists, or if nobody had an account at `tick`: a
    /// service that was set up later that day has nothing to report.
    ///
    /// # Errors
    /// Those of the store. Nothing has changed then.
    pub async fn make(&self, tick: Timestamp) -> Result<bool, StoreError> {
        let id = DailyReport::id_at(tick, self.event.time_zone);
        if self.store.get::<DailyReport>(&id).await?.is_some() || self.is_before_all_accounts(tick).await? {
            return Ok(false);
        }
        let before = self.last_of(Filter::Lt("id".into(), id.as_str().into())).await?;
        let before = before.map(|report| Earlier { date: report.id, figures: report.figures });
        let report = DailyReport { id, made_at: self.clock.now(), figures: self.count().await?, before };
        let emails = mails::of(&report, &self.event.report_recipients);
        let made = self.store.transact(async |tx| {
            tx.insert(&report).await?;
            tx.post_all(&emails).await
        });
        match made.await {
            Ok(()) => Ok(true),
            // Another worker was faster.
            Err(StoreError::Duplicate { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn is_before_all_accounts(&self, tick: Timestamp) -> Result<bool, StoreError> {
        let earlier = Query::new(Filter::Lt("createdAt".into(), tick.into())).sort("createdAt", Dir::Asc);
        Ok(self.store.find::<Account>(earlier.limit(1)).await?.is_empty())
    }

    async fn last_of(&self, which: Filter) -> Result<Option<DailyReport>, StoreError> {
        Ok(self.store.find(Query::new(which).sort("id", Dir::Desc).limit(1)).await?.pop())
    }

    /// The counts of this moment. They are read one after the other, so that a report delays nobody's transaction.
    async fn count(&self) -> Result<Figures, StoreError> {
        let mut figures = Figures { students: self.students().await?, ..Figures::default() };
        let mut orders = std::pin::pin!(self.store.stream::<Order>(Filter::All));
        while let Some(order) = orders.try_next().await? {
            figures.add(&order);
        }
        figures.trouble = self.trouble().await?;
        Ok(figures)
    }

    async fn students(&self) -> Result<Students, StoreError> {
        let disciplines = self.by("form.discipline", Holds::Text).await?;
        let hunt = self.by("form.joinsHunt", Holds::Bool).await?;
        let bursaries = self.store.tally::<Bursary>("state", Filter::All).await?;
        let bursaries = |state: BursaryState| {
            bursaries.iter().find(|(name, _)| name == state.as_str()).map_or(0, |(_, count)| *count)
        };
        Ok(Students {
            total: disciplines.iter().fold(Tally::default(), |total, (_, tally)| total.plus(*tally)),
            hunt: hunt.iter().find(|(value, _)| value == "true").map(|(_, tally)| *tally).unwrap_or_default(),
            pronouns: self.by("form.pronouns", Holds::Text).await?.into_iter().collect(),
            disciplines: disciplines.into_iter().collect(),
            bursaries: Bursaries {
                requested: bursaries(BursaryState::Requested),
                approved: bursaries(BursaryState::Approved),
                declined: bursaries(BursaryState::Declined),
            },
        })
    }

    /// Students by the values of a field that every form has, or that they may lack.
    async fn by(&self, field: &'static str, holds: Holds) -> Result<Vec<(String, Tally)>, StoreError> {
        let dimensions = vec![
            Dimension { field: field.into(), holds },
            Dimension { field: "state".into(), holds: Holds::Text },
        ];
        let mut tallies: Vec<(String, Tally)> = vec![];
        for Crossed { values, documents } in self.store.cross::<Registration>(dimensions, Filter::All).await?
        {
            let [Some(value), Some(Value::Text(state))] = &values[..] else { continue };
            let value = match value {
                Value::Text(text) => text.clone(),
                Value::Bool(yes) => yes.to_string(),
                Value::Int(_) | Value::Time(_) => continue,
            };
            let registered = if *state == state_of_registered() { documents } else { 0 };
            let tally = Tally { students: documents, registered };
            match tallies.iter_mut().find(|(name, _)| *name == value) {
                Some((_, known)) => *known = known.plus(tally),
                None => tallies.push((value, tally)),
            }
        }
        Ok(tallies)
    }

    async fn trouble(&self) -> Result<Trouble, StoreError> {
        let failed = Filter::eq("state", name_of(&MailState::Failed));
        let suppressed = self.store.tally::<Suppression>("cause", Filter::All).await?;
        let suppressed = |cause: SuppressionCause| {
            suppressed.iter().find(|(name, _)| *name == name_of(&cause)).map_or(0, |(_, count)| *count)
        };
        Ok(Trouble {
            dead_jobs: self.jobs.count(JobState::Dead, None).await?,
            failed_emails: self.store.count::<Mail>(failed).await?,
            bounced_addresses: suppressed(SuppressionCause::Bounce),
            complaints: suppressed(SuppressionCause::Complaint),
            unanswered_questions: self
                .store
                .count::<FaqQuestion>(faq::in_state(FaqState::Unanswered))
                .await?,
        })
    }
}

impl Tally {
    fn plus(self, other: Self) -> Self {
        Self { students: self.students + other.students, registered: self.registered + other.registered }
    }
}

fn state_of_registered() -> String {
    name_of(&RegistrationState::Registered)
}

/// A state or a cause as it is stored.
fn name_of(state: &impl serde::Serialize) -> String {
    serde_json::to_value(state).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}
