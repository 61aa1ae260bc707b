//! Assembles the API: operations, the OpenAPI document, Swagger UI, and the pages of the features.

use std::collections::HashMap;
use std::sync::Arc;

use ipnet::IpNet;
use poem::http::{HeaderValue, Method};
use poem::{Endpoint, EndpointExt, IntoEndpoint, Response};
use poem_openapi::{ContactObject, LicenseObject, OpenApi, OpenApiService};
use url::Url;

use super::cookie::HostCookie;
use super::merged::Merged;
use super::origin::Origins;
use super::pages::PageLayout;
use super::payload::{Checks, Rule};
use super::pipeline::{Headers, Pipeline, Shared};
use super::security::{Callers, MachineCallers};
use super::spec::Document;
use super::{docs, errors};
use crate::platform::metrics::Requests;

/// What the API needs from the rest of the system.
pub struct ApiParts {
    /// Public URL of the service.
    pub public_url: Url,
    /// Origin of the frontend, if it isn't the service's. Its pages may send the session cookie.
    pub frontend_url: Option<Url>,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// Finds the account behind a session cookie.
    pub callers: Arc<dyn Callers>,
    /// Finds the machine behind a bearer key.
    pub machines: Arc<dyn MachineCallers>,
    /// Rules of the features on request bodies.
    pub rules: Vec<Rule>,
    /// Paths of pages whose forms may be sent from any origin: they do nothing by the session.
    pub any_origin: Vec<&'static str>,
    /// Layout of pages, for requests that never reach one.
    pub page_layout: Arc<PageLayout>,
}

/// The API: operations and pages.
pub struct Api {
    document: Document,
    frame: Pipeline,
}

impl Api {
    /// The operations of `controllers` (a controller, or a tuple of up to sixteen of them; tuples nest), and `pages`
    /// for every path outside `/v1/`, `/health/`, `/docs` and `/openapi.json`.
    ///
    /// # Panics
    /// If two operations have the same path and method, or the same id. The first start shows the mistake.
    pub fn new<C, P>(controllers: C, pages: P, parts: ApiParts) -> Self
    where
        C: OpenApi + 'static,
        P: IntoEndpoint,
        P::Endpoint: 'static,
    {
        let service = service(controllers);
        let document = Document::new(&service.spec());
        assert_eq!(document.operations().len(), operations::<C>(), "two operations have one path and method");
        let origins = Origins::new(&parts.public_url, parts.frontend_url.as_ref());
        let headers = Headers::new(&origins, parts.public_url.scheme() == "https");
        let shared = Shared {
            callers: parts.callers,
            machines: parts.machines,
            cookie: HostCookie::session(&parts.public_url),
            checks: Checks::new(&document, parts.rules),
            proxies: parts.trusted_proxies,
        };
        let frame = Pipeline {
            api: service.into_endpoint(),
            docs: docs::route(&document).boxed(),
            pages: pages.map_to_response().boxed(),
            methods: methods(&document),
            webhooks: document.webhooks(),
            any_origin: parts.any_origin,
            page_layout: parts.page_layout,
            origins,
            shared: Arc::new(shared),
            headers,
            operations: Requests::default().of([]),
        };
        Self { document, frame }
    }

    /// Sets the metrics that count the requests.
    pub fn counted_by(mut self, requests: &Requests) -> Self {
        self.frame.operations = requests.of(self.document.operations().iter().map(|operation| operation.id));
        self
    }

    /// The document that `/openapi.json` serves and `orientation openapi` writes.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The endpoint that the server serves.
    pub fn into_endpoint(self) -> impl Endpoint<Output = Response> + 'static {
        self.frame
    }
}

fn service<C: OpenApi>(controllers: C) -> OpenApiService<Merged<C>, ()> {
    let license = LicenseObject::new("MIT OR Apache-2.0").url("https://www.apache.org/licenses/LICENSE-2.0");
    let description = "The backend of a university's orientation week: people sign up and confirm their address, \
        submit the registration form, are put into a group, pay for their ticket and receive it by email.\n\n\
        Signing in sets a session cookie; machines send an API key. Every refusal is a problem (RFC 9457) whose `type` never changes; \
        a problem of type `/problems/invalid` lists all validation errors of the body.";
    OpenApiService::new(Merged(controllers), "Orientation", env!("CARGO_PKG_VERSION"))
        .description(description)
        .license(license)
        .contact(ContactObject::new().name("The orientation committee"))
        .server("/")
}

/// Number of operations of the controllers. It differs from the document's if two have the same path and method.
fn operations<C: OpenApi>() -> usize {
    C::meta().iter().flat_map(|api| &api.paths).map(|path| path.operations.len()).sum()
}

/// Value of `Allow` for each path, by the router's pattern.
fn methods(document: &Document) -> HashMap<String, HeaderValue> {
    let mut methods: HashMap<String, Vec<Method>> = HashMap::new();
    for operation in document.operations() {
        let pattern = router_pattern(operation.path);
        methods.entry(pattern).or_default().extend(operation.method.parse::<Method>());
    }
    methods.into_iter().map(|(pattern, methods)| (pattern, errors::allow(methods))).collect()
}

/// The framework's route pattern of a path in the document. It numbers parameters: `/v1/orders/{orderId}` is
/// `/v1/orders/:param0`.
fn router_pattern(path: &str) -> String {
    let mut parameters = 0;
    let segment = |segment: &str| {
        if !segment.starts_with('{') {
            return segment.to_owned();
        }
        parameters += 1;
        format!(":param{}", parameters - 1)
    };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}
