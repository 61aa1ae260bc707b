use proptest::prelude::*;

use super::super::gateway::Reached;
use super::super::model::tests::{order, settle, time};
use super::*;

fn stock(capacity: u32) -> Stock {
    Stock::new("retreat", capacity, time(0))
}

#[test]
fn the_last_place_is_taken_once_and_given_back() {
    let mut stock = stock(1);
    stock.move_place(None, Some(Place::Held), Claim::Public).unwrap();
    assert_eq!(stock.move_place(None, Some(Place::Held), Claim::Public), Err(SoldOut));
    stock.move_place(Some(Place::Held), Some(Place::Sold), Claim::Public).unwrap();
    assert_eq!((stock.held, stock.sold, stock.free()), (0, 1, 0));
    stock.move_place(Some(Place::Sold), None, Claim::Public).unwrap();
    assert_eq!((stock.sold, stock.free()), (0, 1));
}

#[test]
fn a_free_place_is_promised_to_those_who_wait() {
    let mut stock = Stock { waiting: 1, ..stock(1) };
    assert_eq!((stock.on_sale(), stock.promised()), (0, 1));
    assert_eq!(stock.move_place(None, Some(Place::Held), Claim::Public), Err(SoldOut));
    (stock.waiting, stock.offered) = (0, 1);
    stock.move_place(None, Some(Place::Held), Claim::Offered).unwrap();
    assert_eq!((stock.held, stock.offered, stock.free()), (1, 0, 0));
}

#[test]
fn nothing_is_free_below_what_was_sold() {
    let stock = Stock { sold: 5, capacity: 3, ..stock(5) };
    assert_eq!((stock.free(), stock.on_sale(), stock.promised()), (0, 0, 0));
}

#[test]
fn an_order_has_a_place_while_it_can_be_paid_or_was_paid() {
    let mut unpaid = order();
    assert_eq!(unpaid.due_place(), Some(Place::Held));
    settle(&mut unpaid, 1, Reached::Expired);
    assert_eq!(unpaid.due_place(), None);
    let mut declined = order();
    settle(&mut declined, 1, Reached::Processing);
    assert_eq!(declined.due_place(), Some(Place::Held));
    settle(&mut declined, 1, Reached::Failed);
    assert_eq!(declined.due_place(), None);
    let mut paid = order();
    settle(&mut paid, 1, Reached::Paid);
    assert_eq!(paid.due_place(), Some(Place::Sold));
}

proptest! {
    #[test]
    fn places_add_up_whatever_happens(
        capacity in 0_u32..6,
        moves in prop::collection::vec((0_usize..8, prop::option::of(any::<bool>())), 0..60),
    ) {
        let mut stock = stock(capacity);
        let mut orders = [None; 8];
        for (who, to) in moves {
            let to = to.map(|sold| if sold { Place::Sold } else { Place::Held });
            if orders[who] != to && stock.move_place(orders[who], to, Claim::Public).is_ok() {
                orders[who] = to;
            }
            let of = |place| u32::try_from(orders.iter().filter(|one| **one == Some(place)).count()).unwrap();
            prop_assert_eq!((stock.held, stock.sold), (of(Place::Held), of(Place::Sold)));
            prop_assert_eq!(stock.held + stock.sold + stock.offered + stock.free(), capacity);
        }
    }
}
