//! How students' requests reach the fleet: through the load balancer. They are repeated after a lost connection, and
//! after a 503 when it says so.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;
use tokio::time::sleep;

use crate::doubles::ses::Ses;
use crate::way::{Road, answer};

/// Pause before a request whose connection was lost is repeated.
const AFTER_A_LOSS: Duration = Duration::from_millis(100);

/// Whether there is a fault now.
#[derive(Default)]
pub struct Faults {
    /// Increases whenever a fault begins or ends.
    turns: AtomicU64,
    under_way: AtomicUsize,
}

impl Faults {
    pub fn begin(&self) {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        self.turns.fetch_add(1, Ordering::SeqCst);
    }

    pub fn end(&self) {
        self.turns.fetch_add(1, Ordering::SeqCst);
        self.under_way.fetch_sub(1, Ordering::SeqCst);
    }

    /// Equal numbers at two times mean that there was no fault in between.
    fn quiet(&self) -> Option<u64> {
        let turns = self.turns.load(Ordering::SeqCst);
        (self.under_way.load(Ordering::SeqCst) == 0).then_some(turns)
    }
}

/// The results of requests.
#[derive(Clone, Default)]
pub struct Seen {
    pub answered: usize,
    /// 503 with `Retry-After`.
    pub come_again: usize,
    /// Connections that ended before the response was complete.
    pub lost: usize,
    /// Duration and path of the slowest request.
    pub slowest: (Duration, String),
}

/// The road to the fleet.
pub struct ToTheFleet {
    pub url: String,
    pub ses: Arc<Ses>,
    pub faults: Arc<Faults>,
    seen: Mutex<Seen>,
    /// Requests that were repeated as `Retry-After` said, without a fault in between, and got 503 again.
    lies: Mutex<Vec<String>>,
}

impl ToTheFleet {
    pub fn new(url: String, ses: Arc<Ses>, faults: Arc<Faults>) -> Self {
        Self { url, ses, faults, seen: Mutex::default(), lies: Mutex::default() }
    }

    /// The results since the last call.
    pub fn take_seen(&self) -> Seen {
        std::mem::take(&mut self.seen.lock().expect("nobody panics inside"))
    }

    pub fn lies(&self) -> Vec<String> {
        self.lies.lock().expect("nobody panics inside").clone()
    }

    fn note(&self, began: Instant, asked: &str, count: impl FnOnce(&mut Seen)) {
        let mut seen = self.seen.lock().expect("nobody panics inside");
        let took = began.elapsed();
        if took > seen.slowest.0 {
            seen.slowest = (took, asked.to_owned());
        }
        count(&mut seen);
    }
}

#[async_trait]
impl Road for ToTheFleet {
    fn url(&self) -> String {
        self.url.clone()
    }

    async fn once(&self, request: RequestBuilder) -> Option<(StatusCode, Value)> {
        let mut told_to_come = false;
        let built = request.try_clone().and_then(|request| request.build().ok()).expect("no stream");
        let asked = format!("{} {}", built.method(), built.url().path());
        loop {
            let (began, quiet) = (Instant::now(), self.faults.quiet());
            match answer(request.try_clone().expect("no stream")).await {
                Ok((status, headers, problem)) if status.is_server_error() => {
                    let after = come_again(status, &headers, &problem);
                    self.note(began, &asked, |seen| seen.come_again += 1);
                    if told_to_come && quiet.is_some() && quiet == self.faults.quiet() {
                        self.lies.lock().expect("nobody panics inside").push(format!("{status} {problem}"));
                    }
                    told_to_come = true;
                    sleep(after).await;
                }
                Ok((status, _, value)) => {
                    self.note(began, &asked, |seen| seen.answered += 1);
                    return Some((status, value));
                }
                Err(_) => {
                    self.note(began, &asked, |seen| seen.lost += 1);
                    sleep(AFTER_A_LOSS).await;
                    return None;
                }
            }
        }
    }

    async fn has_ticket(&self, email: &str) -> Option<bool> {
        // Students get no other email.
        Some(self.ses.taken_to(email) > 0)
    }
}

/// When to repeat the request. A 5xx response must have `Retry-After`.
fn come_again(status: StatusCode, headers: &HeaderMap, problem: &Value) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    match (status, seconds) {
        (StatusCode::SERVICE_UNAVAILABLE, Some(seconds)) => Duration::from_secs(seconds),
        _ => panic!("{status} without a time to come again: {problem}"),
    }
}
