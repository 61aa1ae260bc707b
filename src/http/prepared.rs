//! Responses that are written in advance: for public data that everybody reads.

use std::marker::PhantomData;
use std::sync::Arc;

use hyper::body::Bytes;
use poem::{IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::payload::Payload;
use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::types::{ToJSON, Type};

use super::etag::Tag;
use super::listing::PageBody;
use crate::platform::cache::Cached;
use crate::platform::signals::Signals;
use crate::platform::store::Cursor;

/// Bytes that are sent as they are, with their entity tag. Clones share the bytes.
#[derive(Clone)]
pub struct PreparedFile {
    bytes: Bytes,
    tag: Tag,
}

impl PreparedFile {
    /// A file with this content.
    pub fn new(content: String) -> Self {
        let bytes = Bytes::from(content);
        Self { tag: Tag::of(&bytes), bytes }
    }

    /// Its content.
    pub fn bytes(&self) -> Bytes {
        self.bytes.clone()
    }

    /// Its entity tag.
    pub fn tag(&self) -> String {
        self.tag.as_str().to_owned()
    }

    /// Whether the client has it already, as its `If-None-Match` says.
    pub fn is_known(&self, if_none_match: Option<&str>) -> bool {
        if_none_match.is_some_and(|tags| self.tag.is_in(tags))
    }
}

/// A `T` as JSON, with its entity tag. Clones share the bytes.
pub struct Prepared<T> {
    file: PreparedFile,
    of: PhantomData<fn() -> T>,
}

impl<T: Type + ToJSON> Prepared<T> {
    /// The response that shows `value`.
    pub fn new(value: &T) -> Self {
        Self { file: PreparedFile::new(value.to_json_string()), of: PhantomData }
    }

    /// The answer to a request with this `If-None-Match`.
    pub fn answer(&self, if_none_match: Option<&str>) -> PreparedAnswer<T> {
        if self.file.is_known(if_none_match) {
            return PreparedAnswer::NotModified(self.file.tag());
        }
        PreparedAnswer::Full(self.clone(), self.file.tag(), "no-cache".into())
    }

    /// Its bytes and their entity tag, for other answers.
    pub fn file(&self) -> &PreparedFile {
        &self.file
    }
}

impl<T> Clone for Prepared<T> {
    fn clone(&self) -> Self {
        Self { file: self.file.clone(), of: PhantomData }
    }
}

impl<T: Type> Payload for Prepared<T> {
    const CONTENT_TYPE: &'static str = "application/json";

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: Type> IntoResponse for Prepared<T> {
    fn into_response(self) -> Response {
        Response::builder().content_type(Self::CONTENT_TYPE).body(self.file.bytes)
    }
}

/// A page of a list of `T`s whose items were written in advance, for lists that differ by caller only in which items they have.
pub struct PreparedPage<T> {
    json: String,
    of: PhantomData<fn() -> T>,
}

impl<T> PreparedPage<T> {
    /// The page of these items, each the JSON of a `T`.
    pub fn new(items: impl IntoIterator<Item: AsRef<str>>, next: Option<&Cursor>) -> Self {
        let mut json = String::from("{\"items\":[");
        for (number, item) in items.into_iter().enumerate() {
            if number > 0 {
                json.push(',');
            }
            json.push_str(item.as_ref());
        }
        json.push(']');
        if let Some(next) = next {
            json.push_str(",\"nextCursor\":");
            json.push_str(&next.as_str().to_json_string());
        }
        json.push('}');
        Self { json, of: PhantomData }
    }
}

impl<T: Type> Payload for PreparedPage<T> {
    const CONTENT_TYPE: &'static str = "application/json";

    fn schema_ref() -> MetaSchemaRef {
        PageBody::<T>::schema_ref()
    }

    fn register(registry: &mut Registry) {
        PageBody::<T>::register(registry);
    }
}

impl<T: Type> IntoResponse for PreparedPage<T> {
    fn into_response(self) -> Response {
        Response::builder().content_type(Self::CONTENT_TYPE).body(self.json)
    }
}

/// A prepared response, or 304.
#[derive(ApiResponse)]
pub enum PreparedAnswer<T: Type> {
    /// Done.
    #[oai(status = 200)]
    Full(
        Prepared<T>,
        /// Entity tag of the response.
        #[oai(header = "ETag")]
        String,
        /// `no-cache`: caches revalidate the response with `If-None-Match` before each use.
        #[oai(header = "Cache-Control")]
        String,
    ),
    /// Not modified: `If-None-Match` names the current response.
    #[oai(status = 304)]
    NotModified(
        /// Entity tag of the current response.
        #[oai(header = "ETag")]
        String,
    ),
}

/// A prepared response, kept until a topic is woken.
pub struct PreparedCache<T>(Cached<Prepared<T>>);

impl<T: Type + ToJSON> PreparedCache<T> {
    /// An empty cache of the response that changes with `topic`. See [`Cached::new`].
    pub fn new(signals: &dyn Signals, topic: &'static str) -> Self {
        Self(Cached::new(signals, topic))
    }

    /// The response, made from the result of `read` where the cache is empty. See [`Cached::get`].
    ///
    /// # Errors
    /// Those of `read`; the next request tries again.
    pub async fn get<E>(&self, read: impl AsyncFnOnce() -> Result<T, E>) -> Result<Arc<Prepared<T>>, E> {
        self.0.get(async || Ok(Prepared::new(&read().await?))).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_page_of_prepared_items_is_the_page_of_the_items() {
        let page = |items: &[&str], next: Option<Cursor>| {
            serde_json::from_str::<Value>(&PreparedPage::<String>::new(items, next.as_ref()).json).unwrap()
        };
        assert_eq!(page(&[], None), json!({ "items": [] }));
        assert_eq!(page(&["1", "\"a\""], None), json!({ "items": [1, "a"] }));
        let next = Cursor::from("x\"y".to_owned());
        assert_eq!(page(&["1"], Some(next)), json!({ "items": [1], "nextCursor": "x\"y" }));
    }
}
