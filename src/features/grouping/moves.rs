//! Who moves where, so that the groups become even with the fewest moves. Pure and deterministic.
//!
//! [`places`] says how many members each group gives up and gets; each student moves at most once. Which members move is
//! chosen so that discipline and pronouns become as even as possible: students of the same discipline and pronouns (a
//! *class*) count alike, so first the move that lowers the sum of both figures most is chosen, as often as there are places,
//! and then moves are replaced, and pairs of moves exchange their groups, as long as the sum becomes lower.

use std::collections::BTreeMap;

use super::places::{Places, places};
use crate::features::groups::Traits;

/// A member of a group.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// Id of the student's account.
    pub student: &'a str,
    /// Name of the group.
    pub group: &'a str,
    pub traits: Traits<'a>,
    /// Whether the student must stay.
    pub bound: bool,
}

/// A student who is to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move<'a> {
    /// Id of the student's account.
    pub student: &'a str,
    /// Name of the present group.
    pub from: &'a str,
    /// Name of the new group.
    pub to: &'a str,
    pub traits: Traits<'a>,
}

/// The moves that make `groups` even, sorted by group. Groups that are not listed, and their members, are left out. Of the
/// students of a class, those with the greatest ids move: they were the last to sign up.
pub fn moves<'a>(groups: &[&'a str], members: &[Member<'a>]) -> Vec<Move<'a>> {
    let mut members: Vec<_> = members
        .iter()
        .filter_map(|member| Some((groups.iter().position(|group| *group == member.group)?, member)))
        .collect();
    members.sort_by_key(|(_, member)| member.student);
    let classes = Classes::of(members.iter().map(|(_, member)| member.traits));
    let mut plan = Plan::new(groups.len(), &classes, &members);
    plan.fill();
    while plan.replace() | plan.exchange() {}
    plan.named(groups, &classes, &members)
}

/// The classes of students, in the order of their names.
struct Classes<'a> {
    all: BTreeMap<(&'a str, &'a str), usize>,
    /// For each class: the numbers of its discipline and its pronouns.
    traits: Vec<(usize, usize)>,
}

impl<'a> Classes<'a> {
    fn of(traits: impl Iterator<Item = Traits<'a>>) -> Self {
        let mut all: BTreeMap<_, _> =
            traits.map(|traits| ((traits.discipline, traits.pronouns), 0)).collect();
        let (mut disciplines, mut pronouns) = (BTreeMap::new(), BTreeMap::new());
        let mut traits = vec![];
        for (class, (names, number)) in all.iter_mut().enumerate() {
            *number = class;
            let (next_discipline, next_pronouns) = (disciplines.len(), pronouns.len());
            let discipline = *disciplines.entry(names.0).or_insert(next_discipline);
            traits.push((discipline, *pronouns.entry(names.1).or_insert(next_pronouns)));
        }
        Self { all, traits }
    }

    fn class(&self, traits: Traits<'_>) -> usize {
        self.all[&(traits.discipline, traits.pronouns)]
    }
}

/// A student of a class moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    from: usize,
    to: usize,
    class: usize,
}

/// The groups after the steps that are chosen so far.
struct Plan<'a> {
    traits: &'a [(usize, usize)],
    /// Members by group and discipline.
    disciplines: Vec<Vec<u32>>,
    /// Members by group and pronouns.
    pronouns: Vec<Vec<u32>>,
    /// By group and class: members who can still be chosen to move.
    free: Vec<Vec<u32>>,
    giving: Places,
    getting: Places,
    steps: Vec<Step>,
}

impl<'a> Plan<'a> {
    fn new(groups: usize, classes: &'a Classes<'_>, members: &[(usize, &Member<'_>)]) -> Self {
        let (mut sizes, mut bound) = (vec![0; groups], vec![0; groups]);
        let kinds = classes.traits.len();
        let mut plan = Self {
            traits: &classes.traits,
            disciplines: vec![vec![0; kinds]; groups],
            pronouns: vec![vec![0; kinds]; groups],
            free: vec![vec![0; kinds]; groups],
            giving: Places::default(),
            getting: Places::default(),
            steps: vec![],
        };
        for &(group, member) in members {
            let class = classes.class(member.traits);
            plan.join(group, class);
            sizes[group] += 1;
            bound[group] += u32::from(member.bound);
            plan.free[group][class] += u32::from(!member.bound);
        }
        (plan.giving, plan.getting) = places(&sizes, &bound);
        plan
    }

    /// Adds a member; returns how many others shared the traits, counted for each trait.
    fn join(&mut self, group: usize, class: usize) -> i64 {
        let alike = self.alike(group, class);
        let (discipline, pronouns) = self.traits[class];
        self.disciplines[group][discipline] += 1;
        self.pronouns[group][pronouns] += 1;
        alike
    }

    /// Removes a member; returns how many others share the traits, counted for each trait.
    fn leave(&mut self, group: usize, class: usize) -> i64 {
        let (discipline, pronouns) = self.traits[class];
        self.disciplines[group][discipline] -= 1;
        self.pronouns[group][pronouns] -= 1;
        self.alike(group, class)
    }

    fn alike(&self, group: usize, class: usize) -> i64 {
        let (discipline, pronouns) = self.traits[class];
        i64::from(self.disciplines[group][discipline]) + i64::from(self.pronouns[group][pronouns])
    }

    fn take(&mut self, step: Step) {
        self.leave(step.from, step.class);
        self.join(step.to, step.class);
        self.free[step.from][step.class] -= 1;
        self.giving.take(step.from);
        self.getting.take(step.to);
    }

    fn undo(&mut self, step: Step) {
        self.leave(step.to, step.class);
        self.join(step.from, step.class);
        self.free[step.from][step.class] += 1;
        self.giving.give_back(step.from);
        self.getting.give_back(step.to);
    }

    /// By how much the step changes the sum of both figures. The student is one of those who are alike in the old group,
    /// once for each trait.
    fn change(&self, step: Step) -> i64 {
        self.alike(step.to, step.class) - (self.alike(step.from, step.class) - 2)
    }

    /// The possible step that changes the sum of both figures the most for the better.
    fn best(&self) -> Option<Step> {
        let groups = 0..self.free.len();
        let getting: Vec<_> = groups.clone().filter(|to| self.getting.is_open(*to)).collect();
        let giving: Vec<_> = groups.filter(|from| self.giving.is_open(*from)).collect();
        let step = |class| {
            let from = giving.iter().filter(|from| self.free[**from][class] > 0);
            let from = from.max_by_key(|from| (self.alike(**from, class), usize::MAX - **from))?;
            let to = getting.iter().min_by_key(|to| self.alike(**to, class))?;
            Some(Step { class, from: *from, to: *to })
        };
        (0..self.traits.len()).filter_map(step).min_by_key(|step| self.change(*step))
    }

    /// Chooses the best step as often as there are places.
    fn fill(&mut self) {
        while let Some(step) = self.best() {
            self.take(step);
            self.steps.push(step);
        }
    }

    /// Replaces each step by a better one, if there is one. Returns whether the sum of both figures is lower now.
    fn replace(&mut self) -> bool {
        let mut better = false;
        for n in 0..self.steps.len() {
            let former = self.steps[n];
            self.undo(former);
            let step = self.best().filter(|step| self.change(*step) < self.change(former));
            better |= step.is_some();
            self.steps[n] = step.unwrap_or(former);
            self.take(self.steps[n]);
        }
        better
    }

    /// Lets pairs of steps exchange their new groups where that is better. Returns whether the sum of both figures is lower
    /// now. Steps of the same class to the same group are tried once.
    fn exchange(&mut self) -> bool {
        let mut alike: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (n, step) in self.steps.iter().enumerate() {
            alike.entry((step.to, step.class)).or_default().push(n);
        }
        let mut alike: Vec<_> = alike.into_values().collect();
        let mut better = false;
        for one in 1..alike.len() {
            let (others, rest) = alike.split_at_mut(one);
            for other in others {
                while let (Some(&n), Some(&m)) = (rest[0].last(), other.last())
                    && self.exchange_pair(n, m)
                {
                    rest[0].pop();
                    other.pop();
                    better = true;
                }
            }
        }
        better
    }

    /// Lets two steps exchange their new groups if that is better. Returns whether they did.
    fn exchange_pair(&mut self, n: usize, m: usize) -> bool {
        let (one, other) = (self.steps[n], self.steps[m]);
        let before = self.leave(one.to, one.class) + self.leave(other.to, other.class);
        let after = self.join(other.to, one.class) + self.join(one.to, other.class);
        if after < before {
            (self.steps[n].to, self.steps[m].to) = (other.to, one.to);
            return true;
        }
        self.leave(one.to, other.class);
        self.leave(other.to, one.class);
        self.join(one.to, one.class);
        self.join(other.to, other.class);
        false
    }

    /// The steps with the students who take them. `members` is sorted by student.
    fn named<'m>(
        &self,
        groups: &[&'m str],
        classes: &Classes<'_>,
        members: &[(usize, &Member<'m>)],
    ) -> Vec<Move<'m>> {
        let mut free: BTreeMap<_, Vec<&Member<'m>>> = BTreeMap::new();
        for (group, member) in members.iter().filter(|(_, member)| !member.bound) {
            free.entry((*group, classes.class(member.traits))).or_default().push(member);
        }
        let mut steps = self.steps.clone();
        steps.sort();
        let named = steps.into_iter().filter_map(|step| {
            let &Member { student, traits, .. } = free.get_mut(&(step.from, step.class))?.pop()?;
            Some(Move { student, from: groups[step.from], to: groups[step.to], traits })
        });
        named.collect()
    }
}

#[cfg(test)]
#[path = "moves_tests.rs"]
mod tests;
