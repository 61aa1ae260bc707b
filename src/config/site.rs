//! URLs of the service and the frontend, and whether browsers treat them as one site.

use std::net::SocketAddr;

use url::{Host, Url};

/// The URL of a service that listens on `addr` of this machine.
pub(super) fn of_address(addr: SocketAddr) -> Url {
    Url::parse(&format!("http://{addr}")).expect("an IP address and a port make a URL")
}

/// Parses `https://host[:port]`.
pub(super) fn parse(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("not a URL ({e})"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("must begin with http:// or https://".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a user or a password".into());
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err("must not have a path".into());
    }
    Ok(url)
}

/// Whether only this machine can reach the URL.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

/// Whether browsers treat both as one site, so that pages of one send the `SameSite` cookies of the other: the scheme is
/// the same, and so is the host or the registrable domain (public suffix list). Ports may differ.
pub(super) fn same_site(a: &Url, b: &Url) -> bool {
    let same_host = a.host().is_some() && a.host() == b.host();
    let same_domain = registrable(a).is_some_and(|domain| registrable(b) == Some(domain));
    a.scheme() == b.scheme() && (same_host || same_domain)
}

fn registrable(url: &Url) -> Option<&str> {
    psl::domain_str(url.domain()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(a: &str, b: &str) -> bool {
        same_site(&parse(a).unwrap(), &parse(b).unwrap())
    }

    #[test]
    fn one_site_is_one_scheme_and_one_registrable_domain() {
        assert!(site("https://api.orientation.example.edu", "https://example.edu"));
        assert!(site("https://example.co.uk", "https://www.example.co.uk:8443"));
        assert!(!site("https://a.co.uk", "https://b.co.uk"));
        assert!(!site("https://a.github.io", "https://b.github.io"));
        assert!(!site("http://example.edu", "https://example.edu"));
    }

    #[test]
    fn on_this_machine_the_port_may_differ_but_not_the_host() {
        assert!(site("http://127.0.0.1:3000", "http://127.0.0.1:5173"));
        assert!(site("http://localhost:3000", "http://localhost:5173"));
        assert!(!site("http://127.0.0.1:3000", "http://localhost:5173"));
    }

    #[test]
    fn a_url_has_no_path_and_no_secrets() {
        for bad in
            ["", "example.edu", "ftp://example.edu", "https://example.edu/a", "https://u:p@example.edu"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(is_loopback(&of_address("[::1]:3000".parse().unwrap())));
        assert!(!is_loopback(&of_address("0.0.0.0:3000".parse().unwrap())));
    }
}
