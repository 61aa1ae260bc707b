//! What must hold after a sale.

use std::time::Instant;

use futures_util::{StreamExt, TryStreamExt};
use reqwest::Method;
use serde_json::Value;

use super::buyer::Outcome;
use super::{PATIENCE, READING};
use crate::cli::demo::journey::{Stuck, Visitor, wait_until};

/// A statement, and what contradicts it.
#[derive(Debug)]
pub(super) struct Check {
    pub statement: &'static str,
    pub fault: Option<String>,
}

/// A buyer after the sale.
#[derive(Debug, Default)]
pub(super) struct Left {
    pub outcome: Outcome,
    /// States of the buyer's orders of the product, as `listOrders` shows them.
    pub states: Vec<String>,
}

/// States of orders that have a place.
const WITH_A_PLACE: [&str; 3] = ["open", "processing", "paid"];

impl Left {
    fn places(&self) -> u64 {
        self.states.iter().filter(|state| WITH_A_PLACE.contains(&state.as_str())).count() as u64
    }
}

/// Reads the orders of every buyer, once all payments have arrived.
pub(super) async fn read_orders(
    visitor: &Visitor,
    product: &str,
    outcomes: Vec<Outcome>,
) -> Result<Vec<Left>, Stuck> {
    futures_util::stream::iter(outcomes)
        .map(|outcome| async move {
            let states = settled_orders(visitor, product, &outcome).await?;
            Ok(Left { outcome, states })
        })
        .buffer_unordered(READING)
        .try_collect()
        .await
}

/// The states of a buyer's orders. Waits for a payment that is on its way; if it doesn't arrive, a check will say so.
async fn settled_orders(visitor: &Visitor, product: &str, outcome: &Outcome) -> Result<Vec<String>, Stuck> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = visitor.ask(Method::GET, "/v1/orders?limit=100", Some(&outcome.cookie), None).await?;
        let answer: Value = answer.json().await?;
        let orders = answer["items"].as_array().into_iter().flatten();
        let orders = orders.filter(|order| order["product"] == product);
        let states: Vec<_> = orders.filter_map(|order| order["state"].as_str()).map(str::to_owned).collect();
        let is_on_its_way = outcome.paid && states.iter().any(|state| state == "open");
        if !is_on_its_way || wait_until(deadline, "a payment").await.is_err() {
            return Ok(states);
        }
    }
}

/// The checks of a sale of `places` places. `before` and `after` are the numbers of places that the service counts as taken.
pub(super) fn all(buyers: &[Left], places: u64, before: u64, after: u64) -> Vec<Check> {
    let taken: u64 = buyers.iter().map(Left::places).sum();
    let claims = buyers.iter().map(|buyer| buyer.outcome.orders.len() as u64).sum::<u64>();
    let refused = count(buyers, |buyer| buyer.outcome.refused);
    let twice = count(buyers, |buyer| buyer.places() > 1 || buyer.outcome.orders.len() > 1);
    let unserved =
        count(buyers, |buyer| buyer.outcome.paid && !buyer.states.iter().any(|state| state == "paid"));
    let unasked = count(buyers, |buyer| {
        !buyer.outcome.paid && buyer.states.iter().any(|state| state == "paid" || state == "processing")
    });
    let failed: Vec<_> = buyers.iter().filter_map(|buyer| buyer.outcome.failed.as_deref()).collect();
    vec![
        check("No place is sold twice", taken <= places, || format!("{taken} of {places} are taken")),
        check("No place is lost", before + taken == after, || {
            format!("the buyers have {taken}, the service counts {}", after.abs_diff(before))
        }),
        check("Nobody is refused while places are left", refused == 0 || claims >= places, || {
            format!("{refused} were refused, and {claims} of {places} places were ever taken")
        }),
        check("Each buyer has at most one order, however often they pressed", twice == 0, || {
            format!("{twice} have more")
        }),
        check("Everybody who paid has a place", unserved == 0, || format!("{unserved} have none")),
        check("Nobody else's order is paid", unasked == 0, || format!("{unasked} are")),
        check("Every request got an answer that its buyer could use", failed.is_empty(), || {
            format!("{} did not; the first: {}", failed.len(), failed.first().unwrap_or(&""))
        }),
    ]
}

fn count(buyers: &[Left], holds: impl Fn(&Left) -> bool) -> usize {
    buyers.iter().filter(|buyer| holds(buyer)).count()
}

fn check(statement: &'static str, holds: bool, fault: impl FnOnce() -> String) -> Check {
    Check { statement, fault: (!holds).then(fault) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The statements that don't hold.
    fn faults(buyers: &[Left], places: u64, after: u64) -> Vec<&'static str> {
        let checks = all(buyers, places, 0, after).into_iter();
        checks.filter(|check| check.fault.is_some()).map(|check| check.statement).collect()
    }

    fn buyer(orders: usize, paid: bool, states: &[&str]) -> Left {
        let orders = (0..orders).map(|n| n.to_string()).collect();
        let outcome = Outcome { orders, paid, ..Outcome::default() };
        Left { outcome, states: states.iter().map(ToString::to_string).collect() }
    }

    fn refused() -> Left {
        Left { outcome: Outcome { refused: true, ..Outcome::default() }, states: vec![] }
    }

    #[test]
    fn a_sale_without_a_fault_passes() {
        let buyers = [buyer(1, true, &["paid"]), buyer(1, false, &["cancelled"]), refused()];
        assert_eq!(faults(&buyers, 2, 1), Vec::<&str>::new());
        let all_left = [buyer(1, false, &["open"]), buyer(0, false, &[])];
        assert_eq!(faults(&all_left, 5, 1), Vec::<&str>::new());
    }

    #[test]
    fn each_check_can_fail() {
        let paid = || buyer(1, true, &["paid"]);
        let cases: [(&[Left], u64, u64, &str); 7] = [
            (&[paid(), paid()], 1, 2, "No place is sold twice"),
            (&[paid()], 1, 0, "No place is lost"),
            (&[refused()], 1, 0, "Nobody is refused while places are left"),
            (
                &[buyer(2, true, &["paid", "cancelled"])],
                2,
                1,
                "Each buyer has at most one order, however often they pressed",
            ),
            (&[buyer(1, true, &["open"])], 1, 1, "Everybody who paid has a place"),
            (&[buyer(1, false, &["paid"])], 1, 1, "Nobody else's order is paid"),
            (
                &[Left {
                    outcome: Outcome { failed: Some("500".into()), ..Outcome::default() },
                    states: vec![],
                }],
                1,
                0,
                "Every request got an answer that its buyer could use",
            ),
        ];
        for (buyers, places, after, statement) in cases {
            assert_eq!(faults(buyers, places, after), [statement]);
        }
    }
}
