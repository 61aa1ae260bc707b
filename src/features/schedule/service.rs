//! Use cases: show the schedule, and change it.

use std::sync::Arc;

use super::model::{
    Changes, Content, ENTRIES_MAX, ENTRY_CANCELLED, ENTRY_CREATED, ENTRY_DELETED, ENTRY_REINSTATED,
    ENTRY_UPDATED, ScheduleEntry, TOPIC, Timetable, WithdrawnEntry, sort,
};
use crate::base::Base;
use crate::config::Event;
use crate::features::registration;
use crate::kernel::{Actor, Caller, Clock, Ids, Invalid, Reader, Timestamp};
use crate::platform::audit::{Action, Subject};
use crate::platform::cache::Cached;
use crate::platform::store::{Dir, Filter, Precondition, Query, Stale, Store, StoreError, Tx};

/// Documents that are read at once: the schedule, and the few entries by which simultaneous additions can exceed it.
const READ_MAX: u32 = ENTRIES_MAX + 100;

/// Why the schedule is not shown.
#[derive(Debug, thiserror::Error)]
pub enum ReadScheduleError {
    #[error("there is no such group")]
    NoSuchGroup,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why no entry was added.
#[derive(Debug, thiserror::Error)]
pub enum CreateEntryError {
    #[error("the schedule has too many entries")]
    Full,
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an entry was not updated.
#[derive(Debug, thiserror::Error)]
pub enum UpdateEntryError {
    #[error("there is no such entry")]
    NotFound,
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    Stale(#[from] Stale),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an entry was not cancelled or reinstated.
#[derive(Debug, thiserror::Error)]
pub enum CancelEntryError {
    #[error("there is no such entry")]
    NotFound,
    #[error(transparent)]
    Stale(#[from] Stale),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an entry was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteEntryError {
    #[error("there is no such entry")]
    NotFound,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The schedule.
pub struct Schedule {
    store: Store,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    event: Arc<Event>,
    timetable: Cached<Timetable>,
}

impl Schedule {
    /// The use cases on `base`.
    pub fn new(base: &Base) -> Self {
        Self {
            store: base.store.clone(),
            clock: base.clock.clone(),
            ids: base.ids.clone(),
            event: base.event.clone(),
            timetable: Cached::new(&*base.signals, TOPIC),
        }
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The whole schedule.
    ///
    /// # Errors
    /// Store errors.
    pub async fn timetable(&self) -> Result<Arc<Timetable>, StoreError> {
        self.timetable.get(async || self.read().await).await
    }

    async fn read(&self) -> Result<Timetable, StoreError> {
        let mut entries = self.store.find(Query::new(Filter::All).limit(READ_MAX)).await?;
        sort(&mut entries, self.event.time_zone);
        let since = WithdrawnEntry::kept_since(self.clock.now());
        let withdrawn = Query::new(Filter::Gt("at".into(), since.into())).sort("at", Dir::Desc);
        Ok(Timetable { entries, withdrawn: self.store.find(withdrawn.limit(READ_MAX)).await? })
    }

    /// As whom the schedule is read: as a student of `group` if there is one, else as the caller.
    ///
    /// # Errors
    /// [`ReadScheduleError`]
    pub async fn reader(
        &self,
        caller: Option<&Caller>,
        group: Option<&str>,
    ) -> Result<Reader, ReadScheduleError> {
        if let Some(group) = group {
            let known = self.event.group(group).ok_or(ReadScheduleError::NoSuchGroup)?;
            return Ok(Reader::Student { group: Some(known.name.clone()) });
        }
        let Some(caller) = caller else { return Ok(Reader::Anybody) };
        Ok(registration::reader(&self.store, caller, true).await?)
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// [`CreateEntryError`]; then nothing has changed.
    pub async fn create(&self, by: &Actor, content: Content) -> Result<ScheduleEntry, CreateEntryError> {
        let entry = ScheduleEntry::new(self.ids.next(), content, self.clock.now());
        self.store
            .transact(async |tx| {
                if tx.count::<ScheduleEntry>(Filter::All).await? >= ENTRIES_MAX.into() {
                    return Err(CreateEntryError::Full);
                }
                tx.insert(&entry).await?;
                Ok(record(&tx, by, (ENTRY_CREATED, &[], ""), &entry, entry.created_at).await?)
            })
            .await?;
        Ok(entry)
    }

    /// Changes an entry that is as `condition` says.
    ///
    /// # Errors
    /// [`UpdateEntryError`]; then nothing has changed.
    pub async fn update(
        &self,
        by: &Actor,
        id: &str,
        changes: &Changes,
        condition: &Precondition,
    ) -> Result<ScheduleEntry, UpdateEntryError> {
        let (new_id, now) = (self.ids.next(), self.clock.now());
        self.store
            .transact(async |tx| {
                let former = tx.get::<ScheduleEntry>(id).await?.ok_or(UpdateEntryError::NotFound)?;
                condition.check(&former)?;
                let mut entry = former.clone();
                let changed = entry.change(changes, now);
                if changed.is_empty() {
                    return Ok(entry);
                }
                tx.put(&entry).await?;
                if entry.content.audience != former.content.audience {
                    self.withdraw(&tx, &former, &new_id, now).await?;
                }
                let (from, to) = (former.content.times.start(), entry.content.times.start());
                let names = changed.join(" ");
                let detail = [("changed", names.as_str()), ("from", from.as_str()), ("to", to.as_str())];
                // The start is of interest only if the times changed.
                let detail = if changed.contains(&"times") { &detail[..] } else { &detail[..1] };
                record(&tx, by, (ENTRY_UPDATED, detail, ""), &entry, now).await?;
                Ok(entry)
            })
            .await
    }

    /// Cancels an entry that is as `condition` says, or changes the reason.
    ///
    /// # Errors
    /// [`CancelEntryError`]; then nothing has changed.
    pub async fn cancel(
        &self,
        by: &Actor,
        id: &str,
        reason: Option<&str>,
        condition: &Precondition,
    ) -> Result<ScheduleEntry, CancelEntryError> {
        let now = self.clock.now();
        self.store
            .transact(async |tx| {
                let mut entry = tx.get::<ScheduleEntry>(id).await?.ok_or(CancelEntryError::NotFound)?;
                condition.check(&entry)?;
                if entry.cancel(reason.map(str::to_owned), now) {
                    tx.put(&entry).await?;
                    let reason = reason.unwrap_or_default();
                    record(&tx, by, (ENTRY_CANCELLED, &[], reason), &entry, now).await?;
                }
                Ok(entry)
            })
            .await
    }

    /// Takes the cancellation of an entry back that is as `condition` says.
    ///
    /// # Errors
    /// [`CancelEntryError`]; then nothing has changed.
    pub async fn reinstate(
        &self,
        by: &Actor,
        id: &str,
        condition: &Precondition,
    ) -> Result<ScheduleEntry, CancelEntryError> {
        let now = self.clock.now();
        self.store
            .transact(async |tx| {
                let mut entry = tx.get::<ScheduleEntry>(id).await?.ok_or(CancelEntryError::NotFound)?;
                condition.check(&entry)?;
                if entry.reinstate(now) {
                    tx.put(&entry).await?;
                    record(&tx, by, (ENTRY_REINSTATED, &[], ""), &entry, now).await?;
                }
                Ok(entry)
            })
            .await
    }

    /// Deletes an entry. Unless it is over, calendars show it as cancelled for a while.
    ///
    /// # Errors
    /// [`DeleteEntryError`]; then nothing has changed.
    pub async fn delete(&self, by: &Actor, id: &str) -> Result<(), DeleteEntryError> {
        let (new_id, now) = (self.ids.next(), self.clock.now());
        self.store
            .transact(async |tx| {
                let entry = tx.get::<ScheduleEntry>(id).await?.ok_or(DeleteEntryError::NotFound)?;
                tx.delete::<ScheduleEntry>(id).await?;
                self.withdraw(&tx, &entry, &new_id, now).await?;
                Ok(record(&tx, by, (ENTRY_DELETED, &[], ""), &entry, now).await?)
            })
            .await
    }

    /// Keeps what calendars have shown to the audience that the entry had before this change.
    async fn withdraw(
        &self,
        tx: &Tx,
        former: &ScheduleEntry,
        id: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        match former.withdrawn(id, former.sequence + 1, now, self.event.time_zone) {
            Some(withdrawn) => tx.insert(&withdrawn).await,
            None => Ok(()),
        }
    }
}

/// Audits a change of the schedule (what was done, its detail, and the reason), and lets every process read it anew.
async fn record(
    tx: &Tx,
    by: &Actor,
    (action, detail, reason): (Action, &[(&str, &str)], &str),
    entry: &ScheduleEntry,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.note(TOPIC).await;
    tx.audit_with_reason(by, action, Subject::of::<ScheduleEntry>(&entry.id), detail, reason, now).await
}
