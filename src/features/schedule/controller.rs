//! The operations on the schedule.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::Bytes;
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::payload::{Binary, Json};
use poem_openapi::{ApiResponse, OpenApi, Tags};

use super::bodies::{
    CancellationBody, NewScheduleEntryBody, ScheduleBody, ScheduleEntryBody, ScheduleEntryChangesBody,
    ScheduleNowBody, an_entry,
};
use super::calendar::{About, calendar};
use super::model::{Current, ScheduleEntry, Timetable};
use super::service::{
    CancelEntryError, CreateEntryError, DeleteEntryError, ReadScheduleError, Schedule, UpdateEntryError,
};
use crate::base::Base;
use crate::config::Event;
use crate::http::rights::{Anybody, CreateSchedule, DeleteSchedule, EditSchedule, Visitor};
use crate::http::{
    By, Examples, Failure, IfMatch, JsonBody, Kind, Prepared, PreparedFile, Problem, Refusal, entity_tag,
    invalid_parameter,
};
use crate::kernel::{Invalid, Reader};
use crate::platform::store::{Stale, StoreError};

/// How long programs and caches may show a calendar without asking again. Programs look once an hour anyway.
const CALENDAR_CACHE: &str = "public, max-age=300";

/// What decides about a response beside its URL.
const VARY: &str = "Cookie";

#[derive(Tags)]
enum Tag {
    /// What happens when and where, as a list and as calendars to subscribe to.
    Schedule,
}

/// A new entry.
#[derive(ApiResponse)]
enum EntryCreated {
    /// The entry is on the schedule.
    #[oai(status = 201)]
    Created(
        Json<ScheduleEntryBody>,
        /// Entity tag of the entry: send it as `If-Match` with an edit.
        #[oai(header = "ETag")]
        String,
    ),
}

/// An entry as it is.
#[derive(ApiResponse)]
enum EntryAnswer {
    /// The entry.
    #[oai(status = 200)]
    Current(
        Json<ScheduleEntryBody>,
        /// Entity tag of the entry: send it as `If-Match` with an edit.
        #[oai(header = "ETag")]
        String,
    ),
}

impl EntryAnswer {
    fn new(entry: &ScheduleEntry) -> Result<Self, StoreError> {
        Ok(Self::Current(Json(ScheduleEntryBody::new(entry)?), entity_tag(entry)?))
    }
}

/// Done, without content.
#[derive(ApiResponse)]
enum Deleted {
    /// The entry is deleted.
    #[oai(status = 204)]
    Deleted,
}

#[derive(ApiResponse)]
enum NowAnswer {
    /// What takes place now and next.
    #[oai(status = 200)]
    Now(
        Json<ScheduleNowBody>,
        /// Always `no-store`: the response changes with the clock.
        #[oai(header = "Cache-Control")]
        String,
        /// Always `Cookie`.
        #[oai(header = "Vary")]
        String,
    ),
}

/// The schedule, or 304.
#[derive(ApiResponse)]
enum ListAnswer {
    /// The schedule.
    #[oai(status = 200)]
    List(
        Prepared<ScheduleBody>,
        /// Entity tag of the response.
        #[oai(header = "ETag")]
        String,
        /// `no-cache`: caches revalidate the response with `If-None-Match` before each use. `private, no-cache` if the
        /// request had a session cookie.
        #[oai(header = "Cache-Control")]
        String,
        /// Always `Cookie`.
        #[oai(header = "Vary")]
        String,
    ),
    /// Not modified: `If-None-Match` names the current response.
    #[oai(status = 304)]
    NotModified(
        /// Entity tag of the current response.
        #[oai(header = "ETag")]
        String,
        /// As with the response.
        #[oai(header = "Cache-Control")]
        String,
        /// Always `Cookie`.
        #[oai(header = "Vary")]
        String,
    ),
}

/// A calendar, or 304.
#[derive(ApiResponse)]
enum CalendarAnswer {
    /// A calendar in UTF-8 (RFC 5545).
    #[oai(status = 200, content_type = "text/calendar; charset=utf-8")]
    Calendar(
        Binary<Bytes>,
        /// Entity tag of the calendar.
        #[oai(header = "ETag")]
        String,
        /// Always `public, max-age=300`.
        #[oai(header = "Cache-Control")]
        String,
        /// Name of the file.
        #[oai(header = "Content-Disposition")]
        String,
    ),
    /// Not modified: `If-None-Match` names the current calendar.
    #[oai(status = 304)]
    NotModified(
        /// Entity tag of the current calendar.
        #[oai(header = "ETag")]
        String,
        /// Always `public, max-age=300`.
        #[oai(header = "Cache-Control")]
        String,
    ),
}

// ---- refusals ----

const NO_SUCH_ENTRY: Kind = Kind::new(404, "no-such-schedule-entry", "No such schedule entry");
const SCHEDULE_FULL: Kind = Kind::new(409, "schedule-full", "Schedule full");

fn no_such_entry() -> Problem {
    NO_SUCH_ENTRY.says("There is no entry with this id. `listSchedule` lists the schedule.")
}

impl Refusal for ReadScheduleError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NoSuchGroup]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NoSuchGroup => {
                invalid_parameter("group", "There is no such group. `getEvent` lists the groups.")
            }
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for CreateEntryError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::Full]).and::<Invalid>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Full => SCHEDULE_FULL.says("The schedule has 1,000 entries. Delete those that are over."),
            Self::Invalid(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for UpdateEntryError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound]).and::<Invalid>().and::<Stale>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_entry(),
            Self::Invalid(error) => error.problem(),
            Self::Stale(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for CancelEntryError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound]).and::<Stale>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_entry(),
            Self::Stale(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for DeleteEntryError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_entry(),
            Self::Store(error) => error.problem(),
        }
    }
}

// ---- the operations ----

/// The operations of this feature.
pub struct ScheduleController {
    schedule: Arc<Schedule>,
    event: Arc<Event>,
    /// The list that each kind of reader sees.
    lists: Derived<Prepared<ScheduleBody>>,
    /// The calendar of each kind of reader.
    calendars: Derived<PreparedFile>,
}

/// What was made of a timetable for each kind of reader.
struct Derived<T>(Mutex<HashMap<Reader, (Arc<Timetable>, T)>>);

impl<T: Clone> Derived<T> {
    /// What `make` makes of the timetable for this reader, made anew only if the timetable has changed.
    fn get(
        &self,
        reader: &Reader,
        timetable: &Arc<Timetable>,
        make: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, one)) = made.get_mut(reader)
            && (Arc::ptr_eq(of, timetable) || **of == **timetable)
        {
            of.clone_from(timetable);
            return Ok(one.clone());
        }
        let one = make()?;
        made.insert(reader.clone(), (timetable.clone(), one.clone()));
        Ok(one)
    }
}

impl ScheduleController {
    /// The operations on `schedule`.
    pub fn new(base: &Base, schedule: Arc<Schedule>) -> Self {
        let (lists, calendars) = (Derived(Mutex::default()), Derived(Mutex::default()));
        Self { schedule, event: base.event.clone(), lists, calendars }
    }

    /// The schedule as this reader sees it.
    async fn list(&self, reader: &Reader) -> Result<Prepared<ScheduleBody>, StoreError> {
        let timetable = self.schedule.timetable().await?;
        self.lists.get(reader, &timetable, || {
            Ok(Prepared::new(&ScheduleBody::new(&self.event, timetable.entries_for(reader))?))
        })
    }

    /// The calendar of this reader.
    async fn calendar(&self, reader: &Reader, group: Option<&str>) -> Result<PreparedFile, StoreError> {
        let timetable = self.schedule.timetable().await?;
        let name = match group {
            Some(group) => format!("{}: {group}", self.event.name),
            None => self.event.name.clone(),
        };
        let about = About { name: &name, zone: self.event.time_zone, now: self.schedule.now() };
        self.calendars
            .get(reader, &timetable, || Ok(PreparedFile::new(calendar(&about, &timetable.shown_to(reader)))))
    }
}

#[OpenApi(tag = "Tag::Schedule")]
impl ScheduleController {
    /// List the schedule
    ///
    /// The whole schedule, cancelled entries included; it has at most 1,000 entries. Without a session it shows what is for
    /// everyone. Students also see what is for their group, and approved leaders see everything. With `group`, everybody
    /// sees what a student of this group sees.
    #[oai(path = "/v1/schedule", method = "get", operation_id = "listSchedule")]
    async fn list_schedule(
        &self,
        By(visiting): By<Visitor>,
        /// Name of a group, as `getEvent` lists them.
        #[oai(validator(max_length = 100))]
        group: Query<Option<String>>,
        /// Entity tags of earlier responses. If the current one is among them, the response is 304.
        #[oai(name = "If-None-Match")]
        if_none_match: Header<Option<String>>,
    ) -> Result<ListAnswer, Failure<ReadScheduleError>> {
        let reader = self.schedule.reader(visiting.caller.as_ref(), group.0.as_deref()).await?;
        let list = self.list(&reader).await.map_err(ReadScheduleError::from)?;
        let (tag, vary) = (list.file().tag(), VARY.to_owned());
        let cache = if visiting.has_cookie { "private, no-cache" } else { "no-cache" }.to_owned();
        Ok(if list.file().is_known(if_none_match.0.as_deref()) {
            ListAnswer::NotModified(tag, cache, vary)
        } else {
            ListAnswer::List(list, tag, cache, vary)
        })
    }

    /// Get what takes place now and next
    ///
    /// Shows the same entries as `listSchedule`, without cancelled ones. Ask again at `changesAt`.
    #[oai(path = "/v1/schedule/now", method = "get", operation_id = "getScheduleNow")]
    async fn get_schedule_now(
        &self,
        By(visiting): By<Visitor>,
        /// Name of a group, as `getEvent` lists them.
        #[oai(validator(max_length = 100))]
        group: Query<Option<String>>,
    ) -> Result<NowAnswer, Failure<ReadScheduleError>> {
        let reader = self.schedule.reader(visiting.caller.as_ref(), group.0.as_deref()).await?;
        let timetable = self.schedule.timetable().await.map_err(ReadScheduleError::from)?;
        let now = self.schedule.now();
        let current = Current::at(now, timetable.entries_for(&reader), self.event.time_zone);
        let body = ScheduleNowBody::new(now, &current).map_err(ReadScheduleError::from)?;
        Ok(NowAnswer::Now(Json(body), "no-store".into(), VARY.into()))
    }

    /// Get the schedule as a calendar
    ///
    /// An iCalendar file to subscribe to: what is for everyone and, with `group`, for that group. An event keeps its `UID`,
    /// and `SEQUENCE` grows with each change. Cancelled entries have the status `CANCELLED`; so does, for 30 days, what was
    /// deleted or is no longer for these readers, unless it is over.
    #[oai(path = "/v1/schedule.ics", method = "get", operation_id = "getScheduleCalendar")]
    async fn get_schedule_calendar(
        &self,
        _anybody: By<Anybody>,
        /// Name of a group, as `getEvent` lists them.
        #[oai(validator(max_length = 100))]
        group: Query<Option<String>>,
        /// Entity tags of earlier responses. If the current one is among them, the response is 304.
        #[oai(name = "If-None-Match")]
        if_none_match: Header<Option<String>>,
    ) -> Result<CalendarAnswer, Failure<ReadScheduleError>> {
        let group = group.0;
        let reader = self.schedule.reader(None, group.as_deref()).await?;
        let file = self.calendar(&reader, group.as_deref()).await.map_err(ReadScheduleError::from)?;
        Ok(if file.is_known(if_none_match.0.as_deref()) {
            CalendarAnswer::NotModified(file.tag(), CALENDAR_CACHE.into())
        } else {
            let name = format!("attachment; filename=\"{}\"", file_name(group.as_deref()));
            CalendarAnswer::Calendar(Binary(file.bytes()), file.tag(), CALENDAR_CACHE.into(), name)
        })
    }

    /// Add an entry to the schedule
    #[oai(path = "/v1/schedule-entries", method = "post", operation_id = "createScheduleEntry")]
    async fn create_schedule_entry(
        &self,
        By(caller): By<CreateSchedule>,
        entry: JsonBody<NewScheduleEntryBody>,
    ) -> Result<EntryCreated, Failure<CreateEntryError>> {
        let content = entry.0.read(&self.event).map_err(CreateEntryError::from)?;
        let entry = self.schedule.create(&caller.actor, content).await?;
        let body = ScheduleEntryBody::new(&entry).map_err(CreateEntryError::from)?;
        Ok(EntryCreated::Created(Json(body), entity_tag(&entry).map_err(CreateEntryError::from)?))
    }

    /// Change an entry of the schedule
    ///
    /// An entry whose times are not those that were announced first is `moved`, and shows the first ones. An entry that is cancelled stays cancelled: see `reinstateScheduleEntry`.
    #[oai(path = "/v1/schedule-entries/:entryId", method = "patch", operation_id = "updateScheduleEntry")]
    async fn update_schedule_entry(
        &self,
        By(caller): By<EditSchedule>,
        /// Id of the entry, from `listSchedule`.
        #[oai(name = "entryId", example = "an_entry")]
        entry_id: Path<String>,
        /// `etag` of the entry that was edited.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
        changes: JsonBody<ScheduleEntryChangesBody>,
    ) -> Result<EntryAnswer, Failure<UpdateEntryError>> {
        let changes = changes.0.read(&self.event).map_err(UpdateEntryError::from)?;
        let entry = self.schedule.update(&caller.actor, &entry_id.0, &changes, &if_match.0).await?;
        Ok(EntryAnswer::new(&entry).map_err(UpdateEntryError::from)?)
    }

    /// Cancel an entry of the schedule
    ///
    /// It stays on the schedule as `cancelled`, with the reason. Cancel it again to change the reason.
    #[oai(
        path = "/v1/schedule-entries/:entryId/cancellation",
        method = "put",
        operation_id = "cancelScheduleEntry"
    )]
    async fn cancel_schedule_entry(
        &self,
        By(caller): By<EditSchedule>,
        /// Id of the entry, from `listSchedule`.
        #[oai(name = "entryId", example = "an_entry")]
        entry_id: Path<String>,
        /// `etag` of the entry that was seen.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
        cancellation: JsonBody<CancellationBody>,
    ) -> Result<EntryAnswer, Failure<CancelEntryError>> {
        let reason = cancellation.0.reason.as_deref();
        let entry = self.schedule.cancel(&caller.actor, &entry_id.0, reason, &if_match.0).await?;
        Ok(EntryAnswer::new(&entry).map_err(CancelEntryError::from)?)
    }

    /// Reinstate a cancelled entry of the schedule
    ///
    /// It takes place after all.
    #[oai(
        path = "/v1/schedule-entries/:entryId/cancellation",
        method = "delete",
        operation_id = "reinstateScheduleEntry"
    )]
    async fn reinstate_schedule_entry(
        &self,
        By(caller): By<EditSchedule>,
        /// Id of the entry, from `listSchedule`.
        #[oai(name = "entryId", example = "an_entry")]
        entry_id: Path<String>,
        /// `etag` of the entry that was seen.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
    ) -> Result<EntryAnswer, Failure<CancelEntryError>> {
        let entry = self.schedule.reinstate(&caller.actor, &entry_id.0, &if_match.0).await?;
        Ok(EntryAnswer::new(&entry).map_err(CancelEntryError::from)?)
    }

    /// Delete an entry of the schedule
    ///
    /// For entries that were added by mistake. If people may rely on it, cancel it instead: then they see why. Calendars show a
    /// deleted entry as cancelled for 30 days.
    #[oai(path = "/v1/schedule-entries/:entryId", method = "delete", operation_id = "deleteScheduleEntry")]
    async fn delete_schedule_entry(
        &self,
        By(caller): By<DeleteSchedule>,
        /// Id of the entry, from `listSchedule`.
        #[oai(name = "entryId", example = "an_entry")]
        entry_id: Path<String>,
    ) -> Result<Deleted, Failure<DeleteEntryError>> {
        self.schedule.delete(&caller.actor, &entry_id.0).await?;
        Ok(Deleted::Deleted)
    }
}

/// Name of a calendar's file, in ASCII.
fn file_name(group: Option<&str>) -> String {
    let ascii = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    group.map_or_else(
        || "schedule.ics".into(),
        |group| format!("schedule-{}.ics", group.chars().map(ascii).collect::<String>()),
    )
}
