//! Three processes that make reports, across changes of clocks.

use std::sync::Arc;
use std::time::Duration;

use super::mails::DailyReportEmail;
use super::{DailyReport, Reports, feature};
use crate::base::{Base, TestBase};
use crate::features::leaders::testing::account;
use crate::kernel::{Clock, EmailAddress, RandomIds, Role, Timestamp};
use crate::platform::jobs::{Crons, Job, JobState, Running, TOPIC, Workers};
use crate::platform::mail::{EmailKind, Mail};
use crate::platform::store::{Dir, Filter, Query, StoreError};

const PATIENCE: Duration = Duration::from_secs(20);

struct Office {
    base: TestBase,
    processes: Vec<Running>,
}

impl Office {
    /// Three processes on one store, at this time.
    async fn at(time: &str) -> Self {
        let base = Base::for_tests().await;
        let mut event = (*base.event).clone();
        event.report_recipients =
            ["ana@example.org", "bo@example.org"].map(|to| EmailAddress::parse(to).unwrap()).to_vec();
        let base = base.with_event(event);
        account(&base, "ana", Role::Leader).await;
        base.clock.set(Timestamp::parse(time).unwrap());
        let processes = (0..3).map(|_| process(&base)).collect();
        Self { base, processes }
    }

    /// Sets the clock and lets the processes look.
    async fn later(&self, time: &str) {
        self.base.clock.set(Timestamp::parse(time).unwrap());
        let woken: Result<(), StoreError> = self
            .base
            .store
            .transact(async |tx| {
                tx.note(TOPIC).await;
                Ok(())
            })
            .await;
        woken.unwrap();
    }

    async fn reports(&self) -> Vec<DailyReport> {
        let all = Query::new(Filter::All).sort("id", Dir::Asc);
        self.base.store.find(all).await.unwrap()
    }

    /// Waits until there are this many reports and no job is under way.
    async fn reported(&self, count: usize) {
        let busy = Filter::Or(vec![Filter::eq("state", "running"), Filter::eq("state", "waiting")]);
        let busy = busy.and(Filter::eq("kind", "reports.daily"));
        // Three processes change the store, and no signal says that the last of their jobs has ended: so the store is polled.
        let waiting = async {
            while self.reports().await.len() < count
                || self.base.store.count::<Job>(busy.clone()).await.unwrap() > 0
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("a report is made");
        assert_eq!(self.reports().await.len(), count);
    }

    async fn stop(self) {
        for process in self.processes {
            process.drain(Duration::from_secs(5)).await;
        }
    }
}

fn process(base: &TestBase) -> Running {
    let reports = Arc::new(Reports::new(base));
    let feature = feature(base, &reports);
    let crons = Crons::new(base.event.time_zone, feature.crons);
    let (store, signals, clock) = (base.store.clone(), base.signals.clone(), base.clock.clone());
    Workers::new(store, signals, clock, Arc::new(RandomIds), feature.subscribers, crons).start()
}

/// At 09:00 of these days, in UTC. Toronto is four hours behind until the clocks are set back, then five.
async fn one_a_day(days: &[(&str, &str)]) {
    let before = |nine: &str| Timestamp::parse(nine).unwrap().minus(Duration::from_secs(60)).rfc3339();
    let office = Office::at(&before(days[0].1)).await;
    for (n, (day, nine)) in days.iter().enumerate() {
        office.later(&before(nine)).await;
        // Time for a process to make a report too early. Nothing can be awaited, because nothing should happen.
        tokio::time::sleep(Duration::from_millis(50)).await;
        office.reported(n).await;
        office.later(nine).await;
        office.reported(n + 1).await;
        let reports = office.reports().await;
        assert_eq!((reports[n].id.as_str(), reports[n].made_at), (*day, Timestamp::parse(nine).unwrap()));
        let compared = reports[n].before.as_ref().map(|before| before.date.as_str());
        assert_eq!(compared, n.checked_sub(1).map(|yesterday| days[yesterday].0));
        // Until the evening nothing more is made.
        let evening = Timestamp::parse(nine).unwrap().plus(Duration::from_secs(10 * 3600)).rfc3339();
        office.later(&evening).await;
    }
    // As above, for a second report of the last day.
    tokio::time::sleep(Duration::from_millis(50)).await;
    office.reported(days.len()).await;
    let template = Filter::eq("template", DailyReportEmail::NAME);
    let mails: Vec<Mail> = office.base.store.find(Query::new(template).limit(100)).await.unwrap();
    assert_eq!(mails.len(), 2 * days.len());
    assert_eq!(mails[0].id, format!("daily-report:{}:1", days[0].0));
    let done = Filter::eq("state", JobState::Done.as_str()).and(Filter::eq("kind", "reports.daily"));
    assert!(office.base.store.count::<Job>(done).await.unwrap() >= 1);
    office.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_processes_make_one_report_a_day_when_clocks_are_set_back() {
    one_a_day(&[
        ("2026-10-30", "2026-10-30T13:00:00Z"),
        ("2026-10-31", "2026-10-31T13:00:00Z"),
        ("2026-11-01", "2026-11-01T14:00:00Z"),
        ("2026-11-02", "2026-11-02T14:00:00Z"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_processes_make_one_report_a_day_when_clocks_are_set_forward() {
    one_a_day(&[
        ("2027-03-12", "2027-03-12T14:00:00Z"),
        ("2027-03-13", "2027-03-13T14:00:00Z"),
        ("2027-03-14", "2027-03-14T13:00:00Z"),
        ("2027-03-15", "2027-03-15T13:00:00Z"),
    ])
    .await;
}

#[tokio::test]
async fn a_report_is_made_once_and_shown_by_its_date() {
    let base = Base::for_tests().await;
    account(&base, "ana", Role::Leader).await;
    let reports = Reports::new(&base);
    reports.get(None).await.unwrap_err();
    let nine = base.clock.now().plus(Duration::from_secs(6 * 3600));
    assert!(reports.make(nine).await.unwrap());
    assert!(!reports.make(nine).await.unwrap());
    assert_eq!(reports.get(None).await.unwrap().id, "2026-09-01");
    assert_eq!(reports.get(Some("2026-09-01")).await.unwrap().before, None);
    reports.get(Some("2026-08-31")).await.unwrap_err();
}

#[tokio::test]
async fn a_service_that_was_set_up_after_the_tick_makes_no_report() {
    let base = Base::for_tests().await;
    let reports = Reports::new(&base);
    let nine = base.clock.now();
    assert!(!reports.make(nine).await.unwrap());
    account(&base, "ana", Role::Leader).await;
    assert!(!reports.make(nine).await.unwrap());
    assert!(reports.make(nine.plus(Duration::from_secs(1))).await.unwrap());
}
