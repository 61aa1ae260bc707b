//! How the sandbox's events reach the webhook: signed, over HTTP, as Stripe's do.

use std::net::{IpAddr, SocketAddr};

use super::Sandbox;
use super::documents::{SandboxCheckout, SandboxEvent};
use super::jobs::DeliverSandboxEvent;
use crate::features::payments::gateway::webhook::sign;
use crate::kernel::{Timestamp, faults};
use crate::platform::jobs::Job;
use crate::platform::store::{StoreError, Tx};

/// The path of the service's webhook.
const WEBHOOK_PATH: &str = "/v1/webhooks/stripe";

/// Why an event was not delivered. Delivery is retried.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// Without the client's own error, which names the address.
    #[error("the webhook is unreachable")]
    Unreachable,
    #[error("the webhook answered {0}")]
    Refused(u16),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Sandbox {
    /// Sets the address that the service listens on. Until then events go to the public URL. Only the first call has
    /// an effect.
    pub fn listening_at(&self, address: SocketAddr) {
        self.listening.get_or_init(|| address);
    }

    /// Sends one event to the webhook, signed now.
    ///
    /// # Errors
    /// [`DeliveryError`] if the webhook didn't accept it.
    pub async fn deliver(&self, event: &DeliverSandboxEvent) -> Result<(), DeliveryError> {
        let Some(checkout) = self.store.get::<SandboxCheckout>(&event.session).await? else {
            return Ok(());
        };
        let body = checkout.event(event.event).to_string();
        let signature = sign(&body, self.secrets.first().expect("start gives one"), self.clock.now());
        let answer = self
            .http
            .post(self.webhook_url())
            .header("content-type", "application/json; charset=utf-8")
            .header("stripe-signature", signature)
            .body(body)
            .send()
            .await
            .map_err(|_| DeliveryError::Unreachable)?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(DeliveryError::Refused(status.as_u16())),
        }
    }

    /// Delivers *completed* while the student's browser waits, so that the page it returns to is up to date. The
    /// recorded job delivers the event if this fails.
    pub(super) async fn deliver_completed_now(&self, session: &str) {
        let event = DeliverSandboxEvent { session: session.to_owned(), event: SandboxEvent::Completed };
        let delivered = async {
            self.deliver(&event).await?;
            faults::point("sandbox.after-delivery");
            let done = DeliverSandboxEvent::key_of(&event.session, event.event);
            let withdrawn =
                self.store.transact(async |tx| tx.withdraw::<DeliverSandboxEvent>(&done).await).await;
            faults::point("sandbox.after-withdrawal");
            withdrawn.map_err(DeliveryError::Store)
        };
        if let Err(error) = delivered.await {
            tracing::warn!(session, %error, "a sandbox event was not delivered and will be retried");
        }
    }

    fn webhook_url(&self) -> String {
        match self.listening.get() {
            Some(address) => {
                let host = match address.ip() {
                    IpAddr::V4(ip) if ip.is_unspecified() => "127.0.0.1".to_owned(),
                    IpAddr::V6(ip) if ip.is_unspecified() => "[::1]".to_owned(),
                    IpAddr::V4(ip) => ip.to_string(),
                    IpAddr::V6(ip) => format!("[{ip}]"),
                };
                format!("http://{host}:{}{WEBHOOK_PATH}", address.port())
            }
            None => format!("{}{WEBHOOK_PATH}", self.public_url.as_str().trim_end_matches('/')),
        }
    }
}

/// Records the job that delivers the event at `at`.
pub(super) async fn schedule(
    tx: &Tx,
    checkout: &SandboxCheckout,
    event: SandboxEvent,
    now: Timestamp,
    at: Timestamp,
) -> Result<(), StoreError> {
    let deliver = DeliverSandboxEvent { session: checkout.id.clone(), event };
    tx.enqueue(&Job::new(format!("sandbox:{}", checkout.event_name(event)), &deliver, now).at(at)).await
}
