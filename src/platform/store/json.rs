//! Stored documents as JSON values, independent of the database's format.

use bson::{RawBsonRef, RawDocument};
use serde_json::{Map, Value};

use super::error::Result;
use super::{Format, StoreError};
use crate::kernel::Timestamp;

/// The document as JSON, with times as text.
pub(super) fn value(document: &[u8], format: Format) -> Result<Value> {
    match format {
        Format::Json => serde_json::from_slice(document).map_err(|_| damaged()),
        Format::Bson => object(RawDocument::from_bytes(document).map_err(|_| damaged())?),
    }
}

fn object(document: &RawDocument) -> Result<Value> {
    let mut object = Map::new();
    for field in document {
        let (name, value) = field.map_err(|_| damaged())?;
        object.insert(name.as_str().to_owned(), plain(value)?);
    }
    Ok(Value::Object(object))
}

fn plain(value: RawBsonRef<'_>) -> Result<Value> {
    match value {
        RawBsonRef::Null => Ok(Value::Null),
        RawBsonRef::Boolean(yes) => Ok(yes.into()),
        RawBsonRef::Int32(number) => Ok(number.into()),
        RawBsonRef::Int64(number) => Ok(number.into()),
        RawBsonRef::Double(number) => Ok(number.into()),
        RawBsonRef::String(text) => Ok(text.into()),
        RawBsonRef::DateTime(date) => Ok(Timestamp::from_millis(date.timestamp_millis()).rfc3339().into()),
        RawBsonRef::Document(inner) => object(inner),
        RawBsonRef::Array(list) => {
            list.into_iter().map(|element| plain(element.map_err(|_| damaged())?)).collect()
        }
        other => {
            Err(StoreError::Failed(format!("a document has a field of type {:?}", other.element_type())))
        }
    }
}

fn damaged() -> StoreError {
    StoreError::Failed("a stored document can't be read".into())
}

#[cfg(test)]
mod tests {
    use bson::{Bson, Document, doc};
    use serde_json::json;

    use super::*;

    fn of(document: Document) -> Result<Value> {
        value(&bson::serialize_to_vec(&document).unwrap(), Format::Bson)
    }

    #[test]
    fn times_become_text_and_types_unknown_to_json_are_refused() {
        let stored =
            doc! { "at": [bson::DateTime::from_millis(0)], "n": 7_i64, "x": 0.5, "none": Bson::Null };
        let expected = json!({ "at": ["1970-01-01T00:00:00.000Z"], "n": 7, "x": 0.5, "none": null });
        assert_eq!(of(stored).unwrap(), expected);
        assert!(of(doc! { "x": bson::oid::ObjectId::new() }).is_err());
        assert!(value(b"{", Format::Json).is_err() && value(b"{", Format::Bson).is_err());
    }
}
