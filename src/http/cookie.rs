//! The session cookie.

use std::time::Duration;

use poem::http::{HeaderMap, header};
use url::Url;

/// What the document calls the cookie; under https it bears the prefix `__Host-` on the wire.
pub(super) const NAME: &str = "orientation_session";
const HOST_NAME: &str = "__Host-orientation_session";

/// How the session cookie is called and sent, which the public URL decides: under https browsers hold it to this
/// host and to encrypted connections (`__Host-`, `Secure`), and no other is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionCookie {
    secure: bool,
}

impl SessionCookie {
    /// The cookie of a service that is reached at `public_url`.
    pub fn new(public_url: &Url) -> Self {
        Self { secure: public_url.scheme() == "https" }
    }

    /// The one name that is set and accepted.
    pub fn name(self) -> &'static str {
        if self.secure { HOST_NAME } else { NAME }
    }

    /// The value of a `Set-Cookie` header that gives `value` (letters, digits, `-`, `_`, `.`) to the browser for
    /// `lifetime`.
    pub fn set(self, value: &str, lifetime: Duration) -> String {
        let (name, secure) = (self.name(), if self.secure { "; Secure" } else { "" });
        let seconds = lifetime.as_secs();
        format!("{name}={value}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Lax{secure}")
    }

    /// The value of a `Set-Cookie` header that takes it away again.
    pub fn clear(self) -> String {
        self.set("", Duration::ZERO)
    }

    /// What the browser sent. Of several only the first counts.
    pub(super) fn of(self, headers: &HeaderMap) -> Option<&str> {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(name, value)| (name == self.name() && !value.is_empty()).then_some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie(url: &str) -> SessionCookie {
        SessionCookie::new(&Url::parse(url).unwrap())
    }

    fn headers(cookies: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::COOKIE, cookies.parse().unwrap())])
    }

    #[test]
    fn under_https_only_the_cookie_that_browsers_protect_is_accepted() {
        let secure = cookie("https://orientation.example.edu");
        assert_eq!(secure.of(&headers("orientation_session=planted")), None);
        let both = headers("a=b; orientation_session=planted; __Host-orientation_session=real");
        assert_eq!(secure.of(&both), Some("real"));
    }

    #[test]
    fn it_is_set_and_cleared_with_every_protection() {
        let set = cookie("https://orientation.example.edu").set("abc", Duration::from_secs(60));
        let expected = "__Host-orientation_session=abc; Max-Age=60; Path=/; HttpOnly; SameSite=Lax; Secure";
        assert_eq!(set, expected);
        let clear = cookie("http://127.0.0.1:3000").clear();
        assert_eq!(clear, "orientation_session=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn an_empty_cookie_is_none() {
        assert_eq!(cookie("http://localhost").of(&headers("orientation_session=")), None);
        assert_eq!(cookie("http://localhost").of(&headers(";;; =; x")), None);
    }
}
