//! A lost item, and the rules about it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::kernel::Timestamp;
use crate::platform::store::{Class, Document, Index, Keep, Owner, Personal, PersonalField};

/// How long a report is kept: the office gives unclaimed items away after this time.
pub const KEPT: Duration = Duration::from_hours(30 * 24);

/// An item that a student has lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LostItem {
    pub id: String,
    /// The student's account id.
    pub account: String,
    /// The student's description of the item.
    pub description: String,
    pub reported_at: Timestamp,
}

impl Document for LostItem {
    const COLLECTION: &'static str = "lost_items";
    const INDEXES: &'static [Index] = &[
        Index::on("lost_items_by_account", &["account", "id"]),
        Index::on("lost_items_by_time", &["reportedAt"]),
    ];
    const PERSONAL: Personal =
        Personal::Of(Owner::Account("account"), &[PersonalField::new("description", Class::Logistics)]);
    const KEEP: Keep = Keep::lasting(KEPT, "the office gives unclaimed items away after this time");

    fn id(&self) -> &str {
        &self.id
    }
}

impl LostItem {
    /// Reports from before this time are deleted.
    pub fn kept_since(now: Timestamp) -> Timestamp {
        now.minus(KEPT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_kept_for_30_days() {
        let days = |days: i64| Timestamp::from_millis(days * 24 * 3600 * 1000);
        assert_eq!(LostItem::kept_since(days(40)), days(10));
    }
}
