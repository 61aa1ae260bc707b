//! Operations on orders, and the webhook.

use std::sync::Arc;
use std::time::Duration;

use poem_openapi::param::{Header, Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::registry::MetaSchema;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi, Tags};

use super::events::ReceiveError;
use super::gateway::Untrusted;
use super::model::{Closed, Order, OrderState};
use super::places::SoldOut;
use super::refunds::CloseOrderError;
use super::service::{GetOrderError, OpenCheckoutError, Payments};
use crate::http::rights::{Anybody, SignedIn};
use crate::http::{
    By, Examples, Failure, Kind, Message, MessageKind, PageBody, PageCursor, PageLimit, Problem, Refusal,
    busy,
};
use crate::kernel::{Money, Timestamp};
use crate::platform::signals::TooMany;
use crate::platform::store::{PageError, StoreError};

#[derive(Tags)]
enum Tag {
    /// Orders and their checkouts.
    Payments,
}

/// An amount of money.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(rename = "Money", example)]
pub struct MoneyBody {
    /// Amount in the currency's smallest unit: cents for CAD, whole yen for JPY, whole krónur for ISK.
    pub amount: i64,
    /// ISO 4217 code, such as CAD.
    pub currency: String,
}

impl poem_openapi::types::Example for MoneyBody {
    fn example() -> Self {
        Self { amount: 13_000, currency: "CAD".into() }
    }
}

impl From<Money> for MoneyBody {
    fn from(money: Money) -> Self {
        Self { amount: money.amount, currency: money.currency.as_str().to_owned() }
    }
}

/// State of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "OrderState", rename_all = "camelCase")]
pub enum OrderStateBody {
    /// It can be paid.
    Open,
    /// The checkout is complete; the bank has not answered yet.
    Processing,
    /// Paid.
    Paid,
    /// The checkout ended unpaid; `openCheckout` opens another.
    Expired,
    /// Cancelled.
    Cancelled,
    /// Waived before it was paid. An order that is waived later keeps its state and has a `waivedAt`.
    Waived,
    /// A part was refunded.
    PartiallyRefunded,
    /// Everything was refunded.
    Refunded,
    /// The payer disputes the payment at their bank.
    Disputed,
}

impl From<OrderState> for OrderStateBody {
    fn from(state: OrderState) -> Self {
        match state {
            OrderState::Open => Self::Open,
            OrderState::Processing => Self::Processing,
            OrderState::Paid => Self::Paid,
            OrderState::Expired => Self::Expired,
            OrderState::Cancelled => Self::Cancelled,
            OrderState::Waived => Self::Waived,
            OrderState::PartiallyRefunded => Self::PartiallyRefunded,
            OrderState::Refunded => Self::Refunded,
            OrderState::Disputed => Self::Disputed,
        }
    }
}

/// An order of one product.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Order", rename_all = "camelCase", skip_serializing_if_is_none, example)]
pub struct OrderBody {
    /// Order id.
    pub id: String,
    /// Product id, as listed by `getEvent`.
    pub product: String,
    /// State of the order.
    pub state: OrderStateBody,
    /// Amount due, or amount paid.
    pub amount: MoneyBody,
    /// URL of the live checkout; absent if the order can't be paid now.
    pub checkout_url: Option<String>,
    /// Time until which the order can be paid with this checkout and keeps its place (RFC 3339, UTC); absent if the order
    /// can't be paid now. The place is given back once the payment service has confirmed that the checkout has ended.
    pub hold_ends_at: Option<String>,
    /// Time of the order (RFC 3339, UTC).
    pub created_at: String,
    /// Time of the payment (RFC 3339, UTC).
    pub paid_at: Option<String>,
    /// Time at which the order was waived (RFC 3339, UTC). From then on nothing is owed, and payments are refunded.
    pub waived_at: Option<String>,
}

impl poem_openapi::types::Example for OrderBody {
    fn example() -> Self {
        Self {
            id: an_order_id(),
            product: "orientation".into(),
            state: OrderStateBody::Open,
            amount: MoneyBody::example(),
            checkout_url: Some("http://127.0.0.1:3000/sandbox/checkout/cs_test_sandbox_1".into()),
            hold_ends_at: Some("2026-08-01T12:30:00.000Z".into()),
            created_at: "2026-08-01T12:00:00.000Z".into(),
            paid_at: None,
            waived_at: None,
        }
    }
}

impl From<&Order> for OrderBody {
    fn from(order: &Order) -> Self {
        Self {
            id: order.id.clone(),
            product: order.product.clone(),
            state: order.state.into(),
            amount: order.price.into(),
            checkout_url: order.checkout_url().map(str::to_owned),
            hold_ends_at: order.hold_ends_at().map(Timestamp::rfc3339),
            created_at: order.created_at.rfc3339(),
            paid_at: order.paid_at.map(Timestamp::rfc3339),
            waived_at: order.waived_at.map(Timestamp::rfc3339),
        }
    }
}

const NO_SUCH_ORDER: Kind = Kind::new(404, "no-such-order", "No such order");
const ORDER_PAID: Kind = Kind::new(409, "order-paid", "Already paid");
const ORDER_PROCESSING: Kind = Kind::new(409, "order-processing", "Payment in progress");
const ORDER_NOT_OWED: Kind = Kind::new(409, "order-not-owed", "Not owed");
const ORDER_UNDER_REVIEW: Kind = Kind::new(409, "order-under-review", "Payment under review");
const GATEWAY_UNAVAILABLE: Kind = Kind::new(503, "gateway-unavailable", "Payment service unreachable");

/// How soon it is worth asking a gateway again that was unreachable.
const GATEWAY_IS_BACK: Duration = Duration::from_secs(60);

fn no_such_order() -> Problem {
    NO_SUCH_ORDER.says("You have no order with this id. `listOrders` lists your orders.")
}

impl Refusal for Closed {
    fn examples() -> Examples<Self> {
        Examples::of([Self::Paid, Self::Processing, Self::NotOwed, Self::UnderReview])
    }

    fn problem(self) -> Problem {
        match self {
            Self::Paid => ORDER_PAID.says("Nothing is left to pay."),
            Self::Processing => ORDER_PROCESSING.says("Wait for the bank to confirm the payment."),
            Self::NotOwed => ORDER_NOT_OWED.says("This order was cancelled or waived."),
            Self::Refunded => ORDER_NOT_OWED.says(
                "The payment of this order was refunded. To take part after all, write to the committee.",
            ),
            Self::UnderReview => ORDER_UNDER_REVIEW.says(
                "We received a payment that does not match the order. The committee is looking into it; don't pay \
                 again.",
            ),
        }
    }
}

impl Refusal for GetOrderError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_order(),
            Self::Store(error) => error.problem(),
        }
    }
}

/// A product can't be ordered now.
pub const NOT_ON_SALE: Kind = Kind::new(409, "not-on-sale", "Not on sale");
const SOLD_OUT: Kind = Kind::new(409, "sold-out", "Sold out");

impl Refusal for SoldOut {
    fn examples() -> Examples<Self> {
        Examples::of([Self])
    }

    fn problem(self) -> Problem {
        SOLD_OUT.says(
            "All places are taken. A place may become free when somebody doesn't pay: see `getProduct`.",
        )
    }
}

impl Refusal for CloseOrderError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound, Self::Unavailable]).and::<Closed>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_order(),
            Self::Closed(why) => why.problem(),
            Self::Unavailable => GATEWAY_UNAVAILABLE
                .says("Nothing has changed. Try again in a few minutes.")
                .retry_after(GATEWAY_IS_BACK),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for OpenCheckoutError {
    fn examples() -> Examples<Self> {
        let own = [Self::NotFound, Self::SaleOver, Self::SoldOut(SoldOut), Self::Unavailable];
        Examples::of(own).and::<Closed>().and::<TooMany>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_order(),
            Self::Closed(why) => why.problem(),
            Self::SaleOver => NOT_ON_SALE.says("The checkout has ended, and so has the sale."),
            Self::SoldOut(error) => error.problem(),
            Self::TooMany(error) => error.problem(),
            Self::Unavailable => GATEWAY_UNAVAILABLE
                .says("Your order is kept. Try again in a few minutes.")
                .retry_after(GATEWAY_IS_BACK),
            Self::Store(error) => error.problem(),
        }
    }
}

/// An event of Stripe's, or of the sandbox.
pub struct StripeMessage;

impl MessageKind for StripeMessage {
    const CONTENT_TYPE: &'static str = "application/json";
    const MAX_BYTES: usize = 256 * 1024;

    fn schema() -> MetaSchema {
        MetaSchema {
            description: Some("Stripe event, exactly as it was signed."),
            example: Some(serde_json::json!({
                "id": "evt_1",
                "object": "event",
                "type": "checkout.session.completed",
                "livemode": false,
                "data": { "object": { "id": "cs_test_1", "object": "checkout.session", "payment_status": "paid" } },
            })),
            ..MetaSchema::new("object")
        }
    }
}

/// The event was accepted.
#[derive(ApiResponse)]
pub enum EventTaken {
    /// Accepted: it took effect, had done so before, or does not concern us.
    #[oai(status = 200)]
    Taken,
}

const UNSIGNED: Kind = Kind::new(400, "webhook-unsigned", "Unsigned event");
const BAD_SIGNATURE: Kind = Kind::new(400, "webhook-signature", "Invalid signature");
const STALE: Kind = Kind::new(400, "webhook-stale", "Signature too old");
const WRONG_MODE: Kind = Kind::new(400, "webhook-mode", "Wrong mode");

/// The payment that an early event is about should be known by then.
const PAYMENT_IS_KNOWN: Duration = Duration::from_secs(60);

impl Refusal for Untrusted {
    fn examples() -> Examples<Self> {
        Examples::of([Self::Unsigned, Self::BadSignature, Self::Stale, Self::WrongMode])
    }

    fn problem(self) -> Problem {
        let kind = match self {
            Self::Unsigned => UNSIGNED,
            Self::BadSignature => BAD_SIGNATURE,
            Self::Stale => STALE,
            Self::WrongMode => WRONG_MODE,
        };
        kind.says(format!("The event was not read: {self}."))
    }
}

impl Refusal for ReceiveError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::Early]).and::<Untrusted>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Untrusted(why) => why.problem(),
            Self::Early => busy(PAYMENT_IS_KNOWN),
            Self::Store(error) => error.problem(),
        }
    }
}

/// The operations of this feature.
pub struct PaymentsController(Arc<Payments>);

impl PaymentsController {
    /// The operations over `payments`.
    pub fn new(payments: Arc<Payments>) -> Self {
        Self(payments)
    }
}

#[OpenApi(tag = "Tag::Payments")]
impl PaymentsController {
    /// List your orders
    ///
    /// Oldest first.
    #[oai(path = "/v1/orders", method = "get", operation_id = "listOrders")]
    async fn list_orders(
        &self,
        caller: By<SignedIn>,
        /// Maximum number of items per page.
        limit: Query<PageLimit>,
        /// `nextCursor` of the previous page.
        cursor: Query<PageCursor>,
    ) -> Result<Json<PageBody<OrderBody>>, Failure<PageError>> {
        let (account, after, limit) = (&caller.0.account_id, cursor.0.0, limit.0.0);
        Ok(Json(self.0.orders(account, after.as_ref(), limit).await?.into()))
    }

    /// Get one of your orders
    ///
    /// The state changes when the payment service reports a payment, usually within seconds.
    #[oai(path = "/v1/orders/:orderId", method = "get", operation_id = "getOrder")]
    async fn get_order(
        &self,
        caller: By<SignedIn>,
        /// Order id, from `register` or `listOrders`.
        #[oai(name = "orderId", example = "an_order_id")]
        order_id: Path<String>,
    ) -> Result<Json<OrderBody>, Failure<GetOrderError>> {
        let order = self.0.order(&caller.0.account_id, &order_id.0).await?;
        Ok(Json(OrderBody::from(&order)))
    }

    /// Open the checkout of an order
    ///
    /// Returns the order with its `checkoutUrl`: that of the live checkout or, after the last one has expired or its payment
    /// has failed, of a new one. An order has one live checkout at a time, so that this request can be repeated.
    #[oai(path = "/v1/orders/:orderId/checkout", method = "post", operation_id = "openCheckout")]
    async fn open_checkout(
        &self,
        caller: By<SignedIn>,
        /// Order id, from `register` or `listOrders`.
        #[oai(name = "orderId", example = "an_order_id")]
        order_id: Path<String>,
    ) -> Result<Json<OrderBody>, Failure<OpenCheckoutError>> {
        let order = self.0.open_own_checkout(&caller.0, &order_id.0).await?;
        Ok(Json(OrderBody::from(&order)))
    }

    /// Receive an event from the payment service
    ///
    /// For Stripe, and for the sandbox that replaces it. Both sign with a secret, so the example gets 400. The signature
    /// covers the raw body and is checked before the body is read. An event takes effect once, whether it arrives twice,
    /// late or out of order.
    #[oai(path = "/v1/webhooks/stripe", method = "post", operation_id = "receiveStripeEvent")]
    async fn receive_stripe_event(
        &self,
        _anybody: By<Anybody>,
        /// Signature `t=<seconds>,v1=<HMAC-SHA256>`, at most 5 minutes old.
        #[oai(name = "Stripe-Signature", example = "a_signature", validator(max_length = 4096))]
        signature: Header<Option<String>>,
        event: Message<StripeMessage>,
    ) -> Result<EventTaken, Failure<ReceiveError>> {
        self.0.receive(&event.0, signature.0.as_deref()).await?;
        Ok(EventTaken::Taken)
    }
}

/// A well-formed order id that doesn't exist.
fn an_order_id() -> String {
    "019f0000-0000-7000-8000-000000000000".into()
}

/// A well-formed signature that is wrong.
fn a_signature() -> Option<String> {
    Some(format!("t=1788246000,v1={}", "0".repeat(64)))
}
