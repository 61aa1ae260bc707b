//! The bodies of the schedule's operations.

use chrono::NaiveDate;
use poem_openapi::types::{Example, MaybeUndefined};
use poem_openapi::{Enum, Object};
use url::Url;

use super::model::{Changes, Content, Current, Description, Link, Place, ScheduleEntry};
use super::times::{BadTimes, Times};
use crate::config::Event;
use crate::http::{
    AudienceBody, AudienceKind, DateText, MarkdownBody, MarkdownText, TimeText, changed, entity_tag,
};
use crate::kernel::{Audience, FieldError, Invalid, Markdown, Timestamp};
use crate::platform::store::StoreError;

/// The schedule.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Schedule", rename_all = "camelCase", example)]
pub struct ScheduleBody {
    /// Time zone in which to display times and in which days begin: a name of the IANA time zone database.
    time_zone: String,
    /// Entries by their start; all-day entries are the first of their day.
    items: Vec<ScheduleEntryBody>,
}

impl ScheduleBody {
    pub fn new<'a>(
        event: &Event,
        entries: impl IntoIterator<Item = &'a ScheduleEntry>,
    ) -> Result<Self, StoreError> {
        let items = entries.into_iter().map(ScheduleEntryBody::new).collect::<Result<_, _>>()?;
        Ok(Self { time_zone: event.time_zone.name().to_owned(), items })
    }
}

/// What takes place now and next. Cancelled entries are left out.
#[derive(Clone, Debug, Object)]
#[oai(rename = "ScheduleNow", rename_all = "camelCase", skip_serializing_if_is_none, example)]
pub struct ScheduleNowBody {
    /// Time of the response (RFC 3339, UTC).
    at: String,
    /// Time at which the response will change, unless the schedule is changed before (RFC 3339, UTC).
    changes_at: Option<String>,
    /// Entries that take place now.
    now: Vec<ScheduleEntryBody>,
    /// Entries that begin next. If there are several, they begin at the same time.
    next: Vec<ScheduleEntryBody>,
}

impl ScheduleNowBody {
    pub fn new(at: Timestamp, current: &Current<'_>) -> Result<Self, StoreError> {
        let bodies = |entries: &[&ScheduleEntry]| {
            entries.iter().map(|entry| ScheduleEntryBody::new(entry)).collect::<Result<_, _>>()
        };
        Ok(Self {
            at: at.rfc3339(),
            changes_at: current.changes_at.map(Timestamp::rfc3339),
            now: bodies(&current.now)?,
            next: bodies(&current.next)?,
        })
    }
}

/// An entry of the schedule.
#[derive(Clone, Debug, Object)]
#[oai(rename = "ScheduleEntry", rename_all = "camelCase", skip_serializing_if_is_none, example)]
pub struct ScheduleEntryBody {
    /// Id of the entry.
    id: String,
    /// Name.
    name: String,
    /// When it takes place.
    times: EntryTimes,
    /// Where it takes place.
    place: Option<PlaceBody>,
    /// Description.
    description: Option<MarkdownBody>,
    /// Where to read more.
    link: Option<LinkBody>,
    /// For whom it is.
    audience: AudienceBody,
    /// State.
    state: EntryState,
    /// Why it was cancelled.
    cancel_reason: Option<String>,
    /// When it would have taken place as it was announced first.
    moved_from: Option<EntryTimes>,
    /// Time of the last change (RFC 3339, UTC).
    updated_at: String,
    /// Entity tag of this version: send it as `If-Match` with an edit.
    etag: String,
}

/// State of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "ScheduleEntryState", rename_all = "camelCase")]
pub enum EntryState {
    /// It takes place as announced first.
    Planned,
    /// Its times are not those that were announced first.
    Moved,
    /// It does not take place.
    Cancelled,
}

impl ScheduleEntryBody {
    pub fn new(entry: &ScheduleEntry) -> Result<Self, StoreError> {
        let content = &entry.content;
        let state = match (&entry.cancelled, entry.moved_from) {
            (Some(_), _) => EntryState::Cancelled,
            (None, Some(_)) => EntryState::Moved,
            (None, None) => EntryState::Planned,
        };
        Ok(Self {
            id: entry.id.clone(),
            name: content.name.clone(),
            times: content.times.into(),
            place: content.place.as_ref().map(Into::into),
            description: content.description.as_ref().map(|description| (&description.text).into()),
            link: content.link.as_ref().map(Into::into),
            audience: (&content.audience).into(),
            state,
            cancel_reason: entry.cancelled.as_ref().and_then(|cancelled| cancelled.reason.clone()),
            moved_from: entry.moved_from.map(Into::into),
            updated_at: entry.updated_at.rfc3339(),
            etag: entity_tag(entry)?,
        })
    }
}

/// An entry to add to the schedule.
#[derive(Clone, Debug, Object)]
#[oai(rename = "NewScheduleEntry", rename_all = "camelCase", deny_unknown_fields, example)]
pub struct NewScheduleEntryBody {
    /// Name. At most 200 characters.
    #[oai(validator(min_length = 1, max_length = 200))]
    name: String,
    /// When it takes place.
    times: EntryTimes,
    /// Where it takes place.
    place: Option<PlaceBody>,
    /// Description in Markdown. At most 20,000 characters.
    #[oai(validator(max_length = 20_000))]
    description: Option<MarkdownText>,
    /// Where to read more.
    link: Option<LinkBody>,
    /// For whom it is.
    audience: AudienceBody,
}

impl NewScheduleEntryBody {
    /// The content in the terms of the model.
    ///
    /// # Errors
    /// All validation errors.
    pub fn read(self, event: &Event) -> Result<Content, Invalid> {
        let mut errors = Errors::default();
        let times = errors.keep(self.times.read(TIMES));
        let place = errors.keep(self.place.map(PlaceBody::read).transpose());
        let link = errors.keep(self.link.map(LinkBody::read).transpose());
        let audience = errors.keep(self.audience.read(AUDIENCE, event));
        match (times, place, link, audience) {
            (Some(times), Some(place), Some(link), Some(audience)) => {
                let description = self.description.map(description);
                Ok(Content { name: self.name, times, place, description, link, audience })
            }
            _ => Err(Invalid(errors.0)),
        }
    }
}

/// Changes of an entry of the schedule. What is absent stays as it is.
#[derive(Clone, Debug, Object)]
#[oai(
    rename = "ScheduleEntryChanges",
    rename_all = "camelCase",
    deny_unknown_fields,
    skip_serializing_if_is_none,
    example
)]
pub struct ScheduleEntryChangesBody {
    /// Name. At most 200 characters.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined", validator(min_length = 1, max_length = 200))]
    name: MaybeUndefined<String>,
    /// When it takes place.
    times: Option<EntryTimes>,
    /// Where it takes place. Null removes it.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    place: MaybeUndefined<PlaceBody>,
    /// Description in Markdown. At most 20,000 characters. Null removes it.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined", validator(max_length = 20_000))]
    description: MaybeUndefined<MarkdownText>,
    /// Where to read more. Null removes it.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    link: MaybeUndefined<LinkBody>,
    /// For whom it is.
    audience: Option<AudienceBody>,
}

impl ScheduleEntryChangesBody {
    /// The changes in the terms of the model.
    ///
    /// # Errors
    /// All validation errors.
    pub fn read(self, event: &Event) -> Result<Changes, Invalid> {
        let mut errors = Errors::default();
        let changes = Changes {
            name: changed(self.name, "/name", &mut errors.0),
            times: self.times.and_then(|times| errors.keep(times.read(TIMES))),
            place: optional(self.place, |place| errors.keep(place.read())),
            description: optional(self.description, |text| Some(description(text))),
            link: optional(self.link, |link| errors.keep(link.read())),
            audience: self.audience.and_then(|audience| errors.keep(audience.read(AUDIENCE, event))),
        };
        if errors.0.is_empty() { Ok(changes) } else { Err(Invalid(errors.0)) }
    }
}

const TIMES: &str = "/times";
const AUDIENCE: &str = "/audience";

fn description(text: MarkdownText) -> Description {
    Description::new(Markdown::new(text.into_inner()))
}

/// What becomes of an optional property: nothing where it was left out.
fn optional<T, U>(sent: MaybeUndefined<T>, read: impl FnOnce(T) -> Option<U>) -> Option<Option<U>> {
    match sent {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(value) => Some(read(value)),
    }
}

/// The errors found so far.
#[derive(Default)]
struct Errors(Vec<FieldError>);

impl Errors {
    fn keep<T>(&mut self, read: Result<T, FieldError>) -> Option<T> {
        read.map_err(|error| self.0.push(error)).ok()
    }
}

/// When an entry takes place: from `startsAt` to `endsAt`, or all day from `firstDay` to `lastDay`.
#[derive(Clone, Debug, Object)]
#[oai(
    rename = "ScheduleTimes",
    rename_all = "camelCase",
    deny_unknown_fields,
    skip_serializing_if_is_none,
    example
)]
pub struct EntryTimes {
    /// Start (RFC 3339, with offset), from 2000 to 2099. Not with `firstDay`.
    starts_at: Option<TimeText>,
    /// End (RFC 3339, with offset): after the start, and at most 31 days after it. Required with `startsAt`.
    ends_at: Option<TimeText>,
    /// First day in event time, if the entry lasts all day.
    first_day: Option<DateText>,
    /// Last day in event time; by default the first one. The entry can have 31 days.
    last_day: Option<DateText>,
}

impl EntryTimes {
    fn read(&self, pointer: &str) -> Result<Times, FieldError> {
        let at = |name: &str| format!("{pointer}/{name}");
        match (&self.starts_at, &self.first_day) {
            (Some(_), Some(_)) => Err(FieldError::new(
                at("firstDay"),
                "not-applicable",
                "Send either `startsAt` and `endsAt`, or `firstDay` and `lastDay`.",
            )),
            (None, None) => Err(FieldError::new(
                at("startsAt"),
                "missing",
                "Send `startsAt` and `endsAt`, or `firstDay` for an entry that lasts all day.",
            )),
            (Some(start), None) => self.read_timed(start, at),
            (None, Some(first)) => self.read_all_day(first, at),
        }
    }

    fn read_timed(&self, start: &TimeText, at: impl Fn(&str) -> String) -> Result<Times, FieldError> {
        if self.last_day.is_some() {
            return Err(FieldError::new(at("lastDay"), "not-applicable", "Send `endsAt` with `startsAt`."));
        }
        let Some(end) = &self.ends_at else {
            return Err(FieldError::new(at("endsAt"), "missing", "Say when the entry ends."));
        };
        let time = |text: &TimeText, name: &str| {
            let detail = "Write a time with its offset, such as 2027-09-01T07:00:00Z.";
            Timestamp::parse(text.as_ref()).ok_or_else(|| FieldError::new(at(name), "not-a-time", detail))
        };
        let times = Times::timed(time(start, "startsAt")?, time(end, "endsAt")?);
        times.map_err(|bad| out_of_range(bad, at("startsAt"), at("endsAt")))
    }

    fn read_all_day(&self, first: &DateText, at: impl Fn(&str) -> String) -> Result<Times, FieldError> {
        if self.ends_at.is_some() {
            return Err(FieldError::new(at("endsAt"), "not-applicable", "Send `lastDay` with `firstDay`."));
        }
        let day = |text: &DateText, name: &str| {
            let detail = "Write a date that exists, such as 2027-09-06.";
            text.as_ref().parse::<NaiveDate>().map_err(|_| FieldError::new(at(name), "not-a-date", detail))
        };
        let first_day = day(first, "firstDay")?;
        let last_day = self.last_day.as_ref().map_or(Ok(first_day), |last| day(last, "lastDay"))?;
        let times = Times::all_day(first_day, last_day);
        times.map_err(|bad| out_of_range(bad, at("firstDay"), at("lastDay")))
    }
}

fn out_of_range(bad: BadTimes, start: String, end: String) -> FieldError {
    match bad {
        BadTimes::Year => FieldError::new(start, "out-of-range", "Choose a time from 2000 to 2099."),
        BadTimes::End => FieldError::new(
            end,
            "out-of-range",
            "An entry ends after its start, and at most 31 days after it.",
        ),
    }
}

impl From<Times> for EntryTimes {
    fn from(times: Times) -> Self {
        let none = Self { starts_at: None, ends_at: None, first_day: None, last_day: None };
        match times {
            Times::Timed { start, end } => {
                let [starts_at, ends_at] = [start, end].map(|time| Some(time.rfc3339().as_str().into()));
                Self { starts_at, ends_at, ..none }
            }
            Times::AllDay { first, last } => {
                let [first_day, last_day] = [first, last].map(|date| Some(date.to_string().as_str().into()));
                Self { first_day, last_day, ..none }
            }
        }
    }
}

/// Where an entry takes place.
#[derive(Clone, Debug, Object)]
#[oai(
    rename = "SchedulePlace",
    rename_all = "camelCase",
    deny_unknown_fields,
    skip_serializing_if_is_none,
    example
)]
pub struct PlaceBody {
    /// Name of the place. At most 200 characters.
    #[oai(validator(min_length = 1, max_length = 200))]
    name: String,
    /// URL of a map (`https://…`). At most 2,000 characters.
    #[oai(validator(max_length = 2000))]
    map_url: Option<String>,
}

impl PlaceBody {
    fn read(self) -> Result<Place, FieldError> {
        let map_url = self.map_url.map(|url| https(&url, "/place/mapUrl")).transpose()?;
        Ok(Place { name: self.name, map_url })
    }
}

impl From<&Place> for PlaceBody {
    fn from(place: &Place) -> Self {
        Self { name: place.name.clone(), map_url: place.map_url.clone() }
    }
}

/// A link to a page.
#[derive(Clone, Debug, Object)]
#[oai(rename = "ScheduleLink", rename_all = "camelCase", deny_unknown_fields, example)]
pub struct LinkBody {
    /// URL (`https://…`). At most 2,000 characters.
    #[oai(validator(min_length = 1, max_length = 2000))]
    url: String,
    /// Text of the link. At most 100 characters.
    #[oai(validator(min_length = 1, max_length = 100))]
    label: String,
}

impl LinkBody {
    fn read(self) -> Result<Link, FieldError> {
        Ok(Link { url: https(&self.url, "/link/url")?, label: self.label })
    }
}

impl From<&Link> for LinkBody {
    fn from(link: &Link) -> Self {
        Self { url: link.url.clone(), label: link.label.clone() }
    }
}

/// The URL as it is written in links.
fn https(text: &str, pointer: &str) -> Result<String, FieldError> {
    let url = Url::parse(text).ok().filter(|url| {
        url.scheme() == "https" && url.has_host() && url.username().is_empty() && url.password().is_none()
    });
    let detail = "Write a URL that begins with https:// and has no user name.";
    url.map(String::from).ok_or_else(|| FieldError::new(pointer, "not-a-url", detail))
}

/// Why an entry does not take place.
#[derive(Clone, Debug, Object)]
#[oai(rename = "ScheduleCancellation", rename_all = "camelCase", deny_unknown_fields, example)]
pub struct CancellationBody {
    /// Reason, which is shown with the entry. At most 500 characters.
    #[oai(validator(max_length = 500))]
    pub reason: Option<String>,
}

impl Example for CancellationBody {
    fn example() -> Self {
        Self { reason: Some("A storm is forecast.".into()) }
    }
}

impl Example for EntryTimes {
    fn example() -> Self {
        Self {
            starts_at: Some("2027-09-06T10:00:00-04:00".into()),
            ends_at: Some("2027-09-06T11:30:00-04:00".into()),
            first_day: None,
            last_day: None,
        }
    }
}

impl Example for PlaceBody {
    fn example() -> Self {
        Self { name: "Front campus lawn".into(), map_url: Some("https://maps.example.org/?q=lawn".into()) }
    }
}

impl Example for LinkBody {
    fn example() -> Self {
        Self { url: "https://orientation.example.edu/tour".into(), label: "What to bring".into() }
    }
}

impl Example for ScheduleEntryChangesBody {
    fn example() -> Self {
        Self {
            name: MaybeUndefined::Undefined,
            times: Some(EntryTimes::example()),
            place: MaybeUndefined::Value(PlaceBody::example()),
            description: MaybeUndefined::Undefined,
            link: MaybeUndefined::Undefined,
            audience: None,
        }
    }
}

impl Example for NewScheduleEntryBody {
    fn example() -> Self {
        Self {
            name: "Campus tour".into(),
            times: EntryTimes::example(),
            place: Some(PlaceBody::example()),
            description: Some("Bring **water** and a hat.".into()),
            link: Some(LinkBody::example()),
            audience: AudienceBody { kind: AudienceKind::Everyone, groups: None },
        }
    }
}

impl Example for ScheduleEntryBody {
    fn example() -> Self {
        Self {
            id: an_entry(),
            name: "Campus tour".into(),
            times: EntryTimes::example(),
            place: Some(PlaceBody::example()),
            description: Some(MarkdownBody::example()),
            link: Some(LinkBody::example()),
            audience: (&Audience::Everyone).into(),
            state: EntryState::Planned,
            cancel_reason: None,
            moved_from: None,
            updated_at: "2027-08-01T12:00:00.000Z".into(),
            etag: "\"wNvY8pXo3h1mFqKcT5d2aA\"".into(),
        }
    }
}

impl Example for ScheduleBody {
    fn example() -> Self {
        Self { time_zone: "America/Toronto".into(), items: vec![ScheduleEntryBody::example()] }
    }
}

impl Example for ScheduleNowBody {
    fn example() -> Self {
        Self {
            at: "2027-09-06T14:15:00.000Z".into(),
            changes_at: Some("2027-09-06T15:30:00.000Z".into()),
            now: vec![ScheduleEntryBody::example()],
            next: vec![],
        }
    }
}

/// An id in the right format that no entry has.
pub fn an_entry() -> String {
    "019f0000-0000-7000-8000-000000000000".into()
}
