//! Edits of documents that others may edit at the same time: `If-Match` (RFC 9110, section 13.1.1).
//!
//! A response that shows such a document has its [`entity_tag`]. An edit sends the tag back, and is refused with 412 if the
//! document has changed since. Where several people edit the same texts the operation takes [`IfMatch`], without which the
//! edit is refused with 428 (RFC 6585, section 3). Where people edit what is theirs the header is optional
//! ([`precondition`]).

use poem::http::header::IF_MATCH;
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaParamIn, MetaSchema, MetaSchemaRef};
use poem_openapi::types::MaybeUndefined;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::kinds;
use crate::kernel::FieldError;
use crate::platform::store::{Document, Precondition, Revision, StoreError};

/// The longest `If-Match`: forty tags, where clients send one.
const MAX_LENGTH: usize = 1024;

/// The header `If-Match`; 428 without it.
pub struct IfMatch(pub Precondition);

/// The entity tag of a response that shows this document, for `ETag`.
///
/// # Errors
/// [`StoreError::Failed`] if the document can't be written.
pub fn entity_tag<D: Document>(document: &D) -> Result<String, StoreError> {
    Ok(format!("\"{}\"", Revision::of(document)?.as_str()))
}

/// The new value of a property that an edit can't remove; nothing if it was left out. `null` is an error, and so is a text
/// without visible characters, which counts as `null`.
pub fn changed<T>(sent: MaybeUndefined<T>, pointer: &str, errors: &mut Vec<FieldError>) -> Option<T> {
    if sent.is_null() {
        errors.push(FieldError::new(pointer, "missing", "This can't be removed."));
    }
    sent.take()
}

/// The condition of an edit that was sent with this `If-Match`. Absent and `*`: none. Weak tags match nothing, as RFC 9110
/// demands.
pub fn precondition(if_match: Option<&str>) -> Precondition {
    let revision = |tag: &str| Some(tag.trim().strip_prefix('"')?.strip_suffix('"')?.to_owned());
    match if_match {
        None => Precondition::default(),
        Some(tags) if tags.trim() == "*" => Precondition::default(),
        Some(tags) => Precondition::one_of(tags.split(',').filter_map(revision)),
    }
}

impl<'a> ApiExtractor<'a> for IfMatch {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
    const PARAM_IS_REQUIRED: bool = true;
    type ParamType = ();
    type ParamRawType = ();

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Header)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        let max_length = Some(MAX_LENGTH);
        Some(MetaSchemaRef::Inline(Box::new(MetaSchema { max_length, ..MetaSchema::new("string") })))
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let sent = request.headers().get(IF_MATCH).ok_or_else(kinds::if_match_missing)?;
        let tags = sent.to_str().ok().filter(|tags| tags.len() <= MAX_LENGTH);
        Ok(Self(precondition(Some(tags.ok_or_else(|| kinds::bad_parameter("If-Match"))?))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_is_a_star_or_a_list_of_strong_tags() {
        let one_of = |tags: &[&str]| Precondition::one_of(tags.iter().map(|tag| (*tag).to_owned()));
        for (sent, condition) in [
            (None, Precondition::default()),
            (Some("*"), Precondition::default()),
            (Some(" * "), Precondition::default()),
            (Some("\"a\""), one_of(&["a"])),
            (Some("\"a\", \"b\",\"c\""), one_of(&["a", "b", "c"])),
            (Some("W/\"a\", \"b\""), one_of(&["b"])),
            (Some("a"), one_of(&[])),
            (Some(""), one_of(&[])),
            (Some("\""), one_of(&[])),
        ] {
            assert_eq!(precondition(sent), condition, "{sent:?}");
        }
    }
}
