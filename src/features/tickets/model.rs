//! A ticket: what its holder sees of registration and order.

use crate::features::payments::Order;
use crate::kernel::{Money, Timestamp};
use crate::platform::mail::Sample;

/// The ticket of a registered student. It is made from what is kept each time it is asked for, and is the same until it is
/// issued anew.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// Content of the QR code.
    pub token: String,
    /// When it was issued: with the registration, or later if something on it changed.
    pub issued_at: Timestamp,
    /// When its holder was registered.
    pub registered_at: Timestamp,
    pub legal_name: String,
    pub group: String,
    pub symbol: String,
    /// The order that paid for it; its id is the receipt's number.
    pub order: Order,
}

/// A line of the receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub name: String,
    pub amount: Money,
}

impl Ticket {
    /// A ticket for samples of emails, which nobody can use.
    pub(super) fn sample(order: Order, symbol: &str) -> Self {
        let (now, symbol) = (order.created_at, symbol.to_owned());
        let (legal_name, group) = (Sample::FULL_NAME.into(), Sample::GROUP.into());
        Self { token: String::new(), issued_at: now, registered_at: now, legal_name, group, symbol, order }
    }

    /// Items and discounts. The bursary covers the whole price of a waived order: earlier payments are refunded.
    pub fn lines(&self) -> Vec<Line> {
        let price = self.order.price;
        let mut lines = vec![Line { name: self.order.product_name.clone(), amount: price }];
        if self.order.is_waived() {
            lines.push(Line { name: "Bursary".into(), amount: Money { amount: -price.amount, ..price } });
        }
        lines
    }

    /// The amount paid: nothing if the order was waived.
    pub fn paid(&self) -> Money {
        let amount = if self.order.is_waived() { 0 } else { self.order.price.amount };
        Money { amount, ..self.order.price }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Product;
    use crate::features::payments::OrderState;
    use crate::kernel::EmailAddress;

    fn ticket(state: OrderState, waived_at: Option<Timestamp>) -> Ticket {
        let price = Money { amount: 13_000, currency: "CAD".to_owned().try_into().unwrap() };
        let product = Product::of("orientation", "Orientation ticket", price);
        let (now, email) = (Timestamp::from_millis(0), EmailAddress::parse("ana@example.org").unwrap());
        let order = Order { state, waived_at, ..Order::open("o".into(), "a", &product, email, now) };
        let (token, legal_name) = ("OT1".into(), "Ana".into());
        let (group, symbol) = ("Alpha".into(), "α".into());
        Ticket { token, issued_at: now, registered_at: now, legal_name, group, symbol, order }
    }

    fn lines(ticket: &Ticket) -> Vec<(String, i64)> {
        ticket.lines().into_iter().map(|line| (line.name, line.amount.amount)).collect()
    }

    #[test]
    fn lines_add_up_to_what_was_paid() {
        for state in [OrderState::Paid, OrderState::Waived, OrderState::PartiallyRefunded] {
            for waived_at in [None, Some(Timestamp::from_millis(9))] {
                let ticket = ticket(state, waived_at);
                assert_eq!(lines(&ticket).iter().map(|line| line.1).sum::<i64>(), ticket.paid().amount);
            }
        }
    }

    #[test]
    fn a_bursary_is_a_line_whatever_was_paid_before() {
        use OrderState::{Disputed, Paid, PartiallyRefunded, Processing, Refunded, Waived};
        for state in [Waived, Processing, Paid, PartiallyRefunded, Refunded, Disputed] {
            let ticket = ticket(state, Some(Timestamp::from_millis(9)));
            assert_eq!(lines(&ticket), [("Orientation ticket".into(), 13_000), ("Bursary".into(), -13_000)]);
            assert_eq!(ticket.paid().amount, 0, "{state:?}");
        }
    }
}
