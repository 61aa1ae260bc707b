//! Encryption of secrets that the store holds and the service has to read again.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};

use super::ring::Key;
use crate::kernel::Secret;

/// A ciphertext can't be decrypted: its key is no longer in the ring, it was made for another document, or it was
/// changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret in the store can't be decrypted with the configured keys")]
pub struct Undecryptable;

/// A ring of AES-256-GCM keys. A ciphertext is `<key id>.<base64url of nonce, ciphertext and tag>`.
#[derive(Debug)]
pub struct Cipher {
    keys: Vec<Key>,
}

impl Cipher {
    /// `keys` is not empty.
    pub(super) fn new(keys: Vec<Key>) -> Self {
        Self { keys }
    }

    /// Encrypts `plain` for the document with this id, with the first key. The result differs each time.
    pub fn encrypt(&self, document: &str, plain: &[u8]) -> String {
        let (key, mut bytes) = (&self.keys[0], plain.to_vec());
        let nonce = aead(key).seal_in_place_append_tag(context(key, document), &mut bytes);
        let nonce = nonce.expect("a short text can be encrypted, and the operating system has randomness");
        let body = [nonce.as_ref().as_slice(), &bytes].concat();
        format!("{}.{}", key.id, BASE64_URL_SAFE_NO_PAD.encode(body))
    }

    /// Decrypts what was encrypted for the document with this id.
    ///
    /// # Errors
    /// [`Undecryptable`].
    pub fn decrypt(&self, document: &str, ciphertext: &str) -> Result<Secret<Vec<u8>>, Undecryptable> {
        let (key_id, body) = ciphertext.split_once('.').ok_or(Undecryptable)?;
        let key = self.keys.iter().find(|key| key.id == key_id).ok_or(Undecryptable)?;
        let body = BASE64_URL_SAFE_NO_PAD.decode(body).map_err(|_| Undecryptable)?;
        let (nonce, bytes) = body.split_at_checked(NONCE_LEN).ok_or(Undecryptable)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Undecryptable)?;
        let mut bytes = bytes.to_vec();
        let plain = aead(key).open_in_place(nonce, context(key, document), &mut bytes);
        Ok(Secret::new(plain.map_err(|_| Undecryptable)?.to_vec()))
    }
}

fn aead(key: &Key) -> RandomizedNonceKey {
    RandomizedNonceKey::new(&AES_256_GCM, key.secret.expose()).expect("the key has 32 bytes")
}

/// Binds a ciphertext to its key and document, so that it can't be moved to another one.
fn context(key: &Key, document: &str) -> Aad<Vec<u8>> {
    Aad::from([key.id.as_bytes(), b"\0", document.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(id: &str, byte: u8) -> Key {
        Key { id: id.into(), secret: Secret::new([byte; 32]) }
    }

    fn cipher() -> Cipher {
        Cipher::new(vec![key("k1", 7)])
    }

    proptest! {
        #[test]
        fn a_ciphertext_is_decrypted_for_its_document_only(id in ".{0,40}", plain in any::<Vec<u8>>()) {
            let ciphertext = cipher().encrypt(&id, &plain);
            prop_assert_eq!(cipher().decrypt(&id, &ciphertext), Ok(Secret::new(plain)));
            prop_assert_eq!(cipher().decrypt(&format!("{id}x"), &ciphertext), Err(Undecryptable));
        }

        #[test]
        fn a_changed_ciphertext_is_not_decrypted(place in 0usize..67, new in any::<char>()) {
            let ciphertext = cipher().encrypt("a", &[9; 20]);
            let mut letters: Vec<char> = ciphertext.chars().collect();
            prop_assert_eq!(letters.len(), 67);
            prop_assume!(letters[place] != new);
            letters[place] = new;
            let changed: String = letters.into_iter().collect();
            prop_assert_eq!(cipher().decrypt("a", &changed), Err(Undecryptable));
        }

        #[test]
        fn no_text_causes_a_panic(text in ".{0,100}") {
            prop_assert_eq!(cipher().decrypt("a", &text), Err(Undecryptable));
            prop_assert_eq!(cipher().decrypt("a", &format!("k1.{text}")), Err(Undecryptable));
        }
    }

    #[test]
    fn equal_secrets_have_different_ciphertexts() {
        assert_ne!(cipher().encrypt("a", b"secret"), cipher().encrypt("a", b"secret"));
    }

    #[test]
    fn a_replaced_key_still_decrypts_until_it_is_removed() {
        let ciphertext = cipher().encrypt("a", b"secret");
        let replaced = Cipher::new(vec![key("k2", 8), key("k1", 7)]);
        assert_eq!(replaced.decrypt("a", &ciphertext), Ok(Secret::new(b"secret".to_vec())));
        assert!(replaced.encrypt("a", b"secret").starts_with("k2."));
        let removed = Cipher::new(vec![key("k2", 8)]);
        assert_eq!(removed.decrypt("a", &ciphertext), Err(Undecryptable));
        let another = Cipher::new(vec![key("k1", 8)]);
        assert_eq!(another.decrypt("a", &ciphertext), Err(Undecryptable));
    }
}
