//! Texts that can be erased without breaking the chain.

use serde::{Deserialize, Serialize};

use super::encoding::{Fields, hex};

/// A text beside a digest of it. The chain covers the digest only, so the text can be erased: the salt is erased with it,
/// and nobody can find the text by trying.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SaltedText {
    /// SHA-256 over the salt and the text (see [`super::encoding`]), in hexadecimal digits.
    digest: String,
    /// 32 random bytes, in hexadecimal digits. Absent once the text is erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    salt: Option<String>,
    /// Absent once it is erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

impl SaltedText {
    /// `text`, with a digest under this salt, which nothing else uses.
    pub fn new(text: &str, salt: &[u8; 32]) -> Self {
        let salt = hex(salt);
        Self { digest: digest(&salt, text), salt: Some(salt), text: Some(text.to_owned()) }
    }

    /// The text, unless it was erased.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// The digest, which stays.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Erases text and salt.
    pub fn erase(&mut self) {
        (self.text, self.salt) = (None, None);
    }

    /// Whether the digest is that of the text, or both text and salt are erased.
    pub fn fits(&self) -> bool {
        match (&self.salt, &self.text) {
            (Some(salt), Some(text)) => self.digest == digest(salt, text),
            (salt, text) => salt.is_none() && text.is_none(),
        }
    }
}

fn digest(salt: &str, text: &str) -> String {
    Fields::new().with("salt", salt).with("text", text).digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_fits_its_text_alone_and_what_was_erased() {
        let reason = SaltedText::new("she moved away", &[7; 32]);
        assert!(reason.fits());
        assert_ne!(reason.digest, SaltedText::new("she moved away", &[8; 32]).digest);
        let mut changed = reason.clone();
        changed.text = Some("she moved".into());
        assert!(!changed.fits());
        let mut half = reason.clone();
        half.text = None;
        assert!(!half.fits(), "the salt alone would let others try texts");
        let mut erased = reason.clone();
        erased.erase();
        assert!(erased.fits());
        assert_eq!((erased.text(), erased.digest()), (None, reason.digest()));
        assert_eq!(serde_json::to_value(&erased).unwrap(), serde_json::json!({ "digest": reason.digest }));
    }

    #[test]
    fn no_letter_of_the_salt_can_be_moved_into_the_text() {
        let mut reason = SaltedText::new("reason", &[0xab; 32]);
        let salt = reason.salt.as_mut().unwrap();
        let moved = salt.pop().unwrap();
        reason.text = Some(format!("{moved}reason"));
        assert!(!reason.fits());
    }
}
