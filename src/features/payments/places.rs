//! The places of products with a capacity.
//!
//! An order *holds* a place while it can be paid, keeps it once it is paid or waived, and gives it back when its checkout
//! has ended at the gateway, or when the whole payment is refunded. The places of one product are counted in one
//! document, [`Stock`], which every transaction that moves a place reads and writes: so two transactions can't take the
//! same place, and none is lost.
//!
//! `held + sold + free = capacity`. More are taken than there are only if the capacity was lowered, or an order without a
//! place was waived: then nothing is free.

use serde::{Deserialize, Serialize};

use super::model::{AttemptState, Order, OrderState};
use super::service::Payments;
use crate::config::Product;
use crate::kernel::{Timestamp, faults};
use crate::platform::store::{Dir, Document, Filter, Keep, Personal, Query, StoreError, Tx};

/// How many orders are read at a time when the places of a product are counted for the first time.
const PAGE: u32 = 500;

/// The place that an order has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Place {
    /// Until the checkout ends.
    Held,
    /// Until the whole payment is refunded.
    Sold,
}

/// All places are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the product is sold out")]
pub struct SoldOut;

/// Why an order was not stored.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    #[error(transparent)]
    SoldOut(#[from] SoldOut),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The places of one product. Its id is the product's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stock {
    pub id: String,
    /// Number of places.
    pub capacity: u32,
    /// The capacity in `event.toml` when it was last adopted. Another value there replaces `capacity`.
    pub configured: u32,
    /// Places of orders that can be paid.
    pub held: u32,
    /// Places of orders that are paid or waived.
    pub sold: u32,
    pub changed_at: Timestamp,
}

impl Document for Stock {
    const COLLECTION: &'static str = "stocks";
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = Keep::until_disposal("how many places of a product are taken");

    fn id(&self) -> &str {
        &self.id
    }
}

impl Stock {
    /// The guard of transactions that move places of this product.
    pub fn guard(product: &str) -> String {
        format!("stock:{product}")
    }

    /// With the capacity in `event.toml`, if that has changed.
    pub fn with_capacity_of(self, product: &Product) -> Self {
        match product.capacity {
            Some(configured) if configured != self.configured => {
                Self { capacity: configured, configured, ..self }
            }
            _ => self,
        }
    }

    /// The places of a product that nobody has ordered.
    pub fn new(product: &str, capacity: u32, now: Timestamp) -> Self {
        Self { id: product.to_owned(), capacity, configured: capacity, held: 0, sold: 0, changed_at: now }
    }

    /// Places that nobody has.
    pub fn free(&self) -> u32 {
        self.capacity.saturating_sub(self.held + self.sold)
    }

    /// Moves the place of an order. A place is taken only if one is free; an order that has one keeps it.
    ///
    /// # Errors
    /// [`SoldOut`] if none is free.
    pub fn move_place(&mut self, from: Option<Place>, to: Option<Place>) -> Result<(), SoldOut> {
        if from.is_none() && self.free() == 0 {
            return Err(SoldOut);
        }
        if let Some(count) = self.count_of(from) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = self.count_of(to) {
            *count += 1;
        }
        Ok(())
    }

    fn count_of(&mut self, place: Option<Place>) -> Option<&mut u32> {
        match place? {
            Place::Held => Some(&mut self.held),
            Place::Sold => Some(&mut self.sold),
        }
    }
}

impl Order {
    /// The place that an order in this state should have. An order with a payment under review keeps its place until the
    /// payment is refunded.
    pub(super) fn due_place(&self) -> Option<Place> {
        match self.state {
            OrderState::Open if self.attempt().state == AttemptState::Live => Some(Place::Held),
            OrderState::Open | OrderState::Expired if self.has_unsettled_payment() => self.place,
            // It was given back with the refund, whatever the bank decides.
            OrderState::Disputed if self.is_refunded_in_full() => None,
            OrderState::Processing => Some(Place::Held),
            OrderState::Paid | OrderState::PartiallyRefunded | OrderState::Disputed | OrderState::Waived => {
                Some(Place::Sold)
            }
            OrderState::Refunded if self.is_waived() => Some(Place::Sold),
            OrderState::Open | OrderState::Expired | OrderState::Cancelled | OrderState::Refunded => None,
        }
    }
}

impl Payments {
    /// The product of this id, if it is still sold.
    pub fn product(&self, id: &str) -> Option<&Product> {
        self.0.event.product(id)
    }

    /// The places of a product, or `None` if it has no limit. The first time they are counted.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn stock(&self, tx: &Tx, product: &str, now: Timestamp) -> Result<Option<Stock>, StoreError> {
        let Some(product) = self.product(product) else { return Ok(None) };
        let Some(capacity) = product.capacity else { return Ok(None) };
        let stock = match faults::guarded("pay.stock-in-transaction") {
            true => tx.get::<Stock>(&product.id).await?,
            false => self.0.store.get(&product.id).await?,
        };
        if let Some(stock) = stock {
            return Ok(Some(stock.with_capacity_of(product)));
        }
        let mut stock = Stock::new(&product.id, capacity, now);
        count_places(tx, &mut stock).await?;
        Ok(Some(stock))
    }

    /// Prepares the places before the service starts: those of products that have got a capacity are counted, and the count
    /// of products that have lost theirs is deleted, because nobody keeps it up to date any more.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn prepare_stocks(&self) -> Result<(), StoreError> {
        let now = self.0.clock.now();
        for product in &self.0.event.products {
            let stored = self.0.store.get::<Stock>(&product.id).await?;
            if stored.is_some() == product.capacity.is_some() {
                continue;
            }
            self.0
                .store
                .transact_at(&[Stock::guard(&product.id)], async |tx| {
                    match self.stock(&tx, &product.id, now).await? {
                        Some(stock) => self.put_stock(&tx, stock, now).await,
                        None => tx.delete::<Stock>(&product.id).await.map(drop),
                    }
                })
                .await?;
        }
        Ok(())
    }

    /// Stores the places of a product.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn put_stock(&self, tx: &Tx, stock: Stock, now: Timestamp) -> Result<(), StoreError> {
        tx.put(&Stock { changed_at: now, ..stock }).await
    }

    /// Gives the order the place that its state calls for, or takes it back. If none is left, an order that is paid or
    /// waived gets one all the same, and any other order gets none.
    pub(super) async fn move_place(
        &self,
        tx: &Tx,
        order: &mut Order,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (from, to) = (order.place, order.due_place());
        if from == to {
            return Ok(());
        }
        if let Some(mut stock) = self.stock(tx, &order.product, now).await? {
            match (stock.move_place(from, to), to) {
                (Ok(()), _) => {}
                (Err(SoldOut), Some(Place::Sold)) => stock.sold += 1,
                (Err(SoldOut), _) => return Ok(()),
            }
            self.put_stock(tx, stock, now).await?;
        }
        order.place = to;
        Ok(())
    }

    /// Whether an order that has lost its place can have one again.
    pub(super) async fn has_place_for(
        &self,
        tx: &Tx,
        order: &Order,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if order.place.is_some() {
            return Ok(true);
        }
        let stock = self.stock(tx, &order.product, now).await?;
        Ok(stock.is_none_or(|stock| stock.free() > 0))
    }
}

/// Counts the places of all orders of a product: it had no limit before.
async fn count_places(tx: &Tx, stock: &mut Stock) -> Result<(), StoreError> {
    let mut after = String::new();
    loop {
        let of_product = Filter::eq("product", stock.id.as_str()).and(Filter::Gt("id".into(), after.into()));
        let orders: Vec<Order> = tx.find(Query::new(of_product).sort("id", Dir::Asc).limit(PAGE)).await?;
        for order in &orders {
            if let Some(count) = stock.count_of(order.place) {
                *count += 1;
            }
        }
        match orders.last() {
            Some(last) if orders.len() == PAGE as usize => after = last.id.clone(),
            _ => return Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "places_tests.rs"]
mod tests;
