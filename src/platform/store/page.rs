//! Lists, a page at a time.
//!
//! A page continues after the sort keys of the last document of the page before. Documents that are added or deleted
//! between two pages therefore move no other document from one page to the next.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bson::{RawBsonRef, RawDocument};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use super::document::encode;
use super::error::Result;
use super::{Dir, Document, Format, Query, Store, StoreError, Value};
use crate::kernel::Timestamp;

/// The version of [`Cursor`]s. Those of another version are refused.
const VERSION: u32 = 1;

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Page<D> {
    /// The documents, in the order of the query.
    pub items: Vec<D>,
    /// Where the next page begins. `None` if this is the last one.
    pub next: Option<Cursor>,
}

/// A place in a list. Opaque to clients, and valid for the list and the order that it was made for.
///
/// It is base64url of a JSON array: a mark of the version, the collection and the order, then the sort keys of the last
/// document before the place, in readable form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    /// As it is sent to clients.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn new(mark: &str, keys: &[Option<Value>]) -> Self {
        let parts: Vec<_> = [mark.into()].into_iter().chain(keys.iter().map(to_json)).collect();
        Self(URL_SAFE_NO_PAD.encode(Json::from(parts).to_string()))
    }

    /// The sort keys. `None` if the cursor is not one with this mark.
    fn keys(&self, mark: &str) -> Option<Vec<Option<Value>>> {
        let bytes = URL_SAFE_NO_PAD.decode(&self.0).ok()?;
        let parts: Vec<Json> = serde_json::from_slice(&bytes).ok()?;
        let (first, keys) = parts.split_first()?;
        if first != mark {
            return None;
        }
        keys.iter().map(from_json).collect()
    }
}

impl From<String> for Cursor {
    /// What a client sent, which may be anything.
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// Why there is no page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// The cursor is not one that this list returned.
    #[error("the cursor belongs to no page of this list")]
    BadCursor,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<T> Page<T> {
    /// The page of a list that is kept in memory and named `list`: at least one item, at most `limit`. The items are in
    /// descending order of their keys, which tell any two apart.
    ///
    /// # Errors
    /// [`PageError::BadCursor`] if `after` was not returned by a list of this name.
    pub fn within(
        list: &str,
        items: impl IntoIterator<Item = T>,
        keys: impl Fn(&T) -> Vec<Value>,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Self, PageError> {
        let mark = mark_of(&format!("{VERSION} in memory {list}"));
        let after = after.map(|cursor| cursor.keys(&mark).ok_or(PageError::BadCursor)).transpose()?;
        let after = after.map(|keys| keys.into_iter().flatten().collect::<Vec<_>>());
        let is_past = |item: &T| after.as_ref().is_none_or(|after| keys(item) < *after);
        let mut rest = items.into_iter().skip_while(|item| !is_past(item)).fuse();
        let items: Vec<T> = rest.by_ref().take(limit.max(1) as usize).collect();
        let last = items.last().filter(|_| rest.next().is_some());
        let next = last.map(|last| Cursor::new(&mark, &keys(last).into_iter().map(Some).collect::<Vec<_>>()));
        Ok(Self { items, next })
    }
}

impl Store {
    /// The page of the query's documents that begins at `after`, or the first one; as many documents as the query's limit,
    /// at least one. Each page is read as of now.
    ///
    /// # Errors
    /// [`PageError::BadCursor`] if `after` was not returned by this list in the same order.
    pub async fn page<D: Document>(
        &self,
        query: Query,
        after: Option<&Cursor>,
    ) -> Result<Page<D>, PageError> {
        let found = self.find(with_one_more::<D>(&query, after)?).await?;
        Ok(cut(found, &query)?)
    }
}

fn page_size(query: &Query) -> u32 {
    query.limit.max(1)
}

/// The query of a page, and of the document that begins the next.
fn with_one_more<D: Document>(query: &Query, after: Option<&Cursor>) -> Result<Query, PageError> {
    let limit = page_size(query).saturating_add(1);
    let Some(after) = after else { return Ok(query.clone().limit(limit)) };
    let keys = after.keys(&mark::<D>(query)).ok_or(PageError::BadCursor)?;
    if keys.len() != query.sort.len() {
        return Err(PageError::BadCursor);
    }
    Ok(query.clone().limit(limit).after_keys(keys))
}

/// The page, without the document that begins the next.
fn cut<D: Document>(mut found: Vec<D>, query: &Query) -> Result<Page<D>> {
    let size = page_size(query) as usize;
    let more = found.len() > size;
    found.truncate(size);
    let last = found.last().filter(|_| more);
    let next = last.map(|last| Ok::<_, StoreError>(Cursor::new(&mark::<D>(query), &keys_of(last, query)?)));
    Ok(Page { next: next.transpose()?, items: found })
}

/// The same for all pages of a list in one order.
fn mark<D: Document>(query: &Query) -> String {
    let mut order = format!("{VERSION} {}", D::COLLECTION);
    for (field, dir) in &query.sort {
        order += if *dir == Dir::Asc { " +" } else { " -" };
        order += field.as_ref();
    }
    mark_of(&order)
}

fn mark_of(list: &str) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(list)[..6])
}

/// The document's values of the sorted fields. Read off its BSON, where times are not texts.
fn keys_of<D: Document>(document: &D, query: &Query) -> Result<Vec<Option<Value>>> {
    let bytes = encode(document, Format::Bson)?;
    let document = RawDocument::from_bytes(&bytes).map_err(|_| unsorted("id"))?;
    query.sort.iter().map(|(field, _)| value_at(document, field)).collect()
}

fn value_at(document: &RawDocument, field: &str) -> Result<Option<Value>> {
    let (name, rest) = field.split_once('.').map_or((field, None), |(name, rest)| (name, Some(rest)));
    match (document.get(name).map_err(|_| unsorted(field))?, rest) {
        (None, _) => Ok(None),
        (Some(RawBsonRef::Document(inner)), Some(rest)) => value_at(inner, rest),
        (Some(value), None) => value_of(value).map(Some).ok_or_else(|| unsorted(field)),
        (Some(_), Some(_)) => Err(unsorted(field)),
    }
}

fn value_of(value: RawBsonRef<'_>) -> Option<Value> {
    match value {
        RawBsonRef::String(text) => Some(text.into()),
        RawBsonRef::Int32(number) => Some(i64::from(number).into()),
        RawBsonRef::Int64(number) => Some(number.into()),
        RawBsonRef::Boolean(yes) => Some(yes.into()),
        RawBsonRef::DateTime(time) => Some(Timestamp::from_millis(time.timestamp_millis()).into()),
        _ => None,
    }
}

fn unsorted(field: &str) -> StoreError {
    StoreError::Failed(format!("documents can't be sorted by `{field}`"))
}

fn to_json(key: &Option<Value>) -> Json {
    match key {
        None => Json::Null,
        Some(Value::Text(text)) => text.as_str().into(),
        Some(Value::Int(number)) => (*number).into(),
        Some(Value::Bool(yes)) => (*yes).into(),
        Some(Value::Time(time)) => json!({ "t": time.as_millis() }),
    }
}

/// The outer `None` if it is no sort key.
fn from_json(part: &Json) -> Option<Option<Value>> {
    match part {
        Json::Null => Some(None),
        Json::String(text) => Some(Some(text.as_str().into())),
        Json::Number(number) => Some(Some(number.as_i64()?.into())),
        Json::Bool(yes) => Some(Some((*yes).into())),
        Json::Object(time) => Some(Some(Timestamp::from_millis(time.get("t")?.as_i64()?).into())),
        Json::Array(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_every_kind_survive_the_cursor() {
        let time = Timestamp::from_millis(1_788_246_000_000);
        let keys = vec![None, Some("é\"".into()), Some((-7).into()), Some(true.into()), Some(time.into())];
        let cursor = Cursor::new("mark", &keys);
        assert_eq!(cursor.keys("mark"), Some(keys));
        assert_eq!(cursor.keys("other"), None);
    }

    #[test]
    fn a_list_in_memory_is_paged_without_gaps_while_items_come_and_go() {
        let page = |items: &[i64], after: Option<&Cursor>| {
            Page::within("numbers", items.to_vec(), |item| vec![(*item).into()], after, 2).unwrap()
        };
        let first = page(&[9, 7, 5, 3, 1], None);
        assert_eq!(first.items, [9, 7]);
        let second = page(&[11, 9, 6, 5, 3, 1], first.next.as_ref());
        assert_eq!(second.items, [6, 5], "one was added before, one after, and the last of the page is gone");
        let third = page(&[5, 3, 1], second.next.as_ref());
        assert_eq!((third.items.as_slice(), third.next), ([3, 1].as_slice(), None));
        let elsewhere = Page::within("others", vec![1], |item| vec![(*item).into()], first.next.as_ref(), 2);
        assert!(matches!(elsewhere, Err(PageError::BadCursor)));
        assert!(page(&[], None).items.is_empty());
    }

    #[test]
    fn texts_that_are_no_cursors_have_no_keys() {
        let encoded = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let huge = encoded(r#"["mark",99999999999999999999]"#);
        let time = encoded(r#"["mark",{"t":"x"}]"#);
        let list = encoded(r#"["mark",[1]]"#);
        for bad in ["", "!", "AAAA", "e30", &encoded("[]"), &huge, &time, &list] {
            assert_eq!(Cursor::from(bad.to_owned()).keys("mark"), None, "{bad}");
        }
    }
}
