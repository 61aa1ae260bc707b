//! The document of this feature: how many students are in each group.

use serde::{Deserialize, Serialize};

use crate::config::GroupConfig;
use crate::platform::store::{Document, Keep, Personal};

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
        Self { id: Self::ID.into(), disciplines: vec![], pronouns: vec![], groups: vec![] }
    }
}

impl GroupBook {
    /// Id of the only book.
    pub const ID: &str = "orientation";

    /// Adds a member to one of the groups in `offered` and returns the group's name. `None` only if nothing is offered.
    ///
    /// The group with the fewest members is chosen. Among equals it is the one with the lowest
    /// `0.5 * (same discipline) + 0.5 * (same pronouns)`, both counted among its members, and then the one that `offered`
    /// lists first.
    pub fn take_place(
        &mut self,
        offered: &[GroupConfig],
        discipline: &str,
        pronouns: &str,
    ) -> Option<String> {
        let discipline = column(&mut self.disciplines, discipline);
        let pronouns = column(&mut self.pronouns, pronouns);
        for group in offered {
            if !self.groups.iter().any(|tally| tally.name == group.name) {
                self.groups.push(GroupTally::empty(&group.name));
            }
        }
        // Both halves have the same weight, so their sum orders as the formula does.
        let load = |tally: &GroupTally| {
            let alike = count(&tally.by_discipline, discipline) + count(&tally.by_pronouns, pronouns);
            (tally.members, alike)
        };
        let open = offered.iter().filter_map(|group| self.position(&group.name));
        let chosen = open.min_by_key(|at| load(&self.groups[*at]))?;
        let tally = &mut self.groups[chosen];
        tally.members += 1;
        add_one(&mut tally.by_discipline, discipline);
        add_one(&mut tally.by_pronouns, pronouns);
        Some(tally.name.clone())
    }

    /// Counts a member of `group` who has paid.
    pub fn count_registered(&mut self, group: &str) {
        if let Some(at) = self.position(group) {
            self.groups[at].registered += 1;
        }
    }

    /// Counts a member of `group` who has paid as one who has not.
    pub fn count_withdrawn(&mut self, group: &str) {
        if let Some(at) = self.position(group) {
            self.groups[at].registered = self.groups[at].registered.saturating_sub(1);
        }
    }

    fn position(&self, group: &str) -> Option<usize> {
        self.groups.iter().position(|tally| tally.name == group)
    }
}

impl GroupTally {
    fn empty(name: &str) -> Self {
        Self { name: name.into(), members: 0, registered: 0, by_discipline: vec![], by_pronouns: vec![] }
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn groups(names: &[&str]) -> Vec<GroupConfig> {
        names.iter().map(|name| GroupConfig { name: (*name).into(), symbol: "?".into() }).collect()
    }

    fn take(book: &mut GroupBook, offered: &[GroupConfig], discipline: &str, pronouns: &str) -> String {
        book.take_place(offered, discipline, pronouns).unwrap()
    }

    #[test]
    fn the_first_place_is_in_the_group_that_the_file_lists_first() {
        let offered = groups(&["Psi", "Alpha"]);
        assert_eq!(take(&mut GroupBook::default(), &offered, "Civil", "they/them"), "Psi");
    }

    #[test]
    fn the_group_with_the_fewest_members_is_chosen_and_the_formula_breaks_ties() {
        let (offered, mut book) = (groups(&["A", "B", "C"]), GroupBook::default());
        assert_eq!(take(&mut book, &offered, "Civil", "she/her"), "A");
        assert_eq!(take(&mut book, &offered, "Civil", "he/him"), "B");
        assert_eq!(take(&mut book, &offered, "Mineral", "he/him"), "C");
        // One member each. A: 0.5 + 0, B: 0.5 + 0.5, C: 0 + 0.5 for a second Civil he/him; A is listed before C.
        assert_eq!(take(&mut book, &offered, "Civil", "he/him"), "A");
        // B: 0 + 0.5, C: 0.5 + 0.5, A has more members.
        assert_eq!(take(&mut book, &offered, "Mineral", "he/him"), "B");
        assert_eq!(take(&mut book, &offered, "Civil", "she/her"), "C");
    }

    #[test]
    fn a_group_that_is_no_longer_offered_keeps_its_members_and_gets_no_new_ones() {
        let mut book = GroupBook::default();
        take(&mut book, &groups(&["A", "B"]), "Civil", "he/him");
        assert_eq!(take(&mut book, &groups(&["B"]), "Civil", "he/him"), "B");
        assert_eq!(take(&mut book, &groups(&["B"]), "Civil", "he/him"), "B");
        assert_eq!(book.groups.iter().map(|tally| tally.members).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(book.take_place(&[], "Civil", "he/him"), None);
    }

    proptest! {
        #[test]
        fn groups_differ_by_one_at_most_and_counts_equal_members(
            people in prop::collection::vec((0..9_u8, 0..5_u8), 0..300),
            number_of_groups in 1..25_usize,
        ) {
            let offered: Vec<_> = (0..number_of_groups)
                .map(|i| GroupConfig { name: format!("G{i}"), symbol: "?".into() })
                .collect();
            let mut book = GroupBook::default();
            for (discipline, pronouns) in &people {
                let group = take(&mut book, &offered, &discipline.to_string(), &pronouns.to_string());
                book.count_registered(&group);
            }
            let members: Vec<_> = book.groups.iter().map(|tally| tally.members).collect();
            let (fewest, most) = (members.iter().min().copied().unwrap_or(0), members.iter().max().copied().unwrap_or(0));
            prop_assert!(most - fewest <= 1);
            prop_assert_eq!(members.iter().sum::<u32>() as usize, people.len());
            for tally in &book.groups {
                prop_assert_eq!(tally.by_discipline.iter().sum::<u32>(), tally.members);
                prop_assert_eq!(tally.by_pronouns.iter().sum::<u32>(), tally.members);
                prop_assert_eq!(tally.registered, tally.members);
            }
        }
    }
}
