//! What happens to every request, in the order in which it happens, around the operations and pages.
//!
//! One endpoint instead of a chain of boxed layers: what is done for every request is done with constant headers
//! and without locks.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use ipnet::IpNet;
use poem::endpoint::BoxEndpoint;
use poem::http::header::{self, HeaderName, HeaderValue};
use poem::http::{HeaderMap, Method, StatusCode};
use poem::{Body, Endpoint, IntoResponse, PathPattern, Request, Response};
use poem_openapi::OperationId;
use tracing::Instrument;

use super::cookie::HostCookie;
use super::origin::{self, Origins};
use super::pages::{PageLayout, reads_html};
use super::payload::Checks;
use super::problem::Problem;
use super::security::{Callers, MachineCallers, NewCookies};
use super::server::BadHost;
use super::{docs, errors, kinds, limits, metered};
use crate::platform::metrics::Operations;
use crate::platform::request::RequestContext;
use crate::platform::traces;

/// The target of the line that each request leaves in the log; `orientation::access=off` in the log's filter
/// switches it off, and with it the request id on the lines that a request causes.
pub const ACCESS_LOG: &str = "orientation::access";

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What extractors need, handed over as request data.
pub(super) struct Shared {
    pub(super) callers: Arc<dyn Callers>,
    pub(super) machines: Arc<dyn MachineCallers>,
    pub(super) cookie: HostCookie,
    pub(super) checks: Checks,
    pub(super) proxies: Vec<IpNet>,
}

impl Shared {
    /// The address of the client: the last one in `X-Forwarded-For` that is no trusted proxy, if a trusted proxy
    /// says so; else whoever is connected.
    pub(super) fn client(&self, request: &Request) -> IpAddr {
        let peer = peer(request);
        let mut client = peer;
        let lines = request.headers().get_all(FORWARDED_FOR).iter().rev();
        let addresses = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.rsplit(','));
        for address in addresses {
            if !self.trusts(client) {
                break;
            }
            let Some(address) = forwarded(address.trim()) else { break };
            client = address.to_canonical();
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|net| net.contains(&address))
    }
}

/// An address as proxies write it: some add the port, and brackets where it is one of IPv6.
fn forwarded(address: &str) -> Option<IpAddr> {
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    let with_port = || address.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.parse().ok().or_else(with_port)
}

/// Address of the connected client; the loopback address in tests without a socket.
pub(super) fn peer(request: &Request) -> IpAddr {
    let address = request.remote_addr().as_socket_addr();
    address.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip().to_canonical())
}

/// The endpoint that the server serves.
pub(super) struct Pipeline {
    pub(super) api: BoxEndpoint<'static>,
    pub(super) docs: BoxEndpoint<'static>,
    pub(super) pages: BoxEndpoint<'static>,
    /// Methods of each path of the API, by the router's pattern: for `Allow`.
    pub(super) methods: HashMap<String, HeaderValue>,
    /// Paths of messages of other services, with the most bytes of one: they may come from any origin.
    pub(super) webhooks: HashMap<String, usize>,
    /// Paths of pages whose forms may come from any origin.
    pub(super) any_origin: Vec<&'static str>,
    pub(super) page_layout: Arc<PageLayout>,
    pub(super) origins: Origins,
    pub(super) shared: Arc<Shared>,
    pub(super) headers: Headers,
    pub(super) operations: Operations,
}

impl Endpoint for Pipeline {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let flight = self.operations.begin();
        let (id, head) = (self.request_id(&request), self.head(&request));
        let trace = traces::request(head.method, || self.parent(&request));
        let (name, trace_id) = (id.to_str().unwrap_or_default(), traces::id(&trace));
        let span = tracing::info_span!(target: ACCESS_LOG, "request", id = name, trace_id);
        let context = RequestContext { id: name.to_owned(), client: Some(self.shared.client(&request)) };
        // Wrapped in place, because moving a future of this size is expensive.
        let cookies = NewCookies::default();
        let work =
            pin!(self.answer(request, &head, &cookies).map(|outcome| outcome.unwrap_or_else(errors::answer)));
        let work = context.scope(metered::collect(work));
        let (mut answer, taken) = work.instrument(trace.clone()).instrument(span).await;
        errors::add_allow(&mut answer, &self.methods);
        metered::write(&taken, answer.headers_mut());
        cookies.write(answer.headers_mut());
        self.headers.complete(&head, &self.origins, &mut answer);
        let operation = answer.data::<OperationId>().map(|operation| operation.0);
        let took = flight.answered(operation, answer.status().as_u16());
        traces::answered(&trace, route(&answer), answer.status().as_u16());
        log(name, trace_id, &head, &answer, took);
        answer.headers_mut().insert(REQUEST_ID, id);
        Ok(answer)
    }
}

/// Logs one line per request. It contains no query and no personal data.
fn log(id: &str, trace_id: Option<String>, head: &Head, answer: &Response, took: Duration) {
    tracing::info!(
        target: ACCESS_LOG,
        id,
        trace_id,
        method = head.method,
        route = route(answer),
        status = answer.status().as_u16(),
        ms = took.as_micros() as f64 / 1000.0,
    );
}

/// Facts about a request that are needed after its response.
struct Head {
    method: &'static str,
    api: bool,
    cookie: bool,
    frontend: bool,
}

impl Pipeline {
    fn head(&self, request: &Request) -> Head {
        let (path, headers) = (request.uri().path(), request.headers());
        Head {
            method: known(request.method()),
            api: path.starts_with("/v1/") || path.starts_with("/health/"),
            cookie: self.shared.cookie.of(headers).is_some(),
            frontend: self.origins.is_frontend(headers),
        }
    }

    /// The request id of a trusted proxy, or a new one.
    fn request_id(&self, request: &Request) -> HeaderValue {
        let given = request.headers().get(REQUEST_ID).filter(|id| is_sane_id(id.as_bytes()));
        match given {
            Some(id) if self.shared.trusts(peer(request)) => id.clone(),
            _ => HeaderValue::from_str(&format!("{:032x}", fastrand::u128(..))).expect("hexadecimal"),
        }
    }

    /// The parent span, if a trusted proxy sent one.
    fn parent<'a>(&self, request: &'a Request) -> Option<&'a str> {
        let parent = request.headers().get(TRACE_PARENT).filter(|_| self.shared.trusts(peer(request)))?;
        parent.to_str().ok()
    }

    async fn answer(
        &self,
        mut request: Request,
        head: &Head,
        cookies: &NewCookies,
    ) -> poem::Result<Response> {
        if let Some(answer) = self.turn_away(&request, head) {
            return Ok(answer);
        }
        if has_body(&request) {
            let limit = self.webhooks.get(request.uri().path()).copied().unwrap_or(limits::BODY);
            let for_people = !head.api && reads_html(&request);
            match Box::pin(read_body(&mut request, limit)).await {
                Err(problem) if for_people => {
                    return Ok(self.page_layout.in_place_of(problem.into_response()));
                }
                read => read?,
            }
        }
        request.set_data(self.shared.clone());
        request.set_data(cookies.clone());
        let work = pin!(self.lead(request, head));
        let guarded = AssertUnwindSafe(work).catch_unwind();
        match tokio::time::timeout(limits::REQUEST_TIME, guarded).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_panic)) => Err(errors::panicked().into()),
            Err(_elapsed) => Err(errors::took_too_long().into()),
        }
    }

    /// The response to a request that must not reach an operation or a page.
    fn turn_away(&self, request: &Request, head: &Head) -> Option<Response> {
        if request.data::<BadHost>().is_some() {
            return Some(kinds::bad_host().into_response());
        }
        if head.frontend && request.method() == Method::OPTIONS {
            return Some(StatusCode::NO_CONTENT.into());
        }
        if self.origins.is_misdirected(request.headers()) {
            return Some(kinds::misdirected().into_response());
        }
        let path = request.uri().path();
        let exempt = self.webhooks.contains_key(path) || self.any_origin.contains(&path);
        let changes = origin::changes(request.method()) && !exempt;
        if changes && head.cookie && self.origins.is_foreign(request.headers()) {
            return Some(kinds::foreign_origin().into_response());
        }
        let elsewhere = if head.api { None } else { self.origins.own_name(request) };
        elsewhere.map(|address| {
            Response::builder()
                .status(StatusCode::TEMPORARY_REDIRECT)
                .header(header::LOCATION, address)
                .finish()
        })
    }

    /// Routes the request to its operation or page.
    fn lead<'a>(
        &'a self,
        request: Request,
        head: &Head,
    ) -> impl Future<Output = poem::Result<Response>> + Send + 'a {
        let endpoint = match request.uri().path() {
            _ if head.api => &self.api,
            path if docs::is_here(path) => &self.docs,
            _ => &self.pages,
        };
        endpoint.call(request)
    }
}

/// Whether a body follows the head.
fn has_body(request: &Request) -> bool {
    let headers = request.headers();
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|bytes| bytes != "0")
}

/// Reads the whole body within its limits.
async fn read_body(request: &mut Request, limit: usize) -> Result<(), Problem> {
    let headers = request.headers();
    let declared =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let waits_to_be_asked = headers.contains_key(header::EXPECT);
    if declared.is_some_and(|bytes| bytes > limit && (waits_to_be_asked || bytes > limits::DROPPED)) {
        return Err(kinds::too_large(limit));
    }
    let reading = gather(request.take_body(), limit);
    let body = tokio::time::timeout(limits::BODY_TIME, reading).await.map_err(|_| kinds::body_too_slow())?;
    request.set_body(body?);
    Ok(())
}

/// Reads the bytes of `body`. If it is too long, the rest is read and dropped up to a limit, because a client that is cut
/// off while writing doesn't see the response.
async fn gather(body: Body, limit: usize) -> Result<Vec<u8>, Problem> {
    let mut chunks = body.into_bytes_stream();
    let (mut bytes, mut seen) = (Vec::new(), 0);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| kinds::broken_body())?;
        seen += chunk.len();
        if seen > limits::DROPPED {
            break;
        }
        if seen <= limit {
            bytes.extend_from_slice(&chunk);
        }
    }
    if seen > limit { Err(kinds::too_large(limit)) } else { Ok(bytes) }
}

/// Whether the id of a proxy consists of letters, digits and punctuation only, so that it can't forge a line of the log.
fn is_sane_id(id: &[u8]) -> bool {
    (8..=64).contains(&id.len()) && id.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

/// The method for the log. Unknown methods are not logged by name, because clients choose them.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// The operation's id or the page's path pattern, without parameters.
fn route(answer: &Response) -> &str {
    let operation = answer.data::<OperationId>().map(|operation| operation.0);
    operation.or_else(|| answer.data::<PathPattern>().map(|pattern| &*pattern.0)).unwrap_or("-")
}

/// Headers of every response.
pub(super) struct Headers {
    page_policy: HeaderValue,
    secure: bool,
}

impl Headers {
    /// `secure`: whether the service is under https. Forms of pages may redirect to the frontend.
    pub(super) fn new(origins: &Origins, secure: bool) -> Self {
        let frontend = origins.frontend().and_then(|origin| origin.to_str().ok()).unwrap_or_default();
        let policy = format!(
            "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; \
             frame-src 'self'; form-action 'self' {frontend}; base-uri 'none'; frame-ancestors 'self'"
        );
        Self { page_policy: HeaderValue::from_str(&policy).expect("an origin is plain text"), secure }
    }

    fn complete(&self, head: &Head, origins: &Origins, answer: &mut Response) {
        const API_POLICY: HeaderValue =
            HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
        const YEAR: HeaderValue = HeaderValue::from_static("max-age=31536000");
        let headers = answer.headers_mut();
        headers.reserve(8);
        let policy = if head.api { API_POLICY } else { self.page_policy.clone() };
        headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("same-origin"));
        if !headers.contains_key(header::CACHE_CONTROL) {
            headers.insert(header::CACHE_CONTROL, caching(head, headers));
        }
        if self.secure {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, YEAR);
        }
        if let Some(frontend) = origins.frontend() {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
            if head.frontend {
                allow_frontend(frontend, headers);
            }
        }
    }
}

/// Responses are not cached, except for those with an entity tag, which are revalidated.
fn caching(head: &Head, headers: &HeaderMap) -> HeaderValue {
    HeaderValue::from_static(match (headers.contains_key(header::ETAG), head.cookie) {
        (true, false) => "no-cache",
        (true, true) => "private, no-cache",
        (false, _) => "no-store",
    })
}

/// Allows pages of the frontend to send the cookie and read the response.
fn allow_frontend(frontend: &HeaderValue, headers: &mut HeaderMap) {
    let fixed = [
        (header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, PATCH, DELETE"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type, idempotency-key, if-match, if-none-match"),
        (
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            "etag, location, ratelimit, ratelimit-policy, retry-after, x-request-id",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, frontend.clone());
    headers.extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
}
