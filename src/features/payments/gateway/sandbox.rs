//! A gateway that plays Stripe: checkouts are documents, the page's buttons decide what happens to them, and what
//! happened is told as Stripe tells it, by signed events over HTTP to the service's own webhook.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use super::webhook::sign;
use super::{
    Checkout, CheckoutPage, CheckoutRequest, CheckoutStatus, Gateway, GatewayError, Refund, RefundRequest,
};
use crate::config::{Config, SANDBOX_SECRET};
use crate::features::payments::subscribers::DeliverSandboxEvent;
use crate::kernel::{Clock, Ids, Money, Secret, Timestamp, faults};
use crate::platform::jobs::Job;
use crate::platform::store::{Dir, Document, Filter, Index, Query, Store, StoreError, Tx};

/// As Stripe has it: a checkout can be paid for 30 minutes at least and 24 hours at most.
const LIFETIME: (Duration, Duration) = (Duration::from_secs(30 * 60), Duration::from_secs(24 * 3600));

/// How long the bank of *Pay later* thinks.
const BANK_THINKS: Duration = Duration::from_secs(5);

/// The job that would tell waits until the page itself has tried.
const TELL_AFTER: Duration = Duration::from_secs(10);

/// Where the service takes in events.
const WEBHOOK_PATH: &str = "/v1/webhooks/stripe";

/// The version of Stripe's API in whose shape the sandbox tells: the one that the crate reads.
const API_VERSION: &str = "2026-09-30.endive";

/// A button of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Press {
    Pay,
    LaterSucceeds,
    LaterFails,
}

/// How a checkout stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SandboxStatus {
    Open,
    Complete,
    Expired,
}

/// A checkout of the sandbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxCheckout {
    /// `cs_test_sandbox_…`, made from the idempotency key.
    pub id: String,
    #[serde(flatten)]
    pub request: CheckoutRequest,
    pub status: SandboxStatus,
    /// The button that completed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub press: Option<Press>,
    /// How much of what was paid has been paid back, in minor units.
    #[serde(default)]
    pub refunded: i64,
    pub created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

impl Document for SandboxCheckout {
    const COLLECTION: &'static str = "sandbox_checkouts";
    const INDEXES: &'static [Index] = &[
        Index::on("sandbox_checkouts_to_end", &["status", "expiresAt"]),
        Index::on("sandbox_checkouts_by_age", &["createdAt"]),
    ];
    fn id(&self) -> &str {
        &self.id
    }
}

/// Money that the sandbox paid back.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxRefund {
    /// `re_sandbox_…`, made from the idempotency key.
    id: String,
    #[serde(flatten)]
    request: RefundRequest,
    created_at: Timestamp,
}

impl Document for SandboxRefund {
    const COLLECTION: &'static str = "sandbox_refunds";
    fn id(&self) -> &str {
        &self.id
    }
}

/// The secret that the sandbox signs with where none is configured.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxSecret {
    id: String,
    secret: String,
    created_at: Timestamp,
}

impl Document for SandboxSecret {
    const COLLECTION: &'static str = "sandbox_secrets";
    fn id(&self) -> &str {
        &self.id
    }
}

/// What the sandbox tells about a checkout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SandboxEvent {
    Completed,
    AsyncPaymentSucceeded,
    AsyncPaymentFailed,
    Expired,
    /// Some of the money, or all of it, went back.
    Refunded,
}

impl SandboxEvent {
    /// As in Stripe's `checkout.session.…` and `charge.…`.
    fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::AsyncPaymentSucceeded => "async_payment_succeeded",
            Self::AsyncPaymentFailed => "async_payment_failed",
            Self::Expired => "expired",
            Self::Refunded => "refunded",
        }
    }
}

/// The checkout can't be paid any more.
#[derive(Debug, PartialEq, Eq)]
pub struct Over;

impl SandboxCheckout {
    fn new(request: &CheckoutRequest, now: Timestamp) -> Self {
        Self {
            id: session_id(&request.idempotency_key),
            request: request.clone(),
            status: SandboxStatus::Open,
            press: None,
            refunded: 0,
            created_at: now,
            ended_at: None,
        }
    }

    /// Whether it can be paid.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.status == SandboxStatus::Open && now < self.request.expires_at
    }

    /// Completes it; returns what is to be told, and when.
    ///
    /// # Errors
    /// [`Over`] if it is completed or expired.
    pub fn press(&mut self, press: Press, now: Timestamp) -> Result<Vec<(SandboxEvent, Timestamp)>, Over> {
        if !self.is_open(now) {
            return Err(Over);
        }
        self.status = SandboxStatus::Complete;
        self.press = Some(press);
        self.ended_at = Some(now);
        let completed = (SandboxEvent::Completed, now);
        let answer = now.plus(BANK_THINKS);
        Ok(match press {
            Press::Pay => vec![completed],
            Press::LaterSucceeds => vec![completed, (SandboxEvent::AsyncPaymentSucceeded, answer)],
            Press::LaterFails => vec![completed, (SandboxEvent::AsyncPaymentFailed, answer)],
        })
    }

    /// Ends it unpaid.
    ///
    /// # Errors
    /// [`Over`] if it is completed or expired.
    pub fn end(&mut self, now: Timestamp) -> Result<(), Over> {
        if self.status != SandboxStatus::Open {
            return Err(Over);
        }
        self.status = SandboxStatus::Expired;
        self.ended_at = Some(now);
        Ok(())
    }

    /// Pays back `amount` minor units.
    ///
    /// # Errors
    /// [`Over`] if less than that is left.
    fn give_back(&mut self, amount: i64, now: Timestamp) -> Result<(), Over> {
        let left = self.request.due().amount - self.refunded;
        if self.standing(now) != CheckoutStatus::Paid || !(1..=left).contains(&amount) {
            return Err(Over);
        }
        self.refunded += amount;
        Ok(())
    }

    fn standing(&self, now: Timestamp) -> CheckoutStatus {
        let answered = self.ended_at.is_some_and(|ended| now >= ended.plus(BANK_THINKS));
        match (self.status, self.press) {
            (SandboxStatus::Expired, _) => CheckoutStatus::Expired,
            (SandboxStatus::Open, _) => CheckoutStatus::Open,
            (SandboxStatus::Complete, Some(Press::Pay)) => CheckoutStatus::Paid,
            (SandboxStatus::Complete, Some(Press::LaterSucceeds)) if answered => CheckoutStatus::Paid,
            (SandboxStatus::Complete, Some(Press::LaterFails)) if answered => CheckoutStatus::Failed,
            (SandboxStatus::Complete, _) => CheckoutStatus::Unpaid,
        }
    }

    /// The event as Stripe writes it. The same every time, so that it can be sent again.
    fn event(&self, event: SandboxEvent) -> Value {
        let session = |event: &str, paid| (format!("checkout.session.{event}"), self.session(paid));
        let (kind, object) = match event {
            SandboxEvent::Completed => session("completed", self.press == Some(Press::Pay)),
            SandboxEvent::AsyncPaymentSucceeded => session("async_payment_succeeded", true),
            SandboxEvent::AsyncPaymentFailed => session("async_payment_failed", false),
            SandboxEvent::Expired => session("expired", false),
            SandboxEvent::Refunded => ("charge.refunded".to_owned(), self.charge()),
        };
        json!({
            "id": format!("evt_sandbox_{}", self.name_of(event)),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.ended_at.unwrap_or(self.created_at).as_secs(),
            "livemode": false,
            "pending_webhooks": 1,
            "request": { "id": null, "idempotency_key": null },
            "type": kind,
            "data": { "object": object },
        })
    }

    /// What tells this event from all others. All happen once, but refunds.
    fn name_of(&self, event: SandboxEvent) -> String {
        let name = format!("{}_{}", event.name(), self.id.trim_start_matches(SESSION_PREFIX));
        if event == SandboxEvent::Refunded { format!("{name}_{}", self.refunded) } else { name }
    }

    /// The payment's id, once there is one.
    fn intent(&self) -> Option<String> {
        self.press.map(|_| self.id.replace(SESSION_PREFIX, INTENT_PREFIX))
    }

    fn metadata(&self) -> Value {
        json!({ "orderId": self.request.order, "attempt": self.request.attempt.to_string() })
    }

    fn charge(&self) -> Value {
        let Money { amount, currency } = self.request.due();
        json!({
            "id": self.id.replace(SESSION_PREFIX, "ch_sandbox_"),
            "object": "charge",
            "amount": amount,
            "amount_refunded": self.refunded,
            "currency": currency.as_str().to_lowercase(),
            "livemode": false,
            "metadata": self.metadata(),
            "paid": true,
            "payment_intent": self.intent(),
            "refunded": self.refunded == amount,
        })
    }

    fn session(&self, paid: bool) -> Value {
        let request = &self.request;
        let Money { amount, currency } = request.due();
        let coupon = request
            .discount
            .iter()
            .map(|discount| json!({ "coupon": discount.coupon, "promotion_code": null }));
        let mut session = json!({
            "id": self.id,
            "object": "checkout.session",
            "adaptive_pricing": { "enabled": false },
            "amount_subtotal": request.price.amount,
            "amount_total": amount,
            "automatic_tax": { "enabled": false, "liability": null, "provider": null, "status": null },
            "cancel_url": request.cancel_url,
            "client_reference_id": request.order,
            "created": self.created_at.as_secs(),
            "currency": currency.as_str().to_lowercase(),
            "custom_fields": [],
            "custom_text": {
                "after_submit": null, "shipping_address": null, "submit": null,
                "terms_of_service_acceptance": null,
            },
            "customer_creation": "if_required",
            "customer_email": request.email,
            "discounts": coupon.collect::<Vec<_>>(),
            "expires_at": request.expires_at.as_secs(),
            "livemode": false,
            "metadata": self.metadata(),
            "mode": "payment",
            "payment_intent": self.intent(),
            "payment_method_collection": "if_required",
            "payment_method_options": {},
            "payment_method_types": ["card"],
            "payment_status": if paid { "paid" } else { "unpaid" },
            "phone_number_collection": { "enabled": false },
            "shipping_options": [],
            "status": match self.status {
                SandboxStatus::Open => "open",
                SandboxStatus::Complete => "complete",
                SandboxStatus::Expired => "expired",
            },
            "success_url": request.success_url,
            "total_details": {
                "amount_discount": request.price.amount - amount, "amount_shipping": 0, "amount_tax": 0,
            },
            "ui_mode": "hosted_page",
        });
        for field in WITHOUT_VALUE {
            session[field] = Value::Null;
        }
        session
    }
}

/// What else Stripe names in a checkout like ours, without a value.
const WITHOUT_VALUE: &[&str] = &[
    "after_expiration",
    "allow_promotion_codes",
    "billing_address_collection",
    "client_secret",
    "consent",
    "consent_collection",
    "currency_conversion",
    "customer",
    "customer_details",
    "invoice",
    "invoice_creation",
    "locale",
    "payment_link",
    "recovered_from",
    "setup_intent",
    "shipping_cost",
    "submit_type",
    "subscription",
    "url",
];

const SESSION_PREFIX: &str = "cs_test_sandbox_";
const INTENT_PREFIX: &str = "pi_sandbox_";
const REFUND_PREFIX: &str = "re_sandbox_";

/// An id made from an idempotency key: the same key, the same object.
fn id_of(prefix: &str, idempotency_key: &str) -> String {
    let digest = Sha256::digest(idempotency_key.as_bytes());
    let name: String = digest.iter().take(20).map(|byte| format!("{byte:02x}")).collect();
    format!("{prefix}{name}")
}

fn session_id(idempotency_key: &str) -> String {
    id_of(SESSION_PREFIX, idempotency_key)
}

/// Why a button did nothing.
#[derive(Debug, thiserror::Error)]
pub enum PressError {
    #[error("there is no such checkout")]
    Unknown,
    #[error("the checkout can't be paid any more")]
    Over(Box<SandboxCheckout>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an event was not delivered. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// Without an address: errors of the client name it.
    #[error("the webhook can't be reached")]
    Unreachable,
    #[error("the webhook answered {0}")]
    Refused(u16),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The gateway that plays Stripe.
pub struct Sandbox {
    store: Store,
    clock: Arc<dyn Clock>,
    http: reqwest::Client,
    /// All are believed, the first signs.
    secrets: Vec<Secret<String>>,
    public_url: Url,
    /// Where the service listens, once it does.
    listening: OnceLock<SocketAddr>,
}

impl Sandbox {
    /// The sandbox, with the configured webhook secrets or one of its own, which the first process makes and keeps.
    ///
    /// # Errors
    /// [`StoreError`] if the secret can't be read or kept.
    pub async fn start(
        store: Store,
        clock: Arc<dyn Clock>,
        ids: &dyn Ids,
        config: &Config,
    ) -> Result<Arc<Self>, StoreError> {
        let secrets = match &config.stripe_webhook_secrets[..] {
            [] => vec![own_secret(&store, ids, clock.now()).await?],
            configured => configured.to_vec(),
        };
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(10))
            // Less than the server keeps a connection on which nothing is asked.
            .pool_idle_timeout(Duration::from_secs(5))
            .build()
            .expect("a client without TLS and proxies needs nothing that could be missing");
        let (public_url, listening) = (config.public_url.clone(), OnceLock::new());
        Ok(Arc::new(Self { store, clock, http, secrets, public_url, listening }))
    }

    /// The secrets by which its events are believed.
    pub fn secrets(&self) -> Vec<Secret<String>> {
        self.secrets.clone()
    }

    /// Tells the sandbox where the service listens; without that it goes by the public URL. Said once.
    pub fn listening_at(&self, address: SocketAddr) {
        self.listening.get_or_init(|| address);
    }

    /// The checkout, and whether it can be paid.
    pub async fn checkout(&self, session: &str) -> Result<Option<(SandboxCheckout, bool)>, StoreError> {
        let checkout = self.store.get::<SandboxCheckout>(session).await?;
        Ok(checkout.map(|checkout| {
            let open = checkout.is_open(self.clock.now());
            (checkout, open)
        }))
    }

    /// A button of the page: marks the checkout and records the jobs that tell of it in one transaction, then
    /// tells at once.
    ///
    /// # Errors
    /// [`PressError`] if nothing was changed.
    pub async fn press(&self, session: &str, press: Press) -> Result<SandboxCheckout, PressError> {
        let now = self.clock.now();
        let checkout = self
            .store
            .transact(async |tx| {
                let mut checkout = tx.get::<SandboxCheckout>(session).await?.ok_or(PressError::Unknown)?;
                let Ok(events) = checkout.press(press, now) else {
                    return Err(PressError::Over(Box::new(checkout)));
                };
                tx.put(&checkout).await?;
                for (event, at) in events {
                    let at = if event == SandboxEvent::Completed { at.plus(TELL_AFTER) } else { at };
                    tell(&tx, &checkout, event, now, at).await?;
                }
                Ok(checkout)
            })
            .await?;
        faults::point("sandbox.after-press");
        self.tell_at_once(session).await;
        Ok(checkout)
    }

    async fn tell_at_once(&self, session: &str) {
        let event = DeliverSandboxEvent { session: session.to_owned(), event: SandboxEvent::Completed };
        let told = async {
            self.deliver(&event).await?;
            faults::point("sandbox.after-delivery");
            let done = DeliverSandboxEvent::key_of(&event.session, event.event);
            let withdrawn =
                self.store.transact(async |tx| tx.withdraw::<DeliverSandboxEvent>(&done).await).await;
            faults::point("sandbox.after-withdrawal");
            withdrawn.map_err(DeliveryError::Store)
        };
        if let Err(error) = told.await {
            tracing::warn!(session, %error, "the sandbox tells again in a moment");
        }
    }

    /// Sends one event to the webhook, signed now.
    ///
    /// # Errors
    /// [`DeliveryError`] if it wasn't taken.
    pub async fn deliver(&self, event: &DeliverSandboxEvent) -> Result<(), DeliveryError> {
        let Some(checkout) = self.store.get::<SandboxCheckout>(&event.session).await? else {
            return Ok(());
        };
        let body = checkout.event(event.event).to_string();
        let signature = sign(&body, self.secrets.first().expect("start gives one"), self.clock.now());
        let answer = self
            .http
            .post(self.webhook_url())
            .header("content-type", "application/json; charset=utf-8")
            .header("stripe-signature", signature)
            .body(body)
            .send()
            .await
            .map_err(|_| DeliveryError::Unreachable)?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(DeliveryError::Refused(status.as_u16())),
        }
    }

    fn webhook_url(&self) -> String {
        match self.listening.get() {
            Some(address) => {
                let host = match address.ip() {
                    IpAddr::V4(ip) if ip.is_unspecified() => "127.0.0.1".to_owned(),
                    IpAddr::V6(ip) if ip.is_unspecified() => "[::1]".to_owned(),
                    IpAddr::V4(ip) => ip.to_string(),
                    IpAddr::V6(ip) => format!("[{ip}]"),
                };
                format!("http://{host}:{}{WEBHOOK_PATH}", address.port())
            }
            None => format!("{}{WEBHOOK_PATH}", self.public_url.as_str().trim_end_matches('/')),
        }
    }

    /// Ends the checkouts whose time is over, and tells of each.
    ///
    /// # Errors
    /// [`StoreError`]; what has been ended by then stays ended.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        const PAGE: u32 = 200;
        loop {
            let now = self.clock.now();
            let over = Filter::eq("status", "open").and(Filter::Le("expiresAt", now.into()));
            let over = Query::new(over).sort("expiresAt", Dir::Asc).limit(PAGE);
            let over = self.store.find::<SandboxCheckout>(over).await?;
            for checkout in &over {
                self.end(&checkout.id, now).await?;
            }
            if over.len() < PAGE as usize {
                return Ok(());
            }
        }
    }

    /// Whether it was open until now.
    async fn end(&self, session: &str, now: Timestamp) -> Result<bool, StoreError> {
        self.store
            .transact(async |tx| {
                let Some(mut checkout) = tx.get::<SandboxCheckout>(session).await? else {
                    return Ok(false);
                };
                if checkout.end(now).is_err() {
                    return Ok(false);
                }
                tx.put(&checkout).await?;
                tell(&tx, &checkout, SandboxEvent::Expired, now, now).await?;
                Ok(true)
            })
            .await
    }

    fn opened(&self, checkout: &SandboxCheckout) -> Checkout {
        let base = self.public_url.as_str().trim_end_matches('/');
        Checkout {
            session: checkout.id.clone(),
            order: Some(checkout.request.order.clone()),
            attempt: Some(checkout.request.attempt),
            url: Some(format!("{base}/sandbox/checkout/{}", checkout.id)),
            status: checkout.standing(self.clock.now()),
            money: Some(checkout.request.due()),
            intent: checkout.intent(),
        }
    }

    async fn refunded_before(&self, refund: &SandboxRefund) -> Result<Refund, GatewayError> {
        match self.store.get::<SandboxRefund>(&refund.id).await {
            Ok(Some(kept)) if kept.request == refund.request => Ok(Refund { id: kept.id }),
            Ok(Some(_)) => Err(GatewayError::Refused("the key was used with other parameters".into())),
            Ok(None) => Err(GatewayError::Unavailable("the refund is there and can't be read".into())),
            Err(error) => Err(GatewayError::Unavailable(error.to_string())),
        }
    }

    async fn opened_before(&self, request: &CheckoutRequest) -> Result<Option<Checkout>, GatewayError> {
        match self.store.get::<SandboxCheckout>(&session_id(&request.idempotency_key)).await {
            Ok(None) => Ok(None),
            Ok(Some(kept)) if kept.request == *request => Ok(Some(self.opened(&kept))),
            Ok(Some(_)) => Err(GatewayError::Refused("the key was used with other parameters".into())),
            Err(error) => Err(GatewayError::Unavailable(error.to_string())),
        }
    }
}

#[async_trait]
impl Gateway for Sandbox {
    async fn open(&self, request: &CheckoutRequest) -> Result<Checkout, GatewayError> {
        let now = self.clock.now();
        let lifetime = request.expires_at.since(now);
        if lifetime < LIFETIME.0 || lifetime > LIFETIME.1 {
            let too_near = || GatewayError::Refused("it must expire in 30 minutes to 24 hours".into());
            return self.opened_before(request).await?.ok_or_else(too_near);
        }
        let checkout = SandboxCheckout::new(request, now);
        match self.store.insert(&checkout).await {
            Ok(()) => Ok(self.opened(&checkout)),
            Err(StoreError::Duplicate { .. }) => {
                let lost = || GatewayError::Unavailable("the checkout is there and can't be read".into());
                self.opened_before(request).await?.ok_or_else(lost)
            }
            Err(error) => Err(GatewayError::Unavailable(error.to_string())),
        }
    }

    async fn retrieve(&self, session: &str) -> Result<Option<Checkout>, GatewayError> {
        let checkout = self.store.get::<SandboxCheckout>(session).await;
        let checkout = checkout.map_err(|error| GatewayError::Unavailable(error.to_string()))?;
        Ok(checkout.map(|checkout| self.opened(&checkout)))
    }

    async fn expire(&self, session: &str) -> Result<(), GatewayError> {
        match self.end(session, self.clock.now()).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(GatewayError::Refused("only an open checkout can be expired".into())),
            Err(error) => Err(GatewayError::Unavailable(error.to_string())),
        }
    }

    async fn refund(&self, request: &RefundRequest) -> Result<Refund, GatewayError> {
        let now = self.clock.now();
        let session = request.intent.replace(INTENT_PREFIX, SESSION_PREFIX);
        let id = id_of(REFUND_PREFIX, &request.idempotency_key);
        let refund = SandboxRefund { id, request: request.clone(), created_at: now };
        let made = self
            .store
            .transact(async |tx| {
                tx.insert(&refund).await?;
                let checkout = tx.get::<SandboxCheckout>(&session).await?;
                let mut checkout = checkout.ok_or(PressError::Unknown)?;
                if checkout.give_back(refund.request.amount.amount, now).is_err() {
                    return Err(PressError::Over(Box::new(checkout)));
                }
                tx.put(&checkout).await?;
                tell(&tx, &checkout, SandboxEvent::Refunded, now, now).await?;
                Ok(())
            })
            .await;
        match made {
            Ok(()) => Ok(Refund { id: refund.id }),
            Err(PressError::Unknown) => Err(GatewayError::Refused("there is no such payment".into())),
            Err(PressError::Over(_)) => Err(GatewayError::Refused("there is not so much left".into())),
            Err(PressError::Store(StoreError::Duplicate { .. })) => self.refunded_before(&refund).await,
            Err(PressError::Store(error)) => Err(GatewayError::Unavailable(error.to_string())),
        }
    }

    async fn list(&self, since: Timestamp, after: Option<&str>) -> Result<CheckoutPage, GatewayError> {
        const PAGE: u32 = 100;
        let away = |error: StoreError| GatewayError::Unavailable(error.to_string());
        let made_since = Filter::range("createdAt", Some(since.into()), None);
        let mut query = Query::new(made_since).sort("createdAt", Dir::Desc).limit(PAGE + 1);
        if let Some(after) = after {
            let last = self.store.get::<SandboxCheckout>(after).await.map_err(away)?;
            let last = last.ok_or_else(|| GatewayError::Refused("there is no such checkout".into()))?;
            query = query.after(vec![last.created_at.into(), last.id.as_str().into()]);
        }
        let mut found = self.store.find::<SandboxCheckout>(query).await.map_err(away)?;
        let more = found.len() > PAGE as usize;
        found.truncate(PAGE as usize);
        let next = found.last().filter(|_| more).map(|last| last.id.clone());
        Ok(CheckoutPage { items: found.iter().map(|checkout| self.opened(checkout)).collect(), next })
    }

    async fn check(&self) -> Result<(), GatewayError> {
        Ok(())
    }
}

async fn tell(
    tx: &Tx,
    checkout: &SandboxCheckout,
    event: SandboxEvent,
    now: Timestamp,
    at: Timestamp,
) -> Result<(), StoreError> {
    let deliver = DeliverSandboxEvent { session: checkout.id.clone(), event };
    tx.enqueue(&Job::new(format!("sandbox:{}", checkout.name_of(event)), &deliver, now).at(at)).await
}

async fn own_secret(store: &Store, ids: &dyn Ids, now: Timestamp) -> Result<Secret<String>, StoreError> {
    const ID: &str = "webhook";
    let secret = format!("{SANDBOX_SECRET}{}", URL_SAFE_NO_PAD.encode(ids.secret()));
    let made = SandboxSecret { id: ID.into(), secret, created_at: now };
    match store.insert(&made).await {
        Ok(()) | Err(StoreError::Duplicate { .. }) => {}
        Err(error) => return Err(error),
    }
    let kept = store.get::<SandboxSecret>(ID).await?;
    kept.map(|kept| Secret::new(kept.secret))
        .ok_or_else(|| StoreError::Failed("the sandbox's secret was just kept and is gone".into()))
}

#[cfg(test)]
mod tests {
    use stripe_webhook::{EventObject, Webhook as Crate};

    use super::*;

    fn time(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    fn checkout() -> SandboxCheckout {
        let request = CheckoutRequest {
            idempotency_key: "o:1".into(),
            order: "o".into(),
            attempt: 1,
            product_name: "Orientation ticket".into(),
            price: Money { amount: 13_000, currency: "CAD".to_owned().try_into().unwrap() },
            price_id: None,
            discount: None,
            email: crate::kernel::EmailAddress::parse("ana@example.org").unwrap(),
            expires_at: time(86_340),
            success_url: "http://127.0.0.1:3000/checkout/done?order=o".into(),
            cancel_url: "http://127.0.0.1:3000/checkout/back?order=o".into(),
        };
        SandboxCheckout::new(&request, time(0))
    }

    /// What Stripe's own crate makes of the event.
    fn read(checkout: &SandboxCheckout, event: SandboxEvent) -> EventObject {
        let secret = Secret::new("whsec_sandbox_x".to_owned());
        let body = checkout.event(event).to_string();
        let header = sign(&body, &secret, time(5));
        Crate::construct_event_with_timestamp(&body, &header, secret.expose(), 5).unwrap().data.object
    }

    #[test]
    fn events_have_the_shape_of_stripe_s() {
        let mut checkout = checkout();
        checkout.press(Press::LaterSucceeds, time(3)).unwrap();
        let EventObject::CheckoutSessionCompleted(session) = read(&checkout, SandboxEvent::Completed) else {
            panic!("another event");
        };
        assert_eq!(session.payment_status.as_str(), "unpaid");
        assert_eq!((session.amount_total, session.livemode), (Some(13_000), false));
        assert_eq!(session.metadata.unwrap()["orderId"], "o");
        let succeeded = read(&checkout, SandboxEvent::AsyncPaymentSucceeded);
        assert!(matches!(succeeded, EventObject::CheckoutSessionAsyncPaymentSucceeded(s)
            if s.payment_status.as_str() == "paid"));
        let failed = read(&checkout, SandboxEvent::AsyncPaymentFailed);
        assert!(matches!(failed, EventObject::CheckoutSessionAsyncPaymentFailed(_)));
        let expired = read(&checkout, SandboxEvent::Expired);
        assert!(matches!(expired, EventObject::CheckoutSessionExpired(_)));
    }

    #[test]
    fn the_shape_is_of_the_version_that_the_crate_reads() {
        let secret = Secret::new("whsec_sandbox_x".to_owned());
        let body = checkout().event(SandboxEvent::Expired).to_string();
        let header = sign(&body, &secret, time(5));
        let event = Crate::construct_event_with_timestamp(&body, &header, secret.expose(), 5).unwrap();
        let version = format!("{:?}", event.api_version.unwrap());
        assert!(!version.contains("Unknown"), "{version}");
    }

    #[test]
    fn a_checkout_is_paid_once_and_only_in_time() {
        let mut once = checkout();
        assert_eq!(once.press(Press::Pay, time(3)), Ok(vec![(SandboxEvent::Completed, time(3))]));
        assert_eq!(once.press(Press::Pay, time(4)), Err(Over));
        assert_eq!(once.end(time(5)), Err(Over));
        assert_eq!(once.standing(time(5)), CheckoutStatus::Paid);
        let mut late = checkout();
        assert_eq!(late.press(Press::Pay, time(86_340)), Err(Over));
        assert_eq!(late.end(time(86_340)), Ok(()));
        assert_eq!(late.standing(time(86_341)), CheckoutStatus::Expired);
    }

    #[test]
    fn the_bank_of_pay_later_takes_its_time() {
        for (press, event, status) in [
            (Press::LaterSucceeds, SandboxEvent::AsyncPaymentSucceeded, CheckoutStatus::Paid),
            (Press::LaterFails, SandboxEvent::AsyncPaymentFailed, CheckoutStatus::Failed),
        ] {
            let mut checkout = checkout();
            let told = checkout.press(press, time(3)).unwrap();
            assert_eq!(told, [(SandboxEvent::Completed, time(3)), (event, time(8))]);
            assert_eq!(checkout.standing(time(7)), CheckoutStatus::Unpaid);
            assert_eq!(checkout.standing(time(8)), status);
        }
    }
}
