//! Operations on orders, and the webhook.

use std::sync::Arc;
use std::time::Duration;

use poem::http::StatusCode;
use poem::{IntoResponse, Request, RequestBody};
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::payload::{Json, ParsePayload, Payload};
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::{ApiResponse, Enum, Object, OpenApi, Tags};

use super::events::ReceiveError;
use super::gateway::Untrusted;
use super::model::{Closed, Order, OrderState};
use super::service::{GetOrderError, OpenCheckoutError, Payments};
use crate::http::{Failure, Problem, ProblemJson, SignedIn, busy, too_many, unavailable};
use crate::kernel::{Money, Timestamp};

#[derive(Tags)]
enum Tag {
    /// Orders and their checkouts.
    Payments,
}

/// An amount of money.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(rename = "Money", example)]
pub struct MoneyBody {
    /// Minor units: cents for CAD.
    pub amount: i64,
    /// ISO 4217, such as CAD.
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

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "OrderState", rename_all = "camelCase")]
pub enum OrderStateBody {
    /// Can be paid.
    Open,
    /// The student has done their part; the bank has not answered yet.
    Processing,
    /// Paid.
    Paid,
    /// The checkout ended unpaid; `openCheckout` makes another.
    Expired,
    /// Cancelled.
    Cancelled,
    /// Not owed any more.
    Waived,
    /// A part was paid back.
    PartiallyRefunded,
    /// All was paid back.
    Refunded,
    /// The payer asks their bank for the money back.
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

/// Something bought, or to be bought.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Order", rename_all = "camelCase", skip_serializing_if_is_none, example)]
pub struct OrderBody {
    /// Its id.
    pub id: String,
    /// The product's id, as `getEvent` lists it.
    pub product: String,
    /// Where it stands.
    pub state: OrderStateBody,
    /// What it costs.
    pub amount: MoneyBody,
    /// Where it can be paid, while it can be.
    pub checkout_url: Option<String>,
    /// When it was made: RFC 3339, UTC.
    pub created_at: String,
    /// When it was paid: RFC 3339, UTC.
    pub paid_at: Option<String>,
}

impl poem_openapi::types::Example for OrderBody {
    fn example() -> Self {
        Self {
            id: an_order_id(),
            product: "orientation".into(),
            state: OrderStateBody::Open,
            amount: MoneyBody::example(),
            checkout_url: Some("http://127.0.0.1:3000/sandbox/checkout/cs_test_sandbox_1".into()),
            created_at: "2026-08-01T12:00:00.000Z".into(),
            paid_at: None,
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
            created_at: order.created_at.rfc3339(),
            paid_at: order.paid_at.map(Timestamp::rfc3339),
        }
    }
}

/// One page of a list of orders.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct OrderPage {
    /// In the order in which they were made.
    pub items: Vec<OrderBody>,
    /// Given as `cursor` it returns the next page; absent on the last.
    pub next_cursor: Option<String>,
}

/// Why an order is not shown.
#[derive(ApiResponse)]
pub enum GetOrderRefused {
    /// You have no such order.
    #[oai(status = 404)]
    NotFound(ProblemJson),
}

/// Why there is no checkout.
#[derive(ApiResponse)]
pub enum OpenCheckoutRefused {
    /// You have no such order.
    #[oai(status = 404)]
    NotFound(ProblemJson),
    /// It is not to be paid: it is paid, on its way, not owed, or somebody has to look at it first.
    #[oai(status = 409)]
    Closed(ProblemJson),
}

fn not_found() -> ProblemJson {
    let detail = "You have no order of this id. `listOrders` lists those that you have.";
    ProblemJson(Problem::new(StatusCode::NOT_FOUND, "no-such-order", "No such order", detail))
}

fn closed(why: Closed) -> ProblemJson {
    let (slug, title, detail) = match why {
        Closed::Paid => ("order-paid", "Already paid", "Nothing is left to pay."),
        Closed::Processing => {
            ("order-processing", "A payment is on its way", "Wait until the bank has answered.")
        }
        Closed::NotOwed => ("order-not-owed", "Not owed", "This order was cancelled or waived."),
        Closed::UnderReview => (
            "order-under-review",
            "A payment is being looked at",
            "Money came that doesn't match the order. The committee looks at it; don't pay again.",
        ),
    };
    ProblemJson(Problem::new(StatusCode::CONFLICT, slug, title, detail))
}

impl From<GetOrderError> for Failure<GetOrderRefused> {
    fn from(error: GetOrderError) -> Self {
        match error {
            GetOrderError::NotFound => GetOrderRefused::NotFound(not_found()).into(),
            GetOrderError::Store(error) => Self::shared(unavailable(error)),
        }
    }
}

impl From<OpenCheckoutError> for Failure<OpenCheckoutRefused> {
    fn from(error: OpenCheckoutError) -> Self {
        match error {
            OpenCheckoutError::NotFound => OpenCheckoutRefused::NotFound(not_found()).into(),
            OpenCheckoutError::Closed(why) => OpenCheckoutRefused::Closed(closed(why)).into(),
            OpenCheckoutError::TooMany { retry_after } => Self::shared(too_many(retry_after)),
            OpenCheckoutError::Unavailable => Self::shared(gateway_unavailable()),
            OpenCheckoutError::Store(error) => Self::shared(unavailable(error)),
        }
    }
}

fn gateway_unavailable() -> poem::Error {
    let detail = "Your order is kept. Try again in a few minutes.";
    let title = "The payment service can't be reached";
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "gateway-unavailable", title, detail);
    let mut response = ProblemJson(problem).into_response();
    response.headers_mut().insert("retry-after", 60.into());
    poem::Error::from_response(response)
}

/// An event as it came over the wire: its signature is over these very bytes. How many there may be says
/// `http/limits.rs`.
pub struct RawEvent(Vec<u8>);

poem_openapi::impl_apirequest_for_payload!(RawEvent,);

impl Payload for RawEvent {
    const CONTENT_TYPE: &'static str = "application/json";

    /// Stripe names the charset.
    fn check_content_type(content_type: &str) -> bool {
        Json::<serde_json::Value>::check_content_type(content_type)
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            description: Some("An event of Stripe's, as it is signed."),
            example: Some(serde_json::json!({
                "id": "evt_1",
                "object": "event",
                "type": "checkout.session.completed",
                "livemode": false,
                "data": { "object": { "id": "cs_test_1", "object": "checkout.session", "payment_status": "paid" } },
            })),
            ..MetaSchema::new("object")
        }))
    }
}

impl ParsePayload for RawEvent {
    const IS_REQUIRED: bool = true;

    async fn from_request(_: &Request, body: &mut RequestBody) -> poem::Result<Self> {
        Ok(Self(body.take()?.into_vec().await?))
    }
}

/// The event was taken.
#[derive(ApiResponse)]
pub enum EventTaken {
    /// Taken: it took effect, had done so before, or is about nothing of ours.
    #[oai(status = 200)]
    Taken,
}

/// Why an event was not taken.
#[derive(ApiResponse)]
pub enum EventRefused {
    /// The signature is missing, wrong or too old, or the event is of the other mode (test, live).
    #[oai(status = 400)]
    Untrusted(ProblemJson),
}

/// The payment that an event is about should be known by then.
const SEND_AGAIN: Duration = Duration::from_secs(60);

impl From<ReceiveError> for Failure<EventRefused> {
    fn from(error: ReceiveError) -> Self {
        match error {
            ReceiveError::Untrusted(why) => EventRefused::Untrusted(untrusted(&why)).into(),
            ReceiveError::Early => Self::shared(busy(SEND_AGAIN)),
            ReceiveError::Store(error) => Self::shared(unavailable(error)),
        }
    }
}

fn untrusted(why: &Untrusted) -> ProblemJson {
    let slug = match why {
        Untrusted::Unsigned => "webhook-unsigned",
        Untrusted::BadSignature => "webhook-signature",
        Untrusted::Stale => "webhook-stale",
        Untrusted::WrongMode => "webhook-mode",
    };
    let detail = format!("Nothing was read from the event: {why}.");
    ProblemJson(Problem::new(StatusCode::BAD_REQUEST, slug, "The event is not believed", detail))
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
    /// Lists your orders
    ///
    /// In the order in which they were made, a page at a time.
    #[oai(path = "/v1/orders", method = "get", operation_id = "listOrders")]
    async fn list_orders(
        &self,
        caller: SignedIn,
        /// At most so many on one page.
        #[oai(default = "default_limit", validator(minimum(value = "1"), maximum(value = "100")))]
        limit: Query<u32>,
        /// `nextCursor` of the page before.
        #[oai(validator(max_length = 64))]
        cursor: Query<Option<String>>,
    ) -> poem::Result<Json<OrderPage>> {
        let (orders, more) =
            self.0.orders(&caller.0.account_id, cursor.0, limit.0).await.map_err(unavailable)?;
        let next_cursor = orders.last().filter(|_| more).map(|order| order.id.clone());
        Ok(Json(OrderPage { items: orders.iter().map(OrderBody::from).collect(), next_cursor }))
    }

    /// Shows one of your orders
    ///
    /// Its state follows what the payment service tells: ask again after a payment.
    #[oai(path = "/v1/orders/:orderId", method = "get", operation_id = "getOrder")]
    async fn get_order(
        &self,
        caller: SignedIn,
        /// The order's id, from `register` or `listOrders`.
        #[oai(name = "orderId", example = "an_order_id")]
        order_id: Path<String>,
    ) -> Result<Json<OrderBody>, Failure<GetOrderRefused>> {
        let order = self.0.order(&caller.0.account_id, &order_id.0).await?;
        Ok(Json(OrderBody::from(&order)))
    }

    /// Opens the checkout of an order
    ///
    /// Returns the order with its `checkoutUrl`: the live checkout if there is one, otherwise a new one (after the last
    /// has expired or its payment has failed). One at a time, however often it is asked for.
    #[oai(path = "/v1/orders/:orderId/checkout", method = "post", operation_id = "openCheckout")]
    async fn open_checkout(
        &self,
        caller: SignedIn,
        /// The order's id, from `register` or `listOrders`.
        #[oai(name = "orderId", example = "an_order_id")]
        order_id: Path<String>,
    ) -> Result<Json<OrderBody>, Failure<OpenCheckoutRefused>> {
        let order = self.0.open_own_checkout(&caller.0.account_id, &order_id.0).await?;
        Ok(Json(OrderBody::from(&order)))
    }

    /// Receives an event of the payment service
    ///
    /// For Stripe, and the sandbox that plays it: both sign with a secret that only they and the service know, so the
    /// example gets 400. The signature is checked over the raw body before anything is read. An event may come twice,
    /// late or out of order: it takes effect once.
    #[oai(path = "/v1/webhooks/stripe", method = "post", operation_id = "receiveStripeEvent")]
    async fn receive_stripe_event(
        &self,
        /// `t=<seconds>,v1=<HMAC-SHA256>`, at most 5 minutes old.
        #[oai(name = "Stripe-Signature", example = "a_signature", validator(max_length = 4096))]
        signature: Header<Option<String>>,
        body: RawEvent,
    ) -> Result<EventTaken, Failure<EventRefused>> {
        self.0.receive(&body.0, signature.0.as_deref()).await?;
        Ok(EventTaken::Taken)
    }
}

fn default_limit() -> u32 {
    20
}

/// Has the shape of an order's id and belongs to nobody.
fn an_order_id() -> String {
    "019f0000-0000-7000-8000-000000000000".into()
}

/// Has the shape of a signature and fits nothing.
fn a_signature() -> Option<String> {
    Some(format!("t=1788246000,v1={}", "0".repeat(64)))
}
