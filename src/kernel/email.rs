//! Email addresses.

use std::borrow::Cow;
use std::fmt;

use icu_properties::props::GeneralCategory as Category;
use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use serde::{Deserialize, Serialize};
use url::Host;

use super::text;

/// Octets before the `@` (RFC 5321, 4.5.3.1.1).
const LOCAL_MAX: usize = 64;

/// The longest address, in octets (RFC 5321, 4.5.3.1.3, less the angle brackets).
pub const ADDRESS_MAX: usize = 254;

/// An address that an email can be sent to, as its owner wrote it.
///
/// Two addresses are the same if their [`key`](Self::key)s are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EmailAddress(String);

/// A text is not an email address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("an email address looks like name@example.org and has at most 254 characters")]
pub struct BadEmailAddress;

impl EmailAddress {
    /// Reads an address, [cleaned](Self::clean). The rules are those of HTML's `<input type=email>`, with
    /// international names (RFC 6531) and domains (UTS #46) and a dot in the domain, and RFC 5321's lengths.
    ///
    /// # Errors
    /// [`BadEmailAddress`] if it isn't one.
    pub fn parse(written: &str) -> Result<Self, BadEmailAddress> {
        let address = Self::clean(written);
        let (local, domain) = address.rsplit_once('@').ok_or(BadEmailAddress)?;
        let local_ok = (1..=LOCAL_MAX).contains(&local.len()) && local.chars().all(is_local);
        if local_ok && is_domain(domain) && address.len() <= ADDRESS_MAX {
            Ok(Self(address))
        } else {
            Err(BadEmailAddress)
        }
    }

    /// What somebody typed or pasted, without what can't be seen and with full-width characters in ASCII, in NFC.
    ///
    /// Joiners are kept between letters of other scripts, where they tell names apart. Digits of other scripts become
    /// ASCII where all letters of the name are ASCII: they come from the keyboard. Beside letters of their script they
    /// are part of the name.
    pub fn clean(written: &str) -> String {
        let mut address = String::with_capacity(written.len());
        for c in written.chars() {
            let joins = is_joiner(c) && address.chars().next_back().is_some_and(|before| !before.is_ascii());
            if joins || !text::is_invisible(c) {
                address.push(if is_full_width(c) { text::to_ascii(c) } else { c });
            }
        }
        let address = text::nfc(address.trim());
        match address.rsplit_once('@') {
            Some((local, domain)) if local.chars().all(|c| text::to_ascii(c).is_ascii()) => {
                format!("{}@{domain}", local.chars().map(text::to_ascii).collect::<String>())
            }
            _ => address,
        }
    }

    /// The address as its owner wrote it, for the `To` header.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address for mail servers: the domain in ASCII, and the local part as its owner wrote it, in quotation marks if dots
    /// begin, end or follow each other in it (RFC 5321, 4.1.2).
    pub fn on_the_wire(&self) -> String {
        let address = with_resolvable_domain(&self.0).unwrap_or_else(|| self.0.clone());
        match address.rsplit_once('@') {
            Some((local, domain)) if local.split('.').any(str::is_empty) => format!("\"{local}\"@{domain}"),
            _ => address,
        }
    }

    /// Whether only mail servers with SMTPUTF8 (RFC 6531) can receive it: it has characters outside ASCII before the `@`.
    /// Those in a domain have an ASCII form.
    pub fn needs_smtputf8(&self) -> bool {
        self.0.rsplit_once('@').is_some_and(|(local, _)| !local.is_ascii())
    }

    /// Key for comparing addresses: lower case, with the domain in ASCII, so that different spellings of one domain are the
    /// same address.
    pub fn key(&self) -> String {
        let lower = self.0.to_lowercase();
        with_resolvable_domain(&lower).unwrap_or(lower)
    }
}

fn with_resolvable_domain(address: &str) -> Option<String> {
    let (local, domain) = address.rsplit_once('@')?;
    Some(format!("{local}@{}", resolvable(domain)?))
}

/// The domain as it is looked up (UTS #46: other forms of a letter are that letter, what is not ASCII is encoded).
/// `None` for an IP address in any notation.
fn resolvable(domain: &str) -> Option<String> {
    match Host::parse(domain) {
        Ok(Host::Domain(name)) => Some(name),
        _ => None,
    }
}

/// Whether it is a domain name that can receive emails: at least two labels of letters, digits and hyphens.
fn is_domain(domain: &str) -> bool {
    let ascii = to_ascii(domain);
    ascii.is_some_and(|ascii| ascii.contains('.')) && resolvable(domain).is_some()
}

fn to_ascii(domain: &str) -> Option<Cow<'_, str>> {
    let (deny, hyphens) = (AsciiDenyList::STD3, Hyphens::CheckFirstLast);
    Uts46::new().to_ascii(domain.as_bytes(), deny, hyphens, DnsLength::Verify).ok()
}

/// HTML's characters of ASCII, and beyond it every visible character: letters with their marks, digits,
/// symbols (RFC 6532 takes any).
fn is_local(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c);
    }
    let shapeless = matches!(
        text::category(c),
        Category::Control
            | Category::Format
            | Category::LineSeparator
            | Category::ParagraphSeparator
            | Category::PrivateUse
            | Category::SpaceSeparator
            | Category::Surrogate
            | Category::Unassigned
    );
    is_joiner(c) || !shapeless
}

fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

fn is_full_width(c: char) -> bool {
    matches!(c, '\u{ff01}'..='\u{ff5e}')
}

impl TryFrom<String> for EmailAddress {
    type Error = BadEmailAddress;

    /// Reads a stored address without parsing it again, so that stored addresses never change.
    fn try_from(text: String) -> Result<Self, BadEmailAddress> {
        if text.contains('@') { Ok(Self(text)) } else { Err(BadEmailAddress) }
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
    fn local_parts_and_domains_in_every_script_are_accepted() {
        for (good, key) in [
            ("कर्म@example.org", "कर्म@example.org"),
            ("ann@example.இந்தியா", "ann@example.xn--xkc2dl3a5ee0h"),
            ("ann@ஒன்றியம்.இந்தியா", "ann@xn--8kc0cpdj8fqee.xn--xkc2dl3a5ee0h"),
            ("អ្នក@example.org", "អ្នក@example.org"),
            ("ผู้ใช้@ตัวอย่าง.ไทย", "ผู้ใช้@xn--72c1a1bt4awk9o.xn--o3cw4h"),
            ("മലയാളം@example.org", "മലയാളം@example.org"),
            ("بريد@مثال.إختبار", "بريد@xn--mgbh0fb.xn--kgbechtv"),
            ("用户@例子.广告", "用户@xn--fsqu00a.xn--4rr70v"),
            ("나@example.org", "나@example.org"),
            ("कर्म१@example.org", "कर्म१@example.org"),
            ("i❤@example.org", "i❤@example.org"),
            ("ann@نامه\u{200c}ای.com", "ann@xn--mgba3gch31f060k.com"),
            ("ann@a--b.org", "ann@a--b.org"),
        ] {
            let address = EmailAddress::parse(good).unwrap_or_else(|_| panic!("{good}"));
            assert_eq!((address.as_str(), address.key().as_str()), (good, key));
        }
    }

    #[test]
    fn invisible_characters_are_removed_from_pasted_addresses() {
        for pasted in [
            "\u{2068}ann7@example.org\u{2069}",
            "\u{202a}ann7@example.org\u{202c}",
            "ann7\u{200b}@example.org",
            "ann7@\u{2060}example.org",
            "\u{feff}ann7@example.org\u{200e}",
            "ann7@exam\u{ad}ple.org",
            "ann\u{200d}7@example.org",
            "ａｎｎ７＠ｅｘａｍｐｌｅ．ｏｒｇ",
            "ann٧@example.org",
            "ann७@example.org",
        ] {
            assert_eq!(EmailAddress::parse(pasted).unwrap().as_str(), "ann7@example.org", "{pasted:?}");
        }
        assert_eq!(EmailAddress::parse("ann@example。org").unwrap().on_the_wire(), "ann@example.org");
        let decomposed = EmailAddress::parse("jo\u{308}rg@example.org").unwrap();
        assert_eq!(decomposed.as_str(), "jörg@example.org");
    }

    #[test]
    fn every_spelling_of_a_domain_has_the_same_key() {
        let key = |address: &str| EmailAddress::parse(address).unwrap().key();
        for same in ["ana@examp\u{217c}e.org", "ana@ｅxample.org", "Ana@EXAMPLE.org", "ana@example.ᵒrg"] {
            assert_eq!(key(same), "ana@example.org", "{same}");
        }
        assert_eq!(key("ana@Exämple.org"), key("ana@xn--exmple-cua.org"));
        assert_ne!(key("ana@ex\u{430}mple.org"), key("ana@example.org"), "a Cyrillic а is another letter");
        assert_ne!(key("ana\u{131}@example.org"), key("anai@example.org"), "so is an i without a dot");
    }

    #[test]
    fn servers_get_the_domain_in_ascii_and_the_local_part_unchanged() {
        let address = EmailAddress::parse("O'Hara@Exämple.org").unwrap();
        assert_eq!(address.on_the_wire(), "O'Hara@xn--exmple-cua.org");
        for (dots, quoted) in [
            ("a..b@example.org", r#""a..b"@example.org"#),
            (".a@example.org", r#"".a"@example.org"#),
            ("a.@example.org", r#""a."@example.org"#),
        ] {
            assert_eq!(EmailAddress::parse(dots).unwrap().on_the_wire(), quoted);
        }
    }

    #[test]
    fn only_a_name_outside_ascii_needs_smtputf8() {
        for (address, needs) in [
            ("jörg@example.org", true),
            ("कर्म@example.org", true),
            ("ann@exämple.org", false),
            ("ann@example.இந்தியா", false),
            ("o'hara+1@example.org", false),
        ] {
            assert_eq!(EmailAddress::parse(address).unwrap().needs_smtputf8(), needs, "{address}");
        }
    }

    #[test]
    fn a_stored_address_is_read_unchanged() {
        let stored: EmailAddress = serde_json::from_str("\"ａnn@example.org\"").unwrap();
        assert_eq!(stored.as_str(), "ａnn@example.org");
        assert!(serde_json::from_str::<EmailAddress>("\"ann\"").is_err());
    }

    #[test]
    fn invalid_addresses_are_refused() {
        let long = format!("{}@example.org", "a".repeat(65));
        let long_label = format!("a@{}.org", "a".repeat(64));
        let long_domain = format!("a@{}org", "aaaaaaaaa.".repeat(26));
        for bad in [
            "",
            "@",
            "a@b",
            "a@.org",
            "a@b..org",
            "a@b.org.",
            "a b@c.org",
            "a\u{a0}b@c.org",
            "a@b.org, c@d.org",
            "<a@b.org>",
            "a@b@c.org",
            "a@b.org\r\nBcc: c@d.org",
            "a\0@b.org",
            "a\u{2028}b@c.org",
            "a\u{e000}@b.org",
            "a@-b.org",
            "a@b_c.org",
            "a@\u{301}b.org",
            "a@127.0.0.1",
            "a@0x7f.1",
            "a@xn--a.org",
            &long,
            &long_label,
            &long_domain,
        ] {
            assert_eq!(EmailAddress::parse(bad), Err(BadEmailAddress), "{bad}");
        }
    }
}
