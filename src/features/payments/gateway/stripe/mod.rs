//! Stripe: Checkout Sessions in `payment` mode.
//!
//! Each call has a time in which it must come to an end, tries included (`patience`). What changes something goes
//! under an idempotency key of ours with the same parameters each time, so that a try whose answer was lost does no
//! harm. Errors carry Stripe's codes, never its sentences: those may quote an address.

mod patience;
mod requests;

pub use patience::Patience;

use async_trait::async_trait;
use stripe::{Client, ClientBuilder, IdempotencyKey, StripeError};
use stripe_checkout::checkout_session::RetrieveCheckoutSession;

use super::{Checkout, CheckoutPage, CheckoutRequest, Gateway, GatewayError, Refund, RefundRequest};
use crate::config::StripeConfig;
use crate::kernel::Timestamp;
use crate::platform::tls::choose_cryptography;

/// The account at Stripe.
pub struct Stripe {
    client: Client,
    patience: Patience,
}

/// The account can't be used.
#[derive(Debug, thiserror::Error)]
#[error("the address of the API or the key can't be sent over HTTP")]
pub struct BadAccount;

impl Stripe {
    /// The account that `config` names. Nothing is sent yet.
    ///
    /// # Errors
    /// [`BadAccount`] if its key or its address has characters that no request can carry.
    pub fn new(config: &StripeConfig) -> Result<Self, BadAccount> {
        choose_cryptography();
        let mut builder = ClientBuilder::new(config.secret_key.expose().clone());
        if let Some(base) = &config.api_base {
            builder = builder.url(base.as_str());
        }
        let client = builder.build().map_err(|_| BadAccount)?;
        Ok(Self { client, patience: Patience::default() })
    }

    /// The same with another patience, for tests.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }
}

#[async_trait]
impl Gateway for Stripe {
    async fn open(&self, request: &CheckoutRequest) -> Result<Checkout, GatewayError> {
        let key = key(&request.idempotency_key)?;
        let session =
            self.patience.call(|| requests::open(&self.client, request, &key)).await.map_err(why)?;
        let checkout = requests::checkout(&session);
        if checkout.money == Some(request.due()) {
            return Ok(checkout);
        }
        // A price or a coupon of Stripe's is not what `event.toml` says: nobody is to pay that.
        self.expire(&checkout.session).await?;
        Err(GatewayError::Refused("its price or coupon comes to another amount than event.toml says".into()))
    }

    async fn retrieve(&self, session: &str) -> Result<Option<Checkout>, GatewayError> {
        let retrieve = RetrieveCheckoutSession::new(session).expand(vec!["payment_intent".to_owned()]);
        match self.patience.call(|| retrieve.send(&self.client)).await {
            Ok(session) => Ok(Some(requests::checkout(&session))),
            Err(StripeError::Stripe(_, 404)) => Ok(None),
            Err(error) => Err(why(error)),
        }
    }

    async fn expire(&self, session: &str) -> Result<(), GatewayError> {
        let key = key(&format!("expire:{session}"))?;
        self.patience.call(|| requests::expire(&self.client, session, &key)).await.map_err(why)
    }

    async fn refund(&self, request: &RefundRequest) -> Result<Refund, GatewayError> {
        let key = key(&request.idempotency_key)?;
        self.patience.call(|| requests::refund(&self.client, request, &key)).await.map_err(why)
    }

    async fn list(&self, since: Timestamp, after: Option<&str>) -> Result<CheckoutPage, GatewayError> {
        self.patience.call(|| requests::list(&self.client, since, after)).await.map_err(why)
    }

    async fn check(&self) -> Result<(), GatewayError> {
        self.patience.call(|| requests::list_one(&self.client)).await.map_err(why)
    }
}

fn key(text: &str) -> Result<IdempotencyKey, GatewayError> {
    IdempotencyKey::new(text).map_err(|_| GatewayError::Refused("the key is empty or too long".into()))
}

/// What went wrong, for logs: without Stripe's sentence, which may quote what a person typed.
fn why(error: StripeError) -> GatewayError {
    match error {
        StripeError::Stripe(told, status) => {
            let code = told.code.as_ref().map_or("", |code| code.as_str());
            let param = told.param.as_deref().unwrap_or_default();
            let reason = format!("{status} {} {code} {param}", told.type_.as_str()).trim_end().to_owned();
            match status {
                401 | 403 => GatewayError::Unavailable(format!("the key of Stripe is not let in: {reason}")),
                409 | 429 | 500.. => GatewayError::Unavailable(reason),
                _ => GatewayError::Refused(reason),
            }
        }
        StripeError::Timeout => GatewayError::Unavailable("no answer in time".into()),
        StripeError::JSONDeserialize(_) => GatewayError::Unavailable("an answer that can't be read".into()),
        StripeError::ClientError(_) => GatewayError::Unavailable("it can't be reached".into()),
        StripeError::ConfigError(_) => GatewayError::Unavailable("the client can't be used".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Secret;

    #[test]
    fn a_key_that_no_header_can_carry_is_refused_at_the_start() {
        let config = |key: &str| StripeConfig {
            secret_key: Secret::new(key.to_owned()),
            live: false,
            api_base: Some("http://127.0.0.1:1".parse().unwrap()),
        };
        assert!(Stripe::new(&config("sk_test_a")).is_ok());
        assert!(Stripe::new(&config("sk_test_\n")).is_err());
    }
}
