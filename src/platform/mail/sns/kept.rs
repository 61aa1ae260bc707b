//! A cache of certificates and failures by URL. Anonymous clients choose URLs, too, so the cache is small, and the
//! oldest entry is evicted.

use std::collections::VecDeque;
use std::time::Duration;

use url::Url;

use super::certificate::Certificate;
use crate::kernel::Timestamp;

/// Number of certificates: SNS has one per region and changes it about once a year.
const CERTIFICATES: usize = 16;
/// Number of URLs without a certificate.
const FAILURES: usize = 256;
/// How long a URL without a certificate is not fetched again. SNS retries three times, every 20 seconds: a short
/// failure must not outlast these retries.
const REST: Duration = Duration::from_secs(15);

/// Certificates by URL, and URLs without.
#[derive(Default)]
pub(super) struct Kept {
    certificates: VecDeque<(Url, Certificate)>,
    failures: VecDeque<(Url, Timestamp)>,
}

impl Kept {
    pub(super) fn certificate(&self, address: &Url) -> Option<Certificate> {
        self.certificates.iter().find(|(own, _)| own == address).map(|(_, certificate)| certificate.clone())
    }

    /// Whether this URL failed recently.
    pub(super) fn failed(&self, address: &Url, now: Timestamp) -> bool {
        self.failures.iter().any(|(own, at)| own == address && now < at.plus(REST))
    }

    pub(super) fn keep(&mut self, address: &Url, certificate: Certificate) {
        self.certificates.retain(|(own, _)| own != address);
        self.certificates.push_back((address.clone(), certificate));
        if self.certificates.len() > CERTIFICATES {
            self.certificates.pop_front();
        }
    }

    pub(super) fn remember_failure(&mut self, address: &Url, now: Timestamp) {
        self.failures.retain(|(own, _)| own != address);
        self.failures.push_back((address.clone(), now));
        if self.failures.len() > FAILURES {
            self.failures.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: fn() -> Timestamp = || Timestamp::from_millis(1_788_246_000_000);

    fn address(n: usize) -> Url {
        Url::parse(&format!("https://sns.ca-central-1.amazonaws.com/{n}.pem")).unwrap()
    }

    #[test]
    fn a_limited_number_of_failures_is_remembered_for_a_while() {
        let mut kept = Kept::default();
        for n in 0..=FAILURES {
            kept.remember_failure(&address(n), NOW());
            kept.remember_failure(&address(n), NOW());
        }
        assert_eq!(kept.failures.len(), FAILURES);
        assert!(!kept.failed(&address(0), NOW()) && kept.failed(&address(1), NOW()));
        assert!(!kept.failed(&address(1), NOW().plus(REST)));
    }
}
