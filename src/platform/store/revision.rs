//! Revisions of documents: an edit says which one it was made from, and is refused if there is a newer one.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::document::encode;
use super::error::Result;
use super::{Document, Format};

/// The content of a document in short: two revisions are equal if all properties are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision(String);

impl Revision {
    /// The revision of this document.
    ///
    /// # Errors
    /// [`StoreError::Failed`](super::StoreError::Failed) if it can't be written.
    pub fn of<D: Document>(document: &D) -> Result<Self> {
        let bytes = encode(document, Format::Json)?;
        Ok(Self(URL_SAFE_NO_PAD.encode(&Sha256::digest(bytes)[..16])))
    }

    /// The revision as text: letters, digits, `-` and `_`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The condition of an edit: that the document is as its editor saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Precondition(Option<Vec<String>>);

/// The document was changed after its editor saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the document was changed in the meantime")]
pub struct Stale;

impl Precondition {
    /// That the document has one of these revisions. The default is no condition.
    pub fn one_of(revisions: impl IntoIterator<Item = String>) -> Self {
        Self(Some(revisions.into_iter().collect()))
    }

    /// Checks the document. Call it in the transaction of the edit.
    ///
    /// # Errors
    /// [`Stale`] if it has another revision.
    // A document that was read can be written.
    pub fn check<D: Document>(&self, document: &D) -> Result<(), Stale> {
        let Some(seen) = &self.0 else { return Ok(()) };
        let current = Revision::of(document).map_err(|_| Stale)?;
        if seen.contains(&current.0) { Ok(()) } else { Err(Stale) }
    }
}
