//! Stripe: Checkout Sessions in `payment` mode.
//!
//! Each call has a time limit, retries included (`retry`). A call that changes something carries an idempotency key of
//! ours and the same parameters every time, so that a retry after a lost answer does no harm. Errors carry Stripe's
//! codes, never its messages: those may quote an address.

mod requests;
mod retry;

pub use retry::RetryPolicy;

use async_trait::async_trait;
use stripe::{Client, ClientBuilder, IdempotencyKey, StripeError};
use stripe_checkout::checkout_session::RetrieveCheckoutSession;

use super::{Checkout, CheckoutList, CheckoutRequest, Gateway, GatewayError, Refund, RefundRequest};
use crate::config::StripeConfig;
use crate::kernel::Timestamp;
use crate::platform::tls::choose_cryptography;

/// The account at Stripe.
pub struct Stripe {
    client: Client,
    retries: RetryPolicy,
}

/// The account's configuration can't be used.
#[derive(Debug, thiserror::Error)]
#[error("the key or the API address has characters that HTTP can't carry")]
pub struct BadAccount;

impl Stripe {
    /// Connects to the account in `config`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`BadAccount`] if the key or the address has characters that HTTP can't carry.
    pub fn new(config: &StripeConfig) -> Result<Self, BadAccount> {
        choose_cryptography();
        let mut builder = ClientBuilder::new(config.secret_key.expose().clone());
        if let Some(base) = &config.api_base {
            builder = builder.url(base.as_str());
        }
        let client = builder.build().map_err(|_| BadAccount)?;
        Ok(Self { client, retries: RetryPolicy::default() })
    }

    /// Sets other time limits, for tests.
    #[must_use]
    pub fn with_retries(self, retries: RetryPolicy) -> Self {
        Self { retries, ..self }
    }
}

#[async_trait]
impl Gateway for Stripe {
    async fn open(&self, request: &CheckoutRequest) -> Result<Checkout, GatewayError> {
        let key = key(&request.idempotency_key)?;
        let session =
            self.retries.call(|| requests::open(&self.client, request, &key)).await.map_err(reason)?;
        let checkout = requests::checkout(&session);
        if checkout.money == Some(request.due()) {
            return Ok(checkout);
        }
        // The price or the coupon at Stripe differs from `event.toml`: nobody may pay that amount.
        self.expire(&checkout.session).await?;
        Err(GatewayError::Refused(
            "the price or coupon at Stripe comes to another amount than event.toml says".into(),
        ))
    }

    async fn retrieve(&self, session: &str) -> Result<Option<Checkout>, GatewayError> {
        let retrieve = RetrieveCheckoutSession::new(session).expand(vec!["payment_intent".to_owned()]);
        match self.retries.call(|| retrieve.send(&self.client)).await {
            Ok(session) => Ok(Some(requests::checkout(&session))),
            Err(StripeError::Stripe(_, 404)) => Ok(None),
            Err(error) => Err(reason(error)),
        }
    }

    async fn expire(&self, session: &str) -> Result<(), GatewayError> {
        let key = key(&format!("expire:{session}"))?;
        self.retries.call(|| requests::expire(&self.client, session, &key)).await.map_err(reason)
    }

    async fn refund(&self, request: &RefundRequest) -> Result<Refund, GatewayError> {
        let key = key(&request.idempotency_key)?;
        self.retries.call(|| requests::refund(&self.client, request, &key)).await.map_err(reason)
    }

    async fn list(&self, since: Timestamp, after: Option<&str>) -> Result<CheckoutList, GatewayError> {
        self.retries.call(|| requests::list(&self.client, since, after)).await.map_err(reason)
    }

    async fn check(&self) -> Result<(), GatewayError> {
        self.retries.call(|| requests::list_one(&self.client)).await.map_err(reason)
    }
}

fn key(text: &str) -> Result<IdempotencyKey, GatewayError> {
    IdempotencyKey::new(text)
        .map_err(|_| GatewayError::Refused("the idempotency key is empty or too long".into()))
}

/// The reason, for logs. Without Stripe's message, which may quote what a person typed.
fn reason(error: StripeError) -> GatewayError {
    match error {
        StripeError::Stripe(error, status) => {
            let code = error.code.as_ref().map_or("", |code| code.as_str());
            let param = error.param.as_deref().unwrap_or_default();
            let reason = format!("{status} {} {code} {param}", error.type_.as_str()).trim_end().to_owned();
            match status {
                401 | 403 => GatewayError::Unavailable(format!("Stripe rejects the key: {reason}")),
                409 | 429 | 500.. => GatewayError::Unavailable(reason),
                _ => GatewayError::Refused(reason),
            }
        }
        StripeError::Timeout => GatewayError::Unavailable("no answer in time".into()),
        StripeError::JSONDeserialize(_) => GatewayError::Unavailable("unreadable answer".into()),
        StripeError::ClientError(_) => GatewayError::Unavailable("unreachable".into()),
        StripeError::ConfigError(_) => GatewayError::Unavailable("the client is misconfigured".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Secret;

    #[test]
    fn a_key_that_no_header_can_carry_is_rejected_at_the_start() {
        let config = |key: &str| StripeConfig {
            secret_key: Secret::new(key.to_owned()),
            live: false,
            api_base: Some("http://127.0.0.1:1".parse().unwrap()),
        };
        assert!(Stripe::new(&config("sk_test_a")).is_ok());
        assert!(Stripe::new(&config("sk_test_\n")).is_err());
    }
}
