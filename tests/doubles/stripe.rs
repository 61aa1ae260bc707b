//! A stateful double of the parts of Stripe that the service uses, over HTTP, with faults to inject.
//!
//! It stores checkouts, payments, refunds and idempotency keys as Stripe does, sends signed events to the endpoints
//! that it is given, and rejects what Stripe rejects. A checkout's `url` is a page with the sandbox's form (`press` is
//! `pay`, `later-succeeds`, `later-fails` or `back`), so that one test covers both.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use orientation::kernel::{Clock, Ids, RandomIds, SystemClock, Timestamp};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinHandle};

/// The accepted API key: `STRIPE_SECRET_KEY`.
pub const SECRET_KEY: &str = "sk_test_of_the_double";

/// The secret that signs its events: `STRIPE_WEBHOOK_SECRETS`.
pub const WEBHOOK_SECRET: &str = "whsec_of_the_double";

/// The path of the webhook, below the addresses that it is given.
const WEBHOOK_PATH: &str = "/v1/webhooks/stripe";

/// The version of the API that it implements.
const API_VERSION: &str = "2026-09-30.endive";

/// How long the bank behind `pay_later` takes to answer, as in the sandbox.
const BANK_THINKS: Duration = Duration::from_secs(5);

/// The shortest and longest lifetime of a checkout at Stripe, in seconds.
const LIFETIME: (i64, i64) = (30 * 60, 24 * 3600);

/// A fault of a request to the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 500 before anything was done.
    ServerError,
    /// 500 instead of the answer, after all was done; the key gives the same 500 from then on.
    ServerErrorKept,
    /// 429 before anything was done.
    TooMany,
    /// No answer, and nothing is done.
    Hang,
    /// All is done, and no answer comes.
    HangAfter,
    /// The connection is closed before anything was done.
    DropBefore,
    /// The connection is closed after all was done.
    DropAfter,
}

/// A request that reached the API, whether it failed or not.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Such as `POST /v1/refunds`.
    pub operation: String,
    pub key: Option<String>,
    /// As written in the form or query: `line_items[0][quantity]`.
    pub params: BTreeMap<String, String>,
}

/// A running double. It ends when it is dropped.
pub struct Stripe {
    inner: Arc<Inner>,
    tasks: Vec<AbortHandle>,
}

struct Inner {
    url: String,
    clock: Arc<dyn Clock>,
    http: reqwest::Client,
    state: Mutex<State>,
    /// Held while a request under an idempotency key is processed.
    keys: Mutex<()>,
    /// Number of events that no endpoint has accepted yet.
    untold: AtomicUsize,
}

#[derive(Default)]
struct State {
    /// As the API returns them; ids sort by creation time.
    sessions: BTreeMap<String, Value>,
    /// By the id of the payment intent.
    payments: HashMap<String, Payment>,
    coupons: HashMap<String, Value>,
    prices: HashMap<String, (i64, String)>,
    /// By idempotency key: what was asked, and the answer.
    kept: HashMap<String, (String, Answer)>,
    faults: VecDeque<(Fault, usize)>,
    endpoints: Vec<String>,
    turn: usize,
    withheld: Option<Vec<Value>>,
    events: Vec<Value>,
    /// When the bank answers, by session.
    banks: HashMap<String, (Timestamp, bool)>,
    seen: Vec<Seen>,
}

struct Payment {
    charge: String,
    amount: i64,
    refunded: i64,
    currency: String,
    metadata: Value,
}

type Params = BTreeMap<String, String>;

/// An event on its way to an endpoint; nothing where there is none, or where events are kept back.
type Delivery = Option<JoinHandle<()>>;

#[derive(Clone, Debug)]
struct Answer {
    status: u16,
    body: String,
}

impl Answer {
    fn ok(body: &Value) -> Self {
        Self { status: 200, body: body.to_string() }
    }

    fn refused(status: u16, kind: &str, code: &str, message: &str) -> Self {
        let error = json!({ "error": { "type": kind, "code": code, "message": message } });
        Self { status, body: error.to_string() }
    }

    fn invalid(code: &str, message: &str) -> Self {
        Self::refused(400, "invalid_request_error", code, message)
    }

    fn missing(what: &str) -> Self {
        Self::refused(404, "invalid_request_error", "resource_missing", &format!("No such {what}"))
    }

    fn server_error() -> Self {
        Self::refused(500, "api_error", "", "An unknown error occurred")
    }

    fn too_many() -> Self {
        Self::refused(429, "invalid_request_error", "rate_limit", "Request rate limit exceeded")
    }
}

impl Stripe {
    /// Starts with the machine's clock.
    pub async fn start() -> Self {
        Self::start_with(Arc::new(SystemClock)).await
    }

    /// Starts with the clock that the service uses, too.
    pub async fn start_with(clock: Arc<dyn Clock>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20));
        let http = http.pool_max_idle_per_host(0).build().expect("a client without TLS");
        let (state, untold) = (Mutex::default(), AtomicUsize::new(0));
        let inner = Arc::new(Inner { url, clock, http, state, keys: Mutex::default(), untold });
        let serving = tokio::spawn(serve(listener, inner.clone())).abort_handle();
        let ticking = tokio::spawn(tick(inner.clone())).abort_handle();
        Self { inner, tasks: vec![serving, ticking] }
    }

    /// The base of the API: `STRIPE_API_BASE`.
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    /// Adds an endpoint at this base address. Each event goes to one endpoint, in rotation, until one has accepted it.
    pub fn deliver_to(&self, service: &str) {
        let endpoint = format!("{}{WEBHOOK_PATH}", service.trim_end_matches('/'));
        self.inner.state().endpoints.push(endpoint);
    }

    /// The next `times` requests to the API fail like this, after the faults that are queued already.
    pub fn fail(&self, fault: Fault, times: usize) {
        self.inner.state().faults.push_back((fault, times));
    }

    /// No more faults.
    pub fn heal(&self) {
        self.inner.state().faults.clear();
    }

    /// Withholds events until [`release`](Self::release) or [`lose_withheld`](Self::lose_withheld).
    pub fn withhold(&self) {
        self.inner.state().withheld.get_or_insert_default();
    }

    /// Sends the withheld events.
    pub fn release(&self) {
        let kept_back = self.inner.state().withheld.take();
        kept_back.into_iter().flatten().for_each(|event| drop(self.inner.deliver(event)));
    }

    /// Drops the withheld events.
    pub fn lose_withheld(&self) {
        self.inner.state().withheld = None;
    }

    /// Sends all past events again, newest first.
    pub fn tell_again(&self) {
        let events = self.inner.state().events.clone();
        events.into_iter().rev().for_each(|event| drop(self.inner.deliver(event)));
    }

    /// Sends an event of any kind about any object; returns its id.
    pub fn tell(&self, kind: &str, object: Value) -> String {
        self.inner.happened(kind, object);
        self.events().last().map(|event| text(&event["id"])).unwrap_or_default()
    }

    /// Waits until an endpoint has accepted every due event.
    pub async fn all_delivered(&self) {
        self.inner.pass_time();
        while self.inner.untold.load(Ordering::SeqCst) > 0 {
            // There is no other sign to wait for.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Pays a checkout at once.
    ///
    /// # Errors
    /// If it is not open.
    pub fn pay(&self, session: &str) -> Result<(), String> {
        self.inner.complete(session, "pay").map(drop)
    }

    /// Completes a checkout with a bank that accepts or declines five seconds later.
    ///
    /// # Errors
    /// If it is not open.
    pub fn pay_later(&self, session: &str, succeeds: bool) -> Result<(), String> {
        self.inner.pay_later(session, succeeds).map(drop)
    }

    /// Expires an open checkout.
    ///
    /// # Errors
    /// If it is not open.
    pub fn expire(&self, session: &str) -> Result<(), String> {
        self.inner.expire(session)
    }

    /// Refunds a paid checkout in full or in part, as from Stripe's dashboard.
    ///
    /// # Errors
    /// If less than that is left.
    pub fn refund(&self, session: &str, amount: Option<i64>) -> Result<(), String> {
        let intent = self.payment_intent(session);
        let mut params = Params::from([("payment_intent".to_owned(), intent)]);
        params.extend(amount.map(|amount| ("amount".to_owned(), amount.to_string())));
        let answer = self.inner.create_refund(&params);
        if answer.status == 200 { Ok(()) } else { Err(answer.body) }
    }

    /// The payer disputes the payment of a checkout.
    pub fn dispute(&self, session: &str) {
        let intent = self.payment_intent(session);
        let dispute = {
            let state = self.inner.state();
            let payment = &state.payments[&intent];
            json!({
                "id": new_id("dp_"), "object": "dispute", "amount": payment.amount, "charge": payment.charge,
                "currency": payment.currency, "livemode": false, "metadata": {}, "payment_intent": intent,
                "reason": "fraudulent", "status": "needs_response",
            })
        };
        self.inner.happened("charge.dispute.created", dispute);
    }

    /// Adds a coupon that lowers the price by this many minor units.
    pub fn add_coupon(&self, id: &str, amount_off: i64, currency: &str) {
        let coupon = json!({ "id": id, "object": "coupon", "amount_off": amount_off,
            "currency": currency.to_lowercase(), "valid": true });
        self.inner.state().coupons.insert(id.into(), coupon);
    }

    /// Adds a price.
    pub fn add_price(&self, id: &str, amount: i64, currency: &str) {
        self.inner.state().prices.insert(id.into(), (amount, currency.to_lowercase()));
    }

    /// All checkouts as the API returns them, oldest first.
    pub fn sessions(&self) -> Vec<Value> {
        self.inner.state().sessions.values().cloned().collect()
    }

    /// All events so far.
    pub fn events(&self) -> Vec<Value> {
        self.inner.state().events.clone()
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.inner.state().seen.clone()
    }

    fn payment_intent(&self, session: &str) -> String {
        text(&self.inner.state().sessions[session]["payment_intent"])
    }
}

impl Drop for Stripe {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// The header `Stripe-Signature` as Stripe writes it.
pub fn signature(body: &str, secret: &str, at: Timestamp) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length will do");
    mac.update(format!("{}.{body}", at.as_secs()).as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={},v1={hex}", at.as_secs())
}

fn new_id(prefix: &str) -> String {
    format!("{prefix}{}", RandomIds.next().replace('-', ""))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

// Actions.

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Completes a checkout with this button of its page.
    fn complete(self: &Arc<Self>, session: &str, button: &str) -> Result<Delivery, String> {
        let object = {
            let mut guard = self.state();
            let state = &mut *guard;
            let object = state.sessions.get_mut(session).ok_or("No such checkout.session")?;
            if object["status"] != "open" || self.is_over(object) {
                return Err("This checkout is not open".into());
            }
            let intent = new_id("pi_");
            object["status"] = "complete".into();
            object["payment_status"] = if button == "pay" { "paid" } else { "unpaid" }.into();
            object["_button"] = button.into();
            object["payment_intent"] = intent.as_str().into();
            object["url"] = Value::Null;
            state.payments.insert(
                intent,
                Payment {
                    charge: new_id("ch_"),
                    amount: object["amount_total"].as_i64().unwrap_or_default(),
                    refunded: 0,
                    currency: text(&object["currency"]),
                    metadata: object["_intent_metadata"].clone(),
                },
            );
            object.clone()
        };
        Ok(self.happened("checkout.session.completed", shown(&object)))
    }

    fn pay_later(self: &Arc<Self>, session: &str, succeeds: bool) -> Result<Delivery, String> {
        let told = self.complete(session, if succeeds { "later-succeeds" } else { "later-fails" })?;
        let answers = self.clock.now().plus(BANK_THINKS);
        self.state().banks.insert(session.to_owned(), (answers, succeeds));
        Ok(told)
    }

    fn bank_answers(self: &Arc<Self>, session: &str, succeeds: bool) {
        let object = {
            let mut state = self.state();
            let object = state.sessions.get_mut(session).expect("it was completed");
            if succeeds {
                object["payment_status"] = "paid".into();
            }
            object["_refused"] = (!succeeds).into();
            object.clone()
        };
        let kind = if succeeds { "async_payment_succeeded" } else { "async_payment_failed" };
        self.happened(&format!("checkout.session.{kind}"), shown(&object));
    }

    fn expire(self: &Arc<Self>, session: &str) -> Result<(), String> {
        let object = {
            let mut state = self.state();
            let object = state.sessions.get_mut(session).ok_or("No such checkout.session")?;
            if object["status"] != "open" {
                return Err("Only Checkout Sessions with a status in [\"open\"] can be expired".into());
            }
            object["status"] = "expired".into();
            object["url"] = Value::Null;
            object.clone()
        };
        self.happened("checkout.session.expired", shown(&object));
        Ok(())
    }

    fn is_over(&self, session: &Value) -> bool {
        session["expires_at"].as_i64().is_some_and(|at| at <= self.clock.now().as_secs())
    }

    /// Does what is due by the clock: checkouts expire, banks answer.
    fn pass_time(self: &Arc<Self>) {
        let now = self.clock.now();
        let (over, banks) = {
            let mut state = self.state();
            let open = state.sessions.iter().filter(|(_, session)| session["status"] == "open");
            let over: Vec<_> =
                open.filter(|(_, session)| self.is_over(session)).map(|(id, _)| id.clone()).collect();
            let banks: Vec<_> = state.banks.extract_if(|_, (at, _)| *at <= now).collect();
            (over, banks)
        };
        for session in over {
            // It may have ended in the meantime.
            let _ = self.expire(&session);
        }
        for (session, (_, succeeds)) in banks {
            self.bank_answers(&session, succeeds);
        }
    }

    fn event(&self, kind: &str, object: Value) -> Value {
        json!({
            "id": new_id("evt_"), "object": "event", "api_version": API_VERSION,
            "created": self.clock.now().as_secs(), "data": { "object": object }, "livemode": false,
            "pending_webhooks": 1, "request": { "id": null, "idempotency_key": null }, "type": kind,
        })
    }

    fn happened(self: &Arc<Self>, kind: &str, object: Value) -> Delivery {
        let event = self.event(kind, object);
        self.state().events.push(event.clone());
        self.tell(event)
    }

    fn tell(self: &Arc<Self>, event: Value) -> Delivery {
        if let Some(withheld) = &mut self.state().withheld {
            withheld.push(event);
            return None;
        }
        self.deliver(event)
    }

    /// Sends an event to one endpoint after the other until one has accepted it.
    fn deliver(self: &Arc<Self>, event: Value) -> Delivery {
        if self.state().endpoints.is_empty() {
            return None;
        }
        self.untold.fetch_add(1, Ordering::SeqCst);
        let inner = self.clone();
        Some(tokio::spawn(async move {
            let body = event.to_string();
            let mut pause = Duration::from_millis(20);
            while !inner.taken(&body).await {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(1));
            }
            inner.untold.fetch_sub(1, Ordering::SeqCst);
        }))
    }

    async fn taken(&self, body: &str) -> bool {
        let endpoint = {
            let mut state = self.state();
            state.turn += 1;
            state.endpoints[state.turn % state.endpoints.len()].clone()
        };
        let request = self
            .http
            .post(endpoint)
            .header("content-type", "application/json; charset=utf-8")
            .header("stripe-signature", signature(body, WEBHOOK_SECRET, self.clock.now()))
            .body(body.to_owned());
        request.send().await.is_ok_and(|answer| answer.status().is_success())
    }
}

/// A checkout as the API returns it: fields that begin with `_` are the double's own.
fn shown(session: &Value) -> Value {
    let fields = session.as_object().into_iter().flatten();
    Value::Object(
        fields.filter(|(name, _)| !name.starts_with('_')).map(|(k, v)| (k.clone(), v.clone())).collect(),
    )
}

async fn tick(inner: Arc<Inner>) {
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    loop {
        ticks.tick().await;
        inner.pass_time();
    }
}

// Requests.

async fn serve(listener: TcpListener, inner: Arc<Inner>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(converse(stream, inner.clone()));
    }
}

async fn converse(stream: TcpStream, inner: Arc<Inner>) {
    let service = service_fn(|request| answer(inner.clone(), request));
    // An error is a connection that one of the two closed.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// The connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("dropped")]
struct Dropped;

async fn answer(inner: Arc<Inner>, request: Request<Incoming>) -> Result<Response<String>, Dropped> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let authorised = request.headers().get("authorization");
    let authorised = authorised.is_some_and(|key| *key == format!("Bearer {SECRET_KEY}"));
    let header = |name: &str| Some(request.headers().get(name)?.to_str().ok()?.to_owned());
    let key = header("idempotency-key");
    let query = request.uri().query().unwrap_or_default().to_owned();
    let body = read(request.into_body()).await;
    let form = if method == Method::POST { body } else { query };
    let params: Params = url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();

    if let Some(session) = path.strip_prefix("/c/pay/") {
        return Ok(inner.page(session, params.get("press").map(String::as_str)).await);
    }
    let operation = format!("{method} {path}");
    inner.state().seen.push(Seen { operation: operation.clone(), key: key.clone(), params: params.clone() });
    if !authorised {
        return Ok(respond(Answer::refused(401, "invalid_request_error", "", "Invalid API Key provided")));
    }
    let fault = inner.next_fault();
    match fault {
        Some(Fault::ServerError) => return Ok(respond(Answer::server_error())),
        Some(Fault::TooMany) => return Ok(respond(Answer::too_many())),
        Some(Fault::Hang) => return pending().await,
        Some(Fault::DropBefore) => return Err(Dropped),
        Some(Fault::ServerErrorKept | Fault::HangAfter | Fault::DropAfter) | None => {}
    }
    let answer = inner.under_key(&operation, key.as_deref(), &params, fault);
    match fault {
        Some(Fault::DropAfter) => Err(Dropped),
        Some(Fault::HangAfter) => pending().await,
        _ => Ok(respond(answer)),
    }
}

async fn read(mut body: Incoming) -> String {
    let mut bytes = vec![];
    while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        bytes.extend(frame.into_data().unwrap_or_default());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn respond(answer: Answer) -> Response<String> {
    let response = Response::builder().status(answer.status).header("content-type", "application/json");
    response.body(answer.body).expect("a status and a header")
}

impl Inner {
    fn next_fault(&self) -> Option<Fault> {
        let mut state = self.state();
        let (fault, times) = state.faults.front_mut()?;
        let fault = *fault;
        *times -= 1;
        if *times == 0 {
            state.faults.pop_front();
        }
        Some(fault)
    }

    /// The same key with the same parameters gets the same answer, with other parameters an error. An invalid request
    /// leaves the key unused.
    fn under_key(
        self: &Arc<Self>,
        operation: &str,
        key: Option<&str>,
        params: &Params,
        fault: Option<Fault>,
    ) -> Answer {
        let asked = format!("{operation} {params:?}");
        let _one_at_a_time = self.keys.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let kept = key.and_then(|key| self.state().kept.get(key).cloned());
        if let Some((before, answer)) = kept {
            return match before == asked {
                true => answer,
                false => Answer::refused(
                    400,
                    "idempotency_error",
                    "",
                    "Keys for idempotent requests can only be used with the same parameters",
                ),
            };
        }
        let done = self.carry_out(operation, params);
        let key = key.filter(|_| done.status == 200);
        let answer = if fault == Some(Fault::ServerErrorKept) { Answer::server_error() } else { done };
        if let Some(key) = key {
            self.state().kept.insert(key.to_owned(), (asked, answer.clone()));
        }
        answer
    }

    fn carry_out(self: &Arc<Self>, operation: &str, params: &Params) -> Answer {
        let parts: Vec<_> = operation.split(['/', ' ']).collect();
        match parts[..] {
            ["POST", "", "v1", "checkout", "sessions"] => self.create_session(params),
            ["GET", "", "v1", "checkout", "sessions"] => self.list_sessions(params),
            ["GET", "", "v1", "checkout", "sessions", id] => self.retrieve(id, params),
            ["POST", "", "v1", "checkout", "sessions", id, "expire"] => match self.expire(id) {
                Ok(()) => Answer::ok(&shown(&self.state().sessions[id])),
                Err(why) if why.starts_with("No such") => Answer::missing("checkout.session"),
                Err(why) => Answer::invalid("", &why),
            },
            ["POST", "", "v1", "refunds"] => self.create_refund(params),
            _ => Answer::refused(404, "invalid_request_error", "", "Unrecognized request URL"),
        }
    }

    fn create_session(&self, params: &Params) -> Answer {
        let param = |name: &str| params.get(name).cloned();
        let now = self.clock.now().as_secs();
        if param("mode").as_deref() != Some("payment") || param("success_url").is_none() {
            return Answer::invalid("parameter_missing", "mode and success_url are needed");
        }
        let expires_at = match param("expires_at").map(|at| at.parse::<i64>()) {
            None => now + LIFETIME.1,
            Some(Ok(at)) if (LIFETIME.0..=LIFETIME.1).contains(&(at - now)) => at,
            Some(_) => {
                return Answer::invalid("", "The `expires_at` timestamp must be 30 minutes to 24 hours away");
            }
        };
        let (subtotal, currency) = match self.price(params) {
            Ok(price) => price,
            Err(refused) => return refused,
        };
        let discount = match self.discount(params, &currency) {
            Ok(discount) => discount.min(subtotal),
            Err(refused) => return refused,
        };
        let id = new_id("cs_test_");
        let discounts = param("discounts[0][coupon]")
            .map_or(json!([]), |coupon| json!([{ "coupon": coupon, "promotion_code": null }]));
        let mut session = json!({
            "id": id, "object": "checkout.session", "adaptive_pricing": { "enabled": false },
            "amount_subtotal": subtotal, "amount_total": subtotal - discount,
            "automatic_tax": { "enabled": false, "liability": null, "provider": null, "status": null },
            "cancel_url": param("cancel_url"), "client_reference_id": param("client_reference_id"),
            "created": now, "currency": currency, "custom_fields": [],
            "custom_text": { "after_submit": null, "shipping_address": null, "submit": null,
                "terms_of_service_acceptance": null },
            "customer_creation": "if_required", "customer_email": param("customer_email"),
            "discounts": discounts, "expires_at": expires_at, "livemode": false,
            "metadata": inside(params, "metadata"), "mode": "payment", "payment_intent": null,
            "payment_method_collection": "if_required", "payment_method_options": {},
            "payment_method_types": ["card"], "payment_status": "unpaid",
            "phone_number_collection": { "enabled": false }, "shipping_options": [], "status": "open",
            "success_url": param("success_url"),
            "total_details": { "amount_discount": discount, "amount_shipping": 0, "amount_tax": 0 },
            "ui_mode": "hosted_page", "url": format!("{}/c/pay/{id}", self.url),
            "_intent_metadata": inside(params, "payment_intent_data[metadata]"),
        });
        for field in WITHOUT_VALUE {
            session[field] = Value::Null;
        }
        let answer = Answer::ok(&shown(&session));
        self.state().sessions.insert(id, session);
        answer
    }

    fn retrieve(&self, id: &str, params: &Params) -> Answer {
        let state = self.state();
        let Some(session) = state.sessions.get(id) else { return Answer::missing("checkout.session") };
        let mut session = session.clone();
        if params.values().any(|value| value == "payment_intent") && session["payment_intent"].is_string() {
            session["payment_intent"] = json!({
                "id": session["payment_intent"], "object": "payment_intent", "amount": session["amount_total"],
                "amount_capturable": 0, "amount_received": 0,
                "capture_method": "automatic_async", "confirmation_method": "automatic",
                "created": session["created"], "currency": session["currency"], "livemode": false,
                "metadata": session["_intent_metadata"], "payment_method_types": ["card"],
                "status": match (session["payment_status"].as_str(), session["_refused"].as_bool()) {
                    (Some("paid"), _) => "succeeded",
                    (_, Some(true)) => "requires_payment_method",
                    _ => "processing",
                },
            });
        }
        Answer::ok(&shown(&session))
    }

    /// The total price and its currency.
    fn price(&self, params: &Params) -> Result<(i64, String), Answer> {
        let param = |name: &str| params.get(&format!("line_items[0]{name}"));
        let quantity = param("[quantity]").and_then(|n| n.parse::<i64>().ok()).unwrap_or(1);
        let (amount, currency) = match (param("[price]"), param("[price_data][unit_amount]")) {
            (Some(id), _) => {
                let price = self.state().prices.get(id).cloned();
                price.ok_or_else(|| Answer::invalid("resource_missing", &format!("No such price: '{id}'")))?
            }
            (None, Some(amount)) if param("[price_data][product_data][name]").is_some() => {
                let amount =
                    amount.parse().map_err(|_| Answer::invalid("parameter_invalid_integer", "amount"))?;
                (amount, param("[price_data][currency]").cloned().unwrap_or_default())
            }
            _ => return Err(Answer::invalid("parameter_missing", "line_items are needed")),
        };
        let currency = currency.to_lowercase();
        let step = match &*currency {
            "isk" | "ugx" => 100,
            "bhd" | "jod" | "kwd" | "omr" | "tnd" => 10,
            _ => 1,
        };
        match amount % step {
            0 => Ok((amount * quantity, currency)),
            _ => Err(Answer::invalid("", &format!("Invalid amount: must be evenly divisible by {step}"))),
        }
    }

    fn discount(&self, params: &Params, currency: &str) -> Result<i64, Answer> {
        let Some(id) = params.get("discounts[0][coupon]") else { return Ok(0) };
        let state = self.state();
        let coupon = state.coupons.get(id);
        let coupon =
            coupon.ok_or_else(|| Answer::invalid("resource_missing", &format!("No such coupon: '{id}'")))?;
        if coupon["currency"] != *currency {
            return Err(Answer::invalid("", "The coupon is of another currency"));
        }
        Ok(coupon["amount_off"].as_i64().unwrap_or_default())
    }

    /// Newest first, as at Stripe.
    fn list_sessions(&self, params: &Params) -> Answer {
        let limit = params.get("limit").map_or(Ok(10), |limit| limit.parse::<usize>());
        let Some(limit) = limit.ok().filter(|limit| (1..=100).contains(limit)) else {
            return Answer::invalid("parameter_invalid_integer", "limit is 1 to 100");
        };
        let bound =
            |name: &str| params.get(&format!("created[{name}]")).and_then(|at| at.parse::<i64>().ok());
        let (from, to) = (bound("gte").unwrap_or(i64::MIN), bound("lte").unwrap_or(i64::MAX));
        let state = self.state();
        let after = params.get("starting_after");
        if after.is_some_and(|after| !state.sessions.contains_key(after)) {
            return Answer::invalid("resource_missing", "starting_after is no checkout");
        }
        let found: Vec<_> = state
            .sessions
            .iter()
            .rev()
            .filter(|(id, _)| after.is_none_or(|after| *id < after))
            .map(|(_, session)| session)
            .filter(|session| session["created"].as_i64().is_some_and(|at| (from..=to).contains(&at)))
            .filter(|session| params.get("status").is_none_or(|status| session["status"] == **status))
            .take(limit + 1)
            .map(shown)
            .collect();
        let page = &found[..found.len().min(limit)];
        Answer::ok(&json!({ "object": "list", "data": page, "has_more": found.len() > limit,
            "url": "/v1/checkout/sessions" }))
    }

    fn create_refund(self: &Arc<Self>, params: &Params) -> Answer {
        let intent = params.get("payment_intent").cloned().unwrap_or_default();
        let now = self.clock.now().as_secs();
        let (refund, charge) = {
            let mut state = self.state();
            let Some(payment) = state.payments.get_mut(&intent) else {
                return Answer::missing("payment_intent");
            };
            let left = payment.amount - payment.refunded;
            let amount = params.get("amount").and_then(|amount| amount.parse().ok()).unwrap_or(left);
            if left == 0 {
                return Answer::invalid("charge_already_refunded", "The charge has already been refunded");
            }
            if !(1..=left).contains(&amount) {
                return Answer::invalid("", "The refund is greater than what is left");
            }
            payment.refunded += amount;
            let refund = json!({
                "id": new_id("re_"), "object": "refund", "amount": amount, "balance_transaction": null,
                "charge": payment.charge, "created": now, "currency": payment.currency,
                "metadata": inside(params, "metadata"), "payment_intent": intent,
                "reason": params.get("reason"), "receipt_number": null, "source_transfer_reversal": null,
                "status": "succeeded", "transfer_reversal": null,
            });
            let charge = json!({
                "id": payment.charge, "object": "charge", "amount": payment.amount,
                "amount_refunded": payment.refunded, "currency": payment.currency, "livemode": false,
                "metadata": payment.metadata, "paid": true, "payment_intent": intent,
                "refunded": payment.refunded == payment.amount, "status": "succeeded",
            });
            (refund, charge)
        };
        self.happened("refund.created", refund.clone());
        self.happened("charge.refunded", charge);
        Answer::ok(&refund)
    }

    /// The page where a student pays. Like Stripe, it waits a moment for the endpoint before it redirects.
    async fn page(self: &Arc<Self>, session: &str, press: Option<&str>) -> Response<String> {
        let Some(checkout) = self.state().sessions.get(session).cloned() else {
            return html(404, "<p>Something went wrong</p>".into());
        };
        let pressed = match press {
            None => return html(200, page_of(&checkout)),
            Some("back") => return see(&text(&checkout["cancel_url"])),
            Some("pay") => self.complete(session, "pay"),
            Some("later-succeeds") => self.pay_later(session, true),
            Some("later-fails") => self.pay_later(session, false),
            Some(_) => return html(400, "<p>There is no such button</p>".into()),
        };
        match pressed {
            // A double click shows what the first press achieved.
            Err(_) if press.is_some_and(|press| self.state().sessions[session]["_button"] == press) => {}
            Err(why) => return html(409, format!("<p>{why}</p>")),
            Ok(Some(told)) => drop(tokio::time::timeout(Duration::from_secs(5), told).await),
            Ok(None) => {}
        }
        see(&text(&checkout["success_url"]))
    }
}

/// The parameters `prefix[name]`.
fn inside(params: &Params, prefix: &str) -> Value {
    let name = |key: &str| Some(key.strip_prefix(prefix)?.strip_prefix('[')?.strip_suffix(']')?.to_owned());
    params.iter().filter_map(|(key, value)| Some((name(key)?, Value::from(value.as_str())))).collect()
}

fn page_of(checkout: &Value) -> String {
    if checkout["status"] != "open" {
        return "<p>You're all done here</p>".into();
    }
    let button = |press| {
        format!("<form method=\"post\"><button name=\"press\" value=\"{press}\">{press}</button></form>")
    };
    ["pay", "later-succeeds", "later-fails", "back"].map(button).concat()
}

fn html(status: u16, body: String) -> Response<String> {
    let response = Response::builder().status(status).header("content-type", "text/html; charset=utf-8");
    response.body(body).expect("a status and a header")
}

fn see(address: &str) -> Response<String> {
    let response = Response::builder().status(303).header("location", address);
    response.body(String::new()).expect("addresses are checked when a checkout is made")
}

/// Fields of Stripe's checkout session that are always null here.
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
];
