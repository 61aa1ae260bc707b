//! The documents of announcements, and who sees which.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::kernel::{Audience, Markdown, Reader, Rights, Scope, Timestamp};
use crate::platform::audit::Action;
use crate::platform::store::{Class, Document, Keep, Owner, Personal, PersonalField, Value};

/// An announcement was written.
pub const ANNOUNCEMENT_CREATED: Action = Action::new("announcement.created");

/// An announcement was edited. The detail names the properties that changed.
pub const ANNOUNCEMENT_UPDATED: Action = Action::new("announcement.updated");

/// An announcement was deleted.
pub const ANNOUNCEMENT_DELETED: Action = Action::new("announcement.deleted");

/// Maximum number of announcements: several a day for a whole season. Each process keeps all of them in memory.
pub const ANNOUNCEMENTS_MAX: u32 = 500;

/// A text of the committee for many people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Announcement {
    pub id: String,
    /// One line.
    pub title: String,
    pub text: Markdown,
    pub audience: Audience,
    /// Whether it is listed before those that are not.
    pub pinned: bool,
    /// Its audience sees it from this time on.
    pub publish_at: Timestamp,
    pub created_at: Timestamp,
    /// Time of the last edit, or of the creation.
    pub updated_at: Timestamp,
}

impl Document for Announcement {
    const COLLECTION: &'static str = "announcements";
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = Keep::until_removal("its audience reads it during the season");

    fn id(&self) -> &str {
        &self.id
    }
}

/// What the committee writes as an announcement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnouncementDraft {
    pub title: String,
    pub text: Markdown,
    pub audience: Audience,
    pub pinned: bool,
    /// `None`: at once.
    pub publish_at: Option<Timestamp>,
}

/// What the committee changes about an announcement; nothing where there is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnnouncementChanges {
    pub title: Option<String>,
    pub text: Option<Markdown>,
    pub audience: Option<Audience>,
    pub pinned: Option<bool>,
    pub publish_at: Option<Timestamp>,
}

impl Announcement {
    /// The announcement that `draft` describes. It can't be published before now.
    pub fn new(id: String, draft: AnnouncementDraft, now: Timestamp) -> Self {
        let AnnouncementDraft { title, text, audience, pinned, publish_at } = draft;
        let publish_at = publish_at.map_or(now, |time| time.max(now));
        Self { id, title, text, audience, pinned, publish_at, created_at: now, updated_at: now }
    }

    /// Applies the changes, and returns the names of the properties that they changed.
    pub fn change(&mut self, changes: &AnnouncementChanges, now: Timestamp) -> Vec<&'static str> {
        let publish_at = changes.publish_at.map(|time| self.publication(time, now));
        let changed = [
            ("title", replace(&mut self.title, changes.title.as_ref())),
            ("text", replace(&mut self.text, changes.text.as_ref())),
            ("audience", replace(&mut self.audience, changes.audience.as_ref())),
            ("pinned", replace(&mut self.pinned, changes.pinned.as_ref())),
            ("publishAt", replace(&mut self.publish_at, publish_at.as_ref())),
        ];
        let changed: Vec<_> = changed.into_iter().filter_map(|(name, has)| has.then_some(name)).collect();
        if !changed.is_empty() {
            self.updated_at = now;
        }
        changed
    }

    /// When it is published if the committee asks for this time: what is published keeps its place in the list, and what is
    /// not can't be published before now.
    fn publication(&self, asked: Timestamp, now: Timestamp) -> Timestamp {
        match (asked > now, self.is_published(now)) {
            (true, _) => asked,
            (false, true) => self.publish_at,
            (false, false) => now,
        }
    }

    /// Whether its audience sees it.
    pub fn is_published(&self, now: Timestamp) -> bool {
        self.publish_at <= now
    }

    /// Whether it is listed for this reader at this time.
    pub fn is_for(&self, reader: &Reader, sees_planned: bool, now: Timestamp) -> bool {
        self.audience.includes(reader) && (sees_planned || self.is_published(now))
    }

    /// Its place in lists, which are in descending order of this: pinned first, then newest first.
    pub fn place(&self) -> Vec<Value> {
        vec![self.pinned.into(), self.publish_at.into(), self.id.as_str().into()]
    }
}

/// Puts `new` in the place of `old`, and returns whether they differ.
fn replace<T: PartialEq + Clone>(old: &mut T, new: Option<&T>) -> bool {
    match new {
        Some(new) if new != old => {
            old.clone_from(new);
            true
        }
        _ => false,
    }
}

/// Whether somebody sees announcements that are not published yet: those who write them.
pub fn sees_planned(rights: &Rights) -> bool {
    [Scope::AnnouncementsCreate, Scope::AnnouncementsEdit, Scope::AnnouncementsDelete]
        .into_iter()
        .any(|scope| rights.may(scope))
}

/// The announcements that an account has ticked off.
///
/// One document for each account, not one for each pair: a list needs all of them, which is one read by id. Nobody but the
/// account itself writes it, so nothing contends for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnnouncementTicks {
    /// The account's id.
    pub id: String,
    /// Ids of announcements. Deleted ones stay until there are too many.
    pub announcements: BTreeSet<String>,
}

impl Document for AnnouncementTicks {
    const COLLECTION: &'static str = "announcement_ticks";
    const PERSONAL: Personal =
        Personal::Of(Owner::Account("id"), &[PersonalField::new("announcements", Class::Activity)]);
    const KEEP: Keep = Keep::with_account("the account sees which announcements it has ticked off");

    fn id(&self) -> &str {
        &self.id
    }
}

impl AnnouncementTicks {
    /// Those of an account that has ticked off nothing.
    pub fn none(account: &str) -> Self {
        Self { id: account.to_owned(), announcements: BTreeSet::new() }
    }

    /// Whether this announcement is ticked off.
    pub fn has(&self, announcement: &str) -> bool {
        self.announcements.contains(announcement)
    }

    /// Ticks an announcement off, or undoes it. Returns whether that changed anything.
    pub fn set(&mut self, announcement: &str, ticked_off: bool) -> bool {
        match ticked_off {
            true => self.announcements.insert(announcement.to_owned()),
            false => self.announcements.remove(announcement),
        }
    }

    /// Whether there are more than announcements can be, so that some of them must have been deleted.
    pub fn are_too_many(&self) -> bool {
        self.announcements.len() > ANNOUNCEMENTS_MAX as usize
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(hours: u64) -> Timestamp {
        Timestamp::from_millis(1_788_246_000_000).plus(Duration::from_hours(hours))
    }

    fn draft(publish_at: Option<Timestamp>) -> AnnouncementDraft {
        AnnouncementDraft {
            title: "Welcome".into(),
            text: Markdown::new("Bring **water**."),
            audience: Audience::Everyone,
            pinned: false,
            publish_at,
        }
    }

    fn announcement(publish_at: Option<Timestamp>) -> Announcement {
        Announcement::new("1".into(), draft(publish_at), at(5))
    }

    #[test]
    fn nothing_is_published_before_it_was_written() {
        for (asked, published) in [(None, 5), (Some(at(1)), 5), (Some(at(5)), 5), (Some(at(9)), 9)] {
            assert_eq!(announcement(asked).publish_at, at(published), "{asked:?}");
        }
    }

    #[test]
    fn an_announcement_is_seen_from_its_time_on_and_by_its_authors_before() {
        let planned = announcement(Some(at(9)));
        for (now, everybody) in [(8, false), (9, true), (10, true)] {
            assert_eq!(planned.is_for(&Reader::Anybody, false, at(now)), everybody, "{now}");
            assert!(planned.is_for(&Reader::Leader, true, at(now)));
        }
        let for_leaders = Announcement { audience: Audience::Leaders, ..announcement(None) };
        assert!(!for_leaders.is_for(&Reader::Anybody, false, at(9)));
        assert!(for_leaders.is_for(&Reader::Leader, false, at(9)));
    }

    #[test]
    fn a_published_one_keeps_its_place_and_a_planned_one_is_published_at_the_earliest_now() {
        let moved = |published: u64, asked: u64, now: u64| {
            let mut one = announcement(Some(at(published)));
            one.change(&AnnouncementChanges { publish_at: Some(at(asked)), ..Default::default() }, at(now));
            one.publish_at
        };
        assert_eq!(moved(6, 1, 8), at(6), "published, and asked for a time in the past");
        assert_eq!(moved(6, 9, 8), at(9), "withdrawn until later");
        assert_eq!(moved(9, 1, 8), at(8), "planned, and published now");
        assert_eq!(moved(9, 10, 8), at(10));
    }

    #[test]
    fn a_change_names_what_it_changed_and_nothing_else() {
        let mut one = announcement(None);
        let before = one.clone();
        let same = AnnouncementChanges {
            title: Some("Welcome".into()),
            text: Some(Markdown::new("Bring **water**.")),
            publish_at: Some(at(5)),
            ..Default::default()
        };
        assert_eq!(one.change(&same, at(6)), [""; 0]);
        assert_eq!(one, before);
        let changes = AnnouncementChanges {
            title: Some("Hello".into()),
            text: Some(Markdown::new("Bring a hat.")),
            audience: Some(Audience::Leaders),
            pinned: Some(true),
            publish_at: Some(at(9)),
        };
        assert_eq!(one.change(&changes, at(6)), ["title", "text", "audience", "pinned", "publishAt"]);
        assert_eq!((one.created_at, one.updated_at), (at(5), at(6)));
        assert_eq!(one.text.html(), "<p>Bring a hat.</p>\n");
    }

    #[test]
    fn pinned_ones_are_first_and_then_the_newest() {
        let one = |id: &str, pinned, hours| Announcement {
            id: id.into(),
            pinned,
            publish_at: at(hours),
            ..announcement(None)
        };
        let mut all = [one("a", false, 7), one("b", true, 5), one("c", false, 8), one("d", false, 7)];
        all.sort_by_key(|one| std::cmp::Reverse(one.place()));
        assert_eq!(all.iter().map(|one| one.id.as_str()).collect::<String>(), "bcda");
    }

    #[test]
    fn only_leaders_who_write_announcements_see_planned_ones() {
        for (rights, sees) in [
            (Rights::leader([Scope::AnnouncementsDelete]), true),
            (Rights::leader([Scope::AdminAll]), true),
            (Rights::leader([Scope::FaqEdit]), false),
            (Rights { approved: false, ..Rights::leader([Scope::AnnouncementsEdit]) }, false),
            (Rights::student(), false),
        ] {
            assert_eq!(sees_planned(&rights), sees, "{rights:?}");
        }
    }

    #[test]
    fn ticking_off_twice_changes_nothing() {
        let mut ticks = AnnouncementTicks::none("ana");
        assert!(ticks.set("1", true) && !ticks.set("1", true) && ticks.has("1"));
        assert!(ticks.set("1", false) && !ticks.set("1", false) && !ticks.has("1"));
        for number in 0..=ANNOUNCEMENTS_MAX {
            assert!(!ticks.are_too_many());
            ticks.set(&format!("{number}"), true);
        }
        assert!(ticks.are_too_many());
    }
}
