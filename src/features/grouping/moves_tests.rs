use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::balance::{Sizes, Spread};
use super::*;

const NAMES: [&str; 12] = ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L"];

/// A student of a small case: group, discipline, pronouns, bound.
type Student = (usize, usize, usize, bool);

fn members<'a>(ids: &'a [String], students: &[Student]) -> Vec<Member<'a>> {
    let member = |(student, &(group, discipline, pronouns, bound)): (&'a String, &Student)| {
        let traits = Traits { discipline: NAMES[discipline], pronouns: NAMES[pronouns] };
        Member { student, group: NAMES[group], traits, bound }
    };
    ids.iter().zip(students).map(member).collect()
}

fn ids(number: usize) -> Vec<String> {
    (0..number).map(|n| format!("{n:05}")).collect()
}

/// The group of each student after the moves of the plan, and their number.
fn planned(groups: usize, students: &[Student]) -> (Vec<usize>, usize) {
    let ids = ids(students.len());
    let moves = moves(&NAMES[..groups], &members(&ids, students));
    let mut after: Vec<_> = students.iter().map(|student| student.0).collect();
    for step in &moves {
        let student = ids.iter().position(|id| id == step.student).unwrap();
        assert_eq!(NAMES[after[student]], step.from, "nobody moves twice");
        assert!(!students[student].3, "bound students stay");
        after[student] = NAMES.iter().position(|name| *name == step.to).unwrap();
    }
    (after, moves.len())
}

fn sizes(groups: usize, way: &[usize]) -> Vec<u32> {
    let mut sizes = vec![0; groups];
    way.iter().for_each(|group| sizes[*group] += 1);
    sizes
}

fn sum_of_squares(groups: usize, way: &[usize]) -> u32 {
    sizes(groups, way).iter().map(|size| size * size).sum()
}

/// The sum of both figures.
fn figures(groups: usize, students: &[Student], way: &[usize]) -> u64 {
    let figure = |value: fn(&Student) -> usize| {
        let mut rows = vec![vec![0; NAMES.len()]; groups];
        students.iter().zip(way).for_each(|(student, group)| rows[*group][value(student)] += 1);
        Spread::of(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>()).figure
    };
    figure(|student| student.1) + figure(|student| student.2)
}

fn number_moved(students: &[Student], way: &[usize]) -> usize {
    students.iter().zip(way).filter(|(student, group)| student.0 != **group).count()
}

/// Every way to put the students into groups that leaves bound ones where they are.
fn every_way(groups: usize, students: &[Student]) -> Vec<Vec<usize>> {
    let ways = 0..groups.pow(u32::try_from(students.len()).unwrap());
    let group = |way: usize, n: usize| way / groups.pow(u32::try_from(n).unwrap()) % groups;
    ways.map(|way| (0..students.len()).map(|n| group(way, n)).collect::<Vec<_>>())
        .filter(|way| students.iter().zip(way).all(|(student, group)| !student.3 || student.0 == *group))
        .collect()
}

/// The smallest sum of squares, the fewest moves that reach it, and the smallest sum of both figures with that many moves.
fn best(groups: usize, students: &[Student]) -> (u32, usize, u64) {
    let rank = |way: &Vec<usize>| {
        (sum_of_squares(groups, way), number_moved(students, way), figures(groups, students, way))
    };
    every_way(groups, students).iter().map(rank).min().unwrap()
}

/// Every case of this many students in this many groups, without traits.
fn every_case(groups: usize, number: usize) -> impl Iterator<Item = Vec<Student>> {
    let choices = groups * 2;
    (0..choices.pow(u32::try_from(number).unwrap())).map(move |case| {
        let choice = |n: usize| case / choices.pow(u32::try_from(n).unwrap()) % choices;
        (0..number).map(|n| (choice(n) / 2, 0, 0, choice(n) % 2 == 1)).collect()
    })
}

#[test]
fn no_other_moves_make_the_sizes_as_even_with_fewer_of_them() {
    for (groups, number) in [(1, 3), (2, 5), (3, 4), (4, 3)] {
        for students in every_case(groups, number) {
            let (after, moved) = planned(groups, &students);
            let (squares, fewest, _) = best(groups, &students);
            assert_eq!((sum_of_squares(groups, &after), moved), (squares, fewest), "{students:?}");
        }
    }
}

#[test]
fn members_of_groups_that_are_left_out_stay() {
    let students = [(0, 0, 0, false), (0, 0, 0, false), (2, 0, 0, false), (2, 0, 0, false), (2, 0, 0, false)];
    let (after, moved) = planned(2, &students);
    assert_eq!((moved, &after[2..]), (1, &[2, 2, 2][..]));
}

#[test]
fn those_move_who_make_the_groups_most_alike() {
    // Both of discipline 1 are in the first group, which has two members more.
    let students = [
        (0, 0, 0, false),
        (0, 1, 0, false),
        (0, 1, 1, false),
        (0, 2, 1, false),
        (1, 0, 0, false),
        (1, 2, 1, false),
    ];
    let (after, moved) = planned(2, &students);
    assert_eq!(moved, 1);
    assert!(after[1] == 1 || after[2] == 1, "{after:?}");
}

#[test]
fn of_a_class_the_last_to_sign_up_move() {
    let students = [(0, 0, 0, false), (0, 0, 0, false), (0, 0, 0, false), (0, 0, 0, true)];
    assert_eq!(planned(2, &students).0, [0, 1, 1, 0]);
}

fn student(groups: usize) -> impl Strategy<Value = Student> {
    (0..groups, 0..3_usize, 0..2_usize, prop::bool::weighted(0.2))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_plan_is_as_even_as_any_with_the_fewest_moves(students in prop::collection::vec(student(3), 0..8)) {
        let (after, moved) = planned(3, &students);
        let (squares, fewest, figure) = best(3, &students);
        prop_assert_eq!((sum_of_squares(3, &after), moved), (squares, fewest));
        // Local improvement doesn't always find the lowest figure. In cases as small as these it misses by two at most.
        prop_assert!(figures(3, &students, &after) <= figure + 2);
    }

    #[test]
    fn a_plan_does_not_depend_on_the_order_and_leaves_nothing_to_move(
        students in prop::collection::vec(student(6), 0..120),
        seed in any::<u64>(),
    ) {
        let ids = ids(students.len());
        let mut all = members(&ids, &students);
        let first = moves(&NAMES[..6], &all);
        fastrand::Rng::with_seed(seed).shuffle(&mut all);
        prop_assert_eq!(&moves(&NAMES[..6], &all), &first);
        let (after, _) = planned(6, &students);
        let moved: Vec<_> = students.iter().zip(&after).map(|(student, to)| (*to, student.1, student.2, student.3)).collect();
        prop_assert_eq!(planned(6, &moved).1, 0, "a second plan moves nobody");
        if students.iter().all(|student| !student.3) {
            prop_assert_eq!(Sizes::of(&sizes(6, &after)).gap(), 0);
        }
        let twice: BTreeSet<_> = first.iter().map(|step| step.student).collect();
        prop_assert_eq!(twice.len(), first.len());
    }
}
