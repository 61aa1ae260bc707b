//! The form of an API key.
//!
//! `ori_`, 52 characters of random bits and 7 characters of a checksum, all in base32 with lower-case letters:
//! `ori_[a-z2-7]{59}`. Secret scanners find leaked keys by this expression, and the checksum tells keys from other texts of
//! this form, so that a key that was mistyped or made up is refused without a look into the store.

use std::fmt;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use data_encoding::BASE32_NOPAD;
use sha2::{Digest, Sha256};

use crate::kernel::Secret;

/// What every key begins with.
pub const PREFIX: &str = "ori_";

/// Characters of the random bits.
const RANDOM_LENGTH: usize = 52;

/// Characters of the checksum.
const CHECKSUM_LENGTH: usize = 7;

/// Characters by which people recognise a key in a list: the prefix, and 30 of the 256 bits.
const START_LENGTH: usize = PREFIX.len() + 6;

/// The key of a machine. Never stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Secret<String>);

impl Key {
    /// A new key, from [`Ids::secret`](crate::kernel::Ids::secret).
    pub fn new(random: [u8; 32]) -> Self {
        let random = base32(&random);
        let checksum = checksum(&random);
        Self(Secret::new(format!("{PREFIX}{random}{checksum}")))
    }

    /// The key in a request; `None` if it is malformed or its checksum is wrong.
    pub fn read(text: &str) -> Option<Self> {
        let (random, sum) = text.strip_prefix(PREFIX)?.split_at_checked(RANDOM_LENGTH)?;
        (sum.len() == CHECKSUM_LENGTH && sum == checksum(random)).then(|| Self(Secret::new(text.to_owned())))
    }

    /// The key itself, which is shown once.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// What is stored of it: the SHA-256, in base64url. 256 random bits can't be found by guessing, so that a slow hash
    /// would only make requests slow.
    pub fn hash(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(self.expose()))
    }

    /// Its first characters.
    pub fn start(&self) -> &str {
        &self.expose()[..START_LENGTH]
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// CRC-32 (ISO 3309, as in PNG) of the characters, in base32.
fn checksum(random: &str) -> String {
    base32(&crc32fast::hash(random.as_bytes()).to_be_bytes())
}

fn base32(bytes: &[u8]) -> String {
    BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_has_the_documented_form() {
        let key = Key::new([0x5a; 32]);
        assert_eq!(key.expose(), "ori_ljnfuws2ljnfuws2ljnfuws2ljnfuws2ljnfuws2ljnfuws2ljna6mm52fa");
        assert_eq!((key.expose().len(), key.start()), (63, "ori_ljnfuw"));
        assert_eq!(format!("{key:?}"), "…");
    }

    #[test]
    fn texts_that_are_no_keys_are_refused() {
        let key = Key::new([7; 32]).expose().to_owned();
        for text in [
            "",
            "ori_",
            &key[..62],
            &format!("{key}a"),
            &key.to_uppercase(),
            &key.replacen("ori_", "ghp_", 1),
            &format!(" {key}"),
            "ori_ééééééééééééééééééééééééééééééééééé",
        ] {
            assert_eq!(Key::read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_key_reads_back_and_its_hash_is_its_own(random in any::<[u8; 32]>(), other in any::<[u8; 32]>()) {
            let key = Key::new(random);
            prop_assert_eq!(Key::read(key.expose()), Some(key.clone()));
            let body = key.expose().strip_prefix(PREFIX).unwrap();
            prop_assert!(body.len() == 59 && body.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7')));
            prop_assert_eq!(key.hash() == Key::new(other).hash(), random == other);
        }

        #[test]
        fn a_changed_key_is_refused(random in any::<[u8; 32]>(), place in 0usize..63, new in "[a-z2-7]") {
            let key = Key::new(random).expose().to_owned();
            prop_assume!(key[place..=place] != new);
            let changed = format!("{}{new}{}", &key[..place], &key[place + 1..]);
            prop_assert_eq!(Key::read(&changed), None);
        }

        #[test]
        fn no_text_causes_a_panic(text in ".{0,80}") {
            prop_assert_eq!(Key::read(&text), None);
            prop_assert_eq!(Key::read(&format!("ori_{text}")), None);
        }
    }
}
