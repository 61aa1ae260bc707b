//! How often and how long a call is tried.

use std::time::Duration;

use stripe::StripeError;
use tokio::time::{Instant, sleep, timeout_at};

/// How often and how long a call is tried.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// One try may take so long.
    pub each: Duration,
    /// All tries and pauses together may take so long.
    pub all: Duration,
    /// The longest pause after the first failure; it doubles from try to try.
    pub pause: Duration,
}

impl Default for Patience {
    /// Stripe answers in about a second. After nine the student has an answer without an address, and the job
    /// carries on: well within the time that a request may take (`http/limits.rs`).
    fn default() -> Self {
        Self { each: Duration::from_secs(5), all: Duration::from_secs(9), pause: Duration::from_millis(400) }
    }
}

impl Patience {
    /// Calls until it succeeds, is refused, or the time is up; then with the last failure.
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
                Err(error) if may_pass(&error) && Instant::now() + pause < end => sleep(pause).await,
                answer => return answer,
            }
            longest *= 2;
        }
    }
}

/// Whether the same call may go well in a moment.
fn may_pass(error: &StripeError) -> bool {
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

    const PATIENCE: Patience = Patience {
        each: Duration::from_millis(200),
        all: Duration::from_millis(500),
        pause: Duration::from_millis(20),
    };

    /// However slow the machine is.
    const IN_TIME: Duration = Duration::from_secs(10);

    fn lost() -> StripeError {
        StripeError::ClientError("the line is cut".into())
    }

    #[tokio::test]
    async fn what_may_pass_is_tried_until_it_does() {
        let tries = AtomicU32::new(0);
        let third = || async {
            match tries.fetch_add(1, Ordering::SeqCst) {
                0 | 1 => Err(lost()),
                n => Ok(n),
            }
        };
        assert_eq!(PATIENCE.call(third).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn what_never_answers_ends_in_time() {
        let (start, tries) = (Instant::now(), AtomicU32::new(0));
        let never = || async {
            tries.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<Result<(), StripeError>>().await
        };
        assert!(matches!(PATIENCE.call(never).await, Err(StripeError::Timeout)));
        assert!(start.elapsed() < IN_TIME);
        assert!((1..=3).contains(&tries.load(Ordering::SeqCst)), "{tries:?}");
    }

    #[tokio::test]
    async fn what_fails_at_once_is_tried_with_pauses_and_ends_in_time() {
        let (start, tries) = (Instant::now(), AtomicU32::new(0));
        let cut = || async {
            tries.fetch_add(1, Ordering::SeqCst);
            Err::<(), _>(lost())
        };
        assert!(PATIENCE.call(cut).await.is_err());
        assert!(start.elapsed() < IN_TIME);
        assert!(tries.load(Ordering::SeqCst) >= 2, "{tries:?}");
    }

    #[tokio::test]
    async fn what_is_refused_is_not_tried_again() {
        let tries = AtomicU32::new(0);
        let refused = || async {
            tries.fetch_add(1, Ordering::SeqCst);
            Err::<(), _>(StripeError::ConfigError("no".into()))
        };
        assert!(PATIENCE.call(refused).await.is_err());
        assert_eq!(tries.load(Ordering::SeqCst), 1);
    }
}
