//! Documents: a student's registration, and the book of groups.

use serde::{Deserialize, Serialize};

use super::form::Form;
use crate::config::GroupConfig;
use crate::kernel::Timestamp;
use crate::platform::store::{Class, Document, Index, Keep, Owner, Personal, PersonalField};

/// How far a registration has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RegistrationState {
    /// The form is in, and the place in the group is kept; it isn't paid.
    Submitted,
    /// Paid.
    Registered,
}

/// A student's registration; its id is the account's: one each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    /// The account's id.
    pub id: String,
    /// [`Form::student_key`]; unique.
    pub student_key: String,
    pub form: Form,
    /// The group's name.
    pub group: String,
    pub state: RegistrationState,
    /// The order of the orientation ticket.
    pub order_id: String,
    pub submitted_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_at: Option<Timestamp>,
}

/// The index that keeps student ids unique.
pub const BY_STUDENT_ID: &str = "registrations_by_student_id";

impl Document for Registration {
    const COLLECTION: &'static str = "registrations";
    const INDEXES: &'static [Index] = &[Index::unique(BY_STUDENT_ID, &["studentKey"])];
    const PERSONAL: Personal = Personal::Of(
        Owner::Account("id"),
        &[
            PersonalField::new("studentKey", Class::Identity),
            PersonalField::new("form.legalName", Class::Identity),
            PersonalField::new("form.pronouns", Class::Identity),
            PersonalField::new("form.pronounsOther", Class::Identity),
            PersonalField::new("form.birthDate", Class::Identity),
            PersonalField::new("form.studentId", Class::Identity),
            PersonalField::new("form.phone", Class::Contact),
            PersonalField::new("form.emergencyContact", Class::Contact),
            PersonalField::new("form.medicalInformation", Class::Health),
            PersonalField::new("form.medication", Class::Health),
            PersonalField::new("form.dietary", Class::Health),
            PersonalField::new("form.dietaryOther", Class::Health),
            PersonalField::new("form.accessibility", Class::Health),
            PersonalField::new("form.accessibilityContact", Class::Health),
            PersonalField::new("form.discipline", Class::Logistics),
            PersonalField::new("form.shirtSize", Class::Logistics),
            PersonalField::new("form.joinsHunt", Class::Logistics),
            PersonalField::new("form.huntTeammates", Class::Logistics),
            PersonalField::new("form.summerCity", Class::Logistics),
            PersonalField::new("form.summerCountry", Class::Logistics),
            PersonalField::new("form.movingMonth", Class::Logistics),
            PersonalField::new("form.photoConsent", Class::Logistics),
            PersonalField::new("form.bursaryRequested", Class::Logistics),
            PersonalField::new("group", Class::Logistics),
            PersonalField::new("submittedAt", Class::Activity),
            PersonalField::new("registeredAt", Class::Activity),
        ],
    );
    const KEEP: Keep = Keep::until_disposal("the week is planned and run with it");

    fn id(&self) -> &str {
        &self.id
    }
}

impl Registration {
    /// A form that has been submitted; `form` as checked.
    pub fn submit(account: &str, form: Form, group: String, order_id: &str, now: Timestamp) -> Self {
        Self {
            id: account.to_owned(),
            student_key: form.student_key(),
            form,
            group,
            state: RegistrationState::Submitted,
            order_id: order_id.to_owned(),
            submitted_at: now,
            registered_at: None,
        }
    }

    /// The ticket is paid. Returns whether that is news.
    pub fn register(&mut self, now: Timestamp) -> bool {
        let news = self.state == RegistrationState::Submitted;
        if news {
            self.state = RegistrationState::Registered;
            self.registered_at = Some(now);
        }
        news
    }

    /// The ticket is no longer paid. Returns whether the student was registered.
    pub fn withdraw(&mut self) -> bool {
        let registered = self.state == RegistrationState::Registered;
        self.state = RegistrationState::Submitted;
        self.registered_at = None;
        registered
    }
}

/// Who is in which group, in numbers: the one document that every registration writes to, so it is kept small.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupBook {
    pub id: String,
    /// Disciplines seen so far: the columns of [`GroupTally::by_discipline`].
    pub disciplines: Vec<String>,
    /// Pronouns seen so far: the columns of [`GroupTally::by_pronouns`]. Those of one's own count as *Other*.
    pub pronouns: Vec<String>,
    pub groups: Vec<GroupTally>,
}

/// The numbers of one group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupTally {
    pub name: String,
    /// Whose form is in, paid or not.
    pub members: u32,
    /// Of them, who has paid.
    pub registered: u32,
    /// In the order of the book's columns; columns that came later may be missing.
    pub by_discipline: Vec<u32>,
    /// The same for pronouns.
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
    /// The id of the one book.
    pub const ID: &str = "orientation";

    /// Takes a place for somebody in one of `offered` and returns that group's name: the group with the fewest
    /// members; among equals the one with the lowest
    /// `0.5 * (same discipline) + 0.5 * (same pronouns)`, both counted among its members; then the one that
    /// `offered` names first. `None` only if nothing is offered.
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
        // Both halves count the same, so their sum orders as the formula does.
        let burden = |tally: &GroupTally| {
            let alike = count(&tally.by_discipline, discipline) + count(&tally.by_pronouns, pronouns);
            (tally.members, alike)
        };
        let open = offered.iter().filter_map(|group| self.position(&group.name));
        let chosen = open.min_by_key(|at| burden(&self.groups[*at]))?;
        let tally = &mut self.groups[chosen];
        tally.members += 1;
        add_one(&mut tally.by_discipline, discipline);
        add_one(&mut tally.by_pronouns, pronouns);
        Some(tally.name.clone())
    }

    /// Somebody of `group` has paid.
    pub fn count_registered(&mut self, group: &str) {
        if let Some(at) = self.position(group) {
            self.groups[at].registered += 1;
        }
    }

    /// A registered member of `group` is no longer registered.
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
    fn the_first_place_goes_by_the_order_of_the_file() {
        let offered = groups(&["Psi", "Alpha"]);
        assert_eq!(take(&mut GroupBook::default(), &offered, "Civil", "they/them"), "Psi");
    }

    #[test]
    fn the_fewest_members_come_first_and_the_formula_breaks_ties() {
        let (offered, mut book) = (groups(&["A", "B", "C"]), GroupBook::default());
        assert_eq!(take(&mut book, &offered, "Civil", "she/her"), "A");
        assert_eq!(take(&mut book, &offered, "Civil", "he/him"), "B");
        assert_eq!(take(&mut book, &offered, "Mineral", "he/him"), "C");
        // One member each. A: 0.5 + 0, B: 0.5 + 0.5, C: 0 + 0.5 for a second Civil he/him; A stands before C.
        assert_eq!(take(&mut book, &offered, "Civil", "he/him"), "A");
        // B: 0 + 0.5, C: 0.5 + 0.5, A has more members.
        assert_eq!(take(&mut book, &offered, "Mineral", "he/him"), "B");
        assert_eq!(take(&mut book, &offered, "Civil", "she/her"), "C");
    }

    #[test]
    fn a_group_that_is_no_longer_offered_keeps_its_members_and_gets_no_more() {
        let mut book = GroupBook::default();
        take(&mut book, &groups(&["A", "B"]), "Civil", "he/him");
        assert_eq!(take(&mut book, &groups(&["B"]), "Civil", "he/him"), "B");
        assert_eq!(take(&mut book, &groups(&["B"]), "Civil", "he/him"), "B");
        assert_eq!(book.groups.iter().map(|tally| tally.members).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(book.take_place(&[], "Civil", "he/him"), None);
    }

    #[test]
    fn a_registration_is_paid_once() {
        let now = Timestamp::from_millis(5);
        let mut registration = Registration::submit("a", Form::default(), "A".into(), "o", now);
        assert!(registration.register(now));
        assert!(!registration.register(Timestamp::from_millis(9)));
        assert_eq!(registration.registered_at, Some(now));
        assert!(registration.withdraw());
        assert!(!registration.withdraw());
        assert_eq!((registration.state, registration.registered_at), (RegistrationState::Submitted, None));
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
