//! Properties of products as clients see them.

use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};

use super::model::SaleState;
use super::service::Offering;
use crate::features::payments::MoneyBody;
use crate::kernel::Timestamp;

/// Whether a product can be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "SaleState", rename_all = "camelCase")]
pub enum SaleStateBody {
    /// The sale begins at `opensAt`.
    NotYet,
    /// It can be ordered.
    Open,
    /// All places are taken. A place becomes free when a checkout ends unpaid, or after a refund.
    SoldOut,
    /// The sale is over.
    Ended,
}

impl From<SaleState> for SaleStateBody {
    fn from(state: SaleState) -> Self {
        match state {
            SaleState::NotYet => Self::NotYet,
            SaleState::Open => Self::Open,
            SaleState::SoldOut => Self::SoldOut,
            SaleState::Ended => Self::Ended,
        }
    }
}

/// Something that is sold.
#[derive(Clone, Debug, Object)]
#[oai(rename = "ProductForSale", rename_all = "camelCase", skip_serializing_if_is_none, example)]
pub struct ProductBody {
    /// Product id, for `createOrder`.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Price now; a lower one for early orders is shown while it applies.
    pub price: MoneyBody,
    /// Number of places; absent if there is no limit.
    pub capacity: Option<u32>,
    /// Number of places that can be ordered now; absent if there is no limit.
    pub remaining: Option<u32>,
    /// Whether it can be ordered.
    pub sale_state: SaleStateBody,
    /// Start of the sale (RFC 3339, UTC); absent if it has always been open.
    pub opens_at: Option<String>,
    /// End of the sale (RFC 3339, UTC); absent if it doesn't end.
    pub closes_at: Option<String>,
}

impl ProductBody {
    /// The product as it is offered at `now`.
    pub fn new(offering: &Offering, now: Timestamp) -> Self {
        let Offering { product, state, stock } = offering;
        Self {
            id: product.id.clone(),
            name: product.name.clone(),
            price: product.price_at(now).into(),
            capacity: stock.as_ref().map(|stock| stock.capacity),
            remaining: stock.as_ref().map(|stock| stock.free()),
            sale_state: (*state).into(),
            opens_at: product.opens.map(Timestamp::rfc3339),
            closes_at: product.closes.map(Timestamp::rfc3339),
        }
    }
}

impl Example for ProductBody {
    fn example() -> Self {
        Self {
            id: "retreat".into(),
            name: "Retreat ticket".into(),
            price: MoneyBody { amount: 9_500, currency: "CAD".into() },
            capacity: Some(200),
            remaining: Some(17),
            sale_state: SaleStateBody::Open,
            opens_at: None,
            closes_at: None,
        }
    }
}

/// All products.
#[derive(Clone, Debug, Object)]
#[oai(rename = "ProductList", example)]
pub struct ProductListBody {
    /// In the order of the event's configuration.
    pub items: Vec<ProductBody>,
}

impl Example for ProductListBody {
    fn example() -> Self {
        Self { items: vec![ProductBody::example()] }
    }
}

/// A new order.
#[derive(Clone, Debug, Object)]
#[oai(rename = "NewOrder", rename_all = "camelCase", deny_unknown_fields, example)]
pub struct NewOrderBody {
    /// Product id, from `listProducts`.
    #[oai(validator(min_length = 1, max_length = 32))]
    pub product: String,
}

impl Example for NewOrderBody {
    fn example() -> Self {
        Self { product: "retreat".into() }
    }
}

/// The number of places of a product.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Capacity", rename_all = "camelCase", deny_unknown_fields, example)]
pub struct CapacityBody {
    /// Number of places, 0 to 1,000,000.
    #[oai(validator(maximum(value = "1000000")))]
    pub capacity: u32,
}

impl Example for CapacityBody {
    fn example() -> Self {
        Self { capacity: 220 }
    }
}
