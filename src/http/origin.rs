//! Origins whose pages may send requests that change something.

use poem::Request;
use poem::http::header::{self, HeaderName, HeaderValue};
use poem::http::{HeaderMap, Method};
use url::{Host, Url};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a request with this method can change something.
pub(super) fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

/// Our own origins: that of the public URL and that of the frontend.
pub(super) struct Origins {
    public: Url,
    own: String,
    frontend: Option<HeaderValue>,
}

impl Origins {
    pub(super) fn new(public: &Url, frontend: Option<&Url>) -> Self {
        let own = public.origin().ascii_serialization();
        let frontend = frontend.map(|url| url.origin().ascii_serialization()).filter(|origin| *origin != own);
        let frontend = frontend.and_then(|origin| HeaderValue::from_str(&origin).ok());
        Self { public: public.clone(), own, frontend }
    }

    /// Origin of the frontend, if it isn't the service's.
    pub(super) fn frontend(&self) -> Option<&HeaderValue> {
        self.frontend.as_ref()
    }

    /// Whether the request comes from the frontend, which may read the responses.
    pub(super) fn is_frontend(&self, headers: &HeaderMap) -> bool {
        self.frontend.is_some() && headers.get(header::ORIGIN) == self.frontend.as_ref()
    }

    /// Whether a page of another origin sent the request, by `Origin` or else `Sec-Fetch-Site`. Without either, the client
    /// isn't a browser.
    pub(super) fn is_foreign(&self, headers: &HeaderMap) -> bool {
        match (headers.get(header::ORIGIN), headers.get(SEC_FETCH_SITE)) {
            (Some(origin), _) => origin != self.own.as_str() && !self.is_frontend(headers),
            (None, Some(site)) => site != "same-origin" && site != "none",
            (None, None) => false,
        }
    }

    /// Whether a service with a loopback public URL is requested under another host name. This protects the outbox from DNS
    /// rebinding: a page of another site whose name resolves to this machine.
    pub(super) fn is_misdirected(&self, headers: &HeaderMap) -> bool {
        let Some(asked) = self.public.host().filter(is_loopback).and(headers.get(header::HOST)) else {
            return false;
        };
        let asked = asked.to_str().ok().and_then(|host| Url::parse(&format!("http://{host}/")).ok());
        !asked.as_ref().and_then(Url::host).is_some_and(|host| is_loopback(&host))
    }

    /// The URL to redirect to, if a page is requested under another loopback name than the public URL's. The session cookie
    /// belongs to that one name.
    pub(super) fn own_name(&self, request: &Request) -> Option<String> {
        let wants_page = request.method() == Method::GET
            && request.header(header::ACCEPT).is_some_and(|accept| accept.contains("text/html"));
        if !wants_page || !is_loopback(&self.public.host()?) {
            return None;
        }
        let asked = Url::parse(&format!("http://{}/", request.header(header::HOST)?)).ok()?;
        let other_name = is_loopback(&asked.host()?)
            && asked.host() != self.public.host()
            && asked.port_or_known_default() == self.public.port_or_known_default();
        let path = request.uri().path_and_query()?;
        other_name.then(|| format!("{}{path}", self.own))
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn origins() -> Origins {
        let frontend = url("https://www.example.edu/app");
        Origins::new(&url("https://api.example.edu"), Some(&frontend))
    }

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn pages_of_other_origins_are_foreign() {
        for ours in ["https://api.example.edu", "https://www.example.edu"] {
            assert!(!origins().is_foreign(&headers(header::ORIGIN, ours)), "{ours}");
        }
        for foreign in
            ["null", "https://evil.example", "http://api.example.edu", "https://api.example.edu:444"]
        {
            assert!(origins().is_foreign(&headers(header::ORIGIN, foreign)), "{foreign}");
        }
    }

    #[test]
    fn sec_fetch_site_counts_where_origin_is_missing() {
        assert!(!origins().is_foreign(&HeaderMap::new()));
        assert!(!origins().is_foreign(&headers(SEC_FETCH_SITE, "same-origin")));
        for site in ["cross-site", "same-site", "nonsense"] {
            assert!(origins().is_foreign(&headers(SEC_FETCH_SITE, site)), "{site}");
        }
    }

    #[test]
    fn a_loopback_service_accepts_loopback_names_only() {
        let here = Origins::new(&url("http://127.0.0.1:3000"), None);
        for host in ["127.0.0.1:3000", "localhost:8080", "[::1]"] {
            assert!(!here.is_misdirected(&headers(header::HOST, host)), "{host}");
        }
        for host in ["evil.example:3000", "10.0.0.1", "not a host"] {
            assert!(here.is_misdirected(&headers(header::HOST, host)), "{host}");
            assert!(!origins().is_misdirected(&headers(header::HOST, host)), "{host}");
        }
    }

    #[test]
    fn pages_under_another_loopback_name_are_redirected() {
        let origins = Origins::new(&url("http://127.0.0.1:3000"), None);
        let ask = |host: &str, accept: &str| {
            let request = Request::builder().uri_str("/confirm?token=a.b").header("host", host);
            origins.own_name(&request.header("accept", accept).finish())
        };
        let ours = Some("http://127.0.0.1:3000/confirm?token=a.b".to_owned());
        assert_eq!(ask("localhost:3000", "text/html,*/*"), ours);
        assert_eq!(ask("[::1]:3000", "text/html"), ours);
        assert_eq!(ask("127.0.0.1:3000", "text/html"), None);
        assert_eq!(ask("localhost:8080", "text/html"), None);
        assert_eq!(ask("localhost:3000", "*/*"), None);
        assert_eq!(ask("evil.example:3000", "text/html"), None);
        assert_eq!(ask("::not a host::", "text/html"), None);
    }
}
