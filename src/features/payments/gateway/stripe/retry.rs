//! Retries of calls to Stripe.

use std::time::Duration;

use stripe::StripeError;
use tokio::time::{Instant, sleep, timeout_at};

/// How long a call may take, and how it is retried.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// The time limit of one try.
    pub each: Duration,
    /// The time limit of all tries and pauses together.
    pub all: Duration,
    /// The maximum pause after the first failure. It doubles with each try.
    pub pause: Duration,
}

impl Default for RetryPolicy {
    /// Stripe usually answers within a second. After nine seconds the student gets the order without a checkout address,
    /// and a job continues: well within the time limit of a request (`http/limits.rs`).
    fn default() -> Self {
        Self { each: Duration::from_secs(5), all: Duration::from_secs(9), pause: Duration::from_millis(400) }
    }
}

impl RetryPolicy {
    /// Retries until the call succeeds, is rejected, or the time is up; then returns the last failure.
    pub(super) async fn call<T, F>(&self, once: impl Fn() -> F) -> Result<T, StripeError>
    where
        F: Future<Output = Result<T, StripeError>>,
    {
        let end = Instant::now() + self.all;
        let mut longest = self.pause;
        loop {
            let last = end.min(Instant::now() + self.each);
            let answer = timeout_at(last, once()).await.unwrap_or(Err(StripeError::Timeout));
            let pause = longest.mul_f64(fastrand::f64());
            match answer {
                Err(error) if is_temporary(&error) && Instant::now() + pause < end => sleep(pause).await,
                answer => return answer,
            }
            longest *= 2;
        }
    }
}

/// Whether the same call may succeed in a moment.
fn is_temporary(error: &StripeError) -> bool {
    match error {
        StripeError::Stripe(_, status) => matches!(status, 409 | 424 | 429 | 500..),
        StripeError::Timeout | StripeError::ClientError(_) | StripeError::JSONDeserialize(_) => true,
        StripeError::ConfigError(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        each: Duration::from_millis(200),
        all: Duration::from_millis(500),
        pause: Duration::from_millis(20),
    };

    /// Enough for a slow machine.
    const IN_TIME: Duration = Duration::from_secs(10);

    fn lost() -> StripeError {
        StripeError::ClientError("the connection is closed".into())
    }

    #[tokio::test]
    async fn a_temporary_failure_is_retried() {
        let tries = AtomicU32::new(0);
        let third = || async {
            match tries.fetch_add(1, Ordering::SeqCst) {
                0 | 1 => Err(lost()),
                n => Ok(n),
            }
        };
        assert_eq!(POLICY.call(third).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_call_without_an_answer_ends_in_time() {
        let (start, tries) = (Instant::now(), AtomicU32::new(0));
        let never = || async {
            tries.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<Result<(), StripeError>>().await
        };
        assert!(matches!(POLICY.call(never).await, Err(StripeError::Timeout)));
        assert!(start.elapsed() < IN_TIME);
        assert!((1..=3).contains(&tries.load(Ordering::SeqCst)), "{tries:?}");
    }

    #[tokio::test]
    async fn an_immediate_failure_is_retried_with_pauses_and_ends_in_time() {
        let (start, tries) = (Instant::now(), AtomicU32::new(0));
        let cut = || async {
            tries.fetch_add(1, Ordering::SeqCst);
            Err::<(), _>(lost())
        };
        assert!(POLICY.call(cut).await.is_err());
        assert!(start.elapsed() < IN_TIME);
        assert!(tries.load(Ordering::SeqCst) >= 2, "{tries:?}");
    }

    #[tokio::test]
    async fn a_rejected_call_is_not_retried() {
        let tries = AtomicU32::new(0);
        let refused = || async {
            tries.fetch_add(1, Ordering::SeqCst);
            Err::<(), _>(StripeError::ConfigError("no".into()))
        };
        assert!(POLICY.call(refused).await.is_err());
        assert_eq!(tries.load(Ordering::SeqCst), 1);
    }
}
