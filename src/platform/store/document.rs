//! Stored documents: their indexes and versions, and their encoding in the database.

use serde::{Serialize, de::DeserializeOwned};

use super::error::{Result, StoreError};
use super::privacy::{Keep, Personal};

/// A kind of document: plain data that serde writes as a JSON object.
///
/// - It has a property `id` with the text of [`Document::id`].
/// - An optional field is left out when it is empty (`skip_serializing_if = "Option::is_none"`), never `null`.
/// - Times are [`Timestamp`](crate::kernel::Timestamp)s, money whole minor units.
pub trait Document: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name of its collection.
    const COLLECTION: &'static str;

    /// The version of its shape, from 1. A change that makes old documents unreadable increments it and
    /// adds a step to [`Document::MIGRATIONS`].
    const VERSION: u32 = 1;

    /// The steps from version to version: the first turns version 1 into 2. There is one for each version after
    /// the first.
    const MIGRATIONS: &'static [Migration] = &[];

    /// The indexes of the collection. Indexes that are no longer declared are dropped at the next start.
    const INDEXES: &'static [Index] = &[];

    /// Whose personal data it holds, and in which fields. There is no default, so that a new document doesn't compile
    /// without this declaration.
    const PERSONAL: Personal;

    /// How long it is kept, and why. No default, for the same reason.
    const KEEP: Keep;

    /// The document's key: unique in its collection, and never changed.
    fn id(&self) -> &str;
}

/// Turns the JSON of a document of one version into the next version. Pure; doesn't change the `id`.
pub type Migration = fn(serde_json::Value) -> serde_json::Value;

/// An index over fields of a document. A field is a property's name as it is written (`camelCase`), or a path
/// with dots (`amount.currency`).
#[derive(Clone, Copy, Debug)]
pub struct Index {
    /// Its name, unique in the whole database: `accounts_by_email`.
    pub name: &'static str,
    /// The fields, in the order of the index.
    pub fields: &'static [&'static str],
    /// What it is for.
    pub kind: IndexKind,
}

/// What an index is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexKind {
    /// Makes finding and sorting fast.
    Plain,
    /// Also refuses a second document with the same values.
    Unique,
    /// Finds the texts in a list by their beginning.
    Words,
}

impl Index {
    /// An index that makes finding and sorting by these fields fast.
    pub const fn on(name: &'static str, fields: &'static [&'static str]) -> Self {
        Self { name, fields, kind: IndexKind::Plain }
    }

    /// An index that also refuses a second document with the same values. Documents without one of the fields
    /// are not in the index and never collide.
    pub const fn unique(name: &'static str, fields: &'static [&'static str]) -> Self {
        Self { name, fields, kind: IndexKind::Unique }
    }
}

impl Index {
    /// An index over the texts of one list of every document, for [`Filter::HasPrefix`](super::Filter::HasPrefix).
    pub const fn words(name: &'static str, list: &'static [&'static str; 1]) -> Self {
        Self { name, fields: list, kind: IndexKind::Words }
    }

    /// Whether two documents must not have the same values.
    pub(super) fn is_unique(&self) -> bool {
        self.kind == IndexKind::Unique
    }

    /// The error when it can't be created.
    pub(super) fn unmakeable(&self) -> StoreError {
        StoreError::Unusable(format!(
            "the unique index `{}` can't be created: stored documents already have the same key",
            self.name
        ))
    }
}

/// The database's encoding of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON text in UTF-8; times are text.
    Json,
    /// BSON; times are dates.
    Bson,
}

/// Re-encodes a document from one format to another: see [`Schema::rewrite`].
pub type Rewrite = fn(&[u8], Format, Format) -> Result<Vec<u8>>;

/// A document's declaration as a value, for [`Store::prepare`](super::Store::prepare).
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// See [`Document::COLLECTION`].
    pub collection: &'static str,
    /// See [`Document::VERSION`].
    pub version: u32,
    /// See [`Document::MIGRATIONS`].
    pub migrations: &'static [Migration],
    /// See [`Document::INDEXES`].
    pub indexes: &'static [Index],
    /// See [`Document::PERSONAL`].
    pub personal: Personal,
    /// See [`Document::KEEP`].
    pub keep: Keep,
    /// Re-encodes a stored document of this version in another format. Only its own type knows which texts are
    /// times.
    pub rewrite: Rewrite,
}

/// The declaration of `D`.
pub const fn schema<D: Document>() -> Schema {
    Schema {
        collection: D::COLLECTION,
        version: D::VERSION,
        migrations: D::MIGRATIONS,
        indexes: D::INDEXES,
        personal: D::PERSONAL,
        keep: D::KEEP,
        rewrite: |bytes, from, to| encode(&decode::<D>(bytes, from)?, to),
    }
}

impl Schema {
    /// Refuses a declaration that doesn't have one migration for each version after the first.
    pub(super) fn check(&self) -> Result<()> {
        if u32::try_from(self.migrations.len()).ok().and_then(|steps| steps.checked_add(1))
            == Some(self.version)
        {
            return Ok(());
        }
        Err(StoreError::Unusable(format!(
            "`{}` is declared with version {} and {} migrations; it needs one for each version after the first",
            self.collection,
            self.version,
            self.migrations.len()
        )))
    }

    /// The migrations that documents stored with version `stored` still need.
    pub(super) fn steps_from(&self, stored: u32) -> Result<&'static [Migration]> {
        let done = usize::try_from(stored.saturating_sub(1)).unwrap_or(usize::MAX);
        self.migrations.get(done..).ok_or_else(|| {
            StoreError::Unusable(format!(
                "the database has `{}` in version {stored}, and this program knows only version {}: start the \
                 newer program again, or restore the backup from before its first start",
                self.collection, self.version
            ))
        })
    }
}

/// The document as it is stored.
pub(super) fn encode<D: Document>(document: &D, format: Format) -> Result<Vec<u8>> {
    match format {
        Format::Json => {
            serde_json::to_vec(document).map_err(|error| unreadable::<D>("written", &place(&error)))
        }
        Format::Bson => bson::serialize_to_vec(document).map_err(|_| unreadable::<D>("written", "as BSON")),
    }
}

/// The stored document.
pub(super) fn decode<D: Document>(bytes: &[u8], format: Format) -> Result<D> {
    match format {
        Format::Json => {
            serde_json::from_slice(bytes).map_err(|error| unreadable::<D>("read", &place(&error)))
        }
        Format::Bson => bson::deserialize_from_slice(bytes).map_err(|_| unreadable::<D>("read", "as BSON")),
    }
}

fn place(error: &serde_json::Error) -> String {
    format!("{:?} error at column {}", error.classify(), error.column())
}

/// serde's own message quotes values, which may be personal, so only the position is reported.
fn unreadable<D: Document>(verb: &str, place: &str) -> StoreError {
    StoreError::Failed(format!(
        "a document of `{}` can't be {verb} as version {} ({place})",
        D::COLLECTION,
        D::VERSION
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAME: Migration = |document| document;

    fn at_version(version: u32, migrations: &'static [Migration]) -> Schema {
        Schema {
            collection: "things",
            version,
            migrations,
            indexes: &[],
            personal: Personal::None,
            keep: Keep::with_store("test data"),
            rewrite: |bytes, _, _| Ok(bytes.to_vec()),
        }
    }

    #[test]
    fn a_version_without_its_migration_is_refused() {
        assert_eq!(at_version(1, &[]).check(), Ok(()));
        assert_eq!(at_version(2, &[SAME]).check(), Ok(()));
        assert!(at_version(2, &[]).check().is_err());
        assert!(at_version(0, &[]).check().is_err());
    }

    #[test]
    fn only_missing_steps_are_applied() {
        let schema = at_version(3, &[SAME, SAME]);
        assert_eq!(schema.steps_from(1).unwrap().len(), 2);
        assert_eq!(schema.steps_from(3).unwrap().len(), 0);
        let newer = schema.steps_from(4).unwrap_err().to_string();
        assert!(newer.contains("version 4") && newer.contains("version 3"), "{newer}");
    }
}
