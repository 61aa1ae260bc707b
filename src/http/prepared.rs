//! Responses that are written in advance: for public data that everybody reads.

use std::marker::PhantomData;
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use poem::{IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::payload::Payload;
use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::types::{ToJSON, Type};
use tokio::sync::Mutex;

use super::etag::Tag;
use crate::platform::signals::{Listener, Signals};

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

/// Time after which a cached response is made again. Changes of other processes wake the cache only while Redis is
/// reachable; without it, this limits how long they stay unseen.
pub const MAX_AGE: Duration = Duration::from_secs(5);

/// Keeps a prepared response until a topic is woken, in whichever process the change was made, for at most [`MAX_AGE`].
pub struct PreparedCache<T>(Mutex<Kept<T>>);

struct Kept<T> {
    changes: Listener,
    prepared: Option<(Prepared<T>, Instant)>,
}

impl<T: Type + ToJSON> PreparedCache<T> {
    /// An empty cache. Transactions that change what the response shows note `topic`
    /// ([`Tx::note`](crate::platform::store::Tx::note)).
    pub fn new(signals: &dyn Signals, topic: &'static str) -> Self {
        Self(Mutex::new(Kept { changes: signals.listen(topic), prepared: None }))
    }

    /// The response, made from the result of `read` if the topic was woken since the last time or the response is too old.
    /// Requests that arrive meanwhile wait for it.
    ///
    /// # Errors
    /// Those of `read`; the next request tries again.
    pub async fn get<E>(&self, read: impl AsyncFnOnce() -> Result<T, E>) -> Result<Prepared<T>, E> {
        let mut kept = self.0.lock().await;
        // Before the read: a change during the read drops its result.
        if kept.changes.was_woken() {
            kept.prepared = None;
        }
        if let Some((prepared, made_at)) = &kept.prepared
            && made_at.elapsed() < MAX_AGE
        {
            return Ok(prepared.clone());
        }
        // Before the read, so that the age counts from the state that it sees.
        let made_at = Instant::now();
        let prepared = Prepared::new(&read().await?);
        kept.prepared = Some((prepared.clone(), made_at));
        Ok(prepared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::signals::InProcess;

    #[tokio::test]
    async fn a_prepared_response_is_kept_until_its_topic_is_woken_or_it_is_too_old() {
        let signals = InProcess::new(0.0);
        let cache = PreparedCache::<String>::new(&signals, "news");
        let read = async |text: &str| {
            let prepared = cache.get(async || Ok::<_, ()>(text.to_owned())).await;
            prepared.map(|prepared| String::from_utf8(prepared.bytes.to_vec()).unwrap())
        };
        assert_eq!(read("one").await, Ok("\"one\"".to_owned()));
        assert_eq!(read("two").await, Ok("\"one\"".to_owned()));
        signals.wake("other");
        assert_eq!(read("two").await, Ok("\"one\"".to_owned()));
        signals.wake("news");
        assert_eq!(read("two").await, Ok("\"two\"".to_owned()));
        cache.0.lock().await.prepared.as_mut().unwrap().1 -= MAX_AGE;
        assert_eq!(
            read("three").await,
            Ok("\"three\"".to_owned()),
            "a change that no signal announced is seen"
        );
    }

    #[tokio::test]
    async fn a_change_during_the_read_drops_what_was_read() {
        let signals = InProcess::new(0.0);
        let cache = PreparedCache::<String>::new(&signals, "news");
        let changed = async || {
            signals.wake("news");
            Ok::<_, ()>("old".to_owned())
        };
        let old = cache.get(changed).await.unwrap();
        let new = cache.get(async || Ok::<_, ()>("new".to_owned())).await.unwrap();
        assert_ne!(old.tag, new.tag);
    }

    #[tokio::test]
    async fn a_read_that_fails_is_tried_again() {
        let signals = InProcess::new(0.0);
        let cache = PreparedCache::<String>::new(&signals, "news");
        assert!(cache.get(async || Err("unavailable")).await.is_err());
        assert!(cache.get(async || Ok::<_, &str>("back".to_owned())).await.is_ok());
    }
}
