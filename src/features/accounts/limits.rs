//! How often anonymous clients may try.
//!
//! A campus is one address to the outside, so limits per client bear a lecture hall that signs up at once; limits
//! per email address are what stops guessing and mailbox flooding.

use std::net::IpAddr;
use std::time::Duration;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use sha2::{Digest, Sha256};

use crate::platform::signals::Limit;

/// Sign-ins of one address from one client. Enough for a person who mistypes; 960 guesses a day are too few for a password
/// that passed [`super::passwords`].
pub const SIGN_IN_PAIR: Limit = Limit { name: "sign-in", quota: 10, window: Duration::from_mins(15) };

/// Sign-ins of one address from all clients together, in browsers that are new to the account. It stops those who guess from
/// many addresses; somebody who guesses from a few doesn't use it up, and so doesn't lock out the owner.
pub const SIGN_IN_ADDRESS: Limit =
    Limit { name: "sign-in-address", quota: 100, window: Duration::from_mins(15) };

/// Sign-ins in one browser in which the account was signed in before. Nobody else can use it up.
pub const SIGN_IN_DEVICE: Limit =
    Limit { name: "sign-in-device", quota: 10, window: Duration::from_mins(15) };

/// Sign-ins from one client. Enough for a lecture hall behind one address, too few to try a list of leaked passwords.
pub const SIGN_IN_CLIENT: Limit =
    Limit { name: "sign-in-client", quota: 100, window: Duration::from_mins(1) };

/// Emails that one anonymous client can request for one address (sign-up, confirmation, password reset). Enough for somebody
/// whose emails are in the spam folder.
pub const EMAILS_PAIR: Limit = Limit { name: "emails", quota: 5, window: Duration::from_hours(1) };

/// The same emails for one address, requested by all clients together; a new address counts, too. Too few to flood a mailbox.
/// Somebody who requests them from a few networks doesn't use it up, and so doesn't keep the owner from getting one.
pub const EMAILS_ADDRESS: Limit =
    Limit { name: "emails-address", quota: 20, window: Duration::from_hours(1) };

/// The same emails, requested by one client for any address. Enough for a lecture hall that signs up at once.
pub const EMAILS_CLIENT: Limit = Limit { name: "emails-client", quota: 60, window: Duration::from_mins(1) };

/// Attempts to enter the current password while signed in, so that nobody can guess it on an unlocked laptop.
pub const CURRENT_PASSWORD: Limit =
    Limit { name: "current-password", quota: 10, window: Duration::from_mins(15) };

/// Rate-limit key of an email address: a hash, because keys are sent to Redis.
pub fn address_key(email_key: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(email_key))
}

/// Rate-limit key of an email address and a client.
pub fn pair_key(email_key: &str, client: IpAddr) -> String {
    format!("{}:{}", address_key(email_key), client_key(client))
}

/// Rate-limit key of a client: its address, or for IPv6 the /56 network, which RIPE-690 recommends for a household.
pub fn client_key(client: IpAddr) -> String {
    match client.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 72;
            format!("{network:014x}/56")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_network_has_one_key() {
        let key = |text: &str| client_key(text.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_eq!(key("2001:db8::1"), key("2001:db8:0:ff::1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:100::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    }

    #[test]
    fn keys_do_not_reveal_the_address() {
        let key = address_key("ana@example.org");
        assert!(key.len() == 43 && !key.contains("ana"));
    }
}
