//! Documents as MongoDB stores them: `id` ↔ `_id`.

use bson::raw::CStr;
use bson::{RawDocument, RawDocumentBuf, cstr};

use super::super::StoreError;
use super::super::error::Result;

/// The document as MongoDB stores it.
pub(super) fn inward(document: &[u8]) -> Result<RawDocumentBuf> {
    renamed(RawDocument::from_bytes(document).map_err(damaged)?, "id", cstr!("_id"))
}

/// The document as the store knows it.
pub(super) fn outward(document: &RawDocument) -> Result<Vec<u8>> {
    Ok(renamed(document, "_id", cstr!("id"))?.into_bytes())
}

/// Copies the bytes and renames one field. Decoding into serde's own document would turn dates into text.
fn renamed(document: &RawDocument, old: &str, new: &CStr) -> Result<RawDocumentBuf> {
    let mut renamed = RawDocumentBuf::new();
    for field in document {
        let (name, value) = field.map_err(damaged)?;
        renamed.append(if name.as_str() == old { new } else { name }, value);
    }
    Ok(renamed)
}

fn damaged(_: bson::error::Error) -> StoreError {
    StoreError::Failed("a document is not valid BSON".into())
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn only_the_outermost_id_is_renamed_and_the_order_stays() {
        let date = bson::DateTime::from_millis(1);
        let stored = doc! { "n": 1, "id": "a", "inner": { "id": "b" }, "at": date };
        let bytes = bson::serialize_to_vec(&stored).unwrap();
        let inside = inward(&bytes).unwrap();
        let renamed = doc! { "n": 1, "_id": "a", "inner": { "id": "b" }, "at": date };
        assert_eq!(inside.as_bytes(), bson::serialize_to_vec(&renamed).unwrap());
        assert_eq!(outward(&inside).unwrap(), bytes);
        assert!(inward(&bytes[1..]).is_err());
    }
}
