//! Tokens for links in emails: a record's id, sealed for one purpose.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::ring::Key;

/// Length of a token's HMAC in bytes: 128 bits can't be guessed over a network, and links stay short.
const SEAL_BYTES: usize = 16;

/// Maximum length of a token in characters; ours have about 80.
const TOKEN_MAX: usize = 512;

/// Seals ids into the tokens of links in emails.
pub trait Sealer: Send + Sync + 'static {
    /// The token for the record `id`, valid for `purpose` only. Nothing usable is stored.
    fn seal(&self, purpose: &str, id: &str) -> String;
    /// The id in a token that was sealed for `purpose`; `None` if it was not.
    fn open(&self, purpose: &str, token: &str) -> Option<String>;
}

/// A ring of HMAC-SHA-256 keys. A token is `<key id>.<base64url of seal and record id>`.
#[derive(Debug)]
pub(super) struct Seals {
    keys: Vec<Key>,
}

impl Seals {
    /// `keys` is not empty.
    pub fn new(keys: Vec<Key>) -> Self {
        Self { keys }
    }

    pub fn seal(&self, purpose: &str, id: &str) -> String {
        let key = &self.keys[0];
        let seal = mac(key, purpose, id.as_bytes()).finalize().into_bytes();
        let body = [&seal[..SEAL_BYTES], id.as_bytes()].concat();
        format!("{}.{}", key.id, BASE64_URL_SAFE_NO_PAD.encode(body))
    }

    pub fn open(&self, purpose: &str, token: &str) -> Option<String> {
        if token.len() > TOKEN_MAX {
            return None;
        }
        let (key_id, body) = token.split_once('.')?;
        let key = self.keys.iter().find(|key| key.id == key_id)?;
        let body = BASE64_URL_SAFE_NO_PAD.decode(body).ok()?;
        let (seal, id) = body.split_at_checked(SEAL_BYTES)?;
        mac(key, purpose, id).verify_truncated_left(seal).ok()?;
        String::from_utf8(id.to_vec()).ok()
    }
}

/// Over key id, purpose and record id. The first two contain no NUL, so that different triples give different input.
fn mac(key: &Key, purpose: &str, id: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.secret.expose()).expect("HMAC takes keys of any length");
    for part in [key.id.as_bytes(), b"\0", purpose.as_bytes(), b"\0", id] {
        mac.update(part);
    }
    mac
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::Secret;

    fn seals() -> Seals {
        Seals::new(vec![Key { id: "k1".into(), secret: Secret::new([7; 32]) }])
    }

    #[test]
    fn a_token_is_short_and_needs_no_escaping_in_a_link() {
        let token = seals().seal("confirm", "01997c00-0000-7000-8000-000000000001");
        assert_eq!(token.len(), 73, "{token}");
        let encoded: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
        assert_eq!(encoded, token);
    }

    proptest! {
        #[test]
        fn a_token_opens_for_its_purpose_only(id in ".{0,60}") {
            let token = seals().seal("confirm", &id);
            prop_assert_eq!(seals().open("confirm", &token), Some(id));
            prop_assert_eq!(seals().open("reset", &token), None);
        }

        #[test]
        fn a_changed_token_does_not_open(place in 0usize..73, new in any::<char>()) {
            let token = seals().seal("confirm", "01997c00-0000-7000-8000-000000000001");
            let mut letters: Vec<char> = token.chars().collect();
            prop_assume!(letters[place] != new);
            letters[place] = new;
            prop_assert_eq!(seals().open("confirm", &letters.into_iter().collect::<String>()), None);
        }

        #[test]
        fn no_text_causes_a_panic(token in ".{0,100}") {
            prop_assert_eq!(seals().open("confirm", &token), None);
            prop_assert_eq!(seals().open("confirm", &format!("k1.{token}")), None);
        }
    }

    #[test]
    fn a_truncated_token_does_not_open() {
        let token = seals().seal("confirm", "a");
        for end in 0..token.len() {
            assert_eq!(seals().open("confirm", &token[..end]), None, "{end}");
        }
    }
}
