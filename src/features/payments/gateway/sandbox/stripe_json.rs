//! The sandbox's events in Stripe's JSON.

use serde_json::{Value, json};

use super::documents::{Button, SandboxCheckout, SandboxEvent, SandboxStatus};
use crate::kernel::Money;

/// The version of Stripe's API whose shapes the sandbox writes: the one that the `stripe` crates read.
const API_VERSION: &str = "2026-09-30.endive";

/// Fields of Stripe's checkout session that are always null here.
const NULL_FIELDS: &[&str] = &[
    "after_expiration",
    "allow_promotion_codes",
    "billing_address_collection",
    "client_secret",
    "consent",
    "consent_collection",
    "currency_conversion",
    "customer",
    "customer_details",
    "invoice",
    "invoice_creation",
    "locale",
    "payment_link",
    "recovered_from",
    "setup_intent",
    "shipping_cost",
    "submit_type",
    "subscription",
    "url",
];

impl SandboxCheckout {
    /// The event as Stripe would send it. It is identical every time, so that it can be sent again.
    pub(super) fn event(&self, event: SandboxEvent) -> Value {
        let session = |event: &str, paid| (format!("checkout.session.{event}"), self.session(paid));
        let (kind, object) = match event {
            SandboxEvent::Completed => session("completed", self.button == Some(Button::Pay)),
            SandboxEvent::AsyncPaymentSucceeded => session("async_payment_succeeded", true),
            SandboxEvent::AsyncPaymentFailed => session("async_payment_failed", false),
            SandboxEvent::Expired => session("expired", false),
            SandboxEvent::Refunded => ("charge.refunded".to_owned(), self.charge()),
        };
        json!({
            "id": format!("evt_sandbox_{}", self.event_name(event)),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.ended_at.unwrap_or(self.created_at).as_secs(),
            "livemode": false,
            "pending_webhooks": 1,
            "request": { "id": null, "idempotency_key": null },
            "type": kind,
            "data": { "object": object },
        })
    }

    fn metadata(&self) -> Value {
        json!({ "orderId": self.request.order, "attempt": self.request.attempt.to_string() })
    }

    fn charge(&self) -> Value {
        let due = self.request.due();
        let refunded = Money { amount: self.refunded, ..due };
        json!({
            "id": self.charge_id(),
            "object": "charge",
            "amount": due.gateway_amount(),
            "amount_refunded": refunded.gateway_amount(),
            "currency": due.currency.as_str().to_lowercase(),
            "livemode": false,
            "metadata": self.metadata(),
            "paid": true,
            "payment_intent": self.intent(),
            "refunded": refunded == due,
        })
    }

    fn session(&self, paid: bool) -> Value {
        let request = &self.request;
        let due = request.due();
        let (price, amount) = (request.price.gateway_amount(), due.gateway_amount());
        let coupon = request
            .discount
            .iter()
            .map(|discount| json!({ "coupon": discount.coupon, "promotion_code": null }));
        let mut session = json!({
            "id": self.id,
            "object": "checkout.session",
            "adaptive_pricing": { "enabled": false },
            "amount_subtotal": price,
            "amount_total": amount,
            "automatic_tax": { "enabled": false, "liability": null, "provider": null, "status": null },
            "cancel_url": request.cancel_url,
            "client_reference_id": request.order,
            "created": self.created_at.as_secs(),
            "currency": due.currency.as_str().to_lowercase(),
            "custom_fields": [],
            "custom_text": {
                "after_submit": null, "shipping_address": null, "submit": null,
                "terms_of_service_acceptance": null,
            },
            "customer_creation": "if_required",
            "customer_email": request.email,
            "discounts": coupon.collect::<Vec<_>>(),
            "expires_at": request.expires_at.as_secs(),
            "livemode": false,
            "metadata": self.metadata(),
            "mode": "payment",
            "payment_intent": self.intent(),
            "payment_method_collection": "if_required",
            "payment_method_options": {},
            "payment_method_types": ["card"],
            "payment_status": if paid { "paid" } else { "unpaid" },
            "phone_number_collection": { "enabled": false },
            "shipping_options": [],
            "status": match self.status {
                SandboxStatus::Open => "open",
                SandboxStatus::Complete => "complete",
                SandboxStatus::Expired => "expired",
            },
            "success_url": request.success_url,
            "total_details": {
                "amount_discount": price - amount, "amount_shipping": 0, "amount_tax": 0,
            },
            "ui_mode": "hosted_page",
        });
        for field in NULL_FIELDS {
            session[field] = Value::Null;
        }
        session
    }
}

#[cfg(test)]
mod tests {
    use stripe_webhook::{EventObject, Webhook as Crate};

    use super::super::super::webhook::sign;
    use super::super::documents::tests::{checkout, checkout_of, time};
    use super::*;
    use crate::kernel::Secret;

    /// The event as Stripe's own crate parses it.
    fn parsed(checkout: &SandboxCheckout, event: SandboxEvent) -> EventObject {
        let secret = Secret::new("whsec_sandbox_x".to_owned());
        let body = checkout.event(event).to_string();
        let header = sign(&body, &secret, time(5));
        Crate::construct_event_with_timestamp(&body, &header, secret.expose(), 5).unwrap().data.object
    }

    #[test]
    fn events_have_the_shape_of_stripe_s() {
        let mut checkout = checkout();
        checkout.press(Button::LaterSucceeds, time(3)).unwrap();
        let EventObject::CheckoutSessionCompleted(session) = parsed(&checkout, SandboxEvent::Completed)
        else {
            panic!("another event");
        };
        assert_eq!(session.payment_status.as_str(), "unpaid");
        assert_eq!((session.amount_total, session.livemode), (Some(13_000), false));
        assert_eq!(session.metadata.unwrap()["orderId"], "o");
        let succeeded = parsed(&checkout, SandboxEvent::AsyncPaymentSucceeded);
        assert!(matches!(succeeded, EventObject::CheckoutSessionAsyncPaymentSucceeded(s)
            if s.payment_status.as_str() == "paid"));
        let failed = parsed(&checkout, SandboxEvent::AsyncPaymentFailed);
        assert!(matches!(failed, EventObject::CheckoutSessionAsyncPaymentFailed(_)));
        let expired = parsed(&checkout, SandboxEvent::Expired);
        assert!(matches!(expired, EventObject::CheckoutSessionExpired(_)));
    }

    #[test]
    fn amounts_are_in_the_gateway_s_units() {
        let mut checkout = checkout_of("ISK 13000".parse().unwrap());
        checkout.press(Button::Pay, time(3)).unwrap();
        checkout.refund(5_000, time(4)).unwrap();
        let object = |event| checkout.event(event)["data"]["object"].clone();
        assert_eq!(object(SandboxEvent::Completed)["amount_total"], 1_300_000);
        let charge = object(SandboxEvent::Refunded);
        assert_eq!((&charge["amount"], &charge["amount_refunded"]), (&1_300_000.into(), &500_000.into()));
    }

    #[test]
    fn events_name_the_api_version_that_the_crate_reads() {
        let secret = Secret::new("whsec_sandbox_x".to_owned());
        let body = checkout().event(SandboxEvent::Expired).to_string();
        let header = sign(&body, &secret, time(5));
        let event = Crate::construct_event_with_timestamp(&body, &header, secret.expose(), 5).unwrap();
        let version = format!("{:?}", event.api_version.unwrap());
        assert!(!version.contains("Unknown"), "{version}");
    }
}
