//! How long the requests of each step took.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A request of the sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    GetProduct,
    CreateOrder,
    OpenCheckout,
    Checkout,
    Pay,
    CancelOrder,
}

impl Step {
    /// The operation, or the page of the sandbox.
    pub fn name(self) -> &'static str {
        match self {
            Self::GetProduct => "getProduct",
            Self::CreateOrder => "createOrder",
            Self::OpenCheckout => "openCheckout",
            Self::Checkout => "checkout page",
            Self::Pay => "Pay on that page",
            Self::CancelOrder => "cancelOrder",
        }
    }
}

/// The times of all requests, and those of the claims.
#[derive(Default)]
pub(super) struct Measures(Mutex<Times>);

#[derive(Default)]
struct Times {
    steps: BTreeMap<Step, Vec<Duration>>,
    /// First and last order that got a place.
    claims: Option<(Instant, Instant)>,
    claimed: u64,
    asked_to_wait: u64,
}

/// What is known of one step.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Summary {
    pub step: Step,
    pub count: usize,
    pub median: Duration,
    pub p99: Duration,
    pub longest: Duration,
    /// Times of all requests of the step, added up.
    pub total: Duration,
}

impl Measures {
    fn times(&self) -> std::sync::MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request of this step took this long.
    pub fn add(&self, step: Step, took: Duration) {
        self.times().steps.entry(step).or_default().push(took);
    }

    /// An order got a place now.
    pub fn claimed(&self) {
        let (now, mut times) = (Instant::now(), self.times());
        let first = times.claims.map_or(now, |(first, _)| first);
        times.claims = Some((first, now));
        times.claimed += 1;
    }

    /// A request was answered with 429 or 503.
    pub fn asked_to_wait(&self) {
        self.times().asked_to_wait += 1;
    }

    /// Number of requests answered with 429 or 503.
    pub fn waits(&self) -> u64 {
        self.times().asked_to_wait
    }

    /// Number of orders that got a place, and the time between the first and the last.
    pub fn claims(&self) -> (u64, Duration) {
        let times = self.times();
        (times.claimed, times.claims.map_or(Duration::ZERO, |(first, last)| last - first))
    }

    /// Number of requests.
    pub fn requests(&self) -> usize {
        self.times().steps.values().map(Vec::len).sum()
    }

    /// Every step that was taken.
    pub fn summaries(&self) -> Vec<Summary> {
        let mut times = self.times();
        times.steps.iter_mut().filter_map(|(step, took)| summary(*step, took)).collect()
    }
}

fn summary(step: Step, took: &mut [Duration]) -> Option<Summary> {
    took.sort_unstable();
    let count = took.len();
    // The nearest rank: the smallest time that this part of the requests did not exceed.
    let rank = |percent: usize| took.get((count * percent).div_ceil(100).saturating_sub(1)).copied();
    Some(Summary {
        step,
        count,
        median: rank(50)?,
        p99: rank(99)?,
        longest: *took.last()?,
        total: took.iter().sum(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let ms = Duration::from_millis;
        let mut took: Vec<_> = (1..=200).rev().map(ms).collect();
        let all = summary(Step::Pay, &mut took).unwrap();
        assert_eq!((all.count, all.median, all.p99, all.longest), (200, ms(100), ms(198), ms(200)));
        let one = summary(Step::Pay, &mut [ms(7)]).unwrap();
        assert_eq!((one.median, one.p99, one.longest, one.total), (ms(7), ms(7), ms(7), ms(7)));
        assert_eq!(all.total, ms(20_100));
        assert_eq!(summary(Step::Pay, &mut []), None);
    }
}
