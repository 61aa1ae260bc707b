//! The token of a ticket: what its QR code says.
//!
//! ```text
//! OT1.<key id>.<payload>.<signature>
//! ```
//! - `OT1`: orientation ticket, version 1;
//! - payload: base64url (no padding) of 24 bytes: the 16 bytes of the order's id (a UUID), then the whole seconds
//!   since 1970-01-01 UTC at which the ticket was issued, big-endian;
//! - signature: base64url of the 64 bytes of Ed25519 over everything before the last full stop, as ASCII.
//!
//! A ticket is named by the order that paid for it, so that a ticket that was given back and one bought anew
//! afterwards are two. There is nothing personal in it. Offline a token shows that we issued it; whether it still
//! holds is known to the store.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use uuid::Uuid;

use crate::kernel::Timestamp;
use crate::platform::keys::{BadSignature, TicketKeys};

const VERSION: &str = "OT1";

/// Characters of a token at most: what a QR code of version 7 at level L holds, which prints well at 36 mm. The
/// longest key id (16) makes 140.
pub const TOKEN_MAX: usize = 154;

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketClaims {
    /// The order that paid for the ticket.
    pub order: Uuid,
    /// When the ticket was issued, in whole seconds.
    pub issued_at: Timestamp,
}

/// Why a text is not a ticket of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("not the token of a ticket")]
    Malformed,
    #[error("a ticket signed with a key that we do not have")]
    UnknownKey,
    #[error("a ticket that we did not issue")]
    Forged,
}

impl TicketClaims {
    /// The claims of the ticket that this order paid for.
    ///
    /// # Errors
    /// [`TokenError::Malformed`] if `order_id` is no UUID.
    pub fn new(order_id: &str, issued_at: Timestamp) -> Result<Self, TokenError> {
        let order = Uuid::try_parse(order_id).map_err(|_| TokenError::Malformed)?;
        Ok(Self { order, issued_at: from_secs(issued_at.as_secs()) })
    }

    /// The token, signed with the current key: the same text each time.
    pub fn sign(&self, keys: &TicketKeys) -> String {
        let key = keys.current();
        let signed = format!("{VERSION}.{}.{}", key.id(), BASE64_URL_SAFE_NO_PAD.encode(self.payload()));
        let signature = key.sign(signed.as_bytes());
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }

    /// Reads a token that one of our keys signed.
    ///
    /// # Errors
    /// [`TokenError`] if it is none.
    pub fn verify(keys: &TicketKeys, token: &str) -> Result<Self, TokenError> {
        if token.len() > TOKEN_MAX {
            return Err(TokenError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let [VERSION, key_id, payload] = signed.split('.').collect::<Vec<_>>()[..] else {
            return Err(TokenError::Malformed);
        };
        let payload = bytes::<24>(payload)?;
        keys.verify(key_id, signed.as_bytes(), &bytes::<64>(signature)?)?;
        Ok(Self::read(payload))
    }

    fn payload(&self) -> Vec<u8> {
        [&self.order.as_bytes()[..], &self.issued_at.as_secs().to_be_bytes()].concat()
    }

    fn read(payload: [u8; 24]) -> Self {
        let mut secs = [0; 8];
        secs.copy_from_slice(&payload[16..]);
        let order = u128::from_be_bytes(std::array::from_fn(|place| payload[place]));
        Self { order: Uuid::from_u128(order), issued_at: from_secs(i64::from_be_bytes(secs)) }
    }
}

impl From<BadSignature> for TokenError {
    fn from(error: BadSignature) -> Self {
        match error {
            BadSignature::UnknownKey => Self::UnknownKey,
            BadSignature::Wrong => Self::Forged,
        }
    }
}

fn bytes<const N: usize>(text: &str) -> Result<[u8; N], TokenError> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Malformed)?;
    bytes.try_into().map_err(|_| TokenError::Malformed)
}

fn from_secs(secs: i64) -> Timestamp {
    Timestamp::from_millis(secs.saturating_mul(1000))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ORDER: &str = "01997c00-0000-7000-8000-00000000abcd";

    fn claims() -> TicketClaims {
        TicketClaims::new(ORDER, Timestamp::from_millis(1_788_246_000_123)).unwrap()
    }

    fn token() -> String {
        claims().sign(&TicketKeys::for_tests("k1", 1))
    }

    #[test]
    fn a_token_with_the_longest_key_id_fits_the_code() {
        let keys = TicketKeys::for_tests("sixteen-letters-", 1);
        assert_eq!(claims().sign(&keys).len(), 140);
        assert!(claims().sign(&keys).len() <= TOKEN_MAX);
    }

    #[test]
    fn a_token_says_which_order_and_when() {
        let read = TicketClaims::verify(&TicketKeys::for_tests("k1", 1), &token()).unwrap();
        assert_eq!(read, claims());
        assert_eq!(read.order.to_string(), ORDER);
        assert_eq!(read.issued_at.as_millis(), 1_788_246_000_000);
    }

    #[test]
    fn what_another_signed_is_refused() {
        let verify = |id, seed| TicketClaims::verify(&TicketKeys::for_tests(id, seed), &token());
        assert_eq!(verify("k2", 1), Err(TokenError::UnknownKey));
        assert_eq!(verify("k1", 2), Err(TokenError::Forged));
    }

    #[test]
    fn an_order_without_a_uuid_has_no_ticket() {
        assert_eq!(TicketClaims::new("order-1", claims().issued_at), Err(TokenError::Malformed));
    }

    proptest! {
        #[test]
        fn every_order_and_time_comes_back(order: u128, millis in 0i64..253_402_300_799_999) {
            let keys = TicketKeys::for_tests("k1", 1);
            let id = Uuid::from_u128(order).to_string();
            let claims = TicketClaims::new(&id, Timestamp::from_millis(millis)).unwrap();
            prop_assert_eq!(TicketClaims::verify(&keys, &claims.sign(&keys)), Ok(claims));
        }

        #[test]
        fn a_token_in_which_any_letter_differs_is_refused(place in 0usize..126, new in "[A-Za-z0-9_.=-]") {
            let mut changed = token();
            prop_assume!(changed[place..=place] != new);
            changed.replace_range(place..=place, &new);
            prop_assert!(TicketClaims::verify(&TicketKeys::for_tests("k1", 1), &changed).is_err());
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,160}") {
            prop_assert!(TicketClaims::verify(&TicketKeys::for_tests("k1", 1), &text).is_err());
        }
    }

    #[test]
    fn a_token_cut_short_or_made_longer_is_refused() {
        let keys = TicketKeys::for_tests("k1", 1);
        assert_eq!(token().len(), 126);
        for end in 0..token().len() {
            assert!(TicketClaims::verify(&keys, &token()[..end]).is_err(), "{end}");
        }
        for more in ["=", "A", ".", " ", "\n"] {
            assert!(TicketClaims::verify(&keys, &format!("{}{more}", token())).is_err(), "{more:?}");
        }
    }
}
