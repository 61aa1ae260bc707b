//! Response headers that show the remaining quota of a rate limit.

use std::cell::RefCell;
use std::fmt::Write;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use poem::http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::platform::signals::{Feed, Limit, Listener, Remaining, Signals, SignalsState, TooMany};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The result of [`Signals::take`].
type Taken = Result<Remaining, TooMany>;

tokio::task_local! {
    static TAKEN: RefCell<Vec<(Limit, Taken)>>;
}

/// [`Signals`] that record which rate limits a request uses, so that its response has `RateLimit` and
/// `RateLimit-Policy`. Services use them like any other signals.
pub struct Metered(Arc<dyn Signals>);

impl Metered {
    /// Wraps `signals`.
    pub fn over(signals: Arc<dyn Signals>) -> Arc<dyn Signals> {
        Arc::new(Self(signals))
    }
}

#[async_trait]
impl Signals for Metered {
    fn wake(&self, topic: &'static str) {
        self.0.wake(topic);
    }

    fn listen(&self, topic: &'static str) -> Listener {
        self.0.listen(topic)
    }

    fn publish(&self, topic: &'static str, payload: &str) {
        self.0.publish(topic, payload);
    }

    fn subscribe(&self, topic: &'static str) -> Feed {
        self.0.subscribe(topic)
    }

    fn state(&self) -> SignalsState {
        self.0.state()
    }

    fn in_force(&self, limit: Limit) -> Option<Limit> {
        self.0.in_force(limit)
    }

    async fn take(&self, limit: Limit, key: &str) -> Taken {
        let outcome = self.0.take(limit, key).await;
        if let Some(limit) = self.0.in_force(limit) {
            // Jobs have no response.
            let _ = TAKEN.try_with(|taken| taken.borrow_mut().push((limit, outcome)));
        }
        outcome
    }
}

/// Runs `work` and collects the rate limits that it uses.
pub(super) async fn collect<T>(work: impl Future<Output = T>) -> (T, Vec<(Limit, Taken)>) {
    let collecting = async {
        let value = work.await;
        (value, TAKEN.with(RefCell::take))
    };
    TAKEN.scope(RefCell::default(), collecting).await
}

/// Writes the headers (draft-ietf-httpapi-ratelimit-headers-10).
pub(super) fn write(taken: &[(Limit, Taken)], headers: &mut HeaderMap) {
    let (mut policies, mut states) = (String::new(), String::new());
    for (limit, outcome) in taken {
        let comma = if policies.is_empty() { "" } else { ", " };
        let Limit { name, quota, window } = limit;
        let _ = write!(policies, "{comma}\"{name}\";q={quota};w={}", window.as_secs());
        let _ = match outcome {
            Ok(Remaining(remaining)) => write!(states, "{comma}\"{name}\";r={remaining}"),
            Err(TooMany { retry_after }) => {
                write!(states, "{comma}\"{name}\";r=0;t={}", seconds(*retry_after))
            }
        };
    }
    for (name, text) in [(RATE_LIMIT_POLICY, policies), (RATE_LIMIT, states)] {
        if let (false, Ok(value)) = (text.is_empty(), HeaderValue::try_from(text)) {
            headers.insert(name, value);
        }
    }
}

/// Whole seconds, rounded up, so that a client that waits for them is not too early.
pub(super) fn seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Always(Taken);

    #[async_trait]
    impl Signals for Always {
        fn wake(&self, _: &'static str) {}
        fn listen(&self, _: &'static str) -> Listener {
            unimplemented!("nobody waits here")
        }
        fn publish(&self, _: &'static str, _: &str) {}
        fn subscribe(&self, _: &'static str) -> Feed {
            unimplemented!("nobody waits here")
        }
        fn state(&self) -> SignalsState {
            SignalsState::WithinProcess
        }
        fn in_force(&self, limit: Limit) -> Option<Limit> {
            Some(limit)
        }
        async fn take(&self, _: Limit, _: &str) -> Taken {
            self.0
        }
    }

    const LIMIT: Limit = Limit { name: "sign-in", quota: 10, window: Duration::from_secs(60) };

    async fn headers_after(outcome: Taken) -> HeaderMap {
        let signals = Metered::over(Arc::new(Always(outcome)));
        let (_, taken) = collect(signals.take(LIMIT, "somebody")).await;
        let mut headers = HeaderMap::new();
        write(&taken, &mut headers);
        headers
    }

    #[tokio::test]
    async fn the_remaining_quota_is_shown() {
        let headers = headers_after(Ok(Remaining(9))).await;
        assert_eq!(headers["ratelimit-policy"], "\"sign-in\";q=10;w=60");
        assert_eq!(headers["ratelimit"], "\"sign-in\";r=9");
    }

    #[tokio::test]
    async fn a_refusal_rounds_the_wait_up() {
        let headers = headers_after(Err(TooMany { retry_after: Duration::from_millis(1500) })).await;
        assert_eq!(headers["ratelimit"], "\"sign-in\";r=0;t=2");
    }

    #[tokio::test]
    async fn jobs_and_unlimited_requests_get_no_headers() {
        let signals = Metered::over(Arc::new(Always(Ok(Remaining(1)))));
        assert_eq!(signals.take(LIMIT, "a job").await, Ok(Remaining(1)));
        let mut headers = HeaderMap::new();
        write(&[], &mut headers);
        assert!(headers.is_empty());
    }
}
