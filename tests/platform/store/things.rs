//! The documents of the tests.

use orientation::kernel::Timestamp;
use orientation::platform::store::{Document, Index, Keep, Personal, Schema, StoreError, schema};
use serde::{Deserialize, Serialize};

/// A document with every kind of field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Thing {
    pub id: String,
    /// A keyword of SQL, as `group` and `order` are in the domain.
    pub group: String,
    pub rank: i64,
    pub active: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_at: Option<Timestamp>,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub price: Price,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Price {
    pub amount: i64,
}

impl Document for Thing {
    const COLLECTION: &'static str = "order";
    const INDEXES: &'static [Index] = &[
        Index::unique("things_by_email", &["email"]),
        Index::on("group", &["group", "rank"]),
        Index::on("things_by_rank", &["rank"]),
        Index::words("things_by_tag", &["tags"]),
    ];
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = Keep::with_store("test data");

    fn id(&self) -> &str {
        &self.id
    }
}

/// A thing called `id` in the group `group`.
pub fn thing(id: &str, group: &str, rank: i64) -> Thing {
    Thing { id: id.into(), group: group.into(), rank, ..Thing::default() }
}

/// A number of places that can be taken: the document that guards a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Places {
    pub id: String,
    pub taken: i64,
    pub limit: i64,
}

impl Document for Places {
    const COLLECTION: &'static str = "places";
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = Keep::with_store("test data");

    fn id(&self) -> &str {
        &self.id
    }
}

impl Places {
    pub fn new(limit: i64) -> Self {
        Self { id: "places".into(), taken: 0, limit }
    }

    pub fn take_one(&mut self) -> Result<(), Refused> {
        if self.taken >= self.limit {
            return Err(Refused::Full);
        }
        self.taken += 1;
        Ok(())
    }
}

/// A use case's own errors.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error("all places are taken")]
    Full,
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub fn schemas() -> Vec<Schema> {
    vec![schema::<Thing>(), schema::<Places>()]
}
