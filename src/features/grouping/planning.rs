//! Making a plan of the book and the students. Pure.

use super::balance::Balance;
use super::friends::{Friend, have_friends};
use super::model::{PlannedMove, RebalancePlan};
use super::moves::{Member, moves};
use crate::config::Event;
use crate::features::groups::{GroupBook, Traits};
use crate::features::registration::Registration;
use crate::kernel::{EmailAddress, Timestamp};

/// A student as a plan needs them.
pub struct Placed {
    /// Id of the account.
    pub id: String,
    discipline: String,
    pronouns: String,
    pub friend: Friend,
}

impl From<Registration> for Placed {
    fn from(registration: Registration) -> Self {
        let Registration { id, form, group, .. } = registration;
        let key = |address: &String| EmailAddress::parse(address).ok().map(|address| address.key());
        let named = form.hunt_teammates.iter().filter_map(key).collect();
        let friend = Friend { address: None, named, group };
        Self { id, discipline: form.discipline, pronouns: form.pronouns, friend }
    }
}

impl Placed {
    fn member(&self, bound: bool) -> Member<'_> {
        let traits = Traits { discipline: &self.discipline, pronouns: &self.pronouns };
        Member { student: &self.id, group: &self.friend.group, traits, bound }
    }
}

/// The plan of this id for `students`, who are counted in `book`, with its moves.
pub fn planned(
    id: String,
    event: &Event,
    mut book: GroupBook,
    students: &[Placed],
    now: Timestamp,
) -> (RebalancePlan, Vec<PlannedMove>) {
    let (before, membership_version) = (Balance::of(&book, &event.groups), book.membership_version);
    let friends: Vec<_> = students.iter().map(|student| student.friend.clone()).collect();
    let bound = have_friends(&friends);
    let members: Vec<_> = students.iter().zip(&bound).map(|(one, bound)| one.member(*bound)).collect();
    let unlocked = event.groups.iter().map(|group| group.name.as_str());
    let unlocked: Vec<_> = unlocked.filter(|name| !book.is_locked(name)).collect();
    let mut all = vec![];
    for (number, step) in moves(&unlocked, &members).into_iter().enumerate() {
        // It is not refused: both groups are offered and not locked.
        drop(book.move_member(&event.groups, (step.from, step.to), step.traits, false));
        all.push(PlannedMove::new(&id, number, &step, now));
    }
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let plan = RebalancePlan {
        id,
        membership_version,
        moves: count(all.len()),
        bound: count(bound.iter().filter(|bound| **bound).count()),
        before,
        after: Balance::of(&book, &event.groups),
        planned_at: now,
    };
    (plan, all)
}
