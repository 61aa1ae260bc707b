use std::sync::atomic::{AtomicU32, Ordering};

use super::super::service::tests::Shop;
use super::*;
use crate::features::payments::gateway::{CheckoutStatus, Gateway};
use crate::features::payments::model::{
    ORDER_CANCELLED, ORDER_WAIVED, OrderState, PaymentFlag, REFUND_REQUESTED, RefundState,
};
use crate::platform::audit::testing::trail;

fn calls(counter: &AtomicU32) -> u32 {
    counter.load(Ordering::SeqCst)
}

fn cad(amount: i64) -> Money {
    Money { amount, currency: "CAD".to_owned().try_into().unwrap() }
}

impl Shop {
    /// An order with an open checkout.
    async fn opened(&self) -> Order {
        self.payments.open_checkout(&self.order().await.id).await.unwrap()
    }

    /// An order that was paid at the sandbox.
    async fn paid(&self) -> Order {
        let order = self.opened().await;
        let session = order.attempt().session.clone().unwrap();
        let button = crate::features::payments::Button::Pay;
        // No server runs here: the event stays undelivered.
        self.sandbox.press(&session, button).await.unwrap();
        self.payments.check_at_gateway(&order, &session).await.unwrap().unwrap()
    }

    async fn retry(&self, order: &Order, refund: u32) -> Result<Sent, SendRefundError> {
        self.payments.send_refund(&SendRefund { order: order.id.clone(), refund }).await
    }
}

#[tokio::test]
async fn an_open_order_is_cancelled_after_its_checkout_has_been_expired() {
    let shop = Shop::open().await;
    for order in [shop.opened().await, shop.order().await] {
        let cancelled = shop.payments.cancel(&Actor::Operator, &order.id).await.unwrap();
        assert_eq!((cancelled.state, cancelled.checkout_url()), (OrderState::Cancelled, None));
        let (checkout, open) =
            shop.sandbox.checkout(cancelled.attempt().session.as_deref().unwrap()).await.unwrap().unwrap();
        assert!(!open, "{checkout:?}");
        assert_eq!(shop.payments.cancel(&Actor::Operator, &order.id).await.unwrap(), cancelled, "again");
    }
    assert_eq!((calls(&shop.counted.cancelled), calls(&shop.counted.expired)), (2, 0));
    let actions: Vec<_> = trail(&shop.base.store).await.into_iter().map(|(_, action, _)| action).collect();
    assert_eq!(actions, [ORDER_CANCELLED, ORDER_CANCELLED], "once per order");
    assert!(shop.jobs().await.iter().all(|job| !job.starts_with("checkout:")), "nothing is left to open");
}

#[tokio::test]
async fn a_waived_order_proceeds_as_if_it_was_paid() {
    let shop = Shop::open().await;
    let order = shop.opened().await;
    let waived = shop.payments.waive(&Actor::Operator, &order.id).await.unwrap();
    assert_eq!((waived.state, waived.paid_at), (OrderState::Waived, None));
    assert_eq!(shop.payments.waive(&Actor::Operator, &order.id).await.unwrap(), waived);
    assert_eq!(calls(&shop.counted.paid), 1);
    let entry = (Actor::Operator, ORDER_WAIVED, Some(order.id.clone()));
    assert_eq!(trail(&shop.base.store).await, [entry]);
    let cancelled = shop.payments.cancel(&Actor::Operator, &order.id).await;
    assert!(matches!(cancelled, Err(CloseOrderError::Closed(Closed::NotOwed))));
    let opened = shop.payments.open_checkout(&order.id).await;
    assert!(matches!(opened, Err(OpenCheckoutError::Closed(Closed::NotOwed))));
}

/// Money that the sandbox has received for the order and not refunded.
async fn kept_by_the_gateway(shop: &Shop, order: &Order) -> i64 {
    let mut kept = 0;
    for attempt in &shop.read(order).await.attempts {
        let session = attempt.session.as_deref().unwrap_or_default();
        if let Some((checkout, _)) = shop.sandbox.checkout(session).await.unwrap()
            && shop.sandbox.retrieve(session).await.unwrap().unwrap().status == CheckoutStatus::Paid
        {
            kept += checkout.request.due().amount - checkout.refunded;
        }
    }
    kept
}

#[tokio::test]
async fn a_paid_order_that_is_waived_is_refunded_once_and_keeps_what_it_bought() {
    let shop = Shop::open().await;
    let order = shop.paid().await;
    shop.payments.refund(&Actor::Operator, &order.id, Some(cad(3_000)), "no lunch").await.unwrap();
    for _ in 0..2 {
        let waived = shop.payments.waive(&Actor::Operator, &order.id).await.unwrap();
        assert_eq!((waived.state, waived.is_waived()), (OrderState::Refunded, true));
        assert_eq!((waived.refunds.len(), waived.refunds[1].amount), (2, cad(10_000)));
    }
    assert_eq!(kept_by_the_gateway(&shop, &order).await, 0);
    assert_eq!((calls(&shop.counted.paid), calls(&shop.counted.refunded)), (2, 0));
    let actions: Vec<_> = trail(&shop.base.store).await.into_iter().map(|(_, action, _)| action).collect();
    assert_eq!(actions, [REFUND_REQUESTED, ORDER_WAIVED, REFUND_REQUESTED]);
    assert!(shop.jobs().await.iter().all(|job| !job.starts_with("refund:")));
}

#[tokio::test]
async fn a_job_refunds_a_waived_order_once_the_gateway_is_back() {
    let shop = Shop::open().await;
    let order = shop.paid().await;
    shop.line.cut.store(true, Ordering::SeqCst);
    let waived = shop.payments.waive(&Actor::Operator, &order.id).await.unwrap();
    assert_eq!((waived.state, waived.refunds[0].state), (OrderState::Paid, RefundState::Requested));
    assert!(shop.jobs().await.contains(&format!("refund:{}:1", order.id)));
    shop.line.cut.store(false, Ordering::SeqCst);
    assert_eq!(shop.retry(&order, 1).await.unwrap(), Sent::Accepted);
    assert_eq!(shop.read(&order).await.state, OrderState::Refunded);
    assert_eq!((kept_by_the_gateway(&shop, &order).await, calls(&shop.counted.refunded)), (0, 0));
}

#[tokio::test]
async fn an_order_that_was_paid_meanwhile_is_waived_and_refunded() {
    let shop = Shop::open().await;
    let order = shop.opened().await;
    let session = order.attempt().session.clone().unwrap();
    shop.sandbox.press(&session, crate::features::payments::Button::Pay).await.unwrap();
    let waived = shop.payments.waive(&Actor::Operator, &order.id).await.unwrap();
    assert_eq!((waived.state, waived.refunds[0].amount), (OrderState::Refunded, cad(13_000)));
    assert_eq!((kept_by_the_gateway(&shop, &order).await, calls(&shop.counted.refunded)), (0, 0));
}

/// A waived order whose bank confirms the payment later. Returns the jobs' ids.
async fn confirmed_after_the_waiver(shop: &Shop) -> (Order, Vec<String>) {
    let order = shop.opened().await;
    let session = order.attempt().session.clone().unwrap();
    shop.sandbox.press(&session, crate::features::payments::Button::LaterSucceeds).await.unwrap();
    let waived = shop.payments.waive(&Actor::Operator, &order.id).await.unwrap();
    assert_eq!((waived.state, calls(&shop.counted.paid)), (OrderState::Processing, 1), "registered at once");
    shop.base.clock.advance(std::time::Duration::from_mins(1));
    shop.payments.check_at_gateway(&order, &session).await.unwrap();
    assert_eq!(shop.read(&order).await.state, OrderState::Waived);
    (order, shop.jobs().await)
}

#[tokio::test]
async fn a_payment_that_the_bank_confirms_after_the_waiver_is_refunded() {
    let shop = Shop::open().await;
    let (order, jobs) = confirmed_after_the_waiver(&shop).await;
    assert!(jobs.contains(&format!("refund:{}:1", order.id)), "{jobs:?}");
    assert_eq!(shop.retry(&order, 1).await.unwrap(), Sent::Accepted);
    assert_eq!(kept_by_the_gateway(&shop, &order).await, 0);
    assert_eq!((shop.read(&order).await.state, calls(&shop.counted.paid)), (OrderState::Waived, 1));
}

#[cfg(feature = "faults")]
#[tokio::test]
async fn without_the_guard_the_payment_is_kept() {
    let shop = Shop::open().await;
    let (order, jobs) = faults::without("pay.refund-waived", confirmed_after_the_waiver(&shop)).await;
    assert!(jobs.iter().all(|job| !job.starts_with("refund:")), "{jobs:?}");
    assert_eq!(kept_by_the_gateway(&shop, &order).await, 13_000);
}

#[tokio::test]
async fn cancelled_and_refunded_orders_can_be_waived() {
    let shop = Shop::open().await;
    let cancelled = shop.opened().await;
    shop.payments.cancel(&Actor::Operator, &cancelled.id).await.unwrap();
    let refunded = shop.paid().await;
    shop.payments.refund(&Actor::Operator, &refunded.id, None, "not coming").await.unwrap();
    let calls_before = calls(&shop.counted.paid);
    for (order, state) in [(cancelled, OrderState::Waived), (refunded, OrderState::Refunded)] {
        let waived = shop.payments.waive(&Actor::Operator, &order.id).await.unwrap();
        assert_eq!((waived.state, waived.is_waived()), (state, true));
    }
    assert_eq!(calls(&shop.counted.paid), calls_before + 2, "both get what they bought");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_simultaneous_waivers_refund_once() {
    let shop = Shop::open().await;
    let order = shop.paid().await;
    let waiving = (0..20).map(|_| {
        let (payments, order) = (shop.payments.clone(), order.id.clone());
        tokio::spawn(async move { payments.waive(&Actor::Operator, &order).await })
    });
    for waived in futures_util::future::join_all(waiving).await {
        assert!(waived.unwrap().unwrap().is_waived());
    }
    let order = shop.read(&order).await;
    assert_eq!((order.state, order.refunds.len()), (OrderState::Refunded, 1));
    assert_eq!(kept_by_the_gateway(&shop, &order).await, 0);
}

#[tokio::test]
async fn an_order_that_was_paid_meanwhile_is_not_cancelled() {
    let shop = Shop::open().await;
    let order = shop.opened().await;
    let session = order.attempt().session.clone().unwrap();
    shop.sandbox.press(&session, crate::features::payments::Button::Pay).await.unwrap();
    let cancelled = shop.payments.cancel(&Actor::Operator, &order.id).await;
    assert!(matches!(cancelled, Err(CloseOrderError::Closed(Closed::Paid))), "{cancelled:?}");
    assert_eq!(shop.read(&order).await.state, OrderState::Paid, "the payment was applied");
    assert_eq!((calls(&shop.counted.paid), calls(&shop.counted.cancelled)), (1, 0));
}

#[tokio::test]
async fn nothing_is_closed_without_the_gateway_s_answer() {
    let shop = Shop::open().await;
    for order in [shop.opened().await, shop.order().await] {
        let before = shop.read(&order).await;
        shop.line.cut.store(true, Ordering::SeqCst);
        let cancelled = shop.payments.cancel(&Actor::Operator, &order.id).await;
        assert!(matches!(cancelled, Err(CloseOrderError::Unavailable)), "{cancelled:?}");
        let waived = shop.payments.waive(&Actor::Operator, &order.id).await;
        assert!(matches!(waived, Err(CloseOrderError::Unavailable)), "{waived:?}");
        assert_eq!(shop.read(&order).await, before);
        assert_eq!(trail(&shop.base.store).await, [], "nothing was changed");
        shop.line.cut.store(false, Ordering::SeqCst);
    }
    assert!(matches!(shop.payments.cancel(&Actor::Operator, "nope").await, Err(CloseOrderError::NotFound)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_simultaneous_cancellations_end_the_order_once() {
    let shop = Shop::open().await;
    let order = shop.opened().await;
    let cancelling = (0..20).map(|_| {
        let (payments, order) = (shop.payments.clone(), order.id.clone());
        tokio::spawn(async move { payments.cancel(&Actor::Operator, &order).await })
    });
    for cancelled in futures_util::future::join_all(cancelling).await {
        assert_eq!(cancelled.unwrap().unwrap().state, OrderState::Cancelled);
    }
    assert_eq!(calls(&shop.counted.cancelled), 1);
}

#[tokio::test]
async fn a_refund_is_made_once_and_reported_to_the_feature_when_nothing_is_left() {
    let shop = Shop::open().await;
    let order = shop.paid().await;
    let part = shop.payments.refund(&Actor::Operator, &order.id, Some(cad(3_000)), "no lunch").await.unwrap();
    assert_eq!((part.state, part.refunds[0].state), (OrderState::PartiallyRefunded, RefundState::Accepted));
    assert!(part.refunds[0].gateway_id.is_some());
    assert_eq!(calls(&shop.counted.refunded), 0);
    assert_eq!(shop.retry(&order, 1).await.unwrap(), Sent::Before);
    let all = shop.payments.refund(&Actor::Operator, &order.id, None, "not coming").await.unwrap();
    assert_eq!((all.state, all.refunds[1].amount), (OrderState::Refunded, cad(10_000)));
    let again = shop.payments.refund(&Actor::Operator, &order.id, None, "again").await;
    assert!(matches!(again, Err(RefundError::NotRefundable(NotRefundable::NothingLeft))));
    assert_eq!((calls(&shop.counted.paid), calls(&shop.counted.refunded)), (1, 1));
    let entry = (Actor::Operator, REFUND_REQUESTED, Some(order.id.clone()));
    assert_eq!(trail(&shop.base.store).await, [entry.clone(), entry], "none for the one that was refused");
    assert!(shop.jobs().await.iter().all(|job| !job.starts_with("refund:")));
}

#[tokio::test]
async fn a_job_sends_the_refund_once_the_gateway_is_back() {
    let shop = Shop::open().await;
    let order = shop.paid().await;
    shop.line.cut.store(true, Ordering::SeqCst);
    let waiting = shop.payments.refund(&Actor::Operator, &order.id, None, "not coming").await.unwrap();
    assert_eq!((waiting.state, waiting.refunds[0].state), (OrderState::Paid, RefundState::Requested));
    let job = format!("refund:{}:1", order.id);
    assert!(shop.jobs().await.contains(&job));
    assert!(matches!(shop.retry(&order, 1).await, Err(SendRefundError::Unavailable)));
    shop.line.cut.store(false, Ordering::SeqCst);
    assert_eq!(shop.retry(&order, 1).await.unwrap(), Sent::Accepted);
    assert_eq!((shop.read(&order).await.state, calls(&shop.counted.refunded)), (OrderState::Refunded, 1));
    assert!(!shop.jobs().await.contains(&job));
}

#[tokio::test]
async fn a_rejected_refund_changes_nothing_and_can_be_tried_again() {
    let shop = Shop::open().await;
    let order = shop.paid().await;
    shop.line.refuses.store(true, Ordering::SeqCst);
    let rejected = shop.payments.refund(&Actor::Operator, &order.id, None, "not coming").await;
    assert!(matches!(rejected, Err(RefundError::Rejected)));
    assert_eq!(shop.read(&order).await.refunds[0].state, RefundState::Rejected);
    let refunded = shop.payments.refund(&Actor::Operator, &order.id, None, "not coming").await.unwrap();
    assert_eq!((refunded.state, refunded.refunds[1].number), (OrderState::Refunded, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_simultaneous_refunds_pay_back_once() {
    let shop = Shop::open().await;
    let order = shop.paid().await;
    let refunding = (0..20).map(|_| {
        let (payments, order) = (shop.payments.clone(), order.id.clone());
        tokio::spawn(
            async move { payments.refund(&Actor::Operator, &order, None, "not coming").await.is_ok() },
        )
    });
    let refunded = futures_util::future::join_all(refunding).await;
    assert_eq!(refunded.into_iter().filter(|made| *made.as_ref().unwrap()).count(), 1);
    let order = shop.read(&order).await;
    assert_eq!((order.state, order.refunds.len()), (OrderState::Refunded, 1));
    assert_eq!(calls(&shop.counted.refunded), 1);
}

/// An order that expired and was paid late.
async fn paid_late(shop: &Shop) -> Order {
    let order = shop.opened().await;
    shop.receive(&shop.event("evt_1", &order, "expired", "unpaid")).await.unwrap();
    let session = order.attempt().session.clone().unwrap();
    shop.sandbox.press(&session, crate::features::payments::Button::Pay).await.unwrap();
    shop.payments.check_at_gateway(&order, &session).await.unwrap().unwrap()
}

#[tokio::test]
async fn the_feature_decides_whether_a_late_payment_is_honoured() {
    let shop = Shop::open().await;
    let honoured = paid_late(&shop).await;
    assert_eq!((honoured.state, calls(&shop.counted.paid)), (OrderState::Paid, 1));

    let shop = Shop::open().await;
    shop.counted.sold_out.store(true, Ordering::SeqCst);
    let declined = paid_late(&shop).await;
    assert_eq!((declined.state, calls(&shop.counted.paid)), (OrderState::Expired, 0));
    assert_eq!(declined.payments[0].flag, Some(PaymentFlag::Declined));
    assert!(shop.jobs().await.contains(&format!("refund:{}:1", declined.id)));
    assert_eq!(shop.retry(&declined, 1).await.unwrap(), Sent::Accepted);
    let refunded = shop.read(&declined).await;
    assert_eq!((refunded.state, refunded.refunds[0].state), (OrderState::Expired, RefundState::Accepted));
    assert_eq!(calls(&shop.counted.refunded), 0, "the order was never paid");
    let next = shop.payments.open_checkout(&declined.id).await.unwrap();
    assert_eq!((next.state, next.attempt().number), (OrderState::Open, 2), "it can be paid again");
}

#[tokio::test]
async fn refunds_and_disputes_reach_the_feature_once_in_any_order() {
    for backwards in [false, true] {
        let shop = Shop::open().await;
        let order = shop.opened().await;
        let paid = shop.event("evt_1", &order, "completed", "paid");
        let paid = paid.replace("\"payment_status\"", "\"payment_intent\":\"pi_1\",\"payment_status\"");
        let event = |id: &str, kind: &str, refunded: i64| {
            let object = serde_json::json!({ "payment_intent": "pi_1", "amount_refunded": refunded,
                "currency": "cad", "metadata": { "orderId": order.id } });
            serde_json::json!({ "id": id, "type": kind, "livemode": false, "data": { "object": object } })
                .to_string()
        };
        let refund = event("evt_2", "charge.refunded", 13_000);
        let dispute = event("evt_3", "charge.dispute.created", 0);
        let mut events = [paid, refund.clone(), refund.replace("evt_2", "evt_4"), dispute.clone(), dispute];
        if backwards {
            events.reverse();
        }
        for event in &events {
            shop.receive(event).await.unwrap();
        }
        assert_eq!(shop.read(&order).await.state, OrderState::Disputed);
        assert_eq!((calls(&shop.counted.paid), calls(&shop.counted.disputed)), (1, 1), "{backwards}");
        assert_eq!(calls(&shop.counted.refunded), u32::from(!backwards), "known to be disputed first");
    }
}
