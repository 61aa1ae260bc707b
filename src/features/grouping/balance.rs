//! How even the groups are, and how even they could be. Pure.
//!
//! The *figure* of a trait (discipline or pronouns) is the number of pairs of students who are in the same group and share
//! it: the sum of `n(n-1)/2` over all groups and values, where `n` students of the group have the value. It is what the
//! counts in the assignment rule add up to when students join one after the other, so
//! `0.5 * figure(discipline) + 0.5 * figure(pronouns)` is the sum of the rule's formula over all students.
//!
//! The *best* figure is a lower bound for these students in this number of groups, in any arrangement: `N` students
//! who share a value cause the fewest pairs when `N mod G` groups have one of them more than the others. For if one group
//! has at least two more of them than another, moving one lowers the figure, because `n(n-1)/2` is convex (A. W.
//! Marshall, I. Olkin, B. C. Arnold, *Inequalities: Theory of Majorization and Its Applications*, second edition, Springer
//! 2011, section 3.C). `docs/decisions/0030-…` has the whole argument.

use serde::{Deserialize, Serialize};

use crate::config::GroupConfig;
use crate::features::groups::{GroupBook, GroupTally};

/// How even the groups are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Balance {
    pub sizes: Sizes,
    pub discipline: Spread,
    pub pronouns: Spread,
}

/// How even the sizes of the groups are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sizes {
    /// Members of the largest group.
    pub largest: u32,
    /// Members of the smallest group.
    pub smallest: u32,
    /// The smallest difference between the two that is possible for this number of members: 0 or 1.
    pub best_difference: u32,
}

/// How evenly a trait is spread over the groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spread {
    /// Pairs of students in the same group who share the trait.
    pub figure: u64,
    /// A lower bound of the figure for these students.
    pub best: u64,
}

impl Balance {
    /// The balance of the groups in `offered`, locked ones included.
    pub fn of(book: &GroupBook, offered: &[GroupConfig]) -> Self {
        let tallies: Vec<_> = offered.iter().map(|group| book.tally(&group.name)).collect();
        let members: Vec<_> = tallies.iter().map(|tally| tally.map_or(0, |tally| tally.members)).collect();
        let rows = |counts: fn(&GroupTally) -> &[u32]| -> Vec<&[u32]> {
            tallies.iter().map(|tally| tally.map_or(&[][..], counts)).collect()
        };
        Self {
            sizes: Sizes::of(&members),
            discipline: Spread::of(&rows(|tally| &tally.by_discipline)),
            pronouns: Spread::of(&rows(|tally| &tally.by_pronouns)),
        }
    }
}

impl Sizes {
    /// The sizes of groups with these numbers of members.
    pub fn of(members: &[u32]) -> Self {
        let groups = u32::try_from(members.len()).unwrap_or(u32::MAX).max(1);
        Self {
            largest: members.iter().max().copied().unwrap_or(0),
            smallest: members.iter().min().copied().unwrap_or(0),
            best_difference: u32::from(!members.iter().sum::<u32>().is_multiple_of(groups)),
        }
    }

    /// By how many members the largest and the smallest group differ.
    pub fn difference(&self) -> u32 {
        self.largest - self.smallest
    }

    /// By how much the difference exceeds the best one. 0 proves that no other sizes are more even.
    pub fn gap(&self) -> u32 {
        self.difference().saturating_sub(self.best_difference)
    }
}

impl Spread {
    /// The spread of a trait: a row for each group, with the number of its members for each value. Rows may be shorter
    /// than others, as if they ended with zeros.
    pub fn of(rows: &[&[u32]]) -> Self {
        let values = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        let students = |value| rows.iter().filter_map(|row| row.get(value)).map(|&n| u64::from(n)).sum();
        Self {
            figure: rows.iter().copied().flatten().map(|&n| pairs(n.into())).sum(),
            best: (0..values).map(|value| fewest_pairs(students(value), rows.len() as u64)).sum(),
        }
    }

    /// By how much the figure exceeds the best one. 0 proves that no other groups are more even.
    pub fn gap(&self) -> u64 {
        self.figure - self.best
    }
}

/// The number of pairs among `n` students.
fn pairs(n: u64) -> u64 {
    n * n.saturating_sub(1) / 2
}

/// The fewest pairs that `students` can form in `groups`, one at least.
fn fewest_pairs(students: u64, groups: u64) -> u64 {
    let (each, rest) = (students / groups, students % groups);
    rest * pairs(each + 1) + (groups - rest) * pairs(each)
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::*;
    use crate::features::groups::Traits;

    /// Every way to put `students` into `groups`: the group of each student.
    fn every_way(students: usize, groups: usize) -> impl Iterator<Item = Vec<usize>> {
        let ways = groups.pow(u32::try_from(students).unwrap());
        (0..ways).map(move |way| (0..students).map(|n| way / groups.pow(n as u32) % groups).collect())
    }

    fn spread(values: &[usize], way: &[usize], groups: usize) -> Spread {
        let mut rows = vec![vec![0; 3]; groups];
        values.iter().zip(way).for_each(|(&value, &group)| rows[group][value] += 1);
        Spread::of(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    #[test]
    fn the_best_figure_is_the_smallest_of_all_ways_to_form_the_groups() {
        for groups in 1..=4 {
            for students in 0..=6 {
                for values in every_way(students, 3).filter(|values| values.is_sorted()) {
                    let spreads = every_way(students, groups).map(|way| spread(&values, &way, groups));
                    let figures: Vec<_> = spreads.map(|spread| (spread.figure, spread.best)).collect();
                    let smallest = figures.iter().map(|(figure, _)| *figure).min().unwrap();
                    assert!(figures.iter().all(|(_, best)| *best == smallest), "{values:?} in {groups}");
                }
            }
        }
    }

    #[test]
    fn the_best_difference_is_the_smallest_of_all_ways_to_form_the_groups() {
        for groups in 1..=4 {
            for students in 0..=6 {
                let sizes = every_way(students, groups).map(|way| {
                    let mut members = vec![0; groups];
                    way.into_iter().for_each(|group| members[group] += 1);
                    Sizes::of(&members)
                });
                let sizes: Vec<_> = sizes.collect();
                assert_eq!(sizes.iter().map(Sizes::gap).min(), Some(0), "{students} in {groups}");
                let smallest = sizes.iter().map(Sizes::difference).min().unwrap();
                assert!(
                    sizes.iter().all(|sizes| sizes.best_difference == smallest),
                    "{students} in {groups}"
                );
            }
        }
    }

    #[test]
    fn the_figures_are_what_the_assignment_rule_adds_up() {
        let offered: Vec<_> =
            ["A", "B", "C"].map(|name| GroupConfig { name: name.into(), symbol: name.into() }).into();
        let (mut book, mut sum) = (GroupBook::default(), 0);
        for n in 0..40_u64 {
            let traits = Traits {
                discipline: ["Civil", "Mineral", "Chemical"][(n * n % 7 % 3) as usize],
                pronouns: ["he/him", "she/her"][(n * n % 5 % 2) as usize],
            };
            let before = book.clone();
            let group = book.take_place(&offered, traits).unwrap();
            let alike = |names: &[String], name: &str, counts: Option<&Vec<u32>>| {
                let at = names.iter().position(|known| known == name);
                at.zip(counts).and_then(|(at, counts)| counts.get(at).copied()).unwrap_or(0)
            };
            let tally = before.tally(&group);
            sum += alike(&before.disciplines, traits.discipline, tally.map(|tally| &tally.by_discipline));
            sum += alike(&before.pronouns, traits.pronouns, tally.map(|tally| &tally.by_pronouns));
        }
        let balance = Balance::of(&book, &offered);
        assert_eq!(balance.discipline.figure + balance.pronouns.figure, u64::from(sum));
    }

    #[test]
    fn two_students_more_in_one_group_than_in_another_are_never_best() {
        for few in 0..50_u64 {
            for more in 2..50 {
                let moved = pairs(few + 1) + pairs(few + more - 1);
                assert_eq!(moved.cmp(&(pairs(few) + pairs(few + more))), Ordering::Less);
            }
        }
    }

    #[test]
    fn no_groups_and_no_students_are_balanced() {
        let balance = Balance::of(&GroupBook::default(), &[]);
        assert_eq!((balance.sizes.gap(), balance.discipline.gap(), balance.pronouns.gap()), (0, 0, 0));
    }
}
