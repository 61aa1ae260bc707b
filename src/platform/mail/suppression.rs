//! The suppression list: addresses that get no emails any more.

use serde::{Deserialize, Serialize};

use crate::kernel::{EmailAddress, Timestamp};
use crate::platform::store::{
    Class, Document, Filter, Index, Keep, Owner, Personal, PersonalField, Query, Store, StoreError,
};

/// Why an address gets no emails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SuppressionCause {
    /// An email bounced permanently: the mailbox doesn't exist.
    Bounce,
    /// The owner reported an email as spam.
    Complaint,
}

/// An address that gets no emails of any kind, until an administrator removes the entry.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Suppression {
    /// Random: reveals nothing about the address.
    pub id: String,
    /// The address as reported.
    pub address: EmailAddress,
    /// The address in its form for comparisons: unique.
    pub address_key: String,
    pub cause: SuppressionCause,
    pub created_at: Timestamp,
}

impl Document for Suppression {
    const COLLECTION: &'static str = "suppressions";
    const INDEXES: &'static [Index] = &[Index::unique(Suppression::BY_ADDRESS, &["addressKey"])];
    const PERSONAL: Personal = Personal::Of(
        Owner::Address("addressKey"),
        &[
            PersonalField::new("address", Class::Contact),
            PersonalField::new("addressKey", Class::Contact),
            PersonalField::new("cause", Class::Activity),
            PersonalField::new("createdAt", Class::Activity),
        ],
    );
    const KEEP: Keep =
        Keep::until_removal("the address bounces or its owner complained, so it gets no email");

    fn id(&self) -> &str {
        &self.id
    }
}

impl Suppression {
    /// The index that makes addresses unique.
    pub const BY_ADDRESS: &'static str = "suppressions_by_address";

    /// An entry for `address`, created at `now`.
    pub fn new(id: String, address: &EmailAddress, cause: SuppressionCause, now: Timestamp) -> Self {
        Self { id, address: address.clone(), address_key: address.key(), cause, created_at: now }
    }

    /// The entry of this address, if there is one.
    pub fn of(address: &EmailAddress) -> Query {
        Query::new(Filter::eq("addressKey", address.key())).limit(1)
    }
}

/// Whether `address` is on the list.
pub(super) async fn suppressed(store: &Store, address: &EmailAddress) -> Result<bool, StoreError> {
    Ok(!store.find::<Suppression>(Suppression::of(address)).await?.is_empty())
}
