//! Documents as they stand in MongoDB: `id` ↔ `_id`, and as JSON for the migrations.

use bson::raw::CStr;
use bson::{RawBsonRef, RawDocument, RawDocumentBuf, cstr};
use serde_json::{Map, Value};

use super::super::StoreError;
use super::super::error::Result;
use crate::kernel::Timestamp;

/// As MongoDB keeps it.
pub(super) fn inward(document: &[u8]) -> Result<RawDocumentBuf> {
    renamed(RawDocument::from_bytes(document).map_err(damaged)?, "id", cstr!("_id"))
}

/// As the store knows it.
pub(super) fn outward(document: &RawDocument) -> Result<Vec<u8>> {
    Ok(renamed(document, "_id", cstr!("id"))?.into_bytes())
}

/// Byte for byte but for that one name: on the way through serde's own document dates would become text.
fn renamed(document: &RawDocument, old: &str, new: &CStr) -> Result<RawDocumentBuf> {
    let mut renamed = RawDocumentBuf::new();
    for field in document {
        let (name, value) = field.map_err(damaged)?;
        renamed.append(if name.as_str() == old { new } else { name }, value);
    }
    Ok(renamed)
}

/// The document as JSON, with times as text.
pub(super) fn json(document: &RawDocument) -> Result<Value> {
    let mut object = Map::new();
    for field in document {
        let (name, value) = field.map_err(damaged)?;
        object.insert(name.as_str().to_owned(), json_value(value)?);
    }
    Ok(Value::Object(object))
}

fn json_value(value: RawBsonRef<'_>) -> Result<Value> {
    match value {
        RawBsonRef::Null => Ok(Value::Null),
        RawBsonRef::Boolean(yes) => Ok(yes.into()),
        RawBsonRef::Int32(number) => Ok(number.into()),
        RawBsonRef::Int64(number) => Ok(number.into()),
        RawBsonRef::Double(number) => Ok(number.into()),
        RawBsonRef::String(text) => Ok(text.into()),
        RawBsonRef::DateTime(date) => Ok(Timestamp::from_millis(date.timestamp_millis()).rfc3339().into()),
        RawBsonRef::Document(inner) => json(inner),
        RawBsonRef::Array(list) => {
            list.into_iter().map(|element| json_value(element.map_err(damaged)?)).collect()
        }
        other => {
            Err(StoreError::Failed(format!("a document has a field of type {:?}", other.element_type())))
        }
    }
}

fn damaged(_: bson::error::Error) -> StoreError {
    StoreError::Failed("a document is no BSON".into())
}

#[cfg(test)]
mod tests {
    use bson::{Bson, doc};
    use serde_json::json;

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

    #[test]
    fn as_json_a_time_is_text_and_what_json_does_not_know_is_refused() {
        let stored =
            doc! { "at": [bson::DateTime::from_millis(0)], "n": 7_i64, "x": 0.5, "none": Bson::Null };
        let raw = RawDocumentBuf::try_from(&stored).unwrap();
        let expected = json!({ "at": ["1970-01-01T00:00:00.000Z"], "n": 7, "x": 0.5, "none": null });
        assert_eq!(json(&raw).unwrap(), expected);
        let foreign = RawDocumentBuf::try_from(&doc! { "x": bson::oid::ObjectId::new() }).unwrap();
        assert!(json(&foreign).is_err());
    }
}
