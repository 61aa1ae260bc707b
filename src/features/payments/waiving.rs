//! Rules of waived orders: nothing is owed for them, and whatever is paid for them is refunded.

use super::model::{Order, OrderState, Outcome, Payment, RefundState};
use crate::kernel::Timestamp;

/// The reason of these refunds, for the people who keep the books.
pub(super) const REFUNDED_AS_WAIVED: &str = "The order is waived.";

impl Order {
    /// Whether it was waived: the account gets the product and owes nothing for it.
    pub fn is_waived(&self) -> bool {
        self.waived_at.is_some()
    }

    /// Waives the order and records refunds of what was paid for it. An order that has received a payment, or awaits the
    /// bank's answer to one, keeps its state, which then follows that payment.
    pub(super) fn waive(&mut self, now: Timestamp) {
        if matches!(self.state, OrderState::Open | OrderState::Expired | OrderState::Cancelled) {
            self.state = OrderState::Waived;
        }
        self.waived_at = Some(now);
        for payment in self.payments.clone() {
            self.refund_rest(&payment, REFUNDED_AS_WAIVED, now);
        }
    }

    /// Whether the order received a payment that can't be refunded automatically: it is disputed, or the gateway did not
    /// report its amount or its id.
    pub(super) fn has_unrefundable_payment(&self) -> bool {
        self.payments.iter().any(|payment| match (&payment.intent, payment.money) {
            (Some(intent), Some(_)) => self.is_disputed(intent),
            _ => true,
        })
    }

    /// Records a refund of the payment that was recorded last.
    pub(super) fn refund_last_payment(&mut self, reason: &str, now: Timestamp) {
        if let Some(payment) = self.payments.last().cloned() {
            self.refund_rest(&payment, reason, now);
        }
    }

    /// Records a refund of what is left of the payment, if it can be refunded.
    fn refund_rest(&mut self, payment: &Payment, reason: &str, now: Timestamp) {
        let (Some(intent), Some(money)) = (&payment.intent, payment.money) else { return };
        let left = self.left_of(intent, money);
        if left.amount > 0 && !self.is_disputed(intent) {
            self.record_refund(intent.clone(), left, reason, now);
        }
    }

    /// After the gateway has reported a refund of this payment: if the order is waived, records a refund of what is left,
    /// unless one is under way. The gateway may have rejected ours because a part was refunded in its dashboard before.
    pub(super) fn refund_rest_if_waived(&mut self, intent: &str, now: Timestamp) {
        let under_way = self
            .refunds
            .iter()
            .any(|refund| refund.intent == intent && refund.state == RefundState::Requested);
        let of_intent = |payment: &&Payment| payment.intent.as_deref() == Some(intent);
        let payment = self.payments.iter().find(of_intent).cloned();
        if let Some(payment) = payment.filter(|_| self.is_waived() && !under_way) {
            self.refund_rest(&payment, REFUNDED_AS_WAIVED, now);
        }
    }

    fn is_disputed(&self, intent: &str) -> bool {
        self.reversals.iter().any(|reversal| reversal.intent == intent && reversal.disputed)
    }

    /// The bank has declined a payment that was being processed when the order was waived.
    pub(super) fn follow_attempt_of_waived(&mut self) -> Outcome {
        self.state = OrderState::Waived;
        Outcome::Unchanged
    }
}

#[cfg(test)]
mod tests {
    use super::super::gateway::Reached::{self, Expired, Failed, Paid, Processing};
    use super::super::model::tests::{back, event, money, order, settle, time};
    use super::super::model::{Closed, Ending, Owed, PaymentFlag};
    use super::*;

    /// An order whose first checkout has reached this.
    fn after(reached: Reached) -> Order {
        let mut order = order();
        settle(&mut order, 1, reached);
        order
    }

    fn waived(mut order: Order) -> Order {
        assert_eq!(order.close(Ending::Waived, Some("cs_1"), time(10)), Ok(true));
        assert!(order.is_waived());
        order
    }

    /// Payment and amount of each refund.
    fn refunds(order: &Order) -> Vec<(&str, i64)> {
        order.refunds.iter().map(|refund| (refund.intent.as_str(), refund.amount.amount)).collect()
    }

    #[test]
    fn an_order_without_a_payment_is_waived_at_once() {
        let mut cancelled = after(Expired);
        cancelled.close(Ending::Cancelled, None, time(9)).unwrap();
        for unpaid in [order(), after(Expired), after(Failed), cancelled] {
            let order = waived(unpaid);
            assert_eq!((order.state, refunds(&order)), (OrderState::Waived, vec![]));
            assert_eq!(order.step(), Err(Closed::NotOwed));
        }
    }

    #[test]
    fn a_payment_is_refunded_whatever_flag_it_has() {
        let mut wrong_amount = order();
        let fact = super::super::gateway::CheckoutFact { money: Some(money(100, "CAD")), ..event(1, Paid) };
        wrong_amount.settle(&fact, &Owed::Honour, time(9)).unwrap();
        let order = waived(wrong_amount);
        assert_eq!((order.state, refunds(&order)), (OrderState::Waived, vec![("pi_1", 100)]));
    }

    #[test]
    fn a_paid_order_keeps_its_state_until_the_rest_is_refunded() {
        let mut partly = after(Paid);
        partly.reverse(&back("pi_1", 3_000, false)).unwrap();
        for (paid, left, state) in
            [(after(Paid), 13_000, OrderState::Paid), (partly, 10_000, OrderState::PartiallyRefunded)]
        {
            let mut order = waived(paid);
            assert_eq!((order.state, refunds(&order)), (state, vec![("pi_1", left)]));
            order.reverse(&back("pi_1", 13_000, false)).unwrap();
            assert_eq!(order.state, OrderState::Refunded);
        }
    }

    #[test]
    fn nothing_is_refunded_twice_or_while_the_bank_decides() {
        let mut refunded = after(Paid);
        refunded.reverse(&back("pi_1", 13_000, false)).unwrap();
        let mut requested = after(Paid);
        requested.request_refund(None, "not coming", time(9)).unwrap();
        let mut disputed = after(Paid);
        disputed.reverse(&back("pi_1", 0, true)).unwrap();
        assert!(disputed.has_unrefundable_payment() && !refunded.has_unrefundable_payment());
        for (order, state, number) in [
            (refunded, OrderState::Refunded, 0),
            (requested, OrderState::Paid, 1),
            (disputed, OrderState::Disputed, 0),
        ] {
            let order = waived(order);
            assert_eq!((order.state, order.refunds.len()), (state, number));
        }
    }

    #[test]
    fn a_rejected_refund_is_made_up_for_when_the_gateway_reports_what_it_refunded() {
        let mut order = waived(after(Paid));
        order.refund_answered(1, None, time(11));
        for _ in 0..2 {
            order.reverse(&back("pi_1", 3_000, false)).unwrap();
            order.refund_rest_if_waived("pi_1", time(12));
        }
        assert_eq!(refunds(&order), [("pi_1", 13_000), ("pi_1", 10_000)]);
        let mut owed = after(Paid);
        owed.reverse(&back("pi_1", 3_000, false)).unwrap();
        owed.refund_rest_if_waived("pi_1", time(12));
        assert_eq!(refunds(&owed), []);
    }

    #[test]
    fn a_payment_that_arrives_later_is_refunded_once() {
        for before in [order(), after(Processing), after(Expired)] {
            let mut order = waived(before);
            assert!(!order.would_settle(&event(1, Paid)));
            assert_eq!(settle(&mut order, 1, Paid), Outcome::Flagged(PaymentFlag::Waived));
            assert_eq!(settle(&mut order, 1, Paid), Outcome::Unchanged);
            assert_eq!((order.state, refunds(&order)), (OrderState::Waived, vec![("pi_1", 13_000)]));
            assert_eq!(
                settle(&mut order, 7, Paid),
                Outcome::Flagged(PaymentFlag::Waived),
                "unknown checkout"
            );
            assert_eq!(refunds(&order), [("pi_1", 13_000), ("pi_7", 13_000)]);
        }
    }

    #[test]
    fn a_payment_in_progress_is_followed_until_the_bank_answers() {
        for declined in [Failed, Expired] {
            let mut order = waived(after(Processing));
            assert_eq!((order.state, order.step()), (OrderState::Processing, Err(Closed::Processing)));
            let outcome = settle(&mut order, 1, declined);
            // A checkout that was completed does not expire.
            let state = if declined == Failed { OrderState::Waived } else { OrderState::Processing };
            assert_eq!((outcome, order.state), (Outcome::Unchanged, state));
        }
    }

    #[test]
    fn a_payment_without_an_id_is_left_for_review() {
        let mut order = waived(order());
        let fact = super::super::gateway::CheckoutFact { intent: None, ..event(1, Paid) };
        order.settle(&fact, &Owed::Honour, time(11)).unwrap();
        assert!(order.refunds.is_empty() && order.has_unrefundable_payment());
    }
}
