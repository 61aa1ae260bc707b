//! Which groups give up places and which get some, so that the sizes become as even as possible with the fewest moves. Pure.
//!
//! Some members of a group may be bound to it: they never move. Sizes are as even as possible, which is to say that the
//! sum of their squares is as small as possible, when places are filled like water into a vessel whose floor is the number
//! of bound members: a group with fewer bound members than the *level* has as many members as the level says, or one more,
//! and the others have their bound members only. Which of the former have one more is free. Somebody has to move for each
//! member above a group's final size, so the fewest move when groups that are above the level have one more.

/// The places that groups give up, or those that they get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// For each group: places that it must give up or get.
    due: Vec<u32>,
    /// For each group: whether it may give up or get one place more.
    extra: Vec<Extra>,
    /// Number of extra places that groups give up or get.
    extras: u32,
}

/// Whether a group gives up or gets one place more than it must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extra {
    Never,
    Possible,
    Used,
}

impl Places {
    /// Whether a place of this group is left.
    pub fn is_open(&self, group: usize) -> bool {
        self.due[group] > 0 || self.extras > 0 && self.extra[group] == Extra::Possible
    }

    /// Uses a place of a group that is [open](Self::is_open).
    pub fn take(&mut self, group: usize) {
        if self.due[group] > 0 {
            self.due[group] -= 1;
        } else {
            self.extra[group] = Extra::Used;
            self.extras -= 1;
        }
    }

    /// Undoes [`take`](Self::take).
    pub fn give_back(&mut self, group: usize) {
        if self.extra[group] == Extra::Used {
            self.extra[group] = Extra::Possible;
            self.extras += 1;
        } else {
            self.due[group] += 1;
        }
    }
}

/// The places that groups of these sizes with these numbers of bound members give up, and those that they get: equally many.
/// No group does both.
pub fn places(sizes: &[u32], bound: &[u32]) -> (Places, Places) {
    let (level, above_level) = level(sizes.iter().sum(), bound);
    let groups: Vec<_> = sizes.iter().copied().zip(bound.iter().copied()).collect();
    let is_above = |&(size, bound): &(u32, u32)| bound <= level && size > level;
    let is_below = |&(size, bound): &(u32, u32)| bound <= level && size <= level;
    let above = u32::try_from(groups.iter().filter(|group| is_above(group)).count()).unwrap_or(u32::MAX);
    let due = |of: &dyn Fn(u32, u32) -> u32| groups.iter().map(|&(size, bound)| of(size, bound)).collect();
    let extra = |possible: &dyn Fn(&(u32, u32)) -> bool| {
        groups.iter().map(|group| if possible(group) { Extra::Possible } else { Extra::Never }).collect()
    };
    let giving = Places {
        due: due(&|size, bound| size.saturating_sub(bound.max(level + u32::from(bound <= level)))),
        extra: extra(&is_above),
        extras: above.saturating_sub(above_level),
    };
    let getting = Places {
        due: due(&|size, bound| if bound <= level { level.saturating_sub(size) } else { 0 }),
        extra: extra(&|group| is_below(group) && above < above_level),
        extras: above_level.saturating_sub(above),
    };
    (giving, getting)
}

/// The level to which `members` fill groups with these numbers of bound members, and how many groups have one member more
/// than the level.
fn level(members: u32, bound: &[u32]) -> (u32, u32) {
    let filled = |level: u32| bound.iter().map(|bound| *bound.max(&level)).sum::<u32>();
    let highest = members / u32::try_from(bound.len()).unwrap_or(u32::MAX).max(1);
    let level = (0..=highest).rev().find(|level| filled(*level) <= members).unwrap_or(0);
    (level, members.saturating_sub(filled(level)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(places: &Places) -> u32 {
        places.due.iter().sum::<u32>() + places.extras
    }

    fn of(sizes: &[u32], bound: &[u32]) -> (Vec<u32>, u32, Vec<u32>, u32) {
        let (giving, getting) = places(sizes, bound);
        assert_eq!(total(&giving), total(&getting));
        (giving.due, giving.extras, getting.due, getting.extras)
    }

    #[test]
    fn sizes_that_are_even_stay() {
        assert_eq!(of(&[], &[]), (vec![], 0, vec![], 0));
        assert_eq!(of(&[4, 5, 4], &[0, 0, 4]), (vec![0; 3], 0, vec![0; 3], 0));
    }

    #[test]
    fn a_group_that_is_above_the_level_keeps_one_more() {
        // 11 members: 4, 4, 3. The first gives up three, the others get them.
        assert_eq!(of(&[7, 2, 2], &[0; 3]), (vec![3, 0, 0], 0, vec![0, 1, 1], 1));
        // 10 members: 4, 3, 3. One of the first two gives up an extra place.
        assert_eq!(of(&[5, 5, 0], &[0; 3]), (vec![1, 1, 0], 1, vec![0, 0, 3], 0));
    }

    #[test]
    fn bound_members_raise_the_floor_of_their_group() {
        // 12 members, 8 of them bound to the first group: 8, 2, 2.
        assert_eq!(of(&[9, 3, 0], &[8, 0, 0]), (vec![1, 0, 0], 1, vec![0, 0, 2], 0));
    }

    #[test]
    fn a_place_that_is_given_back_is_open_again() {
        let (mut giving, _) = places(&[5, 5, 0], &[0; 3]);
        let fresh = giving.clone();
        for group in [0, 0, 1] {
            assert!(giving.is_open(group));
            giving.take(group);
        }
        assert_eq!((total(&giving), giving.is_open(1)), (0, false));
        for group in [1, 0, 0] {
            giving.give_back(group);
        }
        assert_eq!(giving, fresh);
    }
}
