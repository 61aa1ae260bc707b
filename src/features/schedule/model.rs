//! The entries of the schedule, and the rules about them.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::times::Times;
use crate::kernel::{Audience, Markdown, Reader, Timestamp};
use crate::platform::audit::Action;
use crate::platform::store::{Document, Index, Keep, Personal};

/// An entry was added to the schedule.
pub const ENTRY_CREATED: Action = Action::new("schedule-entry.created");

/// An entry was updated. The detail names the properties that changed, and the former and the new start.
pub const ENTRY_UPDATED: Action = Action::new("schedule-entry.updated");

/// An entry was cancelled, or the reason was changed.
pub const ENTRY_CANCELLED: Action = Action::new("schedule-entry.cancelled");

/// A cancelled entry takes place after all.
pub const ENTRY_REINSTATED: Action = Action::new("schedule-entry.reinstated");

/// An entry was deleted.
pub const ENTRY_DELETED: Action = Action::new("schedule-entry.deleted");

/// Woken when the schedule changes.
pub const TOPIC: &str = "schedule";

/// The most entries of a schedule. It is read and sent as a whole. Two simultaneous additions can exceed it by one, which
/// does no harm.
pub const ENTRIES_MAX: u32 = 1_000;

/// How long calendars show as cancelled what was deleted or is no longer for their readers. Programs that are off for a few
/// weeks learn of it.
pub const WITHDRAWN_KEPT: Duration = Duration::from_hours(30 * 24);

/// What the committee writes about an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Content {
    pub name: String,
    pub times: Times,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Description>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
    pub audience: Audience,
}

/// What an entry is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    pub text: Markdown,
    /// For calendars. Made once, when the text is written.
    pub plain: String,
}

impl Description {
    /// The description with this text.
    pub fn new(text: Markdown) -> Self {
        Self { plain: text.unwrapped(), text }
    }
}

/// What the committee changes about an entry; nothing where there is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub name: Option<String>,
    pub times: Option<Times>,
    pub place: Option<Option<Place>>,
    pub description: Option<Option<Description>>,
    pub link: Option<Option<Link>>,
    pub audience: Option<Audience>,
}

/// Where an entry takes place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map_url: Option<String>,
}

/// Where to read more, or to sign up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    pub url: String,
    pub label: String,
}

/// That an entry does not take place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cancellation {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub at: Timestamp,
}

/// An entry of the schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleEntry {
    pub id: String,
    pub content: Content,
    /// When it would have taken place as it was announced first, if that differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_from: Option<Times>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<Cancellation>,
    /// Number of changes: calendar programs take the version with the greatest one.
    pub sequence: u32,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Document for ScheduleEntry {
    const COLLECTION: &'static str = "schedule_entries";
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = Keep::until_removal("people plan their week by the schedule");

    fn id(&self) -> &str {
        &self.id
    }
}

/// An entry that was deleted, or is no longer for an audience: what calendars have shown to that audience.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WithdrawnEntry {
    pub id: String,
    /// Id of the entry.
    pub entry: String,
    pub name: String,
    pub times: Times,
    /// For whom it was.
    pub audience: Audience,
    /// [`ScheduleEntry::sequence`] of the change.
    pub sequence: u32,
    pub created_at: Timestamp,
    /// When it was withdrawn.
    pub at: Timestamp,
}

impl Document for WithdrawnEntry {
    const COLLECTION: &'static str = "withdrawn_schedule_entries";
    const INDEXES: &'static [Index] = &[Index::on("withdrawn_schedule_entries_by_time", &["at", "id"])];
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = Keep::lasting(WITHDRAWN_KEPT, "calendars show it as cancelled for this time");

    fn id(&self) -> &str {
        &self.id
    }
}

impl WithdrawnEntry {
    /// What was withdrawn before this time is deleted.
    pub fn kept_since(now: Timestamp) -> Timestamp {
        now.minus(WITHDRAWN_KEPT)
    }
}

impl Content {
    /// This content with these changes.
    fn with(&self, changes: &Changes) -> Self {
        let Self { name, times, place, description, link, audience } = self;
        Self {
            name: changes.name.as_ref().unwrap_or(name).clone(),
            times: changes.times.unwrap_or(*times),
            place: changes.place.as_ref().unwrap_or(place).clone(),
            description: changes.description.as_ref().unwrap_or(description).clone(),
            link: changes.link.as_ref().unwrap_or(link).clone(),
            audience: changes.audience.as_ref().unwrap_or(audience).clone(),
        }
    }
}

impl ScheduleEntry {
    /// A new entry.
    pub fn new(id: String, content: Content, now: Timestamp) -> Self {
        Self { id, content, moved_from: None, cancelled: None, sequence: 0, created_at: now, updated_at: now }
    }

    /// Applies the changes, and returns the names of the properties that they changed. Other times than those that were
    /// announced first move it.
    pub fn change(&mut self, changes: &Changes, now: Timestamp) -> Vec<&'static str> {
        let (former, content) = (&self.content, self.content.with(changes));
        let changed = [
            ("name", content.name != former.name),
            ("times", content.times != former.times),
            ("place", content.place != former.place),
            ("description", content.description != former.description),
            ("link", content.link != former.link),
            ("audience", content.audience != former.audience),
        ];
        let changed: Vec<_> = changed.into_iter().filter_map(|(name, has)| has.then_some(name)).collect();
        if !changed.is_empty() {
            let announced = self.moved_from.unwrap_or(former.times);
            self.moved_from = Some(announced).filter(|announced| *announced != content.times);
            self.content = content;
            self.touch(now);
        }
        changed
    }

    /// Cancels it, or changes the reason. Returns whether anything has changed.
    pub fn cancel(&mut self, reason: Option<String>, now: Timestamp) -> bool {
        match &mut self.cancelled {
            Some(cancelled) if cancelled.reason == reason => return false,
            Some(cancelled) => cancelled.reason = reason,
            none => *none = Some(Cancellation { reason, at: now }),
        }
        self.touch(now);
        true
    }

    /// Takes the cancellation back. Returns whether there was one.
    pub fn reinstate(&mut self, now: Timestamp) -> bool {
        let was_cancelled = self.cancelled.take().is_some();
        if was_cancelled {
            self.touch(now);
        }
        was_cancelled
    }

    /// What to show to the former audience in calendars, with the sequence of this change. Nothing if no calendar has shown
    /// the entry, or if it is over.
    pub fn withdrawn(&self, id: &str, sequence: u32, now: Timestamp, zone: Tz) -> Option<WithdrawnEntry> {
        let is_over = self.content.times.span(zone).1 <= now;
        (self.content.audience != Audience::Leaders && !is_over).then(|| WithdrawnEntry {
            id: id.to_owned(),
            entry: self.id.clone(),
            name: self.content.name.clone(),
            times: self.content.times,
            audience: self.content.audience.clone(),
            sequence,
            created_at: self.created_at,
            at: now,
        })
    }

    /// Whether it is for this reader.
    pub fn is_for(&self, reader: &Reader) -> bool {
        self.content.audience.includes(reader)
    }

    fn touch(&mut self, now: Timestamp) {
        self.sequence += 1;
        self.updated_at = now;
    }
}

/// Sorts entries by their start; all-day entries are the first of their day.
pub fn sort(entries: &mut [ScheduleEntry], zone: Tz) {
    entries.sort_by_cached_key(|entry| {
        let (start, end) = entry.content.times.span(zone);
        let is_timed = matches!(entry.content.times, Times::Timed { .. });
        (start, is_timed, end, entry.content.name.clone(), entry.id.clone())
    });
}

/// What takes place at a moment, and what begins next.
#[derive(Debug, PartialEq, Eq)]
pub struct Current<'a> {
    pub now: Vec<&'a ScheduleEntry>,
    /// The entries that begin next, at the same moment.
    pub next: Vec<&'a ScheduleEntry>,
    /// When this changes, unless the schedule is changed.
    pub changes_at: Option<Timestamp>,
}

impl<'a> Current<'a> {
    /// Of these entries, at `now`. Cancelled entries don't take place.
    pub fn at(now: Timestamp, entries: impl Iterator<Item = &'a ScheduleEntry>, zone: Tz) -> Self {
        let (mut current, mut later) = (vec![], BTreeMap::<_, Vec<_>>::new());
        let mut changes_at = None;
        for entry in entries.filter(|entry| entry.cancelled.is_none()) {
            let (start, end) = entry.content.times.span(zone);
            if start <= now && now < end {
                current.push(entry);
                changes_at = Some(changes_at.map_or(end, |earliest: Timestamp| earliest.min(end)));
            } else if now < start {
                later.entry(start).or_default().push(entry);
            }
        }
        let (starts_at, next) = later.pop_first().unzip();
        let changes_at = [changes_at, starts_at].into_iter().flatten().min();
        Self { now: current, next: next.unwrap_or_default(), changes_at }
    }
}

/// The schedule as calendars need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timetable {
    /// Entries, in their order.
    pub entries: Vec<ScheduleEntry>,
    /// What was withdrawn from its audience.
    pub withdrawn: Vec<WithdrawnEntry>,
}

/// What a calendar shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown<'a> {
    /// Entries, in their order.
    pub entries: Vec<&'a ScheduleEntry>,
    /// What was withdrawn from its readers, shown as cancelled: at most once for each entry.
    pub withdrawn: Vec<&'a WithdrawnEntry>,
}

impl Timetable {
    /// The entries for this reader.
    pub fn entries_for(&self, reader: &Reader) -> impl Iterator<Item = &ScheduleEntry> {
        self.entries.iter().filter(move |entry| entry.is_for(reader))
    }

    /// What this reader's calendar shows.
    pub fn shown_to(&self, reader: &Reader) -> Shown<'_> {
        let entries: Vec<_> = self.entries_for(reader).collect();
        let is_shown = |id: &str| entries.iter().any(|entry| entry.id == id);
        let mut latest = BTreeMap::<&str, &WithdrawnEntry>::new();
        let withdrawn = self.withdrawn.iter().filter(|one| one.audience.includes(reader));
        for one in withdrawn.filter(|one| !is_shown(&one.entry)) {
            let known = latest.entry(&one.entry).or_insert(one);
            if known.sequence < one.sequence {
                *known = one;
            }
        }
        Shown { entries, withdrawn: latest.into_values().collect() }
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::America::Toronto;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn hours(from: &str, to: &str) -> Times {
        Times::timed(at(&format!("2027-09-06T{from}:00-04:00")), at(&format!("2027-09-06T{to}:00-04:00")))
            .unwrap()
    }

    fn content(name: &str, times: Times, audience: Audience) -> Content {
        Content { name: name.into(), times, place: None, description: None, link: None, audience }
    }

    fn entry(name: &str, times: Times) -> ScheduleEntry {
        let start = Timestamp::from_millis(0);
        ScheduleEntry::new(name.to_lowercase(), content(name, times, Audience::Everyone), start)
    }

    fn day() -> Times {
        Times::all_day("2027-09-06".parse().unwrap(), "2027-09-06".parse().unwrap()).unwrap()
    }

    fn names<'a>(entries: impl IntoIterator<Item = &'a ScheduleEntry>) -> Vec<&'a str> {
        entries.into_iter().map(|entry| entry.content.name.as_str()).collect()
    }

    #[test]
    fn entries_are_sorted_by_start_and_the_days_come_first() {
        let mut entries = vec![
            entry("Lunch", hours("12:00", "13:00")),
            entry("Night", hours("00:00", "01:00")),
            entry("Brunch", hours("12:00", "13:00")),
            entry("Fair", day()),
            entry("Snack", hours("12:00", "12:30")),
        ];
        sort(&mut entries, Toronto);
        assert_eq!(names(&entries), ["Fair", "Night", "Snack", "Brunch", "Lunch"]);
    }

    #[test]
    fn other_times_move_an_entry_and_every_change_has_its_number() {
        let (first, second, third) =
            (hours("10:00", "11:00"), hours("14:00", "15:00"), hours("14:00", "16:00"));
        let mut tour = entry("Tour", first);
        let now = at("2027-09-01T00:00:00Z");
        let at = |times| Changes { times: Some(times), ..Changes::default() };
        assert!(tour.change(&at(first), now).is_empty() && tour.change(&Changes::default(), now).is_empty());
        assert_eq!((tour.sequence, tour.updated_at, tour.moved_from), (0, tour.created_at, None));
        let named = Changes { name: Some("Big tour".into()), ..Changes::default() };
        assert_eq!((tour.change(&named, now), tour.change(&named, now)), (vec!["name"], vec![]));
        assert_eq!((tour.sequence, tour.updated_at, tour.moved_from), (1, now, None));
        for (times, announced) in
            [(second, Some(first)), (third, Some(first)), (first, None), (third, Some(first))]
        {
            assert_eq!(tour.change(&at(times), now), ["times"]);
            assert_eq!((tour.content.times, tour.moved_from), (times, announced));
        }
        assert!(tour.cancel(Some("Rain".into()), now) && !tour.cancel(Some("Rain".into()), now));
        assert!(tour.cancel(None, now) && !tour.cancel(None, now));
        assert!(tour.reinstate(now) && !tour.reinstate(now));
        assert_eq!((tour.sequence, tour.moved_from), (8, Some(first)));
    }

    #[test]
    fn changes_set_and_remove_properties() {
        let mut tour = entry("Tour", hours("10:00", "11:00"));
        let place = Place { name: "Lawn".into(), map_url: None };
        let text = Description::new(Markdown::new("Bring water."));
        let now = at("2027-09-01T00:00:00Z");
        let set = Changes {
            place: Some(Some(place.clone())),
            description: Some(Some(text.clone())),
            ..Changes::default()
        };
        assert_eq!(tour.change(&set, now), ["place", "description"]);
        assert_eq!((&tour.content.place, &tour.content.description), (&Some(place), &Some(text)));
        let unset = Changes { place: Some(None), description: Some(None), ..Changes::default() };
        assert_eq!(tour.change(&unset, now), ["place", "description"]);
        assert_eq!((tour.content.place, tour.content.description, tour.sequence), (None, None, 2));
    }

    #[test]
    fn now_and_next_follow_the_clock() {
        let mut off = entry("Off", hours("11:15", "11:30"));
        off.cancel(None, at("2027-09-01T00:00:00Z"));
        let entries = [
            entry("Fair", day()),
            entry("Tour", hours("10:00", "11:00")),
            entry("Talk", hours("10:30", "11:30")),
            off,
            entry("Lunch", hours("12:00", "13:00")),
            entry("Brunch", hours("12:00", "14:00")),
            entry("Party", hours("20:00", "23:00")),
        ];
        for (now, current, next, changes_at) in [
            ("2027-09-05T23:59:59-04:00", vec![], vec!["Fair"], "2027-09-06T00:00:00-04:00"),
            ("2027-09-06T00:00:00-04:00", vec!["Fair"], vec!["Tour"], "2027-09-06T10:00:00-04:00"),
            ("2027-09-06T10:00:00-04:00", vec!["Fair", "Tour"], vec!["Talk"], "2027-09-06T10:30:00-04:00"),
            (
                "2027-09-06T10:59:59-04:00",
                vec!["Fair", "Tour", "Talk"],
                vec!["Lunch", "Brunch"],
                "2027-09-06T11:00:00-04:00",
            ),
            (
                "2027-09-06T11:00:00-04:00",
                vec!["Fair", "Talk"],
                vec!["Lunch", "Brunch"],
                "2027-09-06T11:30:00-04:00",
            ),
            ("2027-09-06T22:00:00-04:00", vec!["Fair", "Party"], vec![], "2027-09-06T23:00:00-04:00"),
        ] {
            let found = Current::at(at(now), entries.iter(), Toronto);
            assert_eq!((names(found.now), names(found.next)), (current, next), "{now}");
            assert_eq!(found.changes_at, Some(at(changes_at)), "{now}");
        }
        let over = Current::at(at("2027-09-07T00:00:00-04:00"), entries.iter(), Toronto);
        assert_eq!(over, Current { now: vec![], next: vec![], changes_at: None });
    }

    #[test]
    fn a_calendar_shows_once_what_was_withdrawn_from_its_readers() {
        let now = at("2027-09-01T00:00:00Z");
        let alpha = Audience::Groups { groups: vec!["Alpha".into()] };
        let of = |group: &str| Reader::Student { group: Some(group.into()) };
        let meant_for = |audience| Changes { audience: Some(audience), ..Changes::default() };
        let mut tour = entry("Tour", hours("10:00", "11:00"));
        let first = tour.withdrawn("1", 1, now, Toronto).unwrap();
        tour.change(&meant_for(alpha), now);
        let second = tour.withdrawn("2", 2, now, Toronto).unwrap();
        tour.change(&meant_for(Audience::Leaders), now);
        assert_eq!(tour.withdrawn("3", 3, now, Toronto), None, "no calendar shows what is for leaders");
        let shown = |reader: Reader, entry: &ScheduleEntry| {
            let withdrawn = vec![first.clone(), second.clone()];
            let table = Timetable { entries: vec![entry.clone()], withdrawn };
            let shown = table.shown_to(&reader);
            let sequences: Vec<_> = shown.withdrawn.iter().map(|one| one.sequence).collect();
            (shown.entries.len(), sequences)
        };
        assert_eq!(shown(Reader::Anybody, &tour), (0, vec![1]));
        assert_eq!(shown(of("Alpha"), &tour), (0, vec![2]));
        assert_eq!(shown(of("Beta"), &tour), (0, vec![1]));
        tour.change(&meant_for(Audience::Everyone), now);
        assert_eq!(shown(of("Alpha"), &tour), (1, vec![]));
        let end = at("2027-09-06T11:00:00-04:00");
        let before = end.minus(Duration::from_secs(1));
        let withdrawn = [before, end].map(|now| tour.withdrawn("4", 4, now, Toronto).is_some());
        assert_eq!(withdrawn, [true, false], "what is over is not cancelled");
    }
}
