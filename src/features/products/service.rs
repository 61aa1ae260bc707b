//! Use cases: list products, order one, cancel the order, and change the number of places.

use std::sync::Arc;
use std::time::Duration;

use super::model::{CAPACITY_SET, NotEligible, Purchase, SaleState, check_buyer};
use crate::base::Base;
use crate::config::{Event, Product};
use crate::features::accounts::Account;
use crate::features::payments::{
    BeginError, CloseOrderError, GetOrderError, Order, OrderState, Payments, SoldOut, Stock,
};
use crate::features::registration::Registration;
use crate::kernel::{Actor, Caller, Clock, Ids, Timestamp};
use crate::platform::audit::Subject;
use crate::platform::idempotency::{Once, OnceError};
use crate::platform::signals::{Limit, Signals, TooMany};
use crate::platform::store::{Store, StoreError, Tx};

/// Enough for a person who tries again and again, too few for a program.
const CREATE_ORDER: Limit = Limit { name: "create-order", quota: 60, window: Duration::from_hours(1) };

/// A product and what is left of it.
#[derive(Clone, Debug)]
pub struct Offering {
    pub product: Product,
    pub state: SaleState,
    /// The places of a product with a capacity.
    pub stock: Option<Stock>,
}

/// There is no such product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such product")]
pub struct NoSuchProduct;

/// Why a product is not shown.
#[derive(Debug, thiserror::Error)]
pub enum GetProductError {
    #[error(transparent)]
    NotFound(#[from] NoSuchProduct),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why nothing was ordered.
#[derive(Debug, thiserror::Error)]
pub enum CreateOrderError {
    #[error(transparent)]
    NotFound(#[from] NoSuchProduct),
    /// The sale has not begun or is over.
    #[error("the product is not on sale")]
    NotOnSale(SaleState),
    #[error(transparent)]
    SoldOut(#[from] SoldOut),
    /// The account has this order.
    #[error("the account has ordered it already")]
    AlreadyOrdered(String),
    #[error(transparent)]
    NotEligible(#[from] NotEligible),
    /// The account was deleted after the request began.
    #[error("the account no longer exists")]
    NoAccount,
    #[error(transparent)]
    Repeated(#[from] OnceError),
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<BeginError> for CreateOrderError {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::SoldOut(sold_out) => sold_out.into(),
            BeginError::Store(error) => error.into(),
        }
    }
}

/// Why an order was not cancelled.
#[derive(Debug, thiserror::Error)]
pub enum CancelOrderError {
    /// A registration needs its order.
    #[error("the orientation ticket belongs to a registration")]
    ByForm,
    #[error(transparent)]
    Close(#[from] CloseOrderError),
}

impl From<GetOrderError> for CancelOrderError {
    fn from(error: GetOrderError) -> Self {
        Self::Close(match error {
            GetOrderError::NotFound => CloseOrderError::NotFound,
            GetOrderError::Store(error) => error.into(),
        })
    }
}

/// Why the number of places was not changed.
#[derive(Debug, thiserror::Error)]
pub enum SetCapacityError {
    #[error(transparent)]
    NotFound(#[from] NoSuchProduct),
    #[error("the product has no capacity in the event's configuration")]
    Unlimited,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The products of the event.
pub struct Products {
    store: Store,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    signals: Arc<dyn Signals>,
    event: Arc<Event>,
    payments: Arc<Payments>,
}

impl Products {
    /// The products of the event of `base`, which `payments` sell.
    pub fn new(base: &Base, payments: &Arc<Payments>) -> Self {
        Self {
            store: base.store.clone(),
            clock: base.clock.clone(),
            ids: base.ids.clone(),
            signals: base.signals.clone(),
            event: base.event.clone(),
            payments: payments.clone(),
        }
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// All products, in the order of `event.toml`.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn list(&self) -> Result<Vec<Offering>, StoreError> {
        let mut offerings = vec![];
        for product in &self.event.products {
            offerings.push(self.offering(product).await?);
        }
        Ok(offerings)
    }

    /// One product.
    ///
    /// # Errors
    /// [`GetProductError`]
    pub async fn get(&self, product: &str) -> Result<Offering, GetProductError> {
        Ok(self.offering(self.product(product)?).await?)
    }

    fn product(&self, id: &str) -> Result<&Product, NoSuchProduct> {
        self.event.product(id).ok_or(NoSuchProduct)
    }

    async fn offering(&self, product: &Product) -> Result<Offering, StoreError> {
        let now = self.clock.now();
        let stock = match product.capacity {
            Some(capacity) => {
                let stored = self.store.get::<Stock>(&product.id).await?;
                let stock = stored.unwrap_or_else(|| Stock::new(&product.id, capacity, now));
                Some(stock.with_capacity_of(product))
            }
            None => None,
        };
        let mut product = product.clone();
        if product.id == Product::ORIENTATION {
            // It is ordered with the registration form.
            (product.opens, product.closes) =
                (Some(self.event.registration.opens), Some(self.event.registration.closes));
        }
        let state = SaleState::of(&product, stock.as_ref(), now);
        Ok(Offering { product, state, stock })
    }

    /// Orders a product for the caller and opens its checkout. An order whose checkout has ended is ordered again. If the
    /// gateway is unreachable, the order has no checkout yet, and a job tries again. A request that took effect before under
    /// the key of `once` returns what it made then.
    ///
    /// # Errors
    /// [`CreateOrderError`]. Nothing has changed then.
    pub async fn order(
        &self,
        caller: &Caller,
        product: &str,
        once: Option<&Once>,
    ) -> Result<Order, CreateOrderError> {
        let product = self.product(product)?;
        if let Some(earlier) = self.earlier(once).await? {
            return Ok(earlier);
        }
        if product.id == Product::ORIENTATION {
            return Err(NotEligible::ByForm.into());
        }
        self.signals.take(CREATE_ORDER, &caller.account_id).await?;
        let now = self.clock.now();
        match SaleState::of(product, None, now) {
            SaleState::Open => {}
            closed => return Err(CreateOrderError::NotOnSale(closed)),
        }
        let id = match self.claim(caller, product, once, now).await {
            // Another request of the account, sent at the same time, was faster.
            Err(refused @ CreateOrderError::AlreadyOrdered(_)) => {
                return self.earlier(once).await?.ok_or(refused);
            }
            Err(CreateOrderError::Store(StoreError::Duplicate { .. })) => match self.earlier(once).await? {
                Some(earlier) => return Ok(earlier),
                None => self.claim(caller, product, once, now).await?,
            },
            claimed => claimed?,
        };
        match self.payments.open_checkout(&id).await {
            Ok(order) => Ok(order),
            Err(error) => {
                tracing::warn!(order = id, %error, "ordered without a checkout for now");
                self.store.get(&id).await?.ok_or(CreateOrderError::NoAccount)
            }
        }
    }

    /// What this request made when it took effect.
    async fn earlier(&self, once: Option<&Once>) -> Result<Option<Order>, OnceError> {
        let Some(once) = once else { return Ok(None) };
        match self.store.earlier(once).await? {
            Some(order) => Ok(self.store.get(&order).await?),
            None => Ok(None),
        }
    }

    /// The transaction that takes the place. Returns the id of the order.
    async fn claim(
        &self,
        caller: &Caller,
        product: &Product,
        once: Option<&Once>,
        now: Timestamp,
    ) -> Result<String, CreateOrderError> {
        let (account, new_id) = (caller.account_id.as_str(), self.ids.next());
        self.store
            .transact_at(&[Stock::guard(&product.id)], async |tx| {
                let registration: Option<Registration> = tx.get(account).await?;
                check_buyer(&product.buyers, &caller.rights, registration.as_ref())?;
                let owner: Account = tx.get(account).await?.ok_or(CreateOrderError::NoAccount)?;
                let new = Order::open(new_id.clone(), account, product, owner.email.clone(), now);
                let id = self.begin(&tx, &new, now).await?;
                if let Some(once) = once {
                    tx.once(once, &id, now).await?;
                }
                Ok(id)
            })
            .await
    }

    /// Stores the account's order of the product, or opens the one that it has again. Returns its id.
    async fn begin(&self, tx: &Tx, new: &Order, now: Timestamp) -> Result<String, CreateOrderError> {
        let id = Purchase::id_of(&new.product, &new.account);
        let purchase = Purchase { id, account: new.account.clone(), order: new.id.clone() };
        let earlier = tx.get::<Purchase>(&purchase.id).await?;
        let order = match &earlier {
            Some(earlier) => tx.get::<Order>(&earlier.order).await?,
            None => None,
        };
        match order {
            Some(order) if order.can_be_reopened() => {
                return Ok(self.payments.reopen(tx, order, now).await?);
            }
            Some(order) if !is_over(&order) => return Err(CreateOrderError::AlreadyOrdered(order.id)),
            _ => self.payments.begin(tx, new).await?,
        }
        match earlier {
            Some(_) => tx.put(&purchase).await?,
            // Two requests that arrive together both find nothing: the store refuses one of them.
            None => tx.insert(&purchase).await?,
        }
        Ok(new.id.clone())
    }

    /// Cancels the caller's unpaid order: its checkout ends at the gateway, and its place is given back.
    ///
    /// # Errors
    /// [`CancelOrderError`]; then the order is as it was.
    pub async fn cancel(&self, caller: &Caller, order: &str) -> Result<Order, CancelOrderError> {
        let own = self.payments.order(&caller.account_id, order).await?;
        if own.product == Product::ORIENTATION {
            return Err(CancelOrderError::ByForm);
        }
        Ok(self.payments.cancel(&caller.actor(), &own.id).await?)
    }

    /// Sets the number of places. Below what is taken, nobody loses a place: the product is sold out.
    ///
    /// # Errors
    /// [`SetCapacityError`]. Nothing has changed then.
    pub async fn set_capacity(
        &self,
        actor: &Actor,
        product: &str,
        capacity: u32,
    ) -> Result<Offering, SetCapacityError> {
        let (product, now) = (self.product(product)?, self.clock.now());
        let guard = [Stock::guard(&product.id)];
        let changed = self.store.transact_at(&guard, async |tx| {
            let stock =
                self.payments.stock(&tx, &product.id, now).await?.ok_or(SetCapacityError::Unlimited)?;
            let (before, after) = (stock.capacity.to_string(), capacity.to_string());
            let detail = [("before", &*before), ("after", &*after)];
            tx.audit(actor, CAPACITY_SET, Subject::of::<Stock>(&product.id), &detail, now).await?;
            let stock = Stock { capacity, ..stock };
            self.payments.put_stock(&tx, stock.clone(), now).await?;
            Ok::<_, SetCapacityError>(stock)
        });
        let stock = changed.await?;
        let state = SaleState::of(product, Some(&stock), now);
        Ok(Offering { product: product.clone(), state, stock: Some(stock) })
    }
}

/// Whether the account can order the product anew: it has nothing, and owes nothing.
fn is_over(order: &Order) -> bool {
    order.state == OrderState::Cancelled || order.state == OrderState::Refunded && !order.is_waived()
}
