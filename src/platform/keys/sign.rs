//! Keys that sign tickets: Ed25519, so that a ticket can be verified offline with the public key.

use std::fmt;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use super::ring::Key;

/// A key that signs tickets.
pub struct TicketKey {
    id: String,
    key: SigningKey,
}

/// The ring of keys that sign tickets; the first one signs, all verify.
#[derive(Debug)]
pub struct TicketKeys {
    keys: Vec<TicketKey>,
}

/// The public half of a [`TicketKey`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    pub id: String,
    /// The Ed25519 public key (RFC 8032).
    pub bytes: [u8; 32],
    /// Whether new tickets are signed with it.
    pub current: bool,
}

/// Why a signature is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    #[error("signed with an unknown key")]
    UnknownKey,
    #[error("the signature doesn't match the key and the text")]
    Wrong,
}

impl TicketKeys {
    /// `keys` is not empty.
    pub(super) fn new(keys: Vec<Key>) -> Self {
        let keys = keys.into_iter().map(TicketKey::new).collect();
        Self { keys }
    }

    /// A ring of one key, made from a public seed.
    #[cfg(test)]
    pub fn for_tests(id: &str, seed: u8) -> Self {
        Self::new(vec![Key { id: id.into(), secret: crate::kernel::Secret::new([seed; 32]) }])
    }

    /// The key that signs.
    pub fn current(&self) -> &TicketKey {
        &self.keys[0]
    }

    /// Verifies a signature by the key `key_id`.
    ///
    /// # Errors
    /// [`BadSignature`] if it is not valid.
    pub fn verify(&self, key_id: &str, message: &[u8], signature: &[u8; 64]) -> Result<(), BadSignature> {
        let key = self.keys.iter().find(|key| key.id == key_id).ok_or(BadSignature::UnknownKey)?;
        let signature = Signature::from_bytes(signature);
        key.public().verify_strict(message, &signature).map_err(|_| BadSignature::Wrong)
    }

    /// The public halves, the current one first.
    pub fn public(&self) -> Vec<PublicKey> {
        let public = |(place, key): (usize, &TicketKey)| PublicKey {
            id: key.id.clone(),
            bytes: key.public().to_bytes(),
            current: place == 0,
        };
        self.keys.iter().enumerate().map(public).collect()
    }
}

impl TicketKey {
    fn new(key: Key) -> Self {
        Self { id: key.id, key: SigningKey::from_bytes(key.secret.expose()) }
    }

    /// 1 to 16 lower-case letters, digits and hyphens.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The signature over `message`; deterministic.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }

    fn public(&self) -> VerifyingKey {
        self.key.verifying_key()
    }
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketKey").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Secret;

    fn keys(ids: &[(&str, u8)]) -> TicketKeys {
        let key = |&(id, byte): &(&str, u8)| Key { id: id.into(), secret: Secret::new([byte; 32]) };
        TicketKeys::new(ids.iter().map(key).collect())
    }

    #[test]
    fn a_signature_is_valid_for_its_key_and_text_only() {
        let ring = keys(&[("new", 2), ("old", 1)]);
        let signature = ring.current().sign(b"text");
        assert_eq!(ring.verify("new", b"text", &signature), Ok(()));
        assert_eq!(ring.verify("new", b"texT", &signature), Err(BadSignature::Wrong));
        assert_eq!(ring.verify("old", b"text", &signature), Err(BadSignature::Wrong));
        assert_eq!(ring.verify("none", b"text", &signature), Err(BadSignature::UnknownKey));
    }

    #[test]
    fn the_public_keys_show_which_one_is_current() {
        let public = keys(&[("new", 2), ("old", 1)]).public();
        let told: Vec<_> = public.iter().map(|key| (key.id.as_str(), key.current)).collect();
        assert_eq!(told, [("new", true), ("old", false)]);
        assert_ne!(public[0].bytes, public[1].bytes);
    }
}
