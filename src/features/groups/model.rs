//! The document of this feature: how many students are in each group, and which groups are locked.

use serde::{Deserialize, Serialize};

use crate::config::GroupConfig;
use crate::platform::store::{Document, Keep, Personal, StoreError};

/// How many students are in each group. Every registration writes to this one document, so it is kept small.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupBook {
    pub id: String,
    /// Disciplines of the members so far: the columns of [`GroupTally::by_discipline`].
    pub disciplines: Vec<String>,
    /// Pronouns of the members so far: the columns of [`GroupTally::by_pronouns`]. Pronouns in a student's own words
    /// count as *Other*.
    pub pronouns: Vec<String>,
    pub groups: Vec<GroupTally>,
    /// Number of changes of members, locks and binding wishes. A plan that was made at another number is out of date.
    #[serde(default)]
    pub membership_version: u64,
}

/// How many students are in one group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupTally {
    pub name: String,
    /// Students who have submitted the form, paid or not.
    pub members: u32,
    /// Members who have paid.
    pub registered: u32,
    /// Members by discipline, in the order of the book's columns. Columns that were added later can be missing.
    pub by_discipline: Vec<u32>,
    /// Members by pronouns, in the same way.
    pub by_pronouns: Vec<u32>,
    /// Whether the group gets nobody and loses nobody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub locked: bool,
}

/// What a student counts as in a group. Both are spread evenly over the groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traits<'a> {
    pub discipline: &'a str,
    pub pronouns: &'a str,
}

/// Why a student can't be moved to another group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoveError {
    /// The former or the new group, by this name.
    #[error("the group {0} is locked")]
    Locked(String),
    #[error("there is no such group")]
    NoSuchGroup,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a group can't be locked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    #[error("there is no such group")]
    NoSuchGroup,
    /// New students would have no group to join.
    #[error("all other groups are locked")]
    LastUnlocked,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Document for GroupBook {
    const COLLECTION: &'static str = "group_books";
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = Keep::with_store("counts that keep the groups even");

    fn id(&self) -> &str {
        &self.id
    }
}

impl Default for GroupBook {
    fn default() -> Self {
        Self {
            id: Self::ID.into(),
            disciplines: vec![],
            pronouns: vec![],
            groups: vec![],
            membership_version: 0,
        }
    }
}

impl GroupBook {
    /// Id of the only book.
    pub const ID: &str = "orientation";

    /// The counts of the group with this name. `None` if it has never had a member or a lock.
    pub fn tally(&self, group: &str) -> Option<&GroupTally> {
        self.groups.iter().find(|tally| tally.name == group)
    }

    /// Whether the group with this name is locked.
    pub fn is_locked(&self, group: &str) -> bool {
        self.tally(group).is_some_and(|tally| tally.locked)
    }

    /// Adds a member to one of the groups in `offered` and returns the group's name. `None` only if nothing is offered.
    ///
    /// The unlocked group with the fewest members is chosen. Among equals it is the one with the lowest
    /// `0.5 * (same discipline) + 0.5 * (same pronouns)`, both counted among its members, and then the one that `offered`
    /// lists first. If every group in `offered` is locked, because the file lost the others, locks don't count: a student
    /// always gets a group.
    pub fn take_place(&mut self, offered: &[GroupConfig], traits: Traits<'_>) -> Option<String> {
        let columns = self.columns(traits);
        // Both halves have the same weight, so their sum orders as the formula does.
        let load = |tally: &GroupTally| {
            let alike = count(&tally.by_discipline, columns.0) + count(&tally.by_pronouns, columns.1);
            (tally.locked, tally.members, alike)
        };
        let open: Vec<_> = offered.iter().map(|group| self.position(&group.name)).collect();
        let chosen = open.into_iter().min_by_key(|at| load(&self.groups[*at]))?;
        let tally = &mut self.groups[chosen];
        tally.add(columns);
        let group = tally.name.clone();
        self.membership_version += 1;
        Some(group)
    }

    /// Moves a member with these traits, who has paid if `registered`, from one group to another of those in `offered`.
    ///
    /// # Errors
    /// [`MoveError`]. Nothing has changed then.
    pub fn move_member(
        &mut self,
        offered: &[GroupConfig],
        (from, to): (&str, &str),
        traits: Traits<'_>,
        registered: bool,
    ) -> Result<(), MoveError> {
        if !is_offered(offered, to) {
            return Err(MoveError::NoSuchGroup);
        }
        if let Some(locked) = [from, to].into_iter().find(|group| self.is_locked(group)) {
            return Err(MoveError::Locked(locked.to_owned()));
        }
        let (columns, from, to) = (self.columns(traits), self.position(from), self.position(to));
        self.groups[from].remove(columns);
        self.groups[to].add(columns);
        if registered {
            self.groups[from].registered = self.groups[from].registered.saturating_sub(1);
            self.groups[to].registered += 1;
        }
        self.membership_version += 1;
        Ok(())
    }

    /// Counts a member of `group` whose traits were corrected.
    pub fn reclassify(&mut self, group: &str, before: Traits<'_>, after: Traits<'_>) {
        if before == after {
            return;
        }
        let (before, after, group) = (self.columns(before), self.columns(after), self.position(group));
        self.groups[group].remove(before);
        self.groups[group].add(after);
        self.membership_version += 1;
    }

    /// Locks one of the groups in `offered`. Returns whether it was unlocked before.
    ///
    /// # Errors
    /// [`LockError`]. Nothing has changed then.
    pub fn lock(&mut self, offered: &[GroupConfig], group: &str) -> Result<bool, LockError> {
        if !is_offered(offered, group) {
            return Err(LockError::NoSuchGroup);
        }
        if self.is_locked(group) {
            return Ok(false);
        }
        if offered.iter().all(|other| other.name == group || self.is_locked(&other.name)) {
            return Err(LockError::LastUnlocked);
        }
        self.set_locked(group, true);
        Ok(true)
    }

    /// Unlocks a group. Returns whether it was locked before.
    pub fn unlock(&mut self, group: &str) -> bool {
        let locked = self.is_locked(group);
        if locked {
            self.set_locked(group, false);
        }
        locked
    }

    fn set_locked(&mut self, group: &str, locked: bool) {
        let at = self.position(group);
        self.groups[at].locked = locked;
        self.membership_version += 1;
    }

    /// Notes that wishes changed which bind students to their group.
    pub fn note_wishes(&mut self) {
        self.membership_version += 1;
    }

    /// Counts a member of `group` who has paid.
    pub fn count_registered(&mut self, group: &str) {
        let at = self.position(group);
        self.groups[at].registered += 1;
    }

    /// Counts a member of `group` who has paid as one who has not.
    pub fn count_withdrawn(&mut self, group: &str) {
        let at = self.position(group);
        self.groups[at].registered = self.groups[at].registered.saturating_sub(1);
    }

    /// The place of a group's counts, which are added if there are none yet.
    fn position(&mut self, group: &str) -> usize {
        self.groups.iter().position(|tally| tally.name == group).unwrap_or_else(|| {
            self.groups.push(GroupTally::empty(group));
            self.groups.len() - 1
        })
    }

    /// The columns of the discipline and the pronouns, which are added if there are none yet.
    fn columns(&mut self, traits: Traits<'_>) -> (usize, usize) {
        (column(&mut self.disciplines, traits.discipline), column(&mut self.pronouns, traits.pronouns))
    }
}

impl GroupTally {
    fn empty(name: &str) -> Self {
        let (by_discipline, by_pronouns) = (vec![], vec![]);
        Self { name: name.into(), members: 0, registered: 0, by_discipline, by_pronouns, locked: false }
    }

    fn add(&mut self, (discipline, pronouns): (usize, usize)) {
        self.members += 1;
        add_one(&mut self.by_discipline, discipline);
        add_one(&mut self.by_pronouns, pronouns);
    }

    fn remove(&mut self, (discipline, pronouns): (usize, usize)) {
        self.members = self.members.saturating_sub(1);
        remove_one(&mut self.by_discipline, discipline);
        remove_one(&mut self.by_pronouns, pronouns);
    }
}

fn is_offered(offered: &[GroupConfig], group: &str) -> bool {
    offered.iter().any(|one| one.name == group)
}

fn column(columns: &mut Vec<String>, name: &str) -> usize {
    columns.iter().position(|column| column == name).unwrap_or_else(|| {
        columns.push(name.to_owned());
        columns.len() - 1
    })
}

fn count(counts: &[u32], column: usize) -> u32 {
    counts.get(column).copied().unwrap_or(0)
}

fn add_one(counts: &mut Vec<u32>, column: usize) {
    if counts.len() <= column {
        counts.resize(column + 1, 0);
    }
    counts[column] += 1;
}

fn remove_one(counts: &mut [u32], column: usize) {
    if let Some(count) = counts.get_mut(column) {
        *count = count.saturating_sub(1);
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
