//! How often strangers may try.
//!
//! A campus is one address to the outside, so limits per client bear a lecture hall that signs up at once; limits
//! per address (of e-mail) are what stops guessing and mailbox flooding.

use std::net::IpAddr;
use std::time::Duration;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use sha2::{Digest, Sha256};

use crate::platform::signals::Limit;

/// Sign-ins of one address: a person mistypes a few times, and 10 in a quarter of an hour are 960 guesses a day,
/// too few for a password that passed [`super::passwords`].
pub const SIGN_IN_ADDRESS: Limit =
    Limit { name: "sign-in-address", quota: 10, window: Duration::from_mins(15) };

/// Sign-ins from one client: a lecture hall behind one address may, a list of leaked passwords may not.
pub const SIGN_IN_CLIENT: Limit =
    Limit { name: "sign-in-client", quota: 100, window: Duration::from_mins(1) };

/// Letters that strangers can have us send to one address (sign-up, confirmation again, reset, new address): enough
/// for somebody whose letters land in the spam folder, too few to flood a mailbox.
pub const LETTERS_ADDRESS: Limit =
    Limit { name: "letters-address", quota: 5, window: Duration::from_hours(1) };

/// The same from one client: a lecture hall that signs up at once.
pub const LETTERS_CLIENT: Limit = Limit { name: "letters-client", quota: 60, window: Duration::from_mins(1) };

/// Tries at the current password by somebody who is signed in: whoever finds an open laptop doesn't get to guess.
pub const CURRENT_PASSWORD: Limit =
    Limit { name: "current-password", quota: 10, window: Duration::from_mins(15) };

/// The key of an e-mail address: its hash, because keys may leave the process.
pub fn address_key(email_key: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(email_key))
}

/// The key of a client: its address; of IPv6 the network that one customer holds (/64).
pub fn client_key(client: IpAddr) -> String {
    match client.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64;
            format!("{network:016x}/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_has_one_key_however_many_addresses() {
        let key = |text: &str| client_key(text.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    }

    #[test]
    fn keys_of_addresses_do_not_name_them() {
        let key = address_key("ana@example.org");
        assert!(key.len() == 43 && !key.contains("ana"));
    }
}
