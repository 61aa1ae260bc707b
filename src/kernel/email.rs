//! E-mail addresses.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Host;

use super::text;

/// An address that a letter can be sent to, as its owner wrote it.
///
/// Two addresses are the same if their [`key`](Self::key)s are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EmailAddress(String);

/// A text is not an e-mail address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("an e-mail address looks like name@example.org and has at most 254 characters")]
pub struct BadEmailAddress;

impl EmailAddress {
    /// Reads an address: white space at the ends is ignored. The rules are those of HTML's
    /// `<input type=email>`, with international letters allowed in the name and the host, a dot in the
    /// host, and RFC 5321's lengths (64 octets before the `@`, 254 in all).
    ///
    /// # Errors
    /// [`BadEmailAddress`] if it isn't one.
    pub fn parse(written: &str) -> Result<Self, BadEmailAddress> {
        let address = text::clean(written);
        let (local, host) = address.rsplit_once('@').ok_or(BadEmailAddress)?;
        let local_ok = (1..=64).contains(&local.len()) && local.chars().all(is_local);
        let host_ok = host.contains('.') && host.split('.').all(is_label) && resolvable(host).is_some();
        if local_ok && host_ok && address.len() <= 254 { Ok(Self(address)) } else { Err(BadEmailAddress) }
    }

    /// As its owner wrote it: what letters are addressed to.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As mail servers are told it: the name as its owner wrote it, the host as it is looked up.
    pub fn on_the_wire(&self) -> String {
        match self.0.rsplit_once('@').and_then(|(local, host)| Some((local, resolvable(host)?))) {
            Some((local, host)) => format!("{local}@{host}"),
            None => self.0.clone(),
        }
    }

    /// What addresses are compared by: lower case, and the host as it is looked up, so that nobody passes for
    /// several by writing one host in other letters.
    pub fn key(&self) -> String {
        let lower = self.0.to_lowercase();
        match lower.rsplit_once('@').and_then(|(local, host)| Some((local, resolvable(host)?))) {
            Some((local, host)) => format!("{local}@{host}"),
            None => lower,
        }
    }
}

/// The host as it is looked up (IDNA: other forms of a letter are that letter, what is not ASCII is encoded).
/// `None` of a number in disguise, which is no host that takes letters.
fn resolvable(host: &str) -> Option<String> {
    match Host::parse(host) {
        Ok(Host::Domain(name)) => Some(name),
        _ => None,
    }
}

fn is_local(c: char) -> bool {
    c.is_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c)
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|c| c.is_alphanumeric() || c == '-')
}

impl TryFrom<String> for EmailAddress {
    type Error = BadEmailAddress;

    fn try_from(text: String) -> Result<Self, BadEmailAddress> {
        Self::parse(&text)
    }
}

impl From<EmailAddress> for String {
    fn from(address: EmailAddress) -> Self {
        address.0
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_addresses_keep_their_letters_and_compare_without_case() {
        for good in ["Ana@Example.org", "a.b+c@mail.example.edu", "o'hara@example.org", "jörg@exämple.org"]
        {
            let address = EmailAddress::parse(&format!(" {good} ")).unwrap();
            assert_eq!(address.as_str(), good);
            assert_eq!(address.key(), good.to_lowercase().replace("exämple", "xn--exmple-cua"));
        }
    }

    #[test]
    fn one_host_has_one_key_however_it_is_written() {
        let key = |address: &str| EmailAddress::parse(address).unwrap().key();
        for same in ["ana@examp\u{217c}e.org", "ana@ｅxample.org", "Ana@EXAMPLE.org", "ana@example.ᵒrg"] {
            assert_eq!(key(same), "ana@example.org", "{same}");
        }
        assert_eq!(key("ana@Exämple.org"), key("ana@xn--exmple-cua.org"));
        assert_ne!(key("ana@ex\u{430}mple.org"), key("ana@example.org"), "a Cyrillic а is another letter");
        assert_ne!(key("ana\u{131}@example.org"), key("anai@example.org"), "so is an i without a dot");
    }

    #[test]
    fn a_server_is_told_the_host_that_it_can_look_up_and_the_name_as_it_is_written() {
        let address = EmailAddress::parse("O'Hara@Exämple.org").unwrap();
        assert_eq!(address.on_the_wire(), "O'Hara@xn--exmple-cua.org");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@example.org", "a".repeat(65));
        for bad in [
            "",
            "@",
            "a@b",
            "a@.org",
            "a@b..org",
            "a b@c.org",
            "a@b.org, c@d.org",
            "<a@b.org>",
            "a@b@c.org",
            "a@b.org\r\nBcc: c@d.org",
            "a\0@b.org",
            "a@-b.org",
            "a@127.0.0.1",
            "a@0x7f.1",
            "a@xn--a.org",
            &long,
        ] {
            assert_eq!(EmailAddress::parse(bad), Err(BadEmailAddress), "{bad}");
        }
    }
}
