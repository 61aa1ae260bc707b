//! From which pages a browser may change something here.

use poem::Request;
use poem::http::header::{self, HeaderName, HeaderValue};
use poem::http::{HeaderMap, Method};
use url::{Host, Url};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether the request is of the kind that changes something.
pub(super) fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

/// The origins that are ours: the public URL's and the frontend's.
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

    /// The frontend's origin, where it is another than the service's own.
    pub(super) fn frontend(&self) -> Option<&HeaderValue> {
        self.frontend.as_ref()
    }

    /// Whether the request comes from the frontend, which may read the answers.
    pub(super) fn is_frontend(&self, headers: &HeaderMap) -> bool {
        self.frontend.is_some() && headers.get(header::ORIGIN) == self.frontend.as_ref()
    }

    /// Whether a page that is not ours sent the request: by `Origin`, else by `Sec-Fetch-Site`. With neither it
    /// was no browser.
    pub(super) fn is_foreign(&self, headers: &HeaderMap) -> bool {
        match (headers.get(header::ORIGIN), headers.get(SEC_FETCH_SITE)) {
            (Some(origin), _) => origin != self.own.as_str() && !self.is_frontend(headers),
            (None, Some(site)) => site != "same-origin" && site != "none",
            (None, None) => false,
        }
    }

    /// Whether a service that is reached under a name of this machine only was asked for under another: a foreign
    /// page whose name was made to lead here must not read the outbox.
    pub(super) fn is_misdirected(&self, headers: &HeaderMap) -> bool {
        let Some(asked) = self.public.host().filter(is_loopback).and(headers.get(header::HOST)) else {
            return false;
        };
        let asked = asked.to_str().ok().and_then(|host| Url::parse(&format!("http://{host}/")).ok());
        !asked.as_ref().and_then(Url::host).is_some_and(|host| is_loopback(&host))
    }

    /// Where a page is to be asked for instead, if it was asked for under another name of this machine than the
    /// public URL's: the session cookie belongs to that one name.
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
    fn only_our_own_pages_and_the_frontends_are_not_foreign() {
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
    fn without_an_origin_the_browsers_own_word_counts_and_no_browser_is_let_through() {
        assert!(!origins().is_foreign(&HeaderMap::new()));
        assert!(!origins().is_foreign(&headers(SEC_FETCH_SITE, "same-origin")));
        for site in ["cross-site", "same-site", "nonsense"] {
            assert!(origins().is_foreign(&headers(SEC_FETCH_SITE, site)), "{site}");
        }
    }

    #[test]
    fn a_service_of_this_machine_is_known_under_this_machines_names_only() {
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
    fn a_page_under_another_name_of_this_machine_is_asked_for_under_ours() {
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
