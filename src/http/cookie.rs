//! Cookies.

use std::time::Duration;

use poem::http::{HeaderMap, header};
use url::Url;

/// Name of the session cookie in the OpenAPI document. Under https the name sent begins with `__Host-`.
pub(super) const NAME: &str = "orientation_session";

/// A cookie of this service. The public URL decides its name: under https browsers bind it to this host and to encrypted
/// connections (`__Host-`, `Secure`), and the plain name is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostCookie {
    name: &'static str,
    secure: bool,
}

impl HostCookie {
    /// The session cookie of a service at `public_url`.
    pub fn session(public_url: &Url) -> Self {
        Self::new(public_url, NAME, "__Host-orientation_session")
    }

    /// The cookie that tells apart the browsers in which the pages behind emailed links are open.
    pub fn browser(public_url: &Url) -> Self {
        Self::new(public_url, "orientation_browser", "__Host-orientation_browser")
    }

    /// The cookie that marks a browser in which somebody has signed in before.
    pub fn device(public_url: &Url) -> Self {
        Self::new(public_url, "orientation_device", "__Host-orientation_device")
    }

    fn new(public_url: &Url, name: &'static str, host_name: &'static str) -> Self {
        let secure = public_url.scheme() == "https";
        Self { name: if secure { host_name } else { name }, secure }
    }

    /// Name of the cookie that is set and accepted.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// The `Set-Cookie` header that sets the cookie to `value` (letters, digits, `-`, `_`, `.`) for `lifetime`.
    pub fn set(self, value: &str, lifetime: Duration) -> String {
        let (name, secure) = (self.name, if self.secure { "; Secure" } else { "" });
        let seconds = lifetime.as_secs();
        format!("{name}={value}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Lax{secure}")
    }

    /// The `Set-Cookie` header that removes the cookie.
    pub fn clear(self) -> String {
        self.set("", Duration::ZERO)
    }

    /// Value of the cookie in a request. If it occurs several times, the first counts.
    pub fn of(self, headers: &HeaderMap) -> Option<&str> {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(name, value)| (name == self.name && !value.is_empty()).then_some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie(url: &str) -> HostCookie {
        HostCookie::session(&Url::parse(url).unwrap())
    }

    fn headers(cookies: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::COOKIE, cookies.parse().unwrap())])
    }

    #[test]
    fn https_accepts_only_the_cookie_with_the_host_prefix() {
        let secure = cookie("https://orientation.example.edu");
        assert_eq!(secure.of(&headers("orientation_session=planted")), None);
        let both = headers("a=b; orientation_session=planted; __Host-orientation_session=real");
        assert_eq!(secure.of(&both), Some("real"));
        assert_eq!(HostCookie::browser(&Url::parse("https://h").unwrap()).of(&both), None);
    }

    #[test]
    fn setting_and_removing_use_all_attributes() {
        let set = cookie("https://orientation.example.edu").set("abc", Duration::from_secs(60));
        let expected = "__Host-orientation_session=abc; Max-Age=60; Path=/; HttpOnly; SameSite=Lax; Secure";
        assert_eq!(set, expected);
        let clear = cookie("http://127.0.0.1:3000").clear();
        assert_eq!(clear, "orientation_session=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn an_empty_cookie_counts_as_absent() {
        assert_eq!(cookie("http://localhost").of(&headers("orientation_session=")), None);
        assert_eq!(cookie("http://localhost").of(&headers(";;; =; x")), None);
    }
}
