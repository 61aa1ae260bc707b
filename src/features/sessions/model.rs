//! What is remembered about the browser of a session: enough for its owner to recognise it, and no more.

use std::net::IpAddr;

/// Browsers by the part of `User-Agent` that names them. The order matters: many name others as well.
const BROWSERS: [(&str, &str); 9] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("Mozilla/", "A browser"),
];

/// Systems, likewise.
const SYSTEMS: [(&str, &str); 7] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "Mac"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
];

/// Where a session is opened from.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The client's address.
    pub client: IpAddr,
    /// What the browser calls itself.
    pub user_agent: Option<&'a str>,
    /// The token that marks a browser in which somebody has signed in before.
    pub device: Option<&'a str>,
}

impl Origin<'_> {
    /// The kind of browser, such as `Firefox on Android`. What clients send is matched, never kept.
    pub fn device_name(&self) -> String {
        let sent = self.user_agent.unwrap_or_default();
        let named = |list: &[(&str, &'static str)]| {
            list.iter().find(|(part, _)| sent.contains(part)).map(|(_, name)| *name)
        };
        match (named(&BROWSERS), named(&SYSTEMS)) {
            (Some(browser), Some(system)) => format!("{browser} on {system}"),
            (Some(browser), None) => browser.to_owned(),
            (None, _) => "Another program".to_owned(),
        }
    }

    /// The network of the client: the first 24 bits of an IPv4 address, the first 48 of an IPv6 address.
    pub fn network(&self) -> String {
        match self.client.to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                format!("{a}.{b}.{c}.0/24")
            }
            IpAddr::V6(address) => {
                let [a, b, c, ..] = address.segments();
                format!("{a:x}:{b:x}:{c:x}::/48")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(client: &str, user_agent: &str) -> (String, String) {
        let origin = Origin { client: client.parse().unwrap(), user_agent: Some(user_agent), device: None };
        (origin.device_name(), origin.network())
    }

    #[test]
    fn browsers_are_recognised_by_what_they_call_themselves() {
        let webkit = "AppleWebKit/537.36 (KHTML, like Gecko)";
        for (user_agent, name) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
            ("Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0", "Firefox on Android"),
            (
                &format!("Mozilla/5.0 (Windows NT 10.0; Win64) {webkit} Chrome/139.0 Safari/537.36"),
                "Chrome on Windows",
            ),
            (
                &format!("Mozilla/5.0 (Windows NT 10.0) {webkit} Chrome/139.0 Safari/537.36 Edg/139.0"),
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile Safari/604.1",
                "Safari on iPhone",
            ),
            ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18.0 Safari/605.1.15", "Safari on Mac"),
            ("curl/8.9.1", "Another program"),
            ("<script>alert(1)</script>", "Another program"),
            ("", "Another program"),
        ] {
            assert_eq!(from("192.0.2.1", user_agent).0, name, "{user_agent}");
        }
    }

    #[test]
    fn only_the_network_of_a_client_is_kept() {
        assert_eq!(from("192.0.2.99", "").1, "192.0.2.0/24");
        assert_eq!(from("::ffff:192.0.2.99", "").1, "192.0.2.0/24");
        assert_eq!(from("2001:db8:7:1::9", "").1, "2001:db8:7::/48");
    }
}
