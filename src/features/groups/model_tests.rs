use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn groups(names: &[&str]) -> Vec<GroupConfig> {
    names.iter().map(|name| GroupConfig { name: (*name).into(), symbol: "?".into() }).collect()
}

fn traits<'a>(discipline: &'a str, pronouns: &'a str) -> Traits<'a> {
    Traits { discipline, pronouns }
}

fn take(book: &mut GroupBook, offered: &[GroupConfig], discipline: &str, pronouns: &str) -> String {
    book.take_place(offered, traits(discipline, pronouns)).unwrap()
}

fn members(book: &GroupBook) -> Vec<u32> {
    book.groups.iter().map(|tally| tally.members).collect()
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
    assert_eq!(members(&book), [1, 2]);
    assert_eq!(book.take_place(&[], traits("Civil", "he/him")), None);
}

#[test]
fn a_locked_group_gets_nobody_and_loses_nobody() {
    let (offered, mut book) = (groups(&["A", "B"]), GroupBook::default());
    take(&mut book, &offered, "Civil", "he/him");
    assert_eq!((book.lock(&offered, "A"), book.lock(&offered, "A")), (Ok(true), Ok(false)));
    for _ in 0..3 {
        assert_eq!(take(&mut book, &offered, "Civil", "he/him"), "B");
    }
    let before = book.clone();
    for pair in [("A", "B"), ("B", "A")] {
        let moved = book.move_member(&offered, pair, traits("Civil", "he/him"), false);
        assert_eq!(moved, Err(MoveError::Locked("A".into())));
    }
    assert_eq!(book, before);
    assert!(book.unlock("A") && !book.unlock("A"));
    assert_eq!(book.move_member(&offered, ("B", "A"), traits("Civil", "he/him"), false), Ok(()));
    assert_eq!(members(&book), [2, 2]);
}

#[test]
fn one_group_always_remains_unlocked() {
    let (offered, mut book) = (groups(&["A", "B"]), GroupBook::default());
    assert_eq!(book.lock(&offered, "C"), Err(LockError::NoSuchGroup));
    assert_eq!(book.lock(&offered, "B"), Ok(true));
    assert_eq!(book.lock(&offered, "A"), Err(LockError::LastUnlocked));
    // The file has lost the unlocked group.
    assert_eq!(take(&mut book, &groups(&["B"]), "Civil", "he/him"), "B");
}

#[test]
fn nobody_is_moved_to_a_group_that_is_not_offered() {
    let (offered, mut book) = (groups(&["A", "B"]), GroupBook::default());
    take(&mut book, &offered, "Civil", "he/him");
    let moved = book.move_member(&offered, ("A", "C"), traits("Civil", "he/him"), false);
    assert_eq!(moved, Err(MoveError::NoSuchGroup));
    let moved = book.move_member(&groups(&["B"]), ("A", "B"), traits("Civil", "he/him"), false);
    assert_eq!((moved, members(&book)), (Ok(()), vec![0, 1]));
}

#[test]
fn a_book_of_an_earlier_version_is_read() {
    let stored = serde_json::json!({
        "id": "orientation", "disciplines": ["Civil"], "pronouns": ["he/him"],
        "groups": [{ "name": "A", "members": 1, "registered": 1, "byDiscipline": [1], "byPronouns": [1] }],
    });
    let book: GroupBook = serde_json::from_value(stored).unwrap();
    assert_eq!((book.membership_version, book.is_locked("A")), (0, false));
}

/// A student as the test counts them.
#[derive(Clone, Debug)]
struct Student {
    group: String,
    discipline: String,
    pronouns: String,
    registered: bool,
}

/// A change of the book. Numbers choose students, groups and traits, modulo how many there are.
#[derive(Clone, Debug)]
enum Change {
    Take(u8, u8),
    Move(usize, usize),
    Reclassify(usize, u8, u8),
    Register(usize),
    Lock(usize),
    Unlock(usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (0..4_u8, 0..3_u8).prop_map(|(discipline, pronouns)| Change::Take(discipline, pronouns)),
        4 => (any::<usize>(), any::<usize>()).prop_map(|(student, group)| Change::Move(student, group)),
        2 => (any::<usize>(), 0..4_u8, 0..3_u8).prop_map(|(student, d, p)| Change::Reclassify(student, d, p)),
        2 => any::<usize>().prop_map(Change::Register),
        1 => any::<usize>().prop_map(Change::Lock),
        1 => any::<usize>().prop_map(Change::Unlock),
    ]
}

/// Makes the change in the book and in the list of students.
fn make(book: &mut GroupBook, students: &mut Vec<Student>, offered: &[GroupConfig], change: &Change) {
    let name = |n: usize| offered[n % offered.len()].name.as_str();
    match *change {
        Change::Take(discipline, pronouns) => {
            let (discipline, pronouns) = (discipline.to_string(), pronouns.to_string());
            let group = take(book, offered, &discipline, &pronouns);
            students.push(Student { group, discipline, pronouns, registered: false });
        }
        Change::Lock(group) => drop(book.lock(offered, name(group))),
        Change::Unlock(group) => drop(book.unlock(name(group))),
        Change::Move(student, _) | Change::Reclassify(student, ..) | Change::Register(student)
            if !students.is_empty() =>
        {
            let at = student % students.len();
            change_one(book, &mut students[at], offered, change);
        }
        Change::Move(..) | Change::Reclassify(..) | Change::Register(_) => {}
    }
}

fn change_one(book: &mut GroupBook, student: &mut Student, offered: &[GroupConfig], change: &Change) {
    let old = student.clone();
    let before = traits(&old.discipline, &old.pronouns);
    match *change {
        Change::Move(_, group) => {
            let to = &offered[group % offered.len()].name;
            if book.move_member(offered, (&old.group, to), before, old.registered).is_ok() {
                student.group.clone_from(to);
            }
        }
        Change::Reclassify(_, discipline, pronouns) => {
            (student.discipline, student.pronouns) = (discipline.to_string(), pronouns.to_string());
            book.reclassify(&old.group, before, traits(&student.discipline, &student.pronouns));
        }
        _ if old.registered => {
            book.count_withdrawn(&old.group);
            student.registered = false;
        }
        _ => {
            book.count_registered(&old.group);
            student.registered = true;
        }
    }
}

/// Members, registered members, and members by each discipline and pronouns, of each group that has any.
type Counts = BTreeMap<String, (u32, u32, BTreeMap<String, u32>)>;

fn recount(students: &[Student]) -> Counts {
    let mut counts = Counts::new();
    for student in students {
        let (members, registered, alike) = counts.entry(student.group.clone()).or_default();
        *members += 1;
        *registered += u32::from(student.registered);
        for value in [format!("d{}", student.discipline), format!("p{}", student.pronouns)] {
            *alike.entry(value).or_default() += 1;
        }
    }
    counts
}

fn counted(book: &GroupBook) -> Counts {
    let named = |mark: &str, names: &[String], counts: &[u32]| -> Vec<(String, u32)> {
        let named = names.iter().zip(counts).map(|(name, count)| (format!("{mark}{name}"), *count));
        named.filter(|(_, count)| *count > 0).collect()
    };
    let of = |tally: &GroupTally| {
        let disciplines = named("d", &book.disciplines, &tally.by_discipline);
        let pronouns = named("p", &book.pronouns, &tally.by_pronouns);
        (tally.members, tally.registered, disciplines.into_iter().chain(pronouns).collect())
    };
    let counts = book.groups.iter().map(|tally| (tally.name.clone(), of(tally)));
    counts.filter(|(_, (members, ..))| *members > 0).collect()
}

proptest! {
    #[test]
    fn groups_differ_by_one_at_most(
        people in prop::collection::vec((0..9_u8, 0..5_u8), 0..300),
        number_of_groups in 1..25_usize,
    ) {
        let names: Vec<_> = (0..number_of_groups).map(|i| format!("G{i}")).collect();
        let offered = groups(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let mut book = GroupBook::default();
        for (discipline, pronouns) in &people {
            take(&mut book, &offered, &discipline.to_string(), &pronouns.to_string());
        }
        let members = members(&book);
        let (fewest, most) = (members.iter().min().copied().unwrap_or(0), members.iter().max().copied().unwrap_or(0));
        prop_assert!(most - fewest <= 1);
        prop_assert_eq!(members.iter().sum::<u32>() as usize, people.len());
    }

    #[test]
    fn after_any_changes_the_book_equals_a_recount(changes in prop::collection::vec(change(), 0..80)) {
        let (offered, mut book, mut students) = (groups(&["A", "B", "C"]), GroupBook::default(), vec![]);
        for change in &changes {
            let (before, version) = (book.clone(), book.membership_version);
            make(&mut book, &mut students, &offered, change);
            prop_assert_eq!(counted(&book), recount(&students));
            let moved_or_locked = |book: &GroupBook| {
                book.groups.iter().map(|tally| {
                    (tally.locked, tally.members, tally.by_discipline.clone(), tally.by_pronouns.clone())
                }).collect::<Vec<_>>()
            };
            if moved_or_locked(&book) != moved_or_locked(&before) {
                prop_assert!(book.membership_version > version);
            }
        }
    }
}
