//! What happens to the orders of products that need nothing but a place.

use async_trait::async_trait;

use super::mails::{Bought, HoldEnded, OrderMail, Refunded};
use crate::features::payments::{Ended, Order, Owed, Sale, Words};
use crate::kernel::Timestamp;
use crate::platform::store::{StoreError, Tx};

/// Sells a product of `event.toml` other than the orientation ticket.
pub struct ProductSale;

#[async_trait]
impl Sale for ProductSale {
    fn guards(&self, order: &Order) -> Vec<String> {
        vec![order.id.clone()]
    }

    async fn owed(&self, _: &Tx, _: &Order, _: Timestamp) -> Result<Owed, StoreError> {
        Ok(Owed::Honour)
    }

    async fn paid(&self, tx: &Tx, order: &Order, now: Timestamp) -> Result<(), StoreError> {
        OrderMail::<Bought>::post(tx, order, &order.id, now).await
    }

    async fn ended(&self, tx: &Tx, order: &Order, why: Ended, now: Timestamp) -> Result<(), StoreError> {
        match why {
            Ended::Expired | Ended::Declined => {
                let once = order.attempt().idempotency_key.clone();
                OrderMail::<HoldEnded>::post(tx, order, &once, now).await
            }
            Ended::Refunded => OrderMail::<Refunded>::post(tx, order, &order.id, now).await,
            // The buyer cancelled it, or the bank decides.
            Ended::Cancelled | Ended::Disputed => Ok(()),
        }
    }

    fn words(&self) -> Words {
        Words {
            unpaid: "Nothing was charged. You can order again as long as places are left.",
            ..Words::default()
        }
    }
}
