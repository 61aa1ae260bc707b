//! Failed emails, for operators.

use std::sync::Arc;

use super::{EMAIL_RETRIED, Mail, MailState};
use crate::kernel::{Actor, Clock, EmailAddress, Timestamp};
use crate::platform::audit::Subject;
use crate::platform::store::{Dir, Filter, Query, Store, StoreError};

/// Emails of one page.
const PAGE: u32 = 100;

/// Emails that are retried in one transaction: each takes five calls to the store, and a transaction at most 5 seconds.
const AT_ONCE: usize = 15;

/// Which failed emails. A field that is absent selects all.
#[derive(Clone, Debug, Default)]
pub struct Which {
    /// Name of their template, such as `welcome`.
    pub kind: Option<String>,
    /// Their recipient.
    pub to: Option<EmailAddress>,
    /// Posted at this time or later.
    pub since: Option<Timestamp>,
    /// Posted before this time.
    pub until: Option<Timestamp>,
}

impl Which {
    fn filter(&self) -> Filter {
        let mut filter = Filter::eq("state", "failed");
        if self.since.is_some() || self.until.is_some() {
            let posted =
                Filter::Range("createdAt".into(), self.since.map(Into::into), self.until.map(Into::into));
            filter = filter.and(posted);
        }
        if let Some(kind) = &self.kind {
            filter = filter.and(Filter::eq("template", kind.as_str()));
        }
        filter
    }

    /// Whether this email's recipient is one of them: addresses are compared by their keys, which emails don't store.
    fn is_to(&self, mail: &Mail) -> bool {
        self.to.as_ref().is_none_or(|to| to.key() == mail.to.key())
    }
}

/// The emails that failed.
pub struct FailedEmails {
    store: Store,
    clock: Arc<dyn Clock>,
}

impl FailedEmails {
    /// Those in `store`.
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// Up to `limit` failed emails, the oldest first, and the number of all.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn list(&self, which: &Which, limit: usize) -> Result<(Vec<Mail>, u64), StoreError> {
        let (mut shown, mut count, mut last) = (vec![], 0, None);
        loop {
            let page = self.page(which, last.as_ref()).await?;
            let Some(end) = page.last() else { return Ok((shown, count)) };
            last = Some(end.clone());
            for mail in page.into_iter().filter(|mail| which.is_to(mail)) {
                count += 1;
                if shown.len() < limit {
                    shown.push(mail);
                }
            }
        }
    }

    /// Sends these failed emails again; returns their number. An email that fails again meanwhile is not retried twice.
    ///
    /// # Errors
    /// Those of the store. What has been put back into the queue by then stays there.
    pub async fn retry(&self, actor: &Actor, which: &Which) -> Result<u64, StoreError> {
        let (mut count, mut last) = (0, None);
        loop {
            let page = self.page(which, last.as_ref()).await?;
            let Some(end) = page.last() else { return Ok(count) };
            last = Some(end.clone());
            let ids: Vec<_> =
                page.iter().filter(|mail| which.is_to(mail)).map(|mail| mail.id.clone()).collect();
            for ids in ids.chunks(AT_ONCE) {
                count += self.retry_all(actor, ids).await?;
            }
        }
    }

    async fn retry_all(&self, actor: &Actor, ids: &[String]) -> Result<u64, StoreError> {
        let now = self.clock.now();
        self.store
            .transact(async |tx| {
                let mut count = 0;
                for id in ids {
                    let Some(mail) = tx.get::<Mail>(id).await? else { continue };
                    if tx.retry_mail(&mail, now).await?.is_none() {
                        continue;
                    }
                    tx.audit(actor, EMAIL_RETRIED, Subject::of::<Mail>(id), &[], now).await?;
                    count += 1;
                }
                Ok(count)
            })
            .await
    }

    /// The failed emails after `last`, without regard to their recipients.
    async fn page(&self, which: &Which, last: Option<&Mail>) -> Result<Vec<Mail>, StoreError> {
        let mut query = Query::new(which.filter()).sort("createdAt", Dir::Asc).limit(PAGE);
        if let Some(last) = last {
            query = query.after(vec![last.created_at.into(), last.id.as_str().into()]);
        }
        let page: Vec<Mail> = self.store.find(query).await?;
        debug_assert!(page.iter().all(|mail| mail.state == MailState::Failed));
        Ok(page)
    }
}
