//! Keys that sign tickets, seal links in emails, and encrypt the secrets of second factors.
//!
//! Each purpose has a ring: the first key signs or encrypts, all verify or decrypt, so that a key can be replaced while
//! its signatures are still in use. A ring comes from `ORIENTATION_KEYS`, or is created once in the store by the first
//! process that needs it. Rings in the store contain the keys themselves: **anybody who can read the database file can
//! sign tickets and read the secrets of second factors**, so keep the file as secret as the keys. Once a purpose has a
//! configured ring, its ring in the store is no longer used; to keep its signatures valid, the operator lists its keys,
//! too.

mod encrypt;
mod ring;
mod seal;
mod sign;

pub use encrypt::{Cipher, Undecryptable};
pub use ring::{KeyRing, KeysError};
pub use seal::Sealer;
pub use sign::{BadSignature, PublicKey, TicketKey, TicketKeys};

use crate::config::{ConfiguredKey, KeyPurpose};
use crate::kernel::{Ids, Timestamp};
use crate::platform::store::{Schema, Store, schema};
use seal::Seals;

/// The purpose of unsubscribe links. They have a separate key ring, which is kept longer than that of other emails.
pub const UNSUBSCRIBE: &str = "unsubscribe";

/// Every ring of the service.
#[derive(Debug)]
pub struct Keys {
    tickets: TicketKeys,
    letters: Seals,
    unsubscribes: Seals,
    second_factors: Cipher,
}

impl Keys {
    /// Reads the rings; creates those that are neither configured nor in the store.
    ///
    /// # Errors
    /// [`KeysError`] if a configured key's id is malformed or a duplicate, or the store can't be read.
    pub async fn load(
        store: &Store,
        ids: &dyn Ids,
        now: Timestamp,
        configured: &[ConfiguredKey],
    ) -> Result<Self, KeysError> {
        let ring = |purpose| ring::load(store, ids, now, configured, purpose);
        Ok(Self {
            tickets: TicketKeys::new(ring(KeyPurpose::Ticket).await?),
            letters: Seals::new(ring(KeyPurpose::Email).await?),
            unsubscribes: Seals::new(ring(KeyPurpose::Unsubscribe).await?),
            second_factors: Cipher::new(ring(KeyPurpose::SecondFactor).await?),
        })
    }

    /// The keys that sign tickets.
    pub fn tickets(&self) -> &TicketKeys {
        &self.tickets
    }

    /// The keys that encrypt the secrets of second factors.
    pub fn second_factors(&self) -> &Cipher {
        &self.second_factors
    }

    fn seals(&self, purpose: &str) -> &Seals {
        if purpose == UNSUBSCRIBE { &self.unsubscribes } else { &self.letters }
    }
}

impl Sealer for Keys {
    fn seal(&self, purpose: &str, id: &str) -> String {
        self.seals(purpose).seal(purpose, id)
    }

    fn open(&self, purpose: &str, token: &str) -> Option<String> {
        self.seals(purpose).open(purpose, token)
    }
}

/// The documents of this module.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<KeyRing>()]
}
