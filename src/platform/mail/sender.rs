//! Whom emails come from, and what their headers say of it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Mail;
use crate::config::SenderConfig;

/// Headers that every email has: a program wrote it, so no program need answer (RFC 3834); and which mail it is, so
/// that one that went twice can be told.
pub(super) fn headers(mail: &Mail) -> [(&'static str, String); 2] {
    [("Auto-Submitted", "auto-generated".to_owned()), ("X-Mail-Id", ascii(&mail.id))]
}

/// What is printable ASCII of an id, and so fits into a header.
fn ascii(id: &str) -> String {
    id.chars().filter(|c| ('!'..='~').contains(c)).take(200).collect()
}

/// Bytes of text in one encoded word, which may have 75 characters.
const WORD: usize = 42;

/// `"Name" <address>`, the name encoded where it is not ASCII (RFC 2047); or the address alone.
pub(super) fn from(sender: &SenderConfig) -> String {
    let address = sender.address.on_the_wire();
    match &sender.name {
        None => address,
        Some(name) if name.is_ascii() => {
            format!("\"{}\" <{address}>", name.replace('\\', "\\\\").replace('"', "\\\""))
        }
        Some(name) => format!("{} <{address}>", encoded_words(name)),
    }
}

fn encoded_words(text: &str) -> String {
    let mut words = vec![String::new()];
    for c in text.chars() {
        match words.last_mut() {
            Some(word) if word.len() + c.len_utf8() <= WORD => word.push(c),
            _ => words.push(c.to_string()),
        }
    }
    let word = |word: &String| format!("=?UTF-8?B?{}?=", STANDARD.encode(word));
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::EmailAddress;

    fn sent_by(name: Option<&str>) -> String {
        let address = EmailAddress::parse("orientation@exämple.edu").unwrap();
        from(&SenderConfig { name: name.map(str::to_owned), address, rate: 1.0 })
    }

    #[test]
    fn a_name_is_quoted_or_encoded() {
        assert_eq!(sent_by(None), "orientation@xn--exmple-cua.edu");
        let quoted = r#""Orientation \"Week\", 2027" <orientation@xn--exmple-cua.edu>"#;
        assert_eq!(sent_by(Some(r#"Orientation "Week", 2027"#)), quoted);
        let encoded = "=?UTF-8?B?U2VtYWluZSBkJ2FjY3VlaWwgw6AgbCd1bml2ZXJzaXTDqSBkZSBNb250?= =?UTF-8?B?csOpYWw=?= \
                       <orientation@xn--exmple-cua.edu>";
        assert_eq!(sent_by(Some("Semaine d'accueil à l'université de Montréal")), encoded);
    }
}
