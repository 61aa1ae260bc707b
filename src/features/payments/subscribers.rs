//! Jobs: finish openings that died, deliver what the sandbox tells, sweep its checkouts.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::service::{OpenCheckoutError, Payments};
use crate::platform::jobs::{JobError, Payload, Run, Subscriber};

/// Opens the checkout of an order's attempt, if that has not been done.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenCheckout {
    pub order: String,
    pub attempt: u32,
}

impl OpenCheckout {
    pub(super) fn key_of(order: &str, attempt: u32) -> String {
        format!("{order}:{attempt}")
    }
}

impl Payload for OpenCheckout {
    const KIND: &'static str = "payments.open-checkout";
    fn key(&self) -> Option<String> {
        Some(Self::key_of(&self.order, self.attempt))
    }
}

/// Handles [`OpenCheckout`].
pub struct OpenCheckouts(pub Arc<Payments>);

#[async_trait]
impl Subscriber for OpenCheckouts {
    type Payload = OpenCheckout;

    async fn handle(&self, payload: OpenCheckout, _: Run) -> Result<(), JobError> {
        match self.0.finish_opening(&payload).await {
            Ok(()) | Err(OpenCheckoutError::NotFound | OpenCheckoutError::Closed(_)) => Ok(()),
            Err(error @ (OpenCheckoutError::Unavailable | OpenCheckoutError::TooMany { .. })) => {
                Err(JobError::Retry(error.to_string()))
            }
            Err(OpenCheckoutError::Store(error)) => Err(error.into()),
        }
    }
}
