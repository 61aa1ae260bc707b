//! Use cases: list, read, write and tick off announcements.

use std::cmp::Reverse;
use std::sync::{Arc, OnceLock};

use super::model::{
    ANNOUNCEMENT_CREATED, ANNOUNCEMENT_DELETED, ANNOUNCEMENT_UPDATED, ANNOUNCEMENTS_MAX, Announcement,
    AnnouncementChanges, AnnouncementDraft, AnnouncementTicks, sees_planned,
};
use crate::base::Base;
use crate::config::Event;
use crate::features::registration::reader;
use crate::kernel::{Actor, Audience, Caller, Clock, Ids, Invalid, Timestamp};
use crate::platform::audit::Subject;
use crate::platform::cache::Cached;
use crate::platform::store::{
    Cursor, Filter, Page, PageError, Precondition, Query, Stale, Store, StoreError, Tx,
};

/// Woken by each change of an announcement.
const TOPIC: &str = "announcements";

/// Name of the list in cursors.
const LIST: &str = "announcements";

/// Announcements that are read at most: some more than the maximum, which simultaneous requests can exceed.
const READ_MAX: u32 = ANNOUNCEMENTS_MAX + 100;

/// Why an announcement is not shown.
#[derive(Debug, thiserror::Error)]
pub enum GetAnnouncementError {
    /// There is no such announcement for the caller.
    #[error("there is no such announcement")]
    NotFound,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an announcement was not written.
#[derive(Debug, thiserror::Error)]
pub enum CreateAnnouncementError {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("there are too many announcements")]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an announcement was not edited.
#[derive(Debug, thiserror::Error)]
pub enum UpdateAnnouncementError {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("there is no such announcement")]
    NotFound,
    #[error(transparent)]
    Stale(#[from] Stale),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an announcement was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteAnnouncementError {
    #[error("there is no such announcement")]
    NotFound,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An announcement in memory.
pub struct Kept {
    /// The announcement.
    pub announcement: Announcement,
    /// What clients get of it, without and with a tick, from the first request for it on.
    pub written: OnceLock<[Arc<str>; 2]>,
}

/// An announcement as one account sees it in a list.
pub struct Listed {
    /// The announcement.
    pub kept: Arc<Kept>,
    /// Whether the account has ticked it off.
    pub ticked_off: bool,
}

/// The announcements.
pub struct Announcements {
    store: Store,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    event: Arc<Event>,
    /// All of them, in the order of lists.
    all: Cached<Vec<Arc<Kept>>>,
}

impl Announcements {
    /// The announcements in the store of `base`.
    pub fn new(base: &Base) -> Self {
        Self {
            store: base.store.clone(),
            clock: base.clock.clone(),
            ids: base.ids.clone(),
            event: base.event.clone(),
            all: Cached::new(base.signals.as_ref(), TOPIC),
        }
    }

    /// The event, whose groups an announcement can be for.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The page of the announcements for this account that begins at `after`, pinned ones first, then the newest; at most
    /// `limit`. With `ticked` only those that it has ticked off, or only the others.
    ///
    /// # Errors
    /// [`PageError`]
    pub async fn list(
        &self,
        caller: &Caller,
        ticked: Option<bool>,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<Listed>, PageError> {
        let all = self.all().await?;
        let for_groups = all.iter().any(|kept| matches!(kept.announcement.audience, Audience::Groups { .. }));
        let (reader, ticks) =
            tokio::try_join!(reader(&self.store, caller, for_groups), self.ticks(&caller.account_id))?;
        let (sees_planned, now) = (sees_planned(&caller.rights), self.clock.now());
        let listed = all
            .iter()
            .filter(|kept| kept.announcement.is_for(&reader, sees_planned, now))
            .map(|kept| Listed { kept: kept.clone(), ticked_off: ticks.has(&kept.announcement.id) })
            .filter(|listed| ticked.is_none_or(|ticked| ticked == listed.ticked_off));
        Page::within(LIST, listed, |listed| listed.kept.announcement.place(), after, limit)
    }

    /// An announcement, if it is for this account, and whether the account has ticked it off. Read from the store, so that an
    /// edit can be made from it.
    ///
    /// # Errors
    /// [`GetAnnouncementError`]
    pub async fn announcement(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<(Announcement, bool), GetAnnouncementError> {
        let announcement = self.for_caller(caller, id).await?;
        let ticked_off = self.ticks(&caller.account_id).await?.has(id);
        Ok((announcement, ticked_off))
    }

    /// Writes an announcement.
    ///
    /// # Errors
    /// [`CreateAnnouncementError`]; then nothing has changed.
    pub async fn create(
        &self,
        by: &Actor,
        draft: AnnouncementDraft,
    ) -> Result<Announcement, CreateAnnouncementError> {
        let now = self.clock.now();
        let announcement = Announcement::new(self.ids.next(), draft, now);
        let subject = Subject::of::<Announcement>(&announcement.id);
        self.store
            .transact(async |tx| {
                if tx.count::<Announcement>(Filter::All).await? >= u64::from(ANNOUNCEMENTS_MAX) {
                    return Err(CreateAnnouncementError::TooMany);
                }
                tx.insert(&announcement).await?;
                tx.audit(by, ANNOUNCEMENT_CREATED, subject.clone(), &[], now).await?;
                tx.note(TOPIC).await;
                Ok(())
            })
            .await?;
        Ok(announcement)
    }

    /// Edits an announcement, if it is as `condition` says. Ticks stay.
    ///
    /// # Errors
    /// [`UpdateAnnouncementError`]; then nothing has changed.
    pub async fn update(
        &self,
        by: &Actor,
        id: &str,
        changes: &AnnouncementChanges,
        condition: &Precondition,
    ) -> Result<Announcement, UpdateAnnouncementError> {
        let now = self.clock.now();
        self.store
            .transact(async |tx| {
                let announcement = tx.get::<Announcement>(id).await?;
                let mut announcement = announcement.ok_or(UpdateAnnouncementError::NotFound)?;
                condition.check(&announcement)?;
                let changed = announcement.change(changes, now);
                if changed.is_empty() {
                    return Ok(announcement);
                }
                tx.put(&announcement).await?;
                let (subject, detail) = (Subject::of::<Announcement>(id), changed.join(" "));
                tx.audit(by, ANNOUNCEMENT_UPDATED, subject, &[("changed", &detail)], now).await?;
                tx.note(TOPIC).await;
                Ok(announcement)
            })
            .await
    }

    /// Deletes an announcement.
    ///
    /// # Errors
    /// [`DeleteAnnouncementError`]; then nothing has changed.
    pub async fn delete(&self, by: &Actor, id: &str) -> Result<(), DeleteAnnouncementError> {
        let now = self.clock.now();
        self.store
            .transact(async |tx| {
                if !tx.delete::<Announcement>(id).await? {
                    return Err(DeleteAnnouncementError::NotFound);
                }
                tx.audit(by, ANNOUNCEMENT_DELETED, Subject::of::<Announcement>(id), &[], now).await?;
                tx.note(TOPIC).await;
                Ok(())
            })
            .await
    }

    /// Ticks an announcement off for this account, or undoes it. Repeating it changes nothing.
    ///
    /// # Errors
    /// [`GetAnnouncementError`]; then nothing has changed.
    pub async fn tick(
        &self,
        caller: &Caller,
        id: &str,
        ticked_off: bool,
    ) -> Result<(), GetAnnouncementError> {
        self.for_caller(caller, id).await?;
        let account = caller.account_id.as_str();
        self.store
            .transact(async |tx| {
                let ticks = tx.get::<AnnouncementTicks>(account).await?;
                let mut ticks = ticks.unwrap_or_else(|| AnnouncementTicks::none(account));
                if !ticks.set(id, ticked_off) {
                    return Ok(());
                }
                if ticks.are_too_many() {
                    drop_deleted(&tx, &mut ticks).await?;
                }
                tx.put(&ticks).await?;
                Ok(())
            })
            .await
    }

    /// All announcements, in the order of lists.
    async fn all(&self) -> Result<Arc<Vec<Arc<Kept>>>, StoreError> {
        self.all
            .get(async || {
                let query = Query::new(Filter::All).limit(READ_MAX);
                let mut all = self.store.find::<Announcement>(query).await?;
                all.sort_by_cached_key(|announcement| Reverse(announcement.place()));
                let keep = |announcement| Arc::new(Kept { announcement, written: OnceLock::new() });
                Ok(all.into_iter().map(keep).collect())
            })
            .await
    }

    async fn for_caller(&self, caller: &Caller, id: &str) -> Result<Announcement, GetAnnouncementError> {
        let announcement = self.store.get::<Announcement>(id).await?;
        let announcement = announcement.ok_or(GetAnnouncementError::NotFound)?;
        let for_groups = matches!(announcement.audience, Audience::Groups { .. });
        let reader = reader(&self.store, caller, for_groups).await?;
        let now: Timestamp = self.clock.now();
        if announcement.is_for(&reader, sees_planned(&caller.rights), now) {
            Ok(announcement)
        } else {
            Err(GetAnnouncementError::NotFound)
        }
    }

    async fn ticks(&self, account: &str) -> Result<AnnouncementTicks, StoreError> {
        let ticks = self.store.get::<AnnouncementTicks>(account).await?;
        Ok(ticks.unwrap_or_else(|| AnnouncementTicks::none(account)))
    }
}

/// Forgets the ticks of announcements that were deleted.
async fn drop_deleted(tx: &Tx, ticks: &mut AnnouncementTicks) -> Result<(), StoreError> {
    let existing = tx.get_all::<Announcement>(ticks.announcements.iter().map(String::as_str)).await?;
    ticks.announcements = existing.into_iter().map(|announcement| announcement.id).collect();
    Ok(())
}
