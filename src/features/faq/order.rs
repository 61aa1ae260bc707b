//! The order that people give to entries: positions as texts, so that moving one entry writes that entry alone.
//!
//! A position is a fraction between 0 and 1 in base 62, without `0.` and without zeros at its end. Between any two there
//! is another one, and texts sort as the fractions do.

use crate::kernel::Timestamp;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The digit in the middle.
const MIDDLE: char = 'V';

/// Digits of a time: they last until the year 8888.
const TIME_DIGITS: usize = 8;

/// An entry as the order knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its position.
    pub position: &'a str,
    /// Whether people see it. The others keep their positions.
    pub is_shown: bool,
}

/// The position of an entry that is to be the `number`th of those that are shown, counted from 1, or the last one without a
/// number or with a higher one. `others` has the other entries in their order.
pub fn position(others: &[Entry<'_>], number: Option<u32>, now: Timestamp) -> String {
    let mut shown = others.iter().enumerate().filter(|(_, entry)| entry.is_shown).map(|(at, _)| at);
    let at = number.and_then(|number| shown.nth(number.saturating_sub(1) as usize));
    match at {
        Some(0) => between("", others[0].position),
        Some(at) => between(others[at - 1].position, others[at].position),
        None => last(others.last().map_or("", |entry| entry.position), now),
    }
}

/// A position behind `before`, the highest: the time, so that positions stay short however many entries there are.
fn last(before: &str, now: Timestamp) -> String {
    let time = of_time(now);
    if time.as_str() > before { time } else { format!("{before}{MIDDLE}") }
}

/// The time as a position. Later times are higher.
fn of_time(now: Timestamp) -> String {
    let mut rest = u64::try_from(now.as_millis()).unwrap_or_default();
    let mut digits = [b'0'; TIME_DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(rest % 62) as usize];
        rest /= 62;
    }
    // It never ends with a zero.
    digits.iter().map(|digit| char::from(*digit)).chain([MIDDLE]).collect()
}

/// A position between these, of which `before` is lower. The empty text is lower than all positions.
fn between(before: &str, after: &str) -> String {
    let mut position = String::new();
    let (mut low, mut high) = (before.bytes().map(value), Some(after.bytes().map(value)));
    loop {
        let from = low.next().unwrap_or(0);
        let to = high.as_mut().and_then(Iterator::next).unwrap_or(DIGITS.len());
        if to > from + 1 {
            position.push(char::from(DIGITS[usize::midpoint(from, to)]));
            return position;
        }
        position.push(char::from(DIGITS[from]));
        if to > from {
            // What follows is lower than `after` in any case.
            high = None;
        }
    }
}

fn value(digit: u8) -> usize {
    DIGITS.iter().position(|known| *known == digit).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const START: i64 = 1_788_246_000_000;

    fn now() -> Timestamp {
        Timestamp::from_millis(START)
    }

    fn shown(positions: &[String]) -> Vec<Entry<'_>> {
        positions.iter().map(|position| Entry { position, is_shown: true }).collect()
    }

    #[test]
    fn new_entries_are_last_even_at_the_same_time() {
        let mut positions: Vec<String> = vec![];
        for number in 0..200 {
            let later = now().plus(Duration::from_millis(number / 3));
            positions.push(position(&shown(&positions), None, later));
        }
        assert!(positions.is_sorted() && positions.iter().all(|position| position.len() <= 12));
    }

    #[test]
    fn an_entry_is_put_before_the_one_with_its_number() {
        let positions: Vec<String> = ["A", "B", "C"].map(str::to_owned).into();
        let at = |number| position(&shown(&positions), Some(number), now());
        assert!(at(0) == at(1) && at(1).as_str() < "A");
        assert!("A" < at(2).as_str() && at(2).as_str() < "B");
        assert!("B" < at(3).as_str() && at(3).as_str() < "C");
        assert!("C" < at(4).as_str() && at(4) == at(99));
    }

    #[test]
    fn hidden_entries_keep_their_positions_and_are_not_counted() {
        let others =
            [("A", true), ("B", false), ("C", true)].map(|(position, is_shown)| Entry { position, is_shown });
        let second = position(&others, Some(2), now());
        assert!("B" < second.as_str() && second.as_str() < "C", "{second}");
    }

    #[test]
    fn times_are_in_their_order() {
        let mut before = String::new();
        for millis in [0, 1, 61, 62, START, START + 1, i64::MAX] {
            let position = of_time(Timestamp::from_millis(millis));
            assert!(position > before && position.len() == TIME_DIGITS + 1);
            before = position;
        }
    }

    proptest! {
        #[test]
        fn there_is_room_between_any_two(moves in prop::collection::vec(0_u32..40, 1..200)) {
            let mut positions: Vec<String> = vec![];
            for number in moves {
                let added = position(&shown(&positions), Some(number), now());
                prop_assert!(!added.ends_with('0') && !positions.contains(&added));
                let at = positions.iter().position(|other| *other > added).unwrap_or(positions.len());
                let expected = (number.max(1) as usize - 1).min(positions.len());
                prop_assert_eq!(at, expected);
                positions.insert(at, added);
            }
        }
    }
}
