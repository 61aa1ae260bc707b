//! Entity tags (RFC 9110, section 8.8.3): clients needn't fetch again what they have.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// The entity tag of a representation, with its quotation marks. Strong: other bytes have another tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(String);

impl Tag {
    /// The tag of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(format!("\"{}\"", URL_SAFE_NO_PAD.encode(&Sha256::digest(bytes)[..16])))
    }

    /// As it is sent in `ETag`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the client has the representation: `If-None-Match` lists the tag, weak or not, or is `*`.
    ///
    /// The tags of this service contain no commas, so that splitting at commas finds them in every list. (The parser of
    /// `poem::web::headers` panics in debug builds if a tag contains a space.)
    pub fn is_in(&self, if_none_match: &str) -> bool {
        let mut tags = if_none_match.split(',').map(str::trim);
        if_none_match.trim() == "*" || tags.any(|tag| tag.strip_prefix("W/").unwrap_or(tag) == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_bytes_have_another_tag_of_printable_characters() {
        let tag = Tag::of(b"a");
        assert_eq!(tag, Tag::of(b"a"));
        assert_ne!(tag, Tag::of(b"b"));
        let inside = tag.as_str().strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap();
        assert!(inside.len() == 22 && inside.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)));
    }

    #[test]
    fn if_none_match_is_a_tag_a_list_of_weak_or_strong_tags_or_a_star() {
        let tag = Tag::of(b"a");
        let (this, other) = (tag.as_str(), Tag::of(b"b"));
        let bare = this.trim_matches('"');
        for known in ["*", " * ", this, &format!("W/{this}"), &format!("\"x, y\",W/\"z\" ,  {this}")] {
            assert!(tag.is_in(known), "{known}");
        }
        for unknown in
            ["", "\"\"", other.as_str(), bare, &format!("w/{this}"), &format!("{this}x"), "\"a b\"", "W/"]
        {
            assert!(!tag.is_in(unknown), "{unknown}");
        }
    }
}
