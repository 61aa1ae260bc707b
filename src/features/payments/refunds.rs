//! Use cases: waive, cancel and refund an order.
//!
//! An order is closed only after the gateway has confirmed that its checkout is over; otherwise a student could still pay
//! it. A refund is recorded in one transaction together with the job that sends it, and is sent at once.

use super::gateway::GatewayError;
use super::jobs::{OpenCheckout, SendRefund};
use super::model::{
    Closed, Ending, NotRefundable, ORDER_CANCELLED, ORDER_WAIVED, Order, OrderRefund, OrderState, Outcome,
    REFUND_REQUESTED, Step,
};
use super::sale::Ended;
use super::service::{FINISH_AFTER, OpenCheckoutError, Payments};
use crate::kernel::{Actor, Money, Timestamp, faults};
use crate::platform::audit::Subject;
use crate::platform::store::{StoreError, Tx};

/// Why an order was not closed.
#[derive(Debug, thiserror::Error)]
pub enum CloseOrderError {
    #[error("there is no such order")]
    NotFound,
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The gateway can't confirm that the checkout is over. Nothing was changed.
    #[error("the gateway is unavailable")]
    Unavailable,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<OpenCheckoutError> for CloseOrderError {
    fn from(error: OpenCheckoutError) -> Self {
        match error {
            OpenCheckoutError::NotFound => Self::NotFound,
            OpenCheckoutError::Closed(why) => Self::Closed(why),
            OpenCheckoutError::TooMany(_)
            | OpenCheckoutError::SaleOver
            | OpenCheckoutError::SoldOut(_)
            | OpenCheckoutError::Unavailable => Self::Unavailable,
            OpenCheckoutError::Store(error) => Self::Store(error),
        }
    }
}

/// Why an order was not refunded.
#[derive(Debug, thiserror::Error)]
pub enum RefundError {
    #[error("there is no such order")]
    NotFound,
    #[error(transparent)]
    NotRefundable(#[from] NotRefundable),
    /// Nothing was refunded (logged).
    #[error("the gateway rejected the refund")]
    Rejected,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The gateway's answer to a refund.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// The gateway had answered before.
    Before,
    Accepted,
    Rejected,
}

/// Why a refund was not sent. The job sends it again.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendRefundError {
    #[error("the gateway is unavailable")]
    Unavailable,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Payments {
    /// Waives an order, whatever its state: nothing has to be paid, the product's feature proceeds as if it was paid, and
    /// what was paid before or arrives later is refunded once. Waiving a waived order changes nothing. If the gateway is
    /// unavailable after the order was waived, jobs send the refunds.
    ///
    /// # Errors
    /// [`CloseOrderError`]; then the order is as it was. It is never [`CloseOrderError::Closed`].
    pub async fn waive(&self, actor: &Actor, order: &str) -> Result<Order, CloseOrderError> {
        let waived = self.close(actor, order, Ending::Waived).await?;
        for refund in &waived.refunds {
            if let Err(SendRefundError::Store(error)) =
                self.send_refund(&SendRefund::of(&waived, refund.number)).await
            {
                return Err(error.into());
            }
        }
        self.0.store.get(order).await?.ok_or(CloseOrderError::NotFound)
    }

    /// Cancels an unpaid order. Cancelling a cancelled order changes nothing.
    ///
    /// # Errors
    /// [`CloseOrderError`]; then the order is as it was.
    pub async fn cancel(&self, actor: &Actor, order: &str) -> Result<Order, CloseOrderError> {
        self.close(actor, order, Ending::Cancelled).await
    }

    /// Ends the current checkout at the gateway, then closes the order. Somebody may pay or open another checkout in
    /// between, so this is repeated.
    async fn close(&self, actor: &Actor, id: &str, ending: Ending) -> Result<Order, CloseOrderError> {
        for _ in 0..5 {
            let order = self.0.store.get::<Order>(id).await?.ok_or(CloseOrderError::NotFound)?;
            if is_closed(&order, ending) {
                return Ok(order);
            }
            let expired = match order.step_to_close(ending)? {
                Step::Ended => None,
                // The answer of an earlier try may be lost, and its checkout open.
                Step::Unopened(_) => {
                    self.open_attempt(&order).await?;
                    continue;
                }
                Step::Ready(attempt) => {
                    let session = attempt.session.clone().unwrap_or_default();
                    if !self.expire_at_gateway(&order, &session).await? {
                        continue;
                    }
                    Some(session)
                }
            };
            if let Some(closed) = self.close_ended(actor, &order, ending, expired.as_deref()).await? {
                return Ok(closed);
            }
        }
        tracing::error!(order = id, "the checkouts of an order can't be ended");
        Err(CloseOrderError::Unavailable)
    }

    /// Whether the gateway has just expired the checkout. If it had ended before, what happened to it is applied.
    async fn expire_at_gateway(&self, order: &Order, session: &str) -> Result<bool, CloseOrderError> {
        faults::point("pay.before-expire");
        let answer = self.0.gateway.expire(session).await;
        faults::point("pay.after-expire");
        match answer {
            Ok(()) => Ok(true),
            Err(GatewayError::Refused(_)) => {
                self.check_at_gateway(order, session).await?;
                Ok(false)
            }
            Err(GatewayError::Unavailable(reason)) => {
                tracing::warn!(
                    order = order.id,
                    reason,
                    "the gateway is unavailable and expired no checkout"
                );
                Err(CloseOrderError::Unavailable)
            }
        }
    }

    /// Closes the order if its checkout is over; `None` if another one was opened meanwhile.
    async fn close_ended(
        &self,
        actor: &Actor,
        order: &Order,
        ending: Ending,
        expired: Option<&str>,
    ) -> Result<Option<Order>, CloseOrderError> {
        let now = self.0.clock.now();
        let closed = self
            .0
            .store
            .transact_at(&self.guards(order), async |tx| {
                let mut order = tx.get::<Order>(&order.id).await?.ok_or(CloseOrderError::NotFound)?;
                let refunds = order.refunds.len();
                if is_closed(&order, ending) {
                    return Ok(Some(order));
                }
                if !order.close(ending, expired, now)? {
                    return Ok(None);
                }
                self.save(&tx, &mut order, now).await?;
                let opening = OpenCheckout::key_of(&order.id, order.attempt().number);
                tx.withdraw::<OpenCheckout>(&opening).await?;
                faults::point("pay.while-closing");
                self.record_closing(&tx, actor, &order, ending, refunds, now).await?;
                Ok::<_, CloseOrderError>(Some(order))
            })
            .await;
        faults::point("pay.after-closing");
        closed
    }

    /// Audits that the order was closed, schedules its refunds after the first `known` ones, and lets the product's feature
    /// act.
    async fn record_closing(
        &self,
        tx: &Tx,
        actor: &Actor,
        order: &Order,
        ending: Ending,
        known: usize,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let action = match ending {
            Ending::Waived => ORDER_WAIVED,
            Ending::Cancelled => ORDER_CANCELLED,
        };
        tx.audit(actor, action, Subject::of::<Order>(&order.id), &[], now).await?;
        for refund in &order.refunds[known..] {
            audit_refund(tx, actor, order, refund, now).await?;
        }
        self.schedule_refunds(tx, order, known, now.plus(FINISH_AFTER)).await?;
        let Some(sale) = self.sale(order) else { return Ok(()) };
        match ending {
            Ending::Waived => sale.paid(tx, order, now).await,
            Ending::Cancelled => sale.ended(tx, order, Ended::Cancelled, now).await,
        }
    }

    /// Records the jobs that send the order's refunds after the first `known` ones at `due`. Logs if a payment of a waived
    /// order can't be refunded.
    pub(super) async fn schedule_refunds(
        &self,
        tx: &Tx,
        order: &Order,
        known: usize,
        due: Timestamp,
    ) -> Result<(), StoreError> {
        for refund in &order.refunds[known..] {
            tx.enqueue(&SendRefund::of(order, refund.number).job(due)).await?;
        }
        if order.is_waived() && order.has_unrefundable_payment() {
            let order = order.id.clone();
            let log = move || tracing::error!(order, "a payment of a waived order needs review: refund it");
            tx.once_committed(log).await;
        }
        Ok(())
    }

    /// Refunds a paid order: `amount`, or all that is left. The refund is recorded, then sent to the gateway; if the gateway
    /// is unavailable, a job sends it later, and the order is returned as it is.
    ///
    /// # Errors
    /// [`RefundError`]; then nothing is refunded.
    pub async fn refund(
        &self,
        actor: &Actor,
        order: &str,
        amount: Option<Money>,
        reason: &str,
    ) -> Result<Order, RefundError> {
        let now = self.0.clock.now();
        let recorded = self.0.store.transact(async |tx| {
            let mut order = tx.get::<Order>(order).await?.ok_or(RefundError::NotFound)?;
            let number = order.request_refund(amount, reason, now)?;
            self.save(&tx, &mut order, now).await?;
            let known = order.refunds.len() - 1;
            audit_refund(&tx, actor, &order, &order.refunds[known], now).await?;
            self.schedule_refunds(&tx, &order, known, now.plus(FINISH_AFTER)).await?;
            Ok::<_, RefundError>(SendRefund::of(&order, number))
        });
        let refund = recorded.await?;
        match self.send_refund(&refund).await {
            Ok(Sent::Rejected) => return Err(RefundError::Rejected),
            Ok(Sent::Accepted | Sent::Before) | Err(SendRefundError::Unavailable) => {}
            Err(SendRefundError::Store(error)) => return Err(error.into()),
        }
        self.0.store.get(order).await?.ok_or(RefundError::NotFound)
    }

    /// Sends a recorded refund to the gateway, between two transactions, and records the answer.
    pub(super) async fn send_refund(&self, refund: &SendRefund) -> Result<Sent, SendRefundError> {
        let order = self.0.store.get::<Order>(&refund.order).await?;
        let request = order.as_ref().and_then(|order| order.refund_request(refund.refund));
        let (Some(order), Some(request)) = (order, request) else { return Ok(Sent::Before) };
        faults::point("pay.before-refund");
        let answer = self.0.gateway.refund(&request).await;
        faults::point("pay.after-refund");
        let answer = match answer {
            Ok(accepted) => Some(accepted.id),
            Err(GatewayError::Refused(reason)) => {
                tracing::error!(order = order.id, reason, "the gateway rejected a refund: it needs review");
                None
            }
            Err(GatewayError::Unavailable(reason)) => {
                tracing::warn!(order = order.id, reason, "the gateway is unavailable and made no refund");
                return Err(SendRefundError::Unavailable);
            }
        };
        self.record_answer(&order, refund, answer.as_deref()).await?;
        Ok(if answer.is_some() { Sent::Accepted } else { Sent::Rejected })
    }

    async fn record_answer(
        &self,
        order: &Order,
        refund: &SendRefund,
        gateway_id: Option<&str>,
    ) -> Result<(), StoreError> {
        let now = self.0.clock.now();
        self.0
            .store
            .transact_at(&self.guards(order), async |tx| {
                let Some(mut order) = tx.get::<Order>(&order.id).await? else { return Ok(()) };
                let before = order.state;
                let outcome = order.refund_answered(refund.refund, gateway_id, now);
                self.save(&tx, &mut order, now).await?;
                tx.withdraw::<SendRefund>(&SendRefund::key_of(&order.id, refund.refund)).await?;
                match outcome {
                    Outcome::Unchanged => Ok(()),
                    outcome => self.run_sale(&tx, before, &order, outcome, now).await,
                }
            })
            .await
    }
}

fn is_closed(order: &Order, ending: Ending) -> bool {
    match ending {
        Ending::Cancelled => order.state == OrderState::Cancelled,
        Ending::Waived => order.is_waived(),
    }
}

async fn audit_refund(
    tx: &Tx,
    actor: &Actor,
    order: &Order,
    refund: &OrderRefund,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (subject, number) = (Subject::of::<Order>(&order.id), refund.number.to_string());
    let detail = [("refund", &*number)];
    tx.audit_with_reason(actor, REFUND_REQUESTED, subject, &detail, &refund.reason, now).await
}

#[cfg(test)]
#[path = "refunds_tests.rs"]
mod tests;
