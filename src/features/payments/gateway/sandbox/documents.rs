//! The sandbox's documents and their rules.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::{CheckoutRequest, CheckoutStatus, RefundRequest, in_whole_units};
use crate::kernel::Timestamp;
use crate::platform::store::{Class, Document, Index, Keep, Migration, Owner, Personal, PersonalField};

/// How long the bank behind *Pay later* takes to answer.
const BANK_DELAY: Duration = Duration::from_secs(5);

/// How long after a button completed a checkout the same button may be pressed again without an error.
const REPEAT_WINDOW: Duration = Duration::from_secs(5 * 60);

/// A button of the checkout page that completes the checkout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Button {
    Pay,
    LaterSucceeds,
    LaterFails,
}

/// The state of a checkout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SandboxStatus {
    Open,
    Complete,
    Expired,
}

/// A checkout of the sandbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxCheckout {
    /// `cs_test_sandbox_…`, derived from the idempotency key.
    pub id: String,
    #[serde(flatten)]
    pub request: CheckoutRequest,
    pub status: SandboxStatus,
    /// The button that completed it.
    #[serde(rename = "press", skip_serializing_if = "Option::is_none")]
    pub button: Option<Button>,
    /// The total refunded, in minor units.
    #[serde(default)]
    pub refunded: i64,
    pub created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

impl Document for SandboxCheckout {
    const COLLECTION: &'static str = "sandbox_checkouts";
    const VERSION: u32 = 2;
    const MIGRATIONS: &'static [Migration] = &[in_whole_units];
    const INDEXES: &'static [Index] = &[
        Index::on("sandbox_checkouts_to_end", &["status", "expiresAt"]),
        Index::on("sandbox_checkouts_by_age", &["createdAt"]),
    ];
    const PERSONAL: Personal = Personal::Of(
        Owner::Through { field: "order", collection: "orders" },
        &[
            PersonalField::new("email", Class::Contact),
            PersonalField::new("price", Class::Payment),
            PersonalField::new("discount", Class::Payment),
            PersonalField::new("refunded", Class::Payment),
        ],
    );
    const KEEP: Keep =
        Keep::with_store("stands in for the records of Stripe; never made where Stripe is configured");

    fn id(&self) -> &str {
        &self.id
    }
}

/// A refund made by the sandbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxRefund {
    /// `re_sandbox_…`, derived from the idempotency key.
    pub(super) id: String,
    #[serde(flatten)]
    pub(super) request: RefundRequest,
    pub(super) created_at: Timestamp,
}

impl Document for SandboxRefund {
    const COLLECTION: &'static str = "sandbox_refunds";
    const VERSION: u32 = 2;
    const MIGRATIONS: &'static [Migration] = &[in_whole_units];
    const PERSONAL: Personal = Personal::Of(
        Owner::Through { field: "order", collection: "orders" },
        &[PersonalField::new("amount", Class::Payment)],
    );
    const KEEP: Keep =
        Keep::with_store("stands in for the records of Stripe; never made where Stripe is configured");

    fn id(&self) -> &str {
        &self.id
    }
}

/// The secret that signs the sandbox's events when none is configured.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxSecret {
    pub(super) id: String,
    pub(super) secret: String,
    pub(super) created_at: Timestamp,
}

impl Document for SandboxSecret {
    const COLLECTION: &'static str = "sandbox_secrets";
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = Keep::with_store("signs the events of the sandbox");

    fn id(&self) -> &str {
        &self.id
    }
}

/// An event that the sandbox sends about a checkout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SandboxEvent {
    Completed,
    AsyncPaymentSucceeded,
    AsyncPaymentFailed,
    Expired,
    /// Some or all of the money was refunded.
    Refunded,
}

impl SandboxEvent {
    /// The last part of Stripe's `checkout.session.…` or `charge.…`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::AsyncPaymentSucceeded => "async_payment_succeeded",
            Self::AsyncPaymentFailed => "async_payment_failed",
            Self::Expired => "expired",
            Self::Refunded => "refunded",
        }
    }
}

/// The state of the checkout does not allow this.
#[derive(Debug, PartialEq, Eq)]
pub struct Over;

impl SandboxCheckout {
    pub(super) fn new(request: &CheckoutRequest, now: Timestamp) -> Self {
        Self {
            id: session_id(&request.idempotency_key),
            request: request.clone(),
            status: SandboxStatus::Open,
            button: None,
            refunded: 0,
            created_at: now,
            ended_at: None,
        }
    }

    /// Whether it can be paid.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.status == SandboxStatus::Open && now < self.request.expires_at
    }

    /// Whether this button completed it within the last few minutes: pressing it again is a double click.
    pub(super) fn repeats(&self, button: Button, now: Timestamp) -> bool {
        self.button == Some(button) && self.ended_at.is_some_and(|ended| now.since(ended) <= REPEAT_WINDOW)
    }

    /// Completes it; returns the events to send, each with its time.
    ///
    /// # Errors
    /// [`Over`] if it is completed or expired.
    pub(super) fn press(
        &mut self,
        button: Button,
        now: Timestamp,
    ) -> Result<Vec<(SandboxEvent, Timestamp)>, Over> {
        if !self.is_open(now) {
            return Err(Over);
        }
        self.status = SandboxStatus::Complete;
        self.button = Some(button);
        self.ended_at = Some(now);
        let completed = (SandboxEvent::Completed, now);
        let answer = now.plus(BANK_DELAY);
        Ok(match button {
            Button::Pay => vec![completed],
            Button::LaterSucceeds => vec![completed, (SandboxEvent::AsyncPaymentSucceeded, answer)],
            Button::LaterFails => vec![completed, (SandboxEvent::AsyncPaymentFailed, answer)],
        })
    }

    /// Expires it.
    ///
    /// # Errors
    /// [`Over`] if it is completed or expired.
    pub(super) fn end(&mut self, now: Timestamp) -> Result<(), Over> {
        if self.status != SandboxStatus::Open {
            return Err(Over);
        }
        self.status = SandboxStatus::Expired;
        self.ended_at = Some(now);
        Ok(())
    }

    /// Refunds `amount` minor units.
    ///
    /// # Errors
    /// [`Over`] if less than that is left.
    pub(super) fn refund(&mut self, amount: i64, now: Timestamp) -> Result<(), Over> {
        let left = self.request.due().amount - self.refunded;
        if self.status_at(now) != CheckoutStatus::Paid || !(1..=left).contains(&amount) {
            return Err(Over);
        }
        self.refunded += amount;
        Ok(())
    }

    /// Its status as Stripe would report it.
    pub(super) fn status_at(&self, now: Timestamp) -> CheckoutStatus {
        let answered = self.ended_at.is_some_and(|ended| now >= ended.plus(BANK_DELAY));
        match (self.status, self.button) {
            (SandboxStatus::Expired, _) => CheckoutStatus::Expired,
            (SandboxStatus::Open, _) => CheckoutStatus::Open,
            (SandboxStatus::Complete, Some(Button::Pay)) => CheckoutStatus::Paid,
            (SandboxStatus::Complete, Some(Button::LaterSucceeds)) if answered => CheckoutStatus::Paid,
            (SandboxStatus::Complete, Some(Button::LaterFails)) if answered => CheckoutStatus::Failed,
            (SandboxStatus::Complete, _) => CheckoutStatus::Unpaid,
        }
    }

    /// A name that is unique to this event. Only refunds can happen more than once.
    pub(super) fn event_name(&self, event: SandboxEvent) -> String {
        let name = format!("{}_{}", event.name(), self.id.trim_start_matches(SESSION_PREFIX));
        if event == SandboxEvent::Refunded { format!("{name}_{}", self.refunded) } else { name }
    }

    /// The payment's id, once there is one.
    pub(super) fn intent(&self) -> Option<String> {
        self.button.map(|_| self.id.replace(SESSION_PREFIX, INTENT_PREFIX))
    }

    /// The id of the charge behind the payment.
    pub(super) fn charge_id(&self) -> String {
        self.id.replace(SESSION_PREFIX, "ch_sandbox_")
    }
}

const SESSION_PREFIX: &str = "cs_test_sandbox_";
const INTENT_PREFIX: &str = "pi_sandbox_";
const REFUND_PREFIX: &str = "re_sandbox_";

/// An id derived from an idempotency key: the same key gives the same object.
fn id_of(prefix: &str, idempotency_key: &str) -> String {
    let digest = Sha256::digest(idempotency_key.as_bytes());
    let name: String = digest.iter().take(20).map(|byte| format!("{byte:02x}")).collect();
    format!("{prefix}{name}")
}

pub(super) fn session_id(idempotency_key: &str) -> String {
    id_of(SESSION_PREFIX, idempotency_key)
}

pub(super) fn refund_id(idempotency_key: &str) -> String {
    id_of(REFUND_PREFIX, idempotency_key)
}

/// The checkout that a payment came from.
pub(super) fn session_of_intent(intent: &str) -> String {
    intent.replace(INTENT_PREFIX, SESSION_PREFIX)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::kernel::{EmailAddress, Money};

    pub fn time(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    pub fn checkout_of(price: Money) -> SandboxCheckout {
        let request = CheckoutRequest {
            idempotency_key: "o:1".into(),
            order: "o".into(),
            attempt: 1,
            product_name: "Orientation ticket".into(),
            price,
            price_id: None,
            discount: None,
            email: EmailAddress::parse("ana@example.org").unwrap(),
            expires_at: time(86_340),
            success_url: "http://127.0.0.1:3000/checkout/done?order=o".into(),
            cancel_url: "http://127.0.0.1:3000/checkout/back?order=o".into(),
        };
        SandboxCheckout::new(&request, time(0))
    }

    pub fn checkout() -> SandboxCheckout {
        checkout_of(Money { amount: 13_000, currency: "CAD".to_owned().try_into().unwrap() })
    }

    #[test]
    fn a_checkout_is_paid_once_and_only_before_it_expires() {
        let mut once = checkout();
        assert_eq!(once.press(Button::Pay, time(3)), Ok(vec![(SandboxEvent::Completed, time(3))]));
        assert_eq!(once.press(Button::Pay, time(4)), Err(Over));
        assert_eq!(once.end(time(5)), Err(Over));
        assert_eq!(once.status_at(time(5)), CheckoutStatus::Paid);
        let mut late = checkout();
        assert_eq!(late.press(Button::Pay, time(86_340)), Err(Over));
        assert_eq!(late.end(time(86_340)), Ok(()));
        assert_eq!(late.status_at(time(86_341)), CheckoutStatus::Expired);
    }

    #[test]
    fn the_same_button_within_five_minutes_is_a_double_click() {
        let mut checkout = checkout();
        assert!(!checkout.repeats(Button::Pay, time(3)));
        checkout.press(Button::Pay, time(3)).unwrap();
        assert!(checkout.repeats(Button::Pay, time(3)) && checkout.repeats(Button::Pay, time(303)));
        assert!(!checkout.repeats(Button::Pay, time(304)), "too late");
        assert!(!checkout.repeats(Button::LaterFails, time(4)), "another button");
    }

    #[test]
    fn the_bank_behind_pay_later_takes_five_seconds() {
        for (button, event, status) in [
            (Button::LaterSucceeds, SandboxEvent::AsyncPaymentSucceeded, CheckoutStatus::Paid),
            (Button::LaterFails, SandboxEvent::AsyncPaymentFailed, CheckoutStatus::Failed),
        ] {
            let mut checkout = checkout();
            let events = checkout.press(button, time(3)).unwrap();
            assert_eq!(events, [(SandboxEvent::Completed, time(3)), (event, time(8))]);
            assert_eq!(checkout.status_at(time(7)), CheckoutStatus::Unpaid);
            assert_eq!(checkout.status_at(time(8)), status);
        }
    }

    #[test]
    fn a_checkout_of_an_older_version_reads_back() {
        let mut paid = checkout();
        paid.press(Button::LaterFails, time(3)).unwrap();
        let stored = serde_json::to_value(&paid).unwrap();
        assert_eq!(stored["press"], "later-fails");
        assert_eq!(serde_json::from_value::<SandboxCheckout>(stored).unwrap().button, paid.button);
    }
}
