//! Operations on products, and on the orders of those that are not ordered with the registration form.

use std::sync::Arc;

use poem_openapi::param::{Header, Path};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi, Tags};

use super::bodies::{CapacityBody, NewOrderBody, ProductBody, ProductListBody};
use super::model::{NotEligible, SaleState};
use super::service::{
    CancelOrderError, CreateOrderError, GetProductError, NoSuchProduct, Products, SetCapacityError,
};
use crate::features::payments::{CloseOrderError, NOT_ON_SALE, OrderBody, SoldOut};
use crate::http::rights::{Administer, Anybody, SignedIn};
use crate::http::{By, Examples, Failure, IdempotencyKey, JsonBody, Kind, Problem, Refusal, not_signed_in};
use crate::platform::idempotency::OnceError;
use crate::platform::signals::TooMany;
use crate::platform::store::StoreError;

#[derive(Tags)]
enum Tag {
    /// What is sold, what is left, and ordering it.
    Products,
}

/// The order, with its checkout.
#[derive(ApiResponse)]
enum OrderCreated {
    /// The order has a place until `holdEndsAt`. If the payment service was unreachable, `checkoutUrl` is missing, and
    /// `openCheckout` gets it.
    #[oai(status = 201)]
    Created(Json<OrderBody>),
}

const NO_SUCH_PRODUCT: Kind = Kind::new(404, "no-such-product", "No such product");
const ALREADY_ORDERED: Kind = Kind::new(409, "already-ordered", "Already ordered");
const NOT_ELIGIBLE: Kind = Kind::new(409, "not-eligible", "Not eligible");
const ORDERED_BY_FORM: Kind = Kind::new(409, "ordered-by-form", "Part of the registration");
const NO_CAPACITY: Kind = Kind::new(409, "no-capacity", "Unlimited");

impl Refusal for NoSuchProduct {
    fn examples() -> Examples<Self> {
        Examples::of([Self])
    }

    fn problem(self) -> Problem {
        NO_SUCH_PRODUCT.says("There is no product with this id. `listProducts` lists them.")
    }
}

impl Refusal for GetProductError {
    fn examples() -> Examples<Self> {
        Examples::of([]).and::<NoSuchProduct>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for NotEligible {
    fn examples() -> Examples<Self> {
        Examples::of([Self::ByForm])
    }

    fn problem(self) -> Problem {
        NOT_ELIGIBLE.says(match self {
            Self::ByForm => "The orientation ticket is ordered with the registration form: see `register`.",
            Self::NotRegistered => "Only registered students can buy this product.",
            Self::NotALeader => "Only approved leaders can buy this product.",
            Self::Discipline => "Your discipline is not among those that can buy this product.",
            Self::Group => "Your group is not among those that can buy this product.",
        })
    }
}

impl Refusal for CreateOrderError {
    fn examples() -> Examples<Self> {
        let own = [Self::NotOnSale(SaleState::NotYet), Self::AlreadyOrdered("an id".into()), Self::NoAccount];
        Examples::of(own)
            .and::<NoSuchProduct>()
            .and::<SoldOut>()
            .and::<NotEligible>()
            .and::<OnceError>()
            .and::<TooMany>()
            .and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound(error) => error.problem(),
            Self::NotOnSale(SaleState::NotYet) => {
                NOT_ON_SALE.says("The sale has not begun. `getProduct` shows when it does.")
            }
            Self::NotOnSale(_) => NOT_ON_SALE.says("The sale is over."),
            Self::SoldOut(error) => error.problem(),
            Self::AlreadyOrdered(order) => ALREADY_ORDERED.says(format!(
                "You have ordered this product: see the order {order}. `openCheckout` returns its checkout if it is not \
                 paid."
            )),
            Self::NotEligible(error) => error.problem(),
            Self::NoAccount => not_signed_in(),
            Self::Repeated(error) => error.problem(),
            Self::TooMany(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for CancelOrderError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::ByForm]).and::<CloseOrderError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::ByForm => ORDERED_BY_FORM.says(
                "The orientation ticket belongs to your registration, so its order can't be cancelled alone. You need \
                 not pay it; to withdraw, write to the committee.",
            ),
            Self::Close(error) => error.problem(),
        }
    }
}

impl Refusal for SetCapacityError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::Unlimited]).and::<NoSuchProduct>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound(error) => error.problem(),
            Self::Unlimited => {
                NO_CAPACITY.says("This product has no `capacity` in `event.toml`. Add one there and restart.")
            }
            Self::Store(error) => error.problem(),
        }
    }
}

/// The operations of this feature.
pub struct ProductsController(Arc<Products>);

impl ProductsController {
    /// The operations over `products`.
    pub fn new(products: Arc<Products>) -> Self {
        Self(products)
    }
}

#[OpenApi(tag = "Tag::Products")]
impl ProductsController {
    /// List what is sold
    ///
    /// With the places that are left of each product that has a limit.
    #[oai(path = "/v1/products", method = "get", operation_id = "listProducts")]
    async fn list_products(
        &self,
        _anybody: By<Anybody>,
    ) -> Result<Json<ProductListBody>, Failure<StoreError>> {
        let now = self.0.now();
        let items = self.0.list().await?.iter().map(|offering| ProductBody::new(offering, now)).collect();
        Ok(Json(ProductListBody { items }))
    }

    /// Get a product
    ///
    /// Whether it can be ordered now, and how many places are left.
    #[oai(path = "/v1/products/:productId", method = "get", operation_id = "getProduct")]
    async fn get_product(
        &self,
        _anybody: By<Anybody>,
        /// Product id, from `listProducts`.
        #[oai(name = "productId", example = "a_product_id")]
        product_id: Path<String>,
    ) -> Result<Json<ProductBody>, Failure<GetProductError>> {
        let offering = self.0.get(&product_id.0).await?;
        Ok(Json(ProductBody::new(&offering, self.0.now())))
    }

    /// Order a product
    ///
    /// Takes a place and opens a checkout. If the order isn't paid by `holdEndsAt`, the place is given back.
    /// An account buys each product once. After its checkout has ended unpaid, the product can be ordered again, as long as
    /// places are left. Sent again with the same `Idempotency-Key`, the request gets the same order instead of a 409.
    #[oai(path = "/v1/orders", method = "post", operation_id = "createOrder")]
    async fn create_order(
        &self,
        caller: By<SignedIn>,
        /// Key of this request, chosen by the client: a UUID, for example. Remembered for 24 hours.
        #[oai(name = "Idempotency-Key")]
        key: Header<IdempotencyKey>,
        body: JsonBody<NewOrderBody>,
    ) -> Result<OrderCreated, Failure<CreateOrderError>> {
        let (caller, product) = (&caller.0, &body.0.product);
        let once = key.0.once("createOrder", &caller.account_id, product);
        let order = self.0.order(caller, product, once.as_ref()).await?;
        Ok(OrderCreated::Created(Json(OrderBody::from(&order))))
    }

    /// Cancel one of your orders
    ///
    /// Only an unpaid order can be cancelled. Its checkout ends at the payment service first, so that it can't be paid any
    /// more; then the place is given back. Cancelling a cancelled order changes nothing.
    #[oai(path = "/v1/orders/:orderId/cancel", method = "post", operation_id = "cancelOrder")]
    async fn cancel_order(
        &self,
        caller: By<SignedIn>,
        /// Order id, from `createOrder` or `listOrders`.
        #[oai(name = "orderId", example = "an_id")]
        order_id: Path<String>,
    ) -> Result<Json<OrderBody>, Failure<CancelOrderError>> {
        let order = self.0.cancel(&caller.0, &order_id.0).await?;
        Ok(Json(OrderBody::from(&order)))
    }

    /// Set the number of places of a product
    ///
    /// If it is lower than the number of places taken, nobody loses a place: the product is sold out until enough places are
    /// given back. A later change of `capacity` in `event.toml` replaces this number.
    #[oai(path = "/v1/products/:productId/capacity", method = "put", operation_id = "setCapacity")]
    async fn set_capacity(
        &self,
        caller: By<Administer>,
        /// Product id, from `listProducts`.
        #[oai(name = "productId", example = "a_product_id")]
        product_id: Path<String>,
        body: JsonBody<CapacityBody>,
    ) -> Result<Json<ProductBody>, Failure<SetCapacityError>> {
        let offering = self.0.set_capacity(&caller.0.actor, &product_id.0, body.0.capacity).await?;
        Ok(Json(ProductBody::new(&offering, self.0.now())))
    }
}

/// A product of the shipped event.
fn a_product_id() -> String {
    "retreat".into()
}

/// A well-formed id of nothing.
fn an_id() -> String {
    "019f0000-0000-7000-8000-000000000000".into()
}
