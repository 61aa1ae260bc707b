use crate::config::{BuyerKind, Buyers, Product};
use crate::features::registration::Registration;
use crate::kernel::{Caller, Timestamp};

use super::model::{NotEligible, SaleState, check_buyer};

fn product() -> Product {
    let at = |millis| Some(Timestamp::from_millis(millis));
    Product {
        opens: at(10),
        closes: at(20),
        ..Product::of("retreat", "Retreat", "CAD 95.00".parse().unwrap())
    }
}

#[test]
fn a_sale_is_open_from_its_start_until_before_its_end() {
    let state = |millis| SaleState::of(&product(), None, Timestamp::from_millis(millis));
    assert_eq!(
        [9, 10, 19, 20].map(state),
        [SaleState::NotYet, SaleState::Open, SaleState::Open, SaleState::Ended]
    );
}

#[test]
fn people_without_a_registration_buy_only_what_is_for_leaders() {
    let student = Caller::student("ana").rights;
    let none: Option<&Registration> = None;
    let check = |who| check_buyer(&Buyers { who, ..Buyers::default() }, &student, none);
    assert_eq!(check(BuyerKind::Students), Err(NotEligible::NotRegistered));
    assert_eq!(check(BuyerKind::Everyone), Err(NotEligible::NotRegistered));
    assert_eq!(check(BuyerKind::Leaders), Err(NotEligible::NotALeader));
}
