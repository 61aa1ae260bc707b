//! E-mail addresses.

use std::fmt;

use serde::{Deserialize, Serialize};

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
        let host_ok = host.contains('.') && host.split('.').all(is_label);
        if local_ok && host_ok && address.len() <= 254 { Ok(Self(address)) } else { Err(BadEmailAddress) }
    }

    /// As its owner wrote it: what letters are addressed to.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What addresses are compared by: lower case.
    pub fn key(&self) -> String {
        self.0.to_lowercase()
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
            assert_eq!(address.key(), good.to_lowercase());
        }
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
            &long,
        ] {
            assert_eq!(EmailAddress::parse(bad), Err(BadEmailAddress), "{bad}");
        }
    }
}
