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
use crate::platform::cache::Cached;
use crate::platform::signals::Signals;

/// A `T` as JSON, with its entity tag. Clones share the bytes.
pub struct Prepared<T> {
    bytes: Bytes,
    tag: Tag,
    of: PhantomData<fn() -> T>,
}

impl<T: Type + ToJSON> Prepared<T> {
    /// The response that shows `value`.
    pub fn new(value: &T) -> Self {
        let bytes = Bytes::from(value.to_json_string());
        Self { tag: Tag::of(&bytes), bytes, of: PhantomData }
    }

    /// The answer to a request with this `If-None-Match`.
    pub fn answer(&self, if_none_match: Option<&str>) -> PreparedAnswer<T> {
        let tag = self.tag.as_str().to_owned();
        if if_none_match.is_some_and(|tags| self.tag.is_in(tags)) {
            return PreparedAnswer::NotModified(tag);
        }
        PreparedAnswer::Full(self.clone(), tag, "no-cache".into())
    }
}

impl<T> Clone for Prepared<T> {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes.clone(), tag: self.tag.clone(), of: PhantomData }
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
        Response::builder().content_type(Self::CONTENT_TYPE).body(self.bytes)
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
