//! What every kind of document declares about personal data: whose it is, which fields hold it, and how long it is kept.
//!
//! `orientation privacy` prints the declarations. Exporting, deleting and disposing of personal data read them, so that no
//! list of collections is kept by hand.

use std::time::Duration;

use serde::Serialize;

use crate::kernel::{Class, Retention};

/// The personal data in a kind of document.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Personal {
    /// None. Ids of other documents are not listed: they say nothing once those documents are deleted.
    None,
    /// Data of one person, in these fields.
    Of(Owner, &'static [PersonalField]),
}

/// How to find the person whose data a document holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Owner {
    /// The owner of the account whose id is in this field.
    Account(&'static str),
    /// The owner of the email address in this field. Addresses are compared by
    /// [`EmailAddress::key`](crate::kernel::EmailAddress::key).
    Address(&'static str),
    /// The owner of the document in `collection` whose id is in `field`.
    Through { field: &'static str, collection: &'static str },
    /// The owner of the document in this collection that the document is a part of. The whole names its parts.
    PartOf(&'static str),
}

/// A field with personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PersonalField {
    /// The property's name as it is stored, or a path with dots: `form.birthDate`.
    pub path: &'static str,
    /// What kind of data it holds.
    pub class: Class,
    /// What the disposal at the end of the school year does with it.
    pub retention: Retention,
}

impl PersonalField {
    /// A field of this class, which the disposal erases.
    pub const fn new(path: &'static str, class: Class) -> Self {
        Self { path, class, retention: Retention::Erased }
    }

    /// A field of this class, which the disposal leaves as it is.
    pub const fn lasting(path: &'static str, class: Class) -> Self {
        Self { path, class, retention: Retention::Lasting }
    }
}

/// How long documents of one kind are kept, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// When they are deleted.
    pub until: Until,
    /// What they are needed for until then: a statement without a full stop.
    pub why: &'static str,
}

/// When documents are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// With the store.
    StoreEnds,
    /// With the account that they belong to.
    AccountEnds,
    /// The disposal at the end of the school year erases the personal fields that are [`Retention::Erased`]. The rest
    /// stays for statistics.
    Disposal,
    /// By a person who may do so.
    Removal,
    /// By a sweep, this long after what [`Since`] says.
    After(Duration, Since),
}

/// What the time of [`Until::After`] begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// The document was made.
    Made,
    /// What it records has ended.
    Ended,
}

impl Keep {
    /// Kept as long as the store.
    pub const fn with_store(why: &'static str) -> Self {
        Self { until: Until::StoreEnds, why }
    }

    /// Kept as long as the account.
    pub const fn with_account(why: &'static str) -> Self {
        Self { until: Until::AccountEnds, why }
    }

    /// Kept until the disposal at the end of the school year.
    pub const fn until_disposal(why: &'static str) -> Self {
        Self { until: Until::Disposal, why }
    }

    /// Kept until somebody removes it.
    pub const fn until_removal(why: &'static str) -> Self {
        Self { until: Until::Removal, why }
    }

    /// Kept for this long after it was made.
    pub const fn lasting(time: Duration, why: &'static str) -> Self {
        Self { until: Until::After(time, Since::Made), why }
    }

    /// Kept for this long after what it records has ended.
    pub const fn after_end(time: Duration, why: &'static str) -> Self {
        Self { until: Until::After(time, Since::Ended), why }
    }
}
