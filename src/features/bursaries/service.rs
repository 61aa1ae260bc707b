//! Use cases: list requests for bursaries, approve and decline them, settle an approved one.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;

use super::jobs::SettleBursary;
use super::mails;
use super::model::{BURSARY_APPROVED, BURSARY_DECLINED};
use crate::base::Base;
use crate::features::accounts::Account;
use crate::features::bursary_requests::{
    self, Bursary, BursaryState, DecideError, Decision, DecisionRefused,
};
use crate::features::payments::{CloseOrderError, Order, OrderState, Payments};
use crate::features::registration::Registration;
use crate::features::students::{Columns, Row, StudentAccess, View, student_within_reach};
use crate::kernel::faults::{self, guarded};
use crate::kernel::{Clock, Principal, Rights, Timestamp};
use crate::platform::audit::Subject;
use crate::platform::store::{
    Cursor, Dir, Document, Filter, Page, PageError, Query, Store, StoreError, Tx, Value,
};

/// The job that settles an approved bursary if the request did not: it waits as long as a slow gateway may take.
const FINISH_AFTER: Duration = Duration::from_secs(60);

/// A request for a bursary, as the caller may read it.
#[derive(Clone, Debug)]
pub struct Applicant {
    pub bursary: Bursary,
    /// What the caller may read of students.
    pub view: Arc<View>,
    /// The student who asks.
    pub student: Row,
    /// State of the order of the orientation ticket.
    pub order: OrderState,
}

/// Requests that are read at a time: those within reach are shown.
const CHUNK: u32 = 100;

/// Why a request is not decided.
#[derive(Debug, thiserror::Error)]
pub enum DecideBursaryError {
    /// There is no such student within the caller's reach.
    #[error("there is no such student")]
    NotFound,
    #[error(transparent)]
    Refused(#[from] DecisionRefused),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DecideError> for DecideBursaryError {
    fn from(error: DecideError) -> Self {
        match error {
            DecideError::Refused(why) => Self::Refused(why),
            DecideError::Store(error) => Self::Store(error),
        }
    }
}

/// Why an approved bursary is not settled yet. The job tries again.
#[derive(Debug, thiserror::Error)]
pub(super) enum SettleError {
    #[error(transparent)]
    Order(#[from] CloseOrderError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The committee's decisions on bursaries.
pub struct Bursaries {
    store: Store,
    clock: Arc<dyn Clock>,
    payments: Arc<Payments>,
    columns: Columns,
}

impl Bursaries {
    /// The use cases on `base`. `payments` waive the orders of approved bursaries.
    pub fn new(base: &Base, payments: &Arc<Payments>) -> Self {
        Self {
            store: base.store.clone(),
            clock: base.clock.clone(),
            payments: payments.clone(),
            columns: Columns::of(&base.event),
        }
    }

    /// The page of the requests in this state by students within reach of `rights`, oldest first, that begins at `after`;
    /// at most `limit`. Pages without a student within reach are skipped.
    ///
    /// # Errors
    /// [`PageError`]
    pub async fn list(
        &self,
        rights: &Rights,
        state: BursaryState,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<Applicant>, PageError> {
        let oldest_first = Query::new(Filter::eq("state", state.as_str())).sort("requestedAt", Dir::Asc);
        let (mut items, mut last, mut start) = (Vec::new(), None, after.cloned());
        loop {
            let chunk = self.store.page::<Bursary>(oldest_first.clone().limit(CHUNK), start.as_ref()).await?;
            let ids: Vec<_> = chunk.items.iter().map(|bursary| bursary.id.clone()).collect();
            for applicant in self.within_reach(rights, chunk.items).await? {
                if items.len() == limit as usize {
                    let next = self.after(oldest_first, last).await?;
                    return Ok(Page { items, next });
                }
                let place = (1..).zip(&ids).find(|(_, id)| **id == applicant.bursary.id);
                last = place.map(|(place, _)| (start.clone(), place));
                items.push(applicant);
            }
            match chunk.next {
                Some(next) => start = Some(next),
                None => return Ok(Page { items, next: None }),
            }
        }
    }

    /// The cursor after the request in this place of the chunk that begins at this cursor. It names a request within reach,
    /// so that a cursor says nothing about others.
    async fn after(
        &self,
        oldest_first: Query,
        last: Option<(Option<Cursor>, u32)>,
    ) -> Result<Option<Cursor>, PageError> {
        let Some((start, place)) = last else { return Ok(None) };
        let until = self.store.page::<Bursary>(oldest_first.limit(place), start.as_ref()).await?;
        Ok(until.next)
    }

    async fn within_reach(
        &self,
        rights: &Rights,
        bursaries: Vec<Bursary>,
    ) -> Result<Vec<Applicant>, StoreError> {
        let ids = bursaries.iter().map(|bursary| bursary.id.clone());
        let registrations = self.by_id::<Registration>(ids).await?;
        let orders = registrations.values().map(|registration| registration.order_id.clone());
        let orders = self.by_id::<Order>(orders).await?;
        let view = Arc::new(access(rights).everything(&self.columns));
        let applicant = |bursary: Bursary| {
            let registration = registrations.get(&bursary.id)?;
            let order = orders.get(&registration.order_id)?.state;
            let applicant = |student| Applicant { bursary, view: view.clone(), student, order };
            view.row(registration).map(|row| row.map(applicant)).transpose()
        };
        bursaries.into_iter().filter_map(applicant).collect()
    }

    async fn by_id<D: Document>(
        &self,
        ids: impl Iterator<Item = String>,
    ) -> Result<HashMap<String, D>, StoreError> {
        let ids: Vec<Value> = ids.map(Value::from).collect();
        let limit = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let found = self.store.find::<D>(Query::new(Filter::In("id".into(), ids)).limit(limit)).await?;
        Ok(found.into_iter().map(|document| (document.id().to_owned(), document)).collect())
    }

    /// Approves the request of a student, and settles it. If the gateway is unavailable, a job settles it later.
    ///
    /// # Errors
    /// [`DecideBursaryError`]; then nothing has changed.
    pub async fn approve(&self, by: &Principal, student: &str) -> Result<Applicant, DecideBursaryError> {
        self.decide(by, student, Decision::Approved).await?;
        faults::point("bursary.after-decision");
        if let Err(error) = self.settle(student).await {
            tracing::warn!(student, %error, "an approved bursary will be settled by a job");
        }
        self.applicant(&by.rights, student).await
    }

    /// Declines the request of a student.
    ///
    /// # Errors
    /// [`DecideBursaryError`]; then nothing has changed.
    pub async fn decline(
        &self,
        by: &Principal,
        student: &str,
        reason: &str,
    ) -> Result<Applicant, DecideBursaryError> {
        self.decide(by, student, Decision::Declined(reason)).await?;
        self.applicant(&by.rights, student).await
    }

    async fn applicant(&self, rights: &Rights, student: &str) -> Result<Applicant, DecideBursaryError> {
        let bursary = self.store.get::<Bursary>(student).await?.into_iter().collect();
        self.within_reach(rights, bursary).await?.pop().ok_or(DecideBursaryError::NotFound)
    }

    /// The decision, its audit entry, the email and, after an approval, the job that settles it.
    async fn decide(
        &self,
        by: &Principal,
        student: &str,
        decision: Decision<'_>,
    ) -> Result<(), DecideBursaryError> {
        let now = self.clock.now();
        self.store
            .transact(async |tx| {
                let applicant = student_within_reach(&tx, &access(&by.rights), student).await?;
                applicant.ok_or(DecideBursaryError::NotFound)?;
                let bursary = bursary_requests::decide(&tx, &by.actor, student, decision, now).await?;
                let (action, reason) = match decision {
                    Decision::Approved => (BURSARY_APPROVED, ""),
                    Decision::Declined(reason) => (BURSARY_DECLINED, reason),
                };
                let subject = Subject::of::<Bursary>(student);
                tx.audit_with_reason(&by.actor, action, subject, &[], reason, now).await?;
                notify(&tx, &bursary, decision, now).await?;
                if decision == Decision::Approved && guarded("bursary.job") {
                    let settle = SettleBursary { account: student.to_owned() };
                    tx.enqueue(&settle.job(now.plus(FINISH_AFTER))).await?;
                }
                Ok(())
            })
            .await
    }

    /// Waives the order of an approved bursary, and records that it has taken effect. Repeating it changes nothing.
    pub(super) async fn settle(&self, account: &str) -> Result<(), SettleError> {
        let bursary = self.store.get::<Bursary>(account).await?;
        let unsettled = bursary.filter(|bursary| bursary.settled_at.is_none());
        let Some(by) = unsettled.and_then(|bursary| bursary.approved_by().cloned()) else { return Ok(()) };
        let Some(registration) = self.store.get::<Registration>(account).await? else { return Ok(()) };
        self.payments.waive(&by, &registration.order_id).await?;
        faults::point("bursary.after-waiver");
        let now = self.clock.now();
        let settled = self.store.transact(async |tx| {
            bursary_requests::settled(&tx, account, now).await?;
            tx.withdraw::<SettleBursary>(account).await
        });
        settled.await?;
        faults::point("bursary.after-settlement");
        Ok(())
    }

    /// Records the requests on forms that were submitted before requests were recorded.
    pub(super) async fn record_earlier_requests(&self) -> Result<(), StoreError> {
        let asking = self.store.stream::<Registration>(Filter::eq("form.bursaryRequested", true));
        let mut asking = pin!(asking);
        while let Some(registration) = asking.try_next().await? {
            if self.store.get::<Bursary>(&registration.id).await?.is_none() {
                self.store.transact(async |tx| record_request(&tx, &registration.id).await).await?;
            }
        }
        Ok(())
    }
}

/// Applicants are read and decided on although they are not registered.
fn access(rights: &Rights) -> StudentAccess {
    StudentAccess::new(rights).with_unregistered()
}

/// Posts the email about the decision to the present address of the account.
async fn notify(
    tx: &Tx,
    bursary: &Bursary,
    decision: Decision<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(account) = tx.get::<Account>(&bursary.id).await? else { return Ok(()) };
    tx.post(&match decision {
        Decision::Approved => mails::approved(&account, now),
        Decision::Declined(_) => mails::declined(&account, now),
    })
    .await
}

/// Records the request of a form that asks for a bursary, if it is not recorded yet.
async fn record_request(tx: &Tx, account: &str) -> Result<(), StoreError> {
    let registration = tx.get::<Registration>(account).await?;
    let asking = registration.filter(|registration| registration.form.asks_for_bursary());
    match (asking, tx.get::<Bursary>(account).await?) {
        (Some(registration), None) => bursary_requests::request(tx, account, registration.submitted_at).await,
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
