//! Events that the test signs with the service's secret, as Stripe does.

use hmac::{Hmac, KeyInit, Mac};
use orientation::kernel::{Clock, Secret, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;

use super::visitor::Answer;
use super::{ShiftedClock, TestApp};

/// The secret in `STRIPE_WEBHOOK_SECRETS`.
pub const SECRET: &str = "whsec_of_these_tests";

/// A service that accepts events signed with [`SECRET`].
pub async fn app_with_secret() -> TestApp {
    TestApp::start_with(|config| config.stripe_webhook_secrets = vec![Secret::new(SECRET.to_owned())]).await
}

/// `checkout.session.<kind>` about the live checkout of `order` (as the API shows it), fully paid or unpaid.
pub fn event(id: &str, kind: &str, order: &Value, payment_status: &str) -> Value {
    json!({
        "id": id, "object": "event", "type": format!("checkout.session.{kind}"), "livemode": false,
        "data": { "object": {
            "id": session(order), "object": "checkout.session", "payment_status": payment_status,
            "amount_total": order["amount"]["amount"], "currency": "cad",
            "metadata": { "orderId": order["id"], "attempt": "1" },
        } },
    })
}

/// The id of the live checkout of `order`.
pub fn session(order: &Value) -> String {
    let address = order["checkoutUrl"].as_str().expect("a live checkout");
    address.rsplit('/').next().expect("a path").to_owned()
}

/// The header `Stripe-Signature` as Stripe writes it: HMAC-SHA256 over the seconds, a full stop and the raw body.
pub fn signature(body: &str, secret: &str, at: Timestamp) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length will do");
    mac.update(format!("{}.{body}", at.as_secs()).as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={},v1={hex}", at.as_secs())
}

impl TestApp {
    /// Delivers `body` under this signature.
    pub async fn deliver_signed(&self, body: &str, signature: Option<&str>) -> Answer {
        let stripe = self.anonymous();
        let request = stripe.request(Method::POST, "/v1/webhooks/stripe");
        let request = request.header("content-type", "application/json; charset=utf-8").body(body.to_owned());
        let request = match signature {
            Some(signature) => request.header("stripe-signature", signature),
            None => request,
        };
        stripe.send(request).await
    }

    /// Delivers an event as Stripe does, signed now.
    pub async fn deliver(&self, event: &Value) -> Answer {
        let (body, clock): (_, &ShiftedClock) = (event.to_string(), &self.clock);
        self.deliver_signed(&body, Some(&signature(&body, SECRET, clock.now()))).await
    }
}
